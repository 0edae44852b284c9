"""Scores of found boxes against the project's own judge, ``../shared/bench/evaluate.py``, scikit-learn and counting."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve

from utils.boxes import Detections, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.evaluate import boxes as evaluate_boxes
from utils.evaluate.boxes import (
    SIZES,
    average_precision,
    count_outcomes,
    match_boxes,
    match_faces,
    recall_table,
)
from utils.evaluate.scores import wilson_interval
from utils.formats import write_voc
from utils.labels import BOX_COLUMNS, make_label_table
from utils.paths import SHARED_DIR

JUDGE = SHARED_DIR / "bench" / "evaluate.py"
RESOLUTION_WH = (400, 300)
NO_LABELS = make_label_table([])


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [
        ([], [], []),
        ([[0, 0, 10, 10]], [], [-1]),
        ([[0, 0, 10, 10], [0, 0, 10, 10]], [[0, 0, 10, 10]], [0, -1]),  # one face is found once
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [[20, 0, 30, 10], [1, 0, 11, 10]], [1, 0]),
        ([[0, 0, 10, 10]], [[8, 8, 18, 18]], [-1]),
    ],
    ids=["nothing", "no truth", "twice", "crossed", "apart"],
)
def test_boxes_take_the_truth_they_overlap(found, true, expected):
    assert match_boxes(found, true).tolist() == expected


def make_labels(faces: dict[str, list[tuple[str, tuple]]]) -> pd.DataFrame:
    """A label table of each file's (class_name, box)."""
    return make_label_table(
        [
            {"file": file, "class_name": name, **dict(zip(BOX_COLUMNS, box, strict=True))}
            for file, rows in faces.items()
            for name, box in rows
        ]
    )


def draw_answers(seed: int, photographs: int = 25) -> tuple[dict[str, Detections], pd.DataFrame]:
    """Labelled faces of 6-90 pixels, and what a middling detector might say: shifted, doubled, missed and false boxes
    in no order."""
    rng, found, faces = np.random.default_rng(seed), {}, {}
    for number in range(photographs):
        count = rng.integers(0, 7)
        sides = np.exp(rng.uniform(np.log(6), np.log(90), (count, 2)))
        corners = rng.uniform(0, 1, (count, 2)) * (RESOLUTION_WH - sides)
        true = np.concatenate([corners, corners + sides], axis=1).round()
        class_id = rng.choice(3, count, p=[0.5, 0.3, 0.2])
        near = true.repeat(2, axis=0) + rng.normal(0, 0.12, (2 * count, 4)) * np.tile(
            sides, 2
        ).repeat(2, axis=0)
        lost = rng.random(2 * count) < 0.4
        false = rng.uniform(0, 250, (rng.integers(0, 4), 2))
        false = np.concatenate([false, false + rng.uniform(6, 60, false.shape)], axis=1)
        xyxy = np.concatenate([near[~lost], false])
        y_prob = rng.dirichlet(np.ones(4), len(xyxy))
        told = class_id.repeat(2)[~lost]
        y_prob[np.arange(len(told)), told] += 0.5
        confidence = np.concatenate(
            [rng.uniform(0.2, 1, (~lost).sum()), rng.uniform(0, 0.9, len(false))]
        )
        order, file = rng.permutation(len(xyxy)), f"{number:02}.jpg"
        found[file] = Detections(xyxy.astype(np.float32), confidence.astype(np.float32), y_prob)[
            order
        ]
        faces[file] = [
            (MASK_CLASSES[name], tuple(box)) for name, box in zip(class_id, true, strict=True)
        ]
    return found, make_labels(faces)


