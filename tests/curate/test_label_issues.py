"""Doubtful labels: those that were taken away, swapped or moved are found, and no others."""

import numpy as np
import pandas as pd
import pytest

from utils.boxes import BOX_COLUMNS, Detections
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.curate import find_label_issues
from utils.labels import make_label_table

COLUMNS = ["file", *BOX_COLUMNS, "class_name", "class_found", "issue", "score"]


def make_labels() -> pd.DataFrame:
    """Return six photographs with three faces each, of the three classes in turn."""
    rows = []
    for number in range(6):
        for place, class_name in enumerate(MASK_CLASSES):
            x = 20 + 100 * place
            box = dict(zip(BOX_COLUMNS, (x, 30, x + 40, 80), strict=True))
            rows.append({"file": f"{number}.jpg", "source": "a", "class_name": class_name, **box})
    return make_label_table(rows)


def detect_labels(labels: pd.DataFrame, confidence: float = 0.9) -> dict[str, Detections]:
    """Return detections that agree with labels but for two pixels, and are sure of the class."""
    found = {}
    for file, rows in labels.groupby("file"):
        y_prob = np.full((len(rows), len(CLASS_NAMES)), 0.01, np.float32)
        classes = rows.class_name.map(CLASS_NAMES.index)
        y_prob[np.arange(len(rows)), classes] = 0.97
        found[file] = Detections(
            xyxy=rows[BOX_COLUMNS].to_numpy(np.float32) + 2,
            confidence=np.full(len(rows), confidence, np.float32),
            y_prob=y_prob,
        )
    return found


@pytest.mark.parametrize(
    "found",
    [{}, {"0.jpg": Detections.empty()}, detect_labels(make_labels())],
    ids=["no photograph", "no detection", "right labels"],
)
def test_without_doubtful_labels_the_table_is_empty(found):
    issues = find_label_issues(make_labels(), found)
    assert issues.empty
    assert issues.columns.tolist() == COLUMNS


def test_detections_in_a_photograph_without_labels_are_missed():
    issues = find_label_issues(make_labels().iloc[:0], detect_labels(make_labels()))
    assert issues.issue.tolist() == ["missed"] * 18


@pytest.mark.parametrize("row", [0, 4, 17])
def test_a_label_that_was_taken_away_is_found(row):
    # In each photograph it is the only label of its class.
    labels = make_labels()
    found = detect_labels(labels)
    (issue,) = find_label_issues(labels.drop(row), found).itertuples()
    assert (issue.file, issue.issue) == (labels.file[row], "missed")
    assert issue.class_found == labels.class_name[row]
    assert pd.isna(issue.class_name)
    assert issue.x_min == labels.x_min[row] + 2
    assert issue.score == pytest.approx(0.1)


@pytest.mark.parametrize("row", [0, 4, 17])
def test_a_label_with_another_class_is_found(row):
    labels = make_labels()
    found = detect_labels(labels)
    right = labels.class_name[row]
    wrong = next(name for name in MASK_CLASSES if name != right)
    labels.loc[row, "class_name"] = wrong
    issues = find_label_issues(labels, found)
    assert issues.issue.tolist() == ["swapped"]
    pd.testing.assert_series_equal(
        issues.loc[0, ["file", *BOX_COLUMNS, "class_name"]],
        labels.loc[row, ["file", *BOX_COLUMNS, "class_name"]],
        check_names=False,
    )
    assert issues.class_found[0] == right
    assert issues.score[0] == pytest.approx(0.03)


@pytest.mark.parametrize("row", [0, 4, 17])
def test_a_label_that_was_moved_is_found(row):
    labels = make_labels()
    found = detect_labels(labels)
    labels.loc[row, ["x_min", "x_max"]] += 25
    (issue,) = find_label_issues(labels, found).itertuples()
    assert (issue.file, issue.issue) == (labels.file[row], "misplaced")
    assert issue.x_min == labels.x_min[row]
    # (40 - 23) x (50 - 2) pixels in common, and little for near centres
    common = 17 * 48
    assert 0.9 * common / (4000 - common) < issue.score < 0.9 * common / (4000 - common) + 0.1


def test_a_label_that_touches_only_the_face_beside_it_is_not_misplaced():
    labels = make_labels()
    found = detect_labels(labels)
    beside = labels.iloc[[0]].copy()
    beside[["x_min", "x_max"]] += 35
    assert find_label_issues(pd.concat([labels, beside]), found).empty


def test_the_most_doubtful_labels_come_first():
    labels = make_labels()
    found = detect_labels(labels)
    labels.loc[0, "class_name"] = "without_mask"
    labels.loc[3, ["x_min", "x_max"]] += 25
    issues = find_label_issues(labels.drop(8), found)
    assert issues.issue.tolist() == ["swapped", "missed", "misplaced"]
    assert issues.score.is_monotonic_increasing


def test_what_the_pipeline_is_unsure_of_is_no_issue():
    labels = make_labels()
    unsure = detect_labels(labels, confidence=0.3)
    assert find_label_issues(labels.drop(8), unsure).empty
    sure = detect_labels(labels)
    labels.loc[0, "class_name"] = "without_mask"
    assert find_label_issues(labels, sure, min_probability=0.98).empty


def test_whole_images_and_background_are_no_labels():
    labels = make_labels()
    found = detect_labels(labels)
    labels.loc[0, "class_name"] = "no_face"
    labels.loc[5, BOX_COLUMNS] = np.nan
    issues = find_label_issues(labels, found)
    assert issues.issue.tolist() == ["missed", "missed"]


def test_detections_without_classes_are_refused():
    labels = make_labels()
    found = detect_labels(labels)
    found["0.jpg"] = Detections(found["0.jpg"].xyxy, found["0.jpg"].confidence)
    with pytest.raises(ValueError, match="run a pipeline"):
        find_label_issues(labels, found)
