"""Calibration: known temperatures and errors are found; unsure shares are counted by hand."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from utils.boxes import BOX_COLUMNS, Detections
from utils.classes import CLASS_NAMES
from utils.detect import (
    classify_faces,
    crop_faces,
    load_classifier,
    load_detector,
    measure_sureness,
)
from utils.evaluate import calibration, choose_unsure_level, collect_opinions, unsure_table
from utils.images import read_image
from utils.paths import EXAMPLES_DIR, ROOT


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


MASKED = [0.9, 0.1, 0.0, 0.0]
BARE = [0.1, 0.9, 0.0, 0.0]
SURENESS = {
    "no face": (np.zeros((0, 4)), None, []),
    "the classifier alone": ([MASKED], None, [0.9]),
    "both agree": ([MASKED], [MASKED], [0.9]),
    "both differ": ([MASKED], [BARE], [0.5]),
}


@pytest.mark.parametrize(
    ("y_prob", "y_prob_detector", "expected"), SURENESS.values(), ids=SURENESS.keys()
)
def test_sureness(y_prob, y_prob_detector, expected):
    y_prob = np.array(y_prob)
    if y_prob_detector is not None:
        y_prob_detector = np.array(y_prob_detector)
    assert measure_sureness(y_prob, y_prob, y_prob_detector).tolist() == pytest.approx(expected)


def test_shares_of_each_level_and_the_level_chosen():
    p = np.array([0.55, 0.6, 0.7, 0.8] + [0.95] * 16)
    y_prob = np.stack([p, 1 - p, 0 * p, 0 * p], axis=1)
    y_true = np.zeros(20, int)
    y_true[[0, 2]] = 1
    table = unsure_table(y_true, y_prob, levels=np.array([0, 0.58, 0.75]))
    assert table.unsure.tolist() == pytest.approx([0, 1 / 20, 3 / 20])
    assert table.error.tolist() == pytest.approx([2 / 20, 1 / 19, 0])
    assert table.caught.tolist() == pytest.approx([0, 1 / 2, 1])
    assert choose_unsure_level(table, error_share=0.6) == 0.58
    assert choose_unsure_level(table, error_share=0.1, max_unsure=0.2) == 0.75
    assert choose_unsure_level(table, error_share=0.1) == 0.58  # 0.75 would mark too many


def test_table_without_an_answer():
    table = unsure_table(np.zeros(0, int), np.zeros((0, 4)))
    assert not table[["unsure", "error", "caught"]].to_numpy().any()


@pytest.mark.parametrize("detector", ["fcos", "yunet"])
def test_script_writes_unsure_to_json_csv_and_summary(tmp_path, detector):
    command = [sys.executable, "03-detect_face_using_mask.py", "--no-show", "--output", tmp_path]
    command += ["--image", "data/examples", "--detector", detector]
    command += ["--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    unsure = [face["unsure"] for image in images for face in image["faces"]]
    assert unsure and all(isinstance(value, bool) for value in unsure)
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unsure"] for row in rows] == [str(value) for value in unsure]
    assert list(rows[0])[-1] == "unsure"
    sentence = f"; {sum(unsure)} of {len(unsure)} faces unsure"
    assert (sentence in run.stdout + run.stderr) == any(unsure)


class LabelsAsDetections:
    """A detector that finds the labelled faces of the image read last, and one box more."""

    def __init__(self, boxes: np.ndarray, y_prob: np.ndarray | None):
        extra = np.array([[0, 0, 8, 8]], np.float32)
        self.xyxy = np.concatenate([boxes, extra]).astype(np.float32)
        self.y_prob = y_prob

    def __call__(self, image: np.ndarray) -> Detections:
        return Detections(self.xyxy, np.ones(len(self.xyxy), np.float32), self.y_prob)


@pytest.mark.parametrize("has_opinion", [True, False])
def test_opinions_are_those_about_labelled_faces(has_opinion):
    file = "three_classes.jpg"
    image = read_image(EXAMPLES_DIR / file)
    boxes = load_detector("fcos")(image).xyxy
    class_ids = np.arange(len(boxes)) % 3
    labels = pd.DataFrame(boxes, columns=BOX_COLUMNS)
    labels["file"] = file
    labels["class_name"] = [CLASS_NAMES[class_id] for class_id in class_ids]
    of_detector = np.full((len(boxes) + 1, 4), 0.25) if has_opinion else None
    detector = LabelsAsDetections(boxes, of_detector)
    classifier = load_classifier()

    y_true, y_prob, opinions = collect_opinions(detector, classifier, labels, EXAMPLES_DIR)
    expected = classify_faces(classifier, crop_faces(image, boxes))
    np.testing.assert_array_equal(y_true, class_ids)
    np.testing.assert_allclose(y_prob, expected, atol=1e-6)
    assert (opinions is not None) == has_opinion
    if has_opinion:
        assert opinions.shape == (len(boxes), 4)


def test_no_photograph_gives_no_opinion():
    labels = pd.DataFrame(columns=["file", "class_name", *BOX_COLUMNS])
    y_true, y_prob, opinions = collect_opinions(
        load_detector("fcos"), load_classifier(), labels, EXAMPLES_DIR
    )
    assert (y_true.shape, y_prob.shape, opinions) == ((0,), (0, 4), None)
