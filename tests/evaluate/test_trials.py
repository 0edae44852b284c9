"""Trials on labelled photographs: a stand-in that makes known mistakes gets the figures it deserves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks
from utils.classes import MASK_CLASSES
from utils.evaluate import trials
from utils.images import write_image
from utils.labels import BOX_COLUMNS

BLOCKS = [
    (name, (10 + 50 * place, 20, 40 + 50 * place, 60)) for place, name in enumerate(MASK_CLASSES)
]


@pytest.fixture
def photographs(tmp_path):
    """Two pictures of three faces each, and their label table; the second's labels call all faces masked."""
    rows = []
    for file in ("a.png", "b.png"):
        write_image(tmp_path / file, draw_blocks(*BLOCKS))
        for name, box in BLOCKS:
            name = "with_mask" if file == "b.png" else name
            rows.append(
                {"file": file, "class_name": name, **dict(zip(BOX_COLUMNS, box, strict=True))}
            )
    return tmp_path, pd.DataFrame(rows)


def test_a_judge_that_is_right_scores_one_but_for_wrong_labels(photographs, judge):
    root, labels = photographs
    scores = trials.score_pipeline(judge, labels, root)
    assert scores["ap"] == 1
    assert scores["right"] == scores["right, 16-32 px"] == scores["f1"] == pytest.approx(4 / 6)
    assert np.isnan(scores["right, 64 px and more"]) and scores["ms"] > 0
    first = labels[labels.file == "a.png"]
    assert trials.score_pipeline(judge, first, root)["right"] == 1


def test_a_detector_alone_is_scored_by_its_boxes(photographs, judge):
    root, labels = photographs
    scores = trials.score_pipeline(
        lambda image: replace(judge(image)[[0, 1]], y_prob=None), labels, root
    )
    assert scores["ap"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx(2 * 4 / (2 * 4 + 2))
    assert "right" not in scores


def test_files_are_searched_by_name_and_rows_cut_out(photographs, judge):
    root, labels = photographs
    found = trials.run_pipeline(["b.png", "a.png"], root, judge)
    assert list(found) == ["b.png", "a.png"] and [len(part) for part in found.values()] == [3, 3]
    faces = trials.crop_rows(labels.head(2), root, padding=0)
    assert [face.shape for face in faces] == [(40, 40, 3)] * 2
    assert faces[0][20, 20].argmax() != faces[1][20, 20].argmax()
    assert (
        trials.run_pipeline([], root, judge) == {} and trials.crop_rows(labels.head(0), root) == []
    )
