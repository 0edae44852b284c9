"""Scores of found boxes, compared with scikit-learn, counts by hand and the project's bench script.

The bench script, ``../shared/bench/evaluate.py``, is an independent implementation.
"""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve

from tests.evaluate.detections import RESOLUTION_WH, draw_answers, make_labels
from utils.boxes import Detections, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.evaluate.boxes import (
    SIZES,
    average_precision,
    average_precision_table,
    count_outcomes,
    fit_confidence,
    match_boxes,
    match_faces,
    precision_recall,
    recall_table,
    select_class,
)
from utils.evaluate.scores import wilson_interval
from utils.formats import write_voc
from utils.labels import BOX_COLUMNS, make_label_table
from utils.paths import SHARED_DIR

BENCH = SHARED_DIR / "bench" / "evaluate.py"
NO_LABELS = make_label_table([])


@pytest.fixture(scope="module")
def answers():
    return draw_answers(0)


@pytest.fixture(scope="module")
def bench():
    """The bench script as a module."""
    spec = importlib.util.spec_from_file_location("bench", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_predictions(path, found: dict[str, Detections]) -> None:
    """Write detections in the form that the bench script reads."""
    predictions = {}
    for file, detections in found.items():
        columns = (detections.xyxy, detections.confidence, decide(detections.y_prob))
        predictions[file] = [
            {"box": box.tolist(), "score": float(confidence), "label": MASK_CLASSES[class_id]}
            for box, confidence, class_id in zip(*columns, strict=True)
        ]
    path.write_text(json.dumps(predictions))


@pytest.mark.shared("bench")
@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_the_bench_script(seed, tmp_path):
    found, labels = draw_answers(seed)
    for file in found:
        write_voc(tmp_path / f"{file[:2]}.xml", file, RESOLUTION_WH, labels[labels.file == file])
    write_predictions(tmp_path / "predictions.json", found)
    command = [sys.executable, BENCH, tmp_path / "predictions.json", tmp_path]
    expected = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    name_of_key = {name: name for name in ("face", *MASK_CLASSES)}
    name_of_key["mAP2"] = "mean of with and without"
    name_of_key["mAP3"] = "mean of three classes"
    rounding = 6e-5  # of the script's figures
    for minimum in (0, 16):
        table = average_precision_table(found, labels, minimum, rounds=2)
        for key, value in expected[f"AP50 (side>={minimum}px)"].items():
            ap = table.ap[name_of_key[key]]
            assert ap > 0.1
            assert ap == pytest.approx(value, abs=rounding)

    outcomes = count_outcomes(match_faces(found, labels), 0.5)
    expected_outcomes = expected["at 0.5"]
    for name in ("right", "wrong_label", "false_face", "missed"):
        assert outcomes[name] == expected_outcomes[name.replace("_", " ")] > 0
    for name in ("precision", "recall", "f1"):
        assert outcomes[name] == pytest.approx(expected_outcomes[name], abs=rounding)


@pytest.mark.shared("bench")
@pytest.mark.parametrize("minimum", [0, 10, 16.5, 40, 1000])
def test_small_faces_are_ignored_as_by_the_bench_script(minimum, answers, bench):
    found, labels = answers
    truth = {file: rows[BOX_COLUMNS].to_numpy().tolist() for file, rows in labels.groupby("file")}
    boxes = []
    for file, detections in found.items():
        for confidence, box in zip(detections.confidence, detections.xyxy, strict=True):
            boxes.append((confidence, file, box.tolist()))
    expected = bench.average_precision(truth, boxes, minimum=minimum)
    matched = match_faces(found, labels)
    ap = average_precision(matched[matched.side >= minimum])
    assert ap == pytest.approx(expected, nan_ok=True)


# For each found box, the most confident first: 1 for a hit, None for a false box. Then the number
# of missed faces, and the AP.
CURVES = {
    "nothing": ([], 0, float("nan")),
    "only a false box": ([None], 0, float("nan")),
    "all missed": ([], 3, 0.0),
    "perfect": ([1, 1, 1], 0, 1.0),
    "half found": ([1, 1], 2, 0.5),
    "false boxes after the last hit cost nothing": ([1, 1, None, None], 0, 1.0),
    "a false box first": ([None, 1], 0, 0.5),
    # Precision 1, 1/2, 2/3, 3/4 at recall 1/4, 1/4, 2/4, 3/4. Interpolated from the right, it is
    # 3/4 at the last two steps.
    "a dent": ([1, None, 1, 1], 1, 0.25 * 1 + 0.5 * 0.75),
}


def make_matched(hits: list, missed: int) -> pd.DataFrame:
    confidence = [0.9 - 0.1 * number for number in range(len(hits))] + [np.nan] * missed
    class_true = ["with_mask" if hit else None for hit in hits] + ["with_mask"] * missed
    return pd.DataFrame(
        {"confidence": np.array(confidence, float), "class_true": np.array(class_true, object)}
    )


@pytest.mark.parametrize(("hits", "missed", "expected"), CURVES.values(), ids=CURVES.keys())
def test_average_precision_agrees_with_the_area_by_hand(hits, missed, expected):
    matched = make_matched(hits, missed)
    assert average_precision(matched) == pytest.approx(expected, nan_ok=True)
    backwards = matched.iloc[::-1]  # the order of the rows does not matter
    assert average_precision(backwards) == pytest.approx(expected, nan_ok=True)


def test_the_curve_agrees_with_scikit_learn(answers):
    matched = match_faces(*answers)
    curve = precision_recall(matched)
    boxes = matched[matched.confidence.notna()]
    is_hit = boxes.class_true.notna()
    precision, recall, thresholds = precision_recall_curve(is_hit, boxes.confidence)
    np.testing.assert_allclose(curve.confidence, thresholds[::-1])
    np.testing.assert_allclose(curve.precision, precision[-2::-1])
    # scikit-learn does not know about missed faces.
    found_share = is_hit.sum() / matched.class_true.notna().sum()
    np.testing.assert_allclose(curve.recall, recall[-2::-1] * found_share)


EMPTY = {
    "no photographs": ({}, NO_LABELS),
    "a photograph without faces": ({"a.jpg": Detections.empty()}, NO_LABELS),
}


@pytest.mark.parametrize(("found", "labels"), EMPTY.values(), ids=EMPTY.keys())
def test_without_faces_and_boxes_tables_are_empty_and_scores_nan(found, labels):
    matched = match_faces(found, labels)
    assert len(matched) == 0
    assert {"file", "confidence", "side", "class_true", "class_found", *BOX_COLUMNS} == set(matched)
    assert np.isnan(average_precision(matched))
    assert len(precision_recall(matched)) == 0
    assert not any(count_outcomes(matched, 0.5).values())
    recall = recall_table(matched, 0.5)
    assert recall.n.sum() == 0
    assert recall.recall.isna().all()
    assert np.isnan(average_precision_table(found, labels).ap["face"])


def test_detections_without_class_probabilities_have_no_class():
    xyxy = np.array([[0, 0, 20, 20]], np.float32)
    found = {"a.jpg": Detections(xyxy, np.array([0.9], np.float32))}
    labels = make_labels({"a.jpg": [("with_mask", (0, 0, 20, 20))]})
    matched = match_faces(found, labels)
    assert matched.class_found.isna().all()
    assert matched.class_true.tolist() == ["with_mask"]
    assert average_precision_table(found, labels, rounds=2).ap.to_dict() == {"face": 1}
    with pytest.raises(ValueError, match=r"a\.jpg: its detections have no class"):
        select_class(found, "with_mask")


def test_a_class_without_a_face_has_no_average_precision():
    """A box of that class is false, and the mean over classes ignores the class."""
    rows = [("with_mask", (0, 0, 20, 20)), ("without_mask", (50, 50, 90, 90))]
    xyxy = np.array([box for _, box in rows] + [(200, 200, 230, 230)], np.float32)
    confidence = np.array([0.9, 0.8, 0.7], np.float32)
    found = {"a.jpg": Detections(xyxy, confidence, np.eye(4, dtype=np.float32)[:3])}
    table = average_precision_table(found, make_labels({"a.jpg": rows}), rounds=5)
    assert table.n.to_dict() == {
        "face": 2,
        "with_mask": 1,
        "without_mask": 1,
        "mask_worn_incorrectly": 0,
        "mean of with and without": 2,
        "mean of three classes": 2,
    }
    assert table.ap.drop("mask_worn_incorrectly").eq(1).all()
    assert table.loc["mask_worn_incorrectly", ["ap", "low", "high"]].isna().all()


def test_average_precision_lies_inside_its_interval(answers):
    table = average_precision_table(*answers, rounds=40)
    with_interval = table.dropna()
    assert with_interval.index.tolist() == ["face", *MASK_CLASSES]
    assert (with_interval.low < with_interval.ap).all()
    assert (with_interval.ap < with_interval.high).all()


@pytest.mark.parametrize("class_name", MASK_CLASSES)
def test_detections_are_selected_by_their_class(class_name, answers):
    found, _ = answers
    selected = select_class(found, class_name)
    assert selected.keys() == found.keys()
    for file, detections in found.items():
        is_class = [MASK_CLASSES[row[:3].argmax()] == class_name for row in detections.y_prob]
        np.testing.assert_array_equal(selected[file].xyxy, detections.xyxy[is_class])


def test_recall_is_counted_by_size_and_class():
    sides = {
        "under 16 px": (10, 15.9),
        "16-32 px": (16, 31),
        "32-64 px": (32,),
        "64 px and more": (64, 300),
    }
    assert sides.keys() == SIZES.keys()
    rows = [(side, name) for parts in sides.values() for side in parts for name in MASK_CLASSES]
    rng = np.random.default_rng(0)
    confidence = np.where(rng.random(len(rows)) < 0.3, np.nan, rng.uniform(0, 1, len(rows)))
    matched = pd.DataFrame(rows, columns=["side", "class_true"]).assign(confidence=confidence)
    false = pd.DataFrame({"side": [20.0] * 5, "class_true": [None] * 5, "confidence": [0.9] * 5})
    table = recall_table(pd.concat([matched, false.astype(matched.dtypes)]), 0.4)

    slices = {name: matched.side.isin(parts) for name, parts in sides.items()}
    slices |= {name: matched.class_true == name for name in MASK_CLASSES}
    slices["all"] = matched.side > 0
    assert table.index.tolist() == list(slices)
    for name, is_in in slices.items():
        n = sum(is_in)
        hits = sum(confidence[is_in] >= 0.4)
        assert table.n[name] == n
        assert table.recall[name] == pytest.approx(hits / n)
        assert (table.low[name], table.high[name]) == wilson_interval(hits, n)


@pytest.mark.parametrize(
    "names", [[], ["with_mask"], [None, None]], ids=["no boxes", "only hits", "only false boxes"]
)
def test_without_both_hits_and_false_boxes_the_confidence_stays_as_it_is(names):
    matched = pd.DataFrame(
        {"confidence": [0.7] * len(names), "class_true": names, "class_found": names}
    )
    factor, offset, _ = fit_confidence(matched)
    assert (factor, offset) == (1.0, 0.0)


def test_the_fitted_confidence_is_one_half_where_f1_is_best():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 0.3, 4000)
    is_hit = rng.uniform(size=4000) < 1 / (1 + np.exp(-4 * logit))
    names = np.where(is_hit, "with_mask", None)
    confidence = 1 / (1 + np.exp(-logit))
    matched = pd.DataFrame({"confidence": confidence, "class_true": names, "class_found": names})
    factor, offset, best = fit_confidence(matched)
    assert factor == pytest.approx(4, rel=0.15)
    fitted = matched.assign(confidence=1 / (1 + np.exp(-(factor * logit + offset))))
    assert count_outcomes(fitted, 0.5)["f1"] == pytest.approx(best, abs=1e-3)
    f1 = [count_outcomes(fitted, level)["f1"] for level in np.linspace(0.02, 0.98, 97)]
    assert max(f1) < best + 2e-3


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
