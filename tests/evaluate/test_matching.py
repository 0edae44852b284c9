"""Found boxes matched with labelled faces."""

import numpy as np
import pandas as pd
import pytest

from tests.evaluate.detections import draw_answers
from utils.boxes import box_iou
from utils.classes import MASK_CLASSES
from utils.evaluate.matching import match_boxes, match_faces
from utils.labels import BOX_COLUMNS

# Found boxes, the most confident first; labelled boxes; the match of each found box.
MATCHES = {
    "nothing": ([], [], []),
    "no labels": ([[0, 0, 10, 10]], [], [-1]),
    "found twice": ([[0, 0, 10, 10], [0, 0, 10, 10]], [[0, 0, 10, 10]], [0, -1]),
    "crossed": ([[0, 0, 10, 10], [20, 0, 30, 10]], [[20, 0, 30, 10], [1, 0, 11, 10]], [1, 0]),
    "apart": ([[0, 0, 10, 10]], [[8, 8, 18, 18]], [-1]),
}


@pytest.mark.parametrize(("found", "true", "expected"), MATCHES.values(), ids=MATCHES.keys())
def test_each_found_box_matches_the_labelled_box_that_it_overlaps(found, true, expected):
    assert match_boxes(found, true).tolist() == expected


@pytest.fixture(scope="module")
def answers():
    return draw_answers(0)


def test_matched_faces_have_a_row_per_found_box(answers):
    found, labels = answers
    matched = match_faces(found, labels)
    boxes = matched[matched.confidence.notna()]
    counts = {file: len(detections) for file, detections in found.items() if len(detections)}
    assert boxes.groupby("file").size().to_dict() == counts
    for row in boxes.itertuples():
        box = np.array([getattr(row, name) for name in BOX_COLUMNS], np.float32)
        detections = found[row.file]
        (position,) = np.flatnonzero((detections.xyxy == box).all(axis=1))
        assert row.confidence == pytest.approx(detections.confidence[position])
        assert row.class_found == MASK_CLASSES[detections.y_prob[position, :3].argmax()]
        if pd.isna(row.class_true):
            assert row.side == pytest.approx(min(box[2:] - box[:2]), abs=1e-3)
            continue
        labels_here = labels[labels.file == row.file]
        iou = box_iou([box], labels_here[BOX_COLUMNS].to_numpy())[0]
        overlapped = labels_here[iou >= 0.5]
        assert row.class_true in overlapped.class_name.tolist()
        width = overlapped.x_max - overlapped.x_min
        height = overlapped.y_max - overlapped.y_min
        assert np.abs(np.minimum(width, height) - row.side).min() < 1e-3


def test_matched_faces_have_a_row_per_labelled_face(answers):
    found, labels = answers
    matched = match_faces(found, labels)
    assert matched.class_true.value_counts().to_dict() == labels.class_name.value_counts().to_dict()
    missed = matched[matched.confidence.isna()]
    assert missed.class_found.isna().all()
    keys = ["file", "class_name", *BOX_COLUMNS]
    missed = missed.rename(columns={"class_true": "class_name"})[keys]
    missed = missed.astype(labels[keys].dtypes)
    assert len(missed.merge(labels[keys])) == len(missed) > 0
