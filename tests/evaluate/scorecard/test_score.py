"""Score sheets, compared with faster-coco-eval, with the other tables, and with counts by hand."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from tests.evaluate.detections import RESOLUTION_WH, draw_answers, make_labels
from utils.boxes import Detections
from utils.classes import MASK_CLASSES, decide
from utils.evaluate.boxes import average_precision, count_outcomes, match_faces, select_class
from utils.evaluate.scorecard import (
    BOXES,
    BOXES_AND_LABELS,
    FACE,
    FACE_SIZES,
    MEAN,
    score_answers,
)
from utils.evaluate.scorecard.score import draw_weights
from utils.labels import BOX_COLUMNS, make_label_table

NO_LABELS = make_label_table([])
KEY = ["score", "what", "size", "iou"]


def as_bbox(xyxy: np.ndarray) -> list[float]:
    x_min, y_min, x_max, y_max = (float(value) for value in xyxy)
    return [x_min, y_min, x_max - x_min, y_max - y_min]


def score_by_coco(found, labels, min_iou: float, with_classes: bool, regions=None) -> dict:
    """Return faster-coco-eval's AP by class and size."""
    files = list(found)
    categories = list(MASK_CLASSES) if with_classes else [FACE]
    width, height = RESOLUTION_WH
    truth = {
        "info": {},
        "images": [
            {"id": number, "file_name": file, "width": width, "height": height}
            for number, file in enumerate(files, 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, 1)],
        "annotations": [],
    }
    faces = [(row.file, row.class_name, row[BOX_COLUMNS], 0) for _, row in labels.iterrows()]
    for _, row in pd.DataFrame(regions if regions is not None else []).iterrows():
        # A region counts for each class.
        faces += [(row.file, name, row[BOX_COLUMNS], 1) for name in categories]
    for number, (file, name, box, is_crowd) in enumerate(faces, 1):
        bbox = as_bbox(box)
        category = categories.index(name) + 1 if with_classes else 1
        truth["annotations"].append(
            {
                "id": number,
                "image_id": files.index(file) + 1,
                "category_id": category,
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": is_crowd,
            }
        )
    results = []
    for file, detections in found.items():
        class_id = decide(detections.y_prob)
        for index in range(len(detections)):
            results.append(
                {
                    "image_id": files.index(file) + 1,
                    "category_id": int(class_id[index]) + 1 if with_classes else 1,
                    "bbox": as_bbox(detections.xyxy[index]),
                    "score": float(detections.confidence[index]),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(truth)
        evaluation = COCOeval_faster(coco, coco.loadRes(results), "bbox", print_function=print)
        evaluation.params.iouThrs = np.array([min_iou])
        evaluation.params.maxDets = [10_000]
        evaluation.params.areaRng = [
            [low**2, min(high, 1e5) ** 2] for low, high in FACE_SIZES.values()
        ]
        evaluation.params.areaRngLbl = list(FACE_SIZES)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]  # IoU, recall, category, size, number of boxes
    scores = {}
    for column, size in enumerate(FACE_SIZES):
        for row, name in enumerate(categories):
            values = precision[0, :, row, column, 0]
            scores[name, size] = values.mean() if (values > -1).all() else np.nan
    return scores


@pytest.mark.parametrize("with_regions", [False, True])
@pytest.mark.parametrize("min_iou", [0.3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_agrees_with_faster_coco_eval(seed, min_iou, with_regions):
    found, labels = draw_answers(seed)
    labels[BOX_COLUMNS] += [0, 0, 0.37, 0.41]  # no area is a limit, which COCO counts twice
    regions = None
    if with_regions:
        rows = [(file, 100.0, 0.0, 260.0, 300.0) for file in list(found)[::2]]
        regions = pd.DataFrame(rows, columns=["file", *BOX_COLUMNS])
    table = score_answers(found, labels, min_ious=[min_iou], ignored=regions, rounds=2)
    ap = table[table.score == "ap"].set_index(["what", "size"])
    for with_classes in (False, True):
        expected = score_by_coco(found, labels, min_iou, with_classes, regions)
        for key, value in expected.items():
            assert ap.value[key] == pytest.approx(value, abs=1e-9, nan_ok=True)
        if with_classes:
            for size in FACE_SIZES:
                mean = pd.Series([expected[name, size] for name in MASK_CLASSES]).mean()
                assert ap.value[MEAN, size] == pytest.approx(mean, abs=1e-9, nan_ok=True)


def pick(table: pd.DataFrame, min_iou: float, what: str) -> dict:
    """Return the values of the figures at an IoU, by name."""
    rows = table[(table.iou == min_iou) & (table.what == what)]
    return rows[rows.score != "ap"].set_index("score").value.to_dict()


@pytest.mark.parametrize("min_iou", [0.3, 0.5])
def test_counts_agree_with_those_of_the_other_tables(min_iou):
    found, labels = draw_answers(4)
    table = score_answers(found, labels, min_confidence=0.4, rounds=2)
    matched = match_faces(found, labels, min_iou)
    assert pick(table, min_iou, BOXES_AND_LABELS) == pytest.approx(count_outcomes(matched, 0.4))
    only_boxes = count_outcomes(matched.assign(class_found=matched.class_true), 0.4)
    scores = pick(table, min_iou, BOXES)
    assert scores == pytest.approx({name: only_boxes[name] for name in scores})


def test_average_precision_is_close_to_the_area_under_the_curve():
    found, labels = draw_answers(2, photographs=200)
    table = score_answers(found, labels, min_ious=[0.5], rounds=2).set_index(["what", "size"])
    for name in (FACE, *MASK_CLASSES):
        rows = labels if name == FACE else labels[labels.class_name == name]
        answers = found if name == FACE else select_class(found, name)
        area = average_precision(match_faces(answers, rows))
        assert table.value[name, "all sizes"] == pytest.approx(area, abs=0.01)


def test_detections_without_classes_are_scored_as_boxes_alone():
    found, labels = draw_answers(0)
    bare = {file: Detections(item.xyxy, item.confidence) for file, item in found.items()}
    table = score_answers(bare, labels, rounds=2)
    assert set(table.what) == {FACE, BOXES, "pictures without faces"}
    full = score_answers(found, labels, rounds=2)
    both = table.merge(full, on=KEY)
    both = both[~both.score.isin(["right"])]
    np.testing.assert_allclose(both.value_x, both.value_y)


def test_nothing_gives_no_figure():
    table = score_answers({}, NO_LABELS, rounds=2)
    counts = table.score.isin(["right", "wrong_label", "false_face", "missed"])
    assert (table.n == 0).all() and (table.value[counts] == 0).all()
    assert table.value[~counts].isna().all()


BOX = (0, 0, 20, 20)
FAR = (200, 200, 220, 220)


def find(*boxes: tuple) -> Detections:
    """Return confident detections of masked faces."""
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    y_prob = np.tile(np.eye(4, dtype=np.float32)[:1], (len(boxes), 1))
    return Detections(xyxy, np.full(len(boxes), 0.9, np.float32), y_prob)


def test_false_faces_are_counted_on_pictures_without_faces():
    labels = make_labels({"a.jpg": [("with_mask", BOX)]})
    found = {"a.jpg": find(BOX, FAR), "b.jpg": find(BOX, FAR), "c.jpg": find(), "d.jpg": find()}
    rows = score_answers(found, labels).set_index("score")
    per_thousand = rows.loc["false faces per 1,000"]
    assert (per_thousand.n, per_thousand.value) == (3, pytest.approx(2000 / 3))
    assert per_thousand.low == 0 and per_thousand.high == pytest.approx(2000)
    share = rows.loc["share with a false face"]
    assert share.value == pytest.approx(1 / 3) and share.low < 1 / 3 < share.high


def test_a_box_in_an_ignored_region_is_not_wrong_and_a_match_in_it_is_right():
    labels = make_labels({"a.jpg": [("with_mask", BOX)]})
    found = {"a.jpg": find(BOX, FAR)}
    regions = pd.DataFrame([("a.jpg", 190, 190, 230, 230), ("a.jpg", *BOX), ("b.jpg", *FAR)])
    regions.columns = ["file", *BOX_COLUMNS]
    without = pick(score_answers(found, labels, rounds=2), 0.5, BOXES_AND_LABELS)
    assert (without["right"], without["false_face"]) == (1, 1)
    ignoring = score_answers(found, labels, ignored=regions, rounds=2)
    scores = pick(ignoring, 0.5, BOXES_AND_LABELS)
    assert (scores["right"], scores["false_face"], scores["f1"]) == (1, 0, 1)


def test_the_bootstrap_draws_whole_groups():
    weights = draw_weights(np.array(["a", "a", "b", "c"]), rounds=500)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 1:].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)
    assert draw_weights(np.array([]), rounds=2).shape == (2, 0)


def test_intervals_hold_the_value_and_are_wider_for_groups():
    found, labels = draw_answers(1, photographs=40)
    alone = score_answers(found, labels, min_ious=[0.5], sizes=["all sizes"], rounds=200)
    group = {file: int(file[:2]) // 10 for file in found}
    grouped = score_answers(
        found, labels, min_ious=[0.5], sizes=["all sizes"], rounds=200, group=group
    )
    has_interval = alone.low.notna()
    assert has_interval.sum() == 13
    for table in (alone, grouped):
        rows = table[has_interval]
        assert ((rows.low <= rows.value) & (rows.value <= rows.high)).all()
    np.testing.assert_array_equal(alone.value, grouped.value)
