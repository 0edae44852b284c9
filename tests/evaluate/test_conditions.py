"""Recall and precision by condition, compared with counts by hand."""

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.evaluate.detections import draw_answers
from utils.evaluate.boxes import MATCH_COLUMNS, count_outcomes, match_faces
from utils.evaluate.conditions import condition_table, measure_face, measure_faces
from utils.images import write_image
from utils.plots import plot_conditions


def test_brightness_is_the_mean_luma_and_a_flat_face_has_no_edge():
    for value in (0, 40, 255):
        luma, sharpness = measure_face(np.full((30, 20, 3), value, np.uint8))
        assert (luma, sharpness) == (value, 0)
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert measure_face(red)[0] == pytest.approx(0.299 * 255, abs=1)  # ITU-R BT.601


def test_a_blurred_face_is_less_sharp_at_any_size():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    sharpness = [measure_face(noise)[1]]
    for sigma in (1, 2, 4):
        sharpness.append(measure_face(cv2.GaussianBlur(noise, (0, 0), sigma))[1])
    assert sharpness == sorted(sharpness, reverse=True) and sharpness[0] > 2 * sharpness[1]
    enlarged = cv2.resize(noise, (256, 256), interpolation=cv2.INTER_NEAREST)
    assert measure_face(enlarged)[1] == pytest.approx(sharpness[0])


def test_faces_are_measured_where_they_are(tmp_path):
    image = np.full((40, 60, 3), 200, np.uint8)
    image[10:30, 20:50] = 50
    write_image(tmp_path / "a.png", image)
    rows = [
        ("a.png", 0.9, 20, "with_mask", "with_mask", 20, 10, 50, 30),
        ("a.png", np.nan, 9, "with_mask", None, -5, -5, 8, 8),
        ("a.png", 0.1, 0, None, "with_mask", 70, 10, 80, 30),  # outside
    ]
    measured = measure_faces(pd.DataFrame(rows, columns=MATCH_COLUMNS), tmp_path)
    np.testing.assert_array_equal(measured.luma, [50, 200, np.nan])
    np.testing.assert_array_equal(measured.sharpness, [0, 0, np.nan])


def make_measured(rows: list[tuple]) -> pd.DataFrame:
    """Return a table of confidence, side, true class, told class, luma and sharpness."""
    columns = ["confidence", "side", "class_true", "class_found", "luma", "sharpness"]
    return pd.DataFrame(rows, columns=columns)


BARE = "without_mask"
MASKED = "with_mask"


def test_recall_and_precision_agree_with_counts_by_hand():
    measured = make_measured(
        [
            (0.9, 10, MASKED, MASKED, 50, 10),
            (0.8, 10, MASKED, BARE, 50, 50),
            (0.7, 40, BARE, BARE, 200, 500),
            (0.6, 40, None, BARE, 100, 500),
            (0.3, 40, BARE, BARE, 100, 10),
            (np.nan, 70, BARE, None, 70, 10),
        ]
    )
    table = condition_table(measured).set_index(["slice", "score"])
    expected = {
        ("all", "recall"): (2, 5),
        ("all", "precision"): (2, 4),
        ("under 16 px", "recall"): (1, 2),
        ("under 16 px", "precision"): (1, 2),
        ("32-64 px", "recall"): (1, 2),
        ("32-64 px", "precision"): (1, 2),
        (MASKED, "recall"): (1, 2),
        (MASKED, "precision"): (1, 1),
        (BARE, "recall"): (1, 3),
        (BARE, "precision"): (1, 3),
        ("luma under 64", "recall"): (1, 2),
        ("sharpness under 30", "recall"): (1, 3),
        ("sharpness 470 and more", "precision"): (1, 2),
        ("mask_worn_incorrectly", "recall"): (0, 0),
    }
    for key, (hits, n) in expected.items():
        row = table.loc[key]
        assert row.n == n
        assert row.value == pytest.approx(hits / n if n else np.nan, nan_ok=True)
        if n:
            assert row.low <= row.value <= row.high


def test_all_faces_agree_with_the_counts_of_outcomes():
    found, labels = draw_answers(5)
    matched = match_faces(found, labels).assign(luma=100.0, sharpness=100.0)
    outcomes = count_outcomes(matched, 0.4)
    table = condition_table(matched, 0.4).set_index(["slice", "score"]).value
    for score in ("recall", "precision"):
        assert table["all", score] == pytest.approx(outcomes[score])
    sizes = condition_table(matched, 0.4)
    sizes = sizes[(sizes.condition == "size") & (sizes.score == "recall")]
    assert sizes.n.sum() == len(labels)


def test_an_empty_table_has_every_slice_and_can_be_plotted():
    table = condition_table(make_measured([]))
    assert (table.n == 0).all() and table.value.isna().all()
    assert plot_conditions(table).get_xlabel() == "recall, 95 % interval"


def test_the_plot_shows_each_slice_with_its_count():
    table = condition_table(make_measured([(0.9, 10, MASKED, MASKED, 50, 10)]))
    ax = plot_conditions(table)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "all (n=1)" and len(labels) == table.slice.nunique()