@pytest.fixture(scope="module")
def answers():
    return draw_answers(0)


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.data
@pytest.mark.skipif(not JUDGE.is_file(), reason="the judge in ../shared/bench is not here")
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_judge(seed, tmp_path):
    found, labels = draw_answers(seed)
    predictions = {}
    for file, detections in found.items():
        write_voc(tmp_path / f"{file[:2]}.xml", file, RESOLUTION_WH, labels[labels.file == file])
        columns = (detections.xyxy, detections.confidence, decide(detections.y_prob))
        predictions[file] = [
            {"box": box.tolist(), "score": float(score), "label": MASK_CLASSES[class_id]}
            for box, score, class_id in zip(*columns, strict=True)
        ]
    (tmp_path / "predictions.json").write_text(json.dumps(predictions))
    command = [sys.executable, JUDGE, tmp_path / "predictions.json", tmp_path]
    expected = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    names = dict(zip(MASK_CLASSES, MASK_CLASSES, strict=True)) | {"face": "face"}
    names |= {"mAP2": "mean of with and without", "mAP3": "mean of three classes"}
    for minimum in (0, 16):
        table = evaluate_boxes.average_precision_table(found, labels, minimum, rounds=2)
        for key, value in expected[f"AP50 (side>={minimum}px)"].items():
            assert 0.1 < table.ap[names[key]] == pytest.approx(value, abs=6e-5)  # the judge rounds

    outcomes, words = count_outcomes(match_faces(found, labels), 0.5), expected["at 0.5"]
    for name in ("right", "wrong_label", "false_face", "missed"):
        assert outcomes[name] == words[name.replace("_", " ")] > 0
    for name in ("precision", "recall", "f1"):
        assert outcomes[name] == pytest.approx(words[name], abs=6e-5)


@pytest.mark.data
@pytest.mark.skipif(not JUDGE.is_file(), reason="the judge in ../shared/bench is not here")
@pytest.mark.parametrize("minimum", [0, 10, 16.5, 40, 1000])
def test_small_faces_do_not_count_as_the_judge_does_not_count_them(minimum, answers, judge):
    found, labels = answers
    truth = {file: rows[BOX_COLUMNS].to_numpy().tolist() for file, rows in labels.groupby("file")}
    boxes = [
        (score, file, box.tolist())
        for file, part in found.items()
        for score, box in zip(part.confidence, part.xyxy, strict=True)
    ]
    matched = match_faces(found, labels)
    ap = average_precision(matched[matched.side >= minimum])
    assert ap == pytest.approx(judge.average_precision(truth, boxes, minimum=minimum), nan_ok=True)


# Confidence and class of each found box that covers a face (None: a false face), surest first; faces missed; AP.
CURVES = {
    "nothing at all": ([], 0, float("nan")),
    "false faces alone": ([None], 0, float("nan")),
    "all missed": ([], 3, 0.0),
    "perfect": ([1, 1, 1], 0, 1.0),
    "half found": ([1, 1], 2, 0.5),
    "false faces after the last hit cost nothing": ([1, 1, None, None], 0, 1.0),
    "a false face first": ([None, 1], 0, 0.5),
    # Precision 1, 1/2, 2/3, 3/4 at recall 1/4, 1/4, 2/4, 3/4: from the right, 3/4 is the highest of the last three.
    "a dent": ([1, None, 1, 1], 1, 0.25 * 1 + 0.5 * 0.75),
}


def make_matched(hits: list, missed: int) -> pd.DataFrame:
    confidence = [0.9 - 0.1 * number for number in range(len(hits))] + [np.nan] * missed
    class_true = ["with_mask" if hit else None for hit in hits] + ["with_mask"] * missed
    return pd.DataFrame(
        {"confidence": np.array(confidence, float), "class_true": np.array(class_true, object)}
    )


@pytest.mark.parametrize(("hits", "missed", "expected"), CURVES.values(), ids=CURVES.keys())
def test_average_precision_is_the_area_drawn_by_hand(hits, missed, expected):
    matched = make_matched(hits, missed)
    assert average_precision(matched) == pytest.approx(expected, nan_ok=True)
    assert average_precision(matched.iloc[::-1]) == pytest.approx(
        expected, nan_ok=True
    )  # rows come in any order


