"""The level of sureness: shares counted by hand, and the script's answers."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from utils.boxes import BOX_COLUMNS, Detections
from utils.classes import CLASS_NAMES
from utils.detect import (
    classify_faces,
    crop_faces,
    load_classifier,
    load_detector,
    measure_sureness,
)
from utils.evaluate import choose_unsure_level, collect_opinions, unsure_table
from utils.images import read_image
from utils.paths import EXAMPLES_DIR, ROOT

MASKED = [0.9, 0.1, 0.0, 0.0]
BARE = [0.1, 0.9, 0.0, 0.0]
CASES = {
    "no face": (np.zeros((0, 4)), None, []),
    "the classifier alone": ([MASKED], None, [0.9]),
    "both agree": ([MASKED], [MASKED], [0.9]),
    "both differ": ([MASKED], [BARE], [0.5]),
}


@pytest.mark.parametrize(
    ("y_prob", "y_prob_detector", "expected"), CASES.values(), ids=CASES.keys()
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
