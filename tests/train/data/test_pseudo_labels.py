"""Pseudo-labels: unlabelled faces are found, and detected boxes move to where people draw them."""

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks, find_blocks
from utils.images import write_image
from utils.labels import BOX_COLUMNS
from utils.train.data import pseudo_labels

BOXES = {
    "with_mask": (10, 20, 40, 60),
    "without_mask": (60, 20, 90, 60),
    "no_face": (110, 20, 140, 60),
}


@pytest.fixture
def photographs(tmp_path):
    """Write two images of three blocks; the first two are labelled, less a quarter at the top."""
    rows = []
    for file in ("a.png", "b.png"):
        write_image(tmp_path / file, draw_blocks(*BOXES.items()))
        for name, (x_min, y_min, x_max, y_max) in BOXES.items():
            box = (
                (x_min, y_min + 10, x_max, y_max)
                if name != "no_face"
                else (x_min, y_min, x_max, y_max)
            )
            rows.append(
                {"file": file, "class_name": name, **dict(zip(BOX_COLUMNS, box, strict=True))}
            )
    return tmp_path, pd.DataFrame(rows)


def test_unlabelled_faces_are_found_also_in_no_face_rows(photographs):
    root, labels = photographs
    found = pseudo_labels.find_unlabelled(labels, root, find_blocks)
    assert found.file.tolist() == ["a.png", "b.png"]
    np.testing.assert_array_equal(found[BOX_COLUMNS], [BOXES["no_face"]] * 2)
    assert ((found.confidence > 0.8) & (found.confidence < 0.9)).all()
    faces = labels[labels.class_name != "no_face"]
    alone = pseudo_labels.find_unlabelled(faces.head(1), root, lambda image: find_blocks(image)[:1])
    assert len(alone) == 0
    nowhere = pseudo_labels.find_unlabelled(faces.head(0), root, find_blocks)
    assert nowhere.columns.tolist() == found.columns.tolist() and len(nowhere) == 0


def test_boxes_that_a_second_detector_does_not_find_are_left_out(photographs):
    root, labels = photographs

    def find_two(image):
        return find_blocks(image)[:2]

    write_image(root / "b.png", draw_blocks())
    kept = pseudo_labels.keep_agreed(labels, root, find_two)
    assert kept.file.tolist() == ["a.png", "a.png"]
    strict = pseudo_labels.keep_agreed(labels, root, find_blocks, min_iou=0.9)
    assert strict.class_name.tolist() == ["no_face"]  # the labels of the faces lack a quarter
    assert len(pseudo_labels.keep_agreed(labels.head(0), root, find_blocks)) == 0


def test_the_offset_is_the_shift_of_the_edges(photographs):
    root, labels = photographs
    faces = labels[labels.class_name != "no_face"]
    offset = pseudo_labels.measure_offset(faces, root, find_blocks)
    np.testing.assert_allclose(offset, [0, 10 / 40, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(
        pseudo_labels.measure_offset(faces, root, find_blocks, min_side=31), np.zeros(4)
    )


def test_detected_boxes_are_moved_to_where_people_would_draw_them(photographs):
    root, labels = photographs
    faces = labels[labels.class_name != "no_face"]
    drawn = faces.copy()
    drawn[BOX_COLUMNS] = [BOXES[name] for name in drawn.class_name]
    moved = pseudo_labels.align_boxes(drawn, faces, root, find_blocks)
    pd.testing.assert_frame_equal(moved.sort_index(), faces, check_dtype=False)
    np.testing.assert_array_equal(
        drawn[BOX_COLUMNS].iloc[0], BOXES["with_mask"]
    )  # the table given is not changed
    assert len(pseudo_labels.align_boxes(drawn.head(0), faces, root, find_blocks)) == 0
