"""Trials on labelled images: pipelines with known mistakes get known scores."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks
from utils.classes import MASK_CLASSES, decide
from utils.evaluate import trials
from utils.images import read_image, write_image
from utils.labels import BOX_COLUMNS

BLOCKS = [
    (name, (10 + 50 * place, 20, 40 + 50 * place, 60)) for place, name in enumerate(MASK_CLASSES)
]


@pytest.fixture
def photographs(tmp_path):
    """Two images of three faces and their labels; the second image is labelled wrongly."""
    rows = []
    for file in ("a.png", "b.png"):
        write_image(tmp_path / file, draw_blocks(*BLOCKS))
        for name, box in BLOCKS:
            name = "with_mask" if file == "b.png" else name
            rows.append(
                {"file": file, "class_name": name, **dict(zip(BOX_COLUMNS, box, strict=True))}
            )
    return tmp_path, pd.DataFrame(rows)


def test_no_files_give_no_detections(tmp_path, pipeline):
    assert trials.run_pipeline([], tmp_path, pipeline) == {}


def test_detections_are_listed_by_file(photographs, pipeline):
    root, _ = photographs
    found = trials.run_pipeline(["b.png", "a.png"], root, pipeline)
    assert list(found) == ["b.png", "a.png"]
    assert [len(detections) for detections in found.values()] == [3, 3]


def test_the_faces_of_a_table_are_cropped(photographs):
    root, labels = photographs
    assert trials.crop_rows(labels.head(0), root) == []
    faces = trials.crop_rows(labels.head(2), root, padding=0)
    assert [face.shape for face in faces] == [(40, 40, 3)] * 2
    assert faces[0][20, 20].argmax() != faces[1][20, 20].argmax()


def test_a_row_without_a_box_is_the_whole_image(photographs):
    root, labels = photographs
    rows = labels.head(1).assign(**dict.fromkeys(BOX_COLUMNS, np.nan))
    (image,) = trials.crop_rows(rows, root)
    np.testing.assert_array_equal(image, read_image(root / "a.png"))


def test_the_faces_of_a_table_are_classified(photographs, fake_classifier):
    root, labels = photographs
    y_prob = trials.classify_rows(labels.head(3), root, fake_classifier)
    assert [MASK_CLASSES[class_id] for class_id in decide(y_prob)] == list(MASK_CLASSES)


def test_a_pipeline_without_mistakes_scores_one_except_for_wrong_labels(photographs, pipeline):
    root, labels = photographs
    scores = trials.score_pipeline(pipeline, labels, root)
    assert scores["ap"] == 1
    assert scores["right"] == scores["right, 16-32 px"] == scores["f1"] == pytest.approx(4 / 6)
    assert np.isnan(scores["right, 64 px and more"])
    assert scores["ms"] > 0
    first = labels[labels.file == "a.png"]
    assert trials.score_pipeline(pipeline, first, root)["right"] == 1


def test_a_detector_is_scored_by_its_boxes(photographs, pipeline):
    root, labels = photographs

    def find_two(image):
        return replace(pipeline(image)[[0, 1]], y_prob=None)

    scores = trials.score_pipeline(find_two, labels, root)
    assert scores["ap"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx(2 * 4 / (2 * 4 + 2))
    assert "right" not in scores