def test_the_curve_is_that_of_scikit_learn(answers):
    matched = match_faces(*answers)
    curve = evaluate_boxes.precision_recall(matched)
    boxes = matched[matched.confidence.notna()]
    precision, recall, thresholds = precision_recall_curve(
        boxes.class_true.notna(), boxes.confidence
    )
    np.testing.assert_allclose(curve.confidence, thresholds[::-1])
    np.testing.assert_allclose(curve.precision, precision[-2::-1])
    found = (
        boxes.class_true.notna().sum() / matched.class_true.notna().sum()
    )  # it knows of no missed faces
    np.testing.assert_allclose(curve.recall, recall[-2::-1] * found)


NOTHING = {
    "no photographs": ({}, NO_LABELS),
    "a photograph without faces": ({"a.jpg": Detections.empty()}, NO_LABELS),
}


@pytest.mark.parametrize(("found", "labels"), NOTHING.values(), ids=NOTHING.keys())
def test_where_nothing_is_nothing_is_scored(found, labels):
    matched = match_faces(found, labels)
    assert len(matched) == 0
    assert {"file", "confidence", "side", "class_true", "class_found", *BOX_COLUMNS} == set(matched)
    assert np.isnan(average_precision(matched))
    assert len(evaluate_boxes.precision_recall(matched)) == 0
    assert not any(count_outcomes(matched, 0.5).values())
    recall = recall_table(matched, 0.5)
    assert (recall.n.sum(), recall.recall.notna().sum()) == (0, 0)
    assert np.isnan(evaluate_boxes.average_precision_table(found, labels).ap["face"])


def test_every_box_and_every_face_has_its_row(answers):
    found, labels = answers
    matched = match_faces(found, labels)
    boxes = matched[matched.confidence.notna()]
    assert boxes.groupby("file").size().to_dict() == {
        file: len(part) for file, part in found.items() if len(part)
    }
    assert matched.class_true.value_counts().to_dict() == labels.class_name.value_counts().to_dict()
    for row in boxes.itertuples():
        box = np.array([getattr(row, name) for name in BOX_COLUMNS], np.float32)
        known = labels[labels.file == row.file]
        iou = box_iou([box], known[BOX_COLUMNS].to_numpy())[0]
        (position,) = np.flatnonzero((found[row.file].xyxy == box).all(axis=1))
        assert row.confidence == pytest.approx(found[row.file].confidence[position])
        assert row.class_found == MASK_CLASSES[found[row.file].y_prob[position, :3].argmax()]
        side = min(box[2:] - box[:2])
        if pd.notna(row.class_true):
            hit = known[iou >= 0.5]
            assert row.class_true in hit.class_name.tolist()
            sides = np.minimum(hit.x_max - hit.x_min, hit.y_max - hit.y_min)
            assert np.abs(sides - row.side).min() < 1e-3
        else:
            assert row.side == pytest.approx(side, abs=1e-3)
    missed = matched[matched.confidence.isna()]
    keys = ["file", "class_name", *BOX_COLUMNS]
    lost = missed.rename(columns={"class_true": "class_name"})[keys].astype(labels[keys].dtypes)
    assert len(lost.merge(labels[keys])) == len(lost) > 0
    assert missed.class_found.isna().all()


def test_boxes_that_nobody_judged_have_no_class():
    found = {
        "a.jpg": Detections(np.array([[0, 0, 20, 20]], np.float32), np.array([0.9], np.float32))
    }
    labels = make_labels({"a.jpg": [("with_mask", (0, 0, 20, 20))]})
    matched = match_faces(found, labels)
    assert matched.class_found.isna().all()
    assert matched.class_true.tolist() == ["with_mask"]
    table = evaluate_boxes.average_precision_table(found, labels, rounds=2)
    assert table.ap.to_dict() == {"face": 1}


