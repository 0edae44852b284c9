"""Operating points, compared with counts by hand."""

import numpy as np
import pandas as pd
import pytest

from utils.boxes import Detections
from utils.evaluate.boxes import MATCH_COLUMNS
from utils.evaluate.operating import (
    FALSE_ALARM,
    FALSE_FACE,
    LOWEST,
    find_operating_points,
    operating_points,
)

HITS = np.array([0.95, 0.7, 0.5, 0.2, np.nan])
# Mistakes, photographs, and for one mistake in 10 photographs: the least confidence that may be
# told (it is above the first mistake too many), the mistakes left, and the hits left.
CASES = {
    "no mistake": ([], 10, LOWEST, 0, 4),
    "as many as allowed": ([0.6], 10, LOWEST, 1, 4),
    "one too many": ([0.6, 0.9], 10, 0.6, 1, 2),
    "two too many": ([0.6, 0.9, 0.8], 10, 0.8, 1, 1),
    "two allowed": ([0.6, 0.9, 0.8], 20, 0.6, 2, 2),
    "not three": ([0.6, 0.9, 0.8], 29, 0.6, 2, 2),
    "equal mistakes": ([0.6, 0.6], 10, 0.6, 0, 2),
}


@pytest.mark.parametrize(
    ("mistakes", "photographs", "above", "left", "found"), CASES.values(), ids=CASES.keys()
)
def test_the_confidence_leaves_as_many_mistakes_as_allowed(
    mistakes, photographs, above, left, found
):
    row = operating_points(np.array(mistakes), HITS, photographs, one_in=[10]).loc[10]
    assert row.confidence == pytest.approx(above, abs=1e-6)
    assert (row.mistakes, row.n, row.note) == (left, 5, "")
    assert row.recall == pytest.approx(found / 5)
    assert row.low < row.recall < row.high


def test_too_few_photographs_say_so():
    table = operating_points(np.array([0.9]), HITS, 99)
    assert table.index.tolist() == [100, 1000, 10000]
    assert table.note.unique().tolist() == ["not reachable with 99 photographs"]
    assert table.confidence.isna().all() and table.recall.isna().all()


def test_without_faces_there_is_no_recall():
    row = operating_points(np.array([]), np.array([]), 100, one_in=[10]).loc[10]
    assert np.isnan(row.recall) and row.n == 0


def test_false_faces_and_false_alarms_are_counted_apart():
    rows = [
        ("a.jpg", 0.9, 20, "with_mask", "without_mask"),  # an alarm
        ("a.jpg", 0.8, 20, "mask_worn_incorrectly", "without_mask"),  # no mask over the nose
        ("b.jpg", 0.7, 20, "without_mask", "without_mask"),
        ("b.jpg", 0.95, 20, "without_mask", "without_mask"),
        ("b.jpg", 0.99, 20, "without_mask", "with_mask"),  # found, called masked
        ("b.jpg", 0.99, 20, None, "without_mask"),  # a false box on a labelled photograph
        ("c.jpg", np.nan, 20, "without_mask", None),
    ]
    matched = pd.DataFrame(rows, columns=MATCH_COLUMNS[:5])
    box = np.zeros((2, 4), np.float32)
    pictures = [Detections(box, np.array([0.3, 0.6], np.float32))] + [Detections.empty()] * 99
    table = find_operating_points(matched, photographs=100, empty=pictures).reset_index()
    table = table[table.one_in == 100].set_index("mistake")
    false_face = table.loc[FALSE_FACE]
    assert (false_face.photographs, false_face.mistakes) == (100, 1)
    assert false_face.confidence == pytest.approx(0.3) and false_face.recall == 5 / 6
    alarm = table.loc[FALSE_ALARM]
    assert (alarm.mistakes, alarm.confidence, alarm.recall) == (1, LOWEST, 2 / 4)
