"""Calibration: a known temperature is found, and a known calibration error is computed."""

import numpy as np
import pytest
from scipy.special import softmax

from utils.evaluate import calibration


def draw(temperature, count=20_000, seed=0):
    """Return logits that are calibrated after division by the temperature, and drawn classes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 4))
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    y_true = (cumulative > rng.random((count, 1))).argmax(axis=1)
    return logits * temperature, y_true


def test_no_faces_give_an_empty_reliability_table():
    assert calibration.reliability_table(np.zeros(0, int), np.zeros((0, 4))).empty


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_logits_is_found(temperature):
    assert calibration.fit_temperature(*draw(temperature)) == pytest.approx(temperature, rel=0.05)


def test_calibration_changes_probabilities_but_no_predicted_class():
    logits, y_true = draw(3.0, 2000)
    y_prob = calibration.apply_calibration(logits, calibration.fit_temperature(logits, y_true))
    np.testing.assert_array_equal(y_prob.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_allclose(y_prob.sum(axis=1), 1)
    raw_error = calibration.calibration_error(y_true, calibration.apply_calibration(logits, 1.0))
    assert calibration.calibration_error(y_true, y_prob) < raw_error / 3


def test_faces_of_weight_zero_do_not_count():
    logits, y_true = draw(2.0, 4000)
    with_wrong_labels = np.concatenate([y_true, (y_true + 1) % 4])
    weights = np.repeat([1.0, 0.0], 4000)
    weighted = calibration.fit_temperature(
        np.concatenate([logits, logits]), with_wrong_labels, weights
    )
    assert weighted == pytest.approx(calibration.fit_temperature(logits, y_true), rel=1e-3)


def test_the_error_is_the_gap_between_probability_and_accuracy():
    y_prob = np.tile([0.9, 0.1, 0, 0], (100, 1))
    y_true = np.repeat([0, 1], [60, 40])
    np.random.default_rng(0).shuffle(y_true)
    assert calibration.calibration_error(y_true, y_prob, bins=1) == pytest.approx(0.3)


def test_reliability_bins_hold_equally_many_faces():
    logits, y_true = draw(1.0, 1000)
    y_prob = calibration.apply_calibration(logits, 1.0)
    table = calibration.reliability_table(y_true, y_prob, bins=8)
    assert table.n.tolist() == [125] * 8
    assert table.probability.is_monotonic_increasing
    assert ((table.low <= table.accuracy) & (table.accuracy <= table.high)).all()


def test_the_prior_bias_lowers_the_mean_probability_of_a_rarer_class():
    rng = np.random.default_rng(0)
    y_true = rng.choice(4, 200_000, p=[0.4, 0.3, 0.05, 0.25])
    # Gaussian features of variance 1, so that these logits are calibrated for the prior above.
    features = rng.normal(size=(len(y_true), 4)) + 2 * np.eye(4)[y_true]
    logits = 2 * features + np.log([0.4, 0.3, 0.05, 0.25])
    # Drop faces of class 3 until their share is 0.05.
    keep_share = 0.05 / 0.95 / (0.25 / 0.75)
    in_use = (y_true != 3) | (rng.random(len(y_true)) < keep_share)
    bias = calibration.prior_bias(y_true, 3, 0.05)
    y_prob = calibration.apply_calibration(logits[in_use], 1.0, bias)
    assert y_prob[:, 3].mean() == pytest.approx((y_true[in_use] == 3).mean(), rel=0.02)


def test_names_of_reliability_tables_contain_the_error():
    logits, y_true = draw(1.0, 500)
    outputs = {"ours": calibration.apply_calibration(logits, 1.0)}
    ((name, table),) = calibration.reliability_tables(y_true, outputs).items()
    error = calibration.calibration_error(y_true, outputs["ours"])
    assert name == f"ours, error {error:.3f}"
    assert table.n.sum() == 500


def test_certainty_is_counted_by_source_and_level():
    y_prob = np.array([[0.95, 0.05], [0.92, 0.08], [0.4, 0.6], [0.995, 0.005]])
    y_true = np.array([0, 1, 1, 0])
    source = np.array(["a", "a", "a", "b"])
    table = calibration.certainty_table(y_true, y_prob, source).reset_index()
    rows = table.set_index(["source", "level"])
    assert rows.n.to_dict() == {("a", 0.9): 2, ("b", 0.9): 1, ("b", 0.99): 1}
    assert rows.right.to_dict() == {("a", 0.9): 0.5, ("b", 0.9): 1.0, ("b", 0.99): 1.0}
    assert rows.probability["a", 0.9] == pytest.approx(0.935)


def test_certainty_of_no_answers_is_an_empty_table():
    table = calibration.certainty_table(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, str))
    assert table.empty