def test_a_class_without_a_face_has_no_average_precision():
    """A box that is told to be of it is false, and the mean of the classes leaves it out."""
    rows = [("with_mask", (0, 0, 20, 20)), ("without_mask", (50, 50, 90, 90))]
    xyxy = np.array([box for _, box in rows] + [(200, 200, 230, 230)], np.float32)
    found = {
        "a.jpg": Detections(
            xyxy, np.array([0.9, 0.8, 0.7], np.float32), np.eye(4, dtype=np.float32)[:3]
        )
    }
    table = evaluate_boxes.average_precision_table(found, make_labels({"a.jpg": rows}), rounds=5)
    assert table.n.to_dict() == {
        "face": 2, "with_mask": 1, "without_mask": 1, "mask_worn_incorrectly": 0,
        "mean of with and without": 2, "mean of three classes": 2,
    }  # fmt: skip
    assert table.ap.drop("mask_worn_incorrectly").eq(1).all()
    assert table.loc["mask_worn_incorrectly", ["ap", "low", "high"]].isna().all()


def test_the_score_lies_inside_its_interval(answers):
    table = evaluate_boxes.average_precision_table(*answers, rounds=40)
    scored = table.dropna()
    assert scored.index.tolist() == ["face", *MASK_CLASSES]
    assert ((scored.low < scored.ap) & (scored.ap < scored.high)).all()


@pytest.mark.parametrize("class_name", MASK_CLASSES)
def test_a_class_is_selected_by_what_is_told(class_name, answers):
    found, _ = answers
    chosen = evaluate_boxes.select_class(found, class_name)
    assert chosen.keys() == found.keys()
    for file, detections in found.items():
        told = [MASK_CLASSES[row[:3].argmax()] == class_name for row in detections.y_prob]
        np.testing.assert_array_equal(chosen[file].xyxy, detections.xyxy[told])


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
    side, names = (list(column) for column in zip(*rows, strict=True))
    matched = pd.DataFrame({"confidence": confidence, "side": side, "class_true": names})
    false = pd.DataFrame({"confidence": [0.9] * 5, "side": [20.0] * 5, "class_true": [None] * 5})
    table = recall_table(pd.concat([matched, false.astype(matched.dtypes)]), 0.4)
    wanted = {name: matched.side.isin(parts) for name, parts in sides.items()}
    wanted |= {name: matched.class_true == name for name in MASK_CLASSES} | {
        "all": matched.side > 0
    }
    assert table.index.tolist() == list(wanted)
    for name, inside in wanted.items():
        hits, n = sum(confidence[inside] >= 0.4), sum(inside)
        assert table.n[name] == n
        assert table.recall[name] == pytest.approx(hits / n)
        assert (table.low[name], table.high[name]) == wilson_interval(hits, n)


def test_the_fitted_confidence_is_half_where_f1_is_best_and_keeps_the_order():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 0.3, 4000)
    hit = rng.uniform(size=4000) < 1 / (1 + np.exp(-4 * logit))
    names = np.where(hit, "with_mask", None)
    matched = pd.DataFrame(
        {"confidence": 1 / (1 + np.exp(-logit)), "class_true": names, "class_found": names}
    )
    factor, offset, best = evaluate_boxes.fit_confidence(matched)
    assert factor == pytest.approx(4, rel=0.15)
    fitted = matched.assign(confidence=1 / (1 + np.exp(-(factor * logit + offset))))
    assert count_outcomes(fitted, 0.5)["f1"] == pytest.approx(best, abs=1e-3)
    assert (
        max(count_outcomes(fitted, share)["f1"] for share in np.linspace(0.02, 0.98, 97))
        < best + 2e-3
    )


@pytest.mark.parametrize(
    "names", [[], ["with_mask"], [None, None]], ids=["no boxes", "hits alone", "mistakes alone"]
)
def test_without_hits_and_mistakes_a_confidence_stays_as_it_is(names):
    matched = pd.DataFrame(
        {"confidence": [0.7] * len(names), "class_true": names, "class_found": names}
    )
    assert evaluate_boxes.fit_confidence(matched)[:2] == (1.0, 0.0)
