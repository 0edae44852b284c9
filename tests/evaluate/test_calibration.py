"""A temperature that undoes a known one, and a calibration error that is known by construction."""

import numpy as np
import pytest
from scipy.special import softmax

from utils.evaluate import calibration


def draw(temperature, count=20_000, seed=0):
    """Logits whose softmax is honest once they are divided by the temperature, and classes drawn from it."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 2, (count, 4))
    y_true = (softmax(honest, axis=1).cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return honest * temperature, y_true


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_hidden_is_found(temperature):
    assert calibration.fit_temperature(*draw(temperature)) == pytest.approx(temperature, rel=0.05)


def test_calibration_changes_certainty_but_no_answer():
    logits, y_true = draw(3.0, 2000)
    y_prob = calibration.apply_calibration(logits, calibration.fit_temperature(logits, y_true))
    np.testing.assert_array_equal(y_prob.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_allclose(y_prob.sum(axis=1), 1)
    raw = calibration.apply_calibration(logits, 1.0)
    assert (
        calibration.calibration_error(y_true, y_prob)
        < calibration.calibration_error(y_true, raw) / 3
    )


def test_a_face_of_weight_zero_does_not_count():
    logits, y_true = draw(2.0, 4000)
    spoiled = np.concatenate([y_true, (y_true + 1) % 4])
    weights = np.repeat([1.0, 0.0], 4000)
    doubled = calibration.fit_temperature(np.concatenate([logits, logits]), spoiled, weights)
    assert doubled == pytest.approx(calibration.fit_temperature(logits, y_true), rel=1e-3)


def test_error_of_a_boaster_is_the_gap():
    y_prob = np.tile([0.9, 0.1, 0, 0], (100, 1))
    y_true = np.repeat([0, 1], [60, 40])
    np.random.default_rng(0).shuffle(y_true)
    assert calibration.calibration_error(y_true, y_prob, bins=1) == pytest.approx(0.3)


def test_reliability_bins_hold_all_faces_in_equal_parts():
    logits, y_true = draw(1.0, 1000)
    table = calibration.reliability_table(
        y_true, calibration.apply_calibration(logits, 1.0), bins=8
    )
    assert table.n.tolist() == [125] * 8
    assert table.probability.is_monotonic_increasing
    assert ((table.low <= table.accuracy) & (table.accuracy <= table.high)).all()


def test_no_faces_give_an_empty_reliability_table():
    assert calibration.reliability_table(np.zeros(0, int), np.zeros((0, 4))).empty


def test_a_prior_makes_a_class_as_rare_as_it_is_in_use():
    rng = np.random.default_rng(0)
    y_true = rng.choice(4, 200_000, p=[0.4, 0.3, 0.05, 0.25])
    seen = (
        rng.normal(size=(len(y_true), 4)) + 2 * np.eye(4)[y_true]
    )  # honest once divided by its variance, which is 1
    logits = 2 * seen + np.log([0.4, 0.3, 0.05, 0.25])
    rare = (y_true != 3) | (
        rng.random(len(y_true)) < 0.05 / 0.95 / (0.25 / 0.75)
    )  # where class 3 is a twentieth
    y_prob = calibration.apply_calibration(
        logits[rare], 1.0, calibration.prior_bias(y_true, 3, 0.05)
    )
    assert y_prob[:, 3].mean() == pytest.approx((y_true[rare] == 3).mean(), rel=0.02)


def test_reliability_tables_name_their_error():
    logits, y_true = draw(1.0, 500)
    outputs = {"honest": calibration.apply_calibration(logits, 1.0)}
    ((name, table),) = calibration.reliability_tables(y_true, outputs).items()
    error = calibration.calibration_error(y_true, outputs["honest"])
    assert name == f"honest, error {error:.3f}" and table.n.sum() == 500
