"""Scores by source, false faces in pictures without people, and the pages they are counted on."""

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks, find_blocks
from tests.evaluate.detections import draw_answers
from utils.boxes import Detections
from utils.evaluate import (
    average_precision,
    compare_detectors,
    compare_systems,
    count_false_faces,
    count_outcomes,
    draw_test_page,
    draw_test_pages,
    match_faces,
    score_answers,
    score_sources,
    spread_systems,
)
from utils.evaluate.pages import KINDS
from utils.images import write_image
from utils.labels import BOX_COLUMNS, make_label_table


def find(*confidence: float) -> Detections:
    """Return detections with these confidences."""
    xyxy = np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(confidence), 1))
    return Detections(xyxy, np.array(confidence, np.float32))


@pytest.mark.parametrize(
    ("found", "n", "share", "faces"),
    [
        ([], 0, np.nan, 0),
        ([find(), find()], 2, 0, 0),
        ([find(0.49), find(0.5, 0.9), find(), find(0.2, 0.7)], 4, 0.5, 3),
    ],
)
def test_false_faces_are_counted_by_picture_and_in_all(found, n, share, faces):
    counted = count_false_faces(found)
    assert (counted["n"], counted["faces"]) == (n, faces)
    np.testing.assert_equal(counted["per_1000"], 1000 * faces / n if n else np.nan)
    np.testing.assert_equal(counted["share"], share)
    if n:
        assert counted["low"] <= share <= counted["high"]


def test_each_source_is_scored_alone_and_all_together():
    found, labels = draw_answers(0)
    half = set(labels.file.unique()[::2])
    labels["source"] = np.where(labels.file.isin(half), "a", "b")
    found = {file: found[file] for file in labels.file.unique()}
    table = score_sources(found, labels)
    assert table.index.tolist() == ["a", "b", "all"]
    assert table.n.tolist() == [
        (labels.source == "a").sum(),
        (labels.source == "b").sum(),
        len(labels),
    ]
    for source in ("a", "b"):
        rows = labels[labels.source == source]
        found_here = {file: found[file] for file in rows.file.unique()}
        for min_iou in (0.5, 0.3):
            matched = match_faces(found_here, rows, min_iou)
            matched["class_found"] = matched.class_true
            expected = average_precision(matched)
            assert table.loc[source, f"ap {min_iou}"] == pytest.approx(expected)
            f1 = count_outcomes(matched, 0.5)["f1"]
            assert table.loc[source, f"f1 {min_iou}"] == pytest.approx(f1)
    assert (table["ap 0.3"] >= table["ap 0.5"]).all()


def test_no_labels_give_a_row_without_a_score():
    _, labels = draw_answers(0)
    table = score_sources({}, labels.head(0))
    assert table.index.tolist() == ["all"] and table.n.tolist() == [0]
    assert pd.isna(table["ap 0.5"]["all"])


def test_detectors_are_compared_on_photographs_and_on_pictures_without_people(tmp_path):
    box = (10, 20, 40, 60)
    write_image(tmp_path / "a" / "1.png", draw_blocks(("with_mask", box)))
    row = {"file": "a/1.png", "source": "a", "class_name": "with_mask"}
    labels = make_label_table([row | dict(zip(BOX_COLUMNS, box, strict=True))])
    grey = draw_blocks()
    empty = {"grey": [grey, grey], "blocks": [draw_blocks(("no_face", box)), grey]}
    detectors = {"blocks": find_blocks, "nothing": lambda image: Detections.empty()}
    by_source, false_faces = compare_detectors(detectors, labels, empty, tmp_path)
    assert by_source.index.tolist() == ["blocks", "blocks", "nothing", "nothing"]
    assert by_source.source.tolist() == ["a", "all"] * 2
    assert by_source["ap 0.5"].tolist() == [1, 1, 0, 0]
    assert false_faces.pictures.tolist() == ["grey", "blocks"] * 2
    assert false_faces.share.tolist() == [0, 0.5, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_test_page_depends_on_its_seed_alone(kind):
    first, second, other = (draw_test_page(np.random.default_rng(seed), kind) for seed in (0, 0, 1))
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 3
    np.testing.assert_array_equal(first, second)
    assert other.shape != first.shape
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 1  # something is drawn


def test_the_kinds_of_pages_come_in_turn():
    assert draw_test_pages(0) == []
    pages = draw_test_pages(4, seed=3)
    assert len(pages) == 4
    again = draw_test_pages(2, seed=3)
    np.testing.assert_array_equal(pages[1], again[1])


def test_systems_are_compared_on_each_source_with_intervals_over_groups():
    found, labels = draw_answers(0)
    files = labels.file.unique()
    labels["source"] = np.where(labels.file.isin(files[::2]), "a", "b")
    labels["group"] = labels.file.str[:1]
    bare = {file: Detections(found[file].xyxy, found[file].confidence) for file in files}
    systems = {"ours": {file: found[file] for file in files}, "faces alone": bare}
    table = compare_systems(systems, labels, rounds=20)
    key = ["source", "system", "score", "iou"]
    assert not table.duplicated(key).any()
    assert table.groupby(["source", "system"]).size().to_dict() == {
        (source, system): count
        for source in ("a", "b", "all")
        for system, count in (("ours", 6), ("faces alone", 4))
    }
    half = labels[labels.source == "a"]
    expected = score_answers(
        {file: found[file] for file in half.file.unique()},
        half,
        group=half.drop_duplicates("file").set_index("file").group.to_dict(),
        rounds=20,
    ).set_index(["score", "what", "size", "iou"])
    rows = table.set_index(key)
    for name, place in {
        "face AP": ("ap", "face"),
        "mean AP": ("ap", "mean of three classes"),
        "F1": ("f1", "boxes and labels"),
    }.items():
        row = rows.loc[("a", "ours", name, 0.3)]
        for column in ("n", "value", "low", "high"):
            assert row[column] == expected.loc[(*place, "all sizes", 0.3), column]

    wide = spread_systems(table)
    assert wide.columns[:3].tolist() == ["system", "n", "face AP at 0.5"]
    assert wide.index.tolist() == ["a", "a", "b", "b", "all", "all"]
    row = rows.loc[("all", "ours", "face AP", 0.5)]
    expected_text = f"{row.value:.3f} ({row.low:.3f}-{row.high:.3f})"
    assert wide[wide.system == "ours"].loc["all", "face AP at 0.5"] == expected_text
