"""The command that scores anybody's answers, in every format, against labels in every format."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.evaluate.detections import RESOLUTION_WH, draw_answers
from utils.boxes import Detections
from utils.classes import CLASS_NAMES, MASK_CLASSES, LabelError, decide
from utils.cli.records import make_record, write_json
from utils.evaluate.__main__ import run_scoring
from utils.evaluate.scorecard import FileMatcher, read_answers, read_truth, score_answers
from utils.formats import LabelledImage, write_coco, write_labels, write_voc_files
from utils.images import write_image
from utils.labels import BOX_COLUMNS

WIDTH, HEIGHT = RESOLUTION_WH


@pytest.fixture(scope="module")
def drawn():
    """Detections with boxes and confidences that every format can write, and labels."""
    found, labels = draw_answers(3, photographs=12)
    rounded = {}
    for file, detections in found.items():
        xyxy = detections.xyxy.clip(0, [WIDTH, HEIGHT] * 2).round()
        confidence = detections.confidence.round(4)
        one_hot = np.eye(4, dtype=np.float32)[decide(detections.y_prob)]
        kept = ((xyxy[:, 2:] - xyxy[:, :2]) > 0).all(axis=1)
        rounded[f"images/{file}"] = Detections(xyxy, confidence, one_hot)[kept]
    labels["file"] = "images/" + labels.file
    # No face has the size of a limit, on whose side a rounded box would be by chance.
    sides = labels[BOX_COLUMNS[2:]].to_numpy() - labels[BOX_COLUMNS[:2]].to_numpy()
    is_limit = np.isin(sides.prod(axis=1), [16**2, 32**2, 96**2])
    labels.loc[is_limit, "x_max"] += 1
    return rounded, labels


def make_truth(folder, label_format: str, labels: pd.DataFrame, files: list[str]):
    """Write labels with their images, and return what to name as the truth."""
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    images = []
    for file in files:
        rows = labels[labels.file == file]
        write_image(folder / file, grey)
        name = file if label_format == "coco" else file.removeprefix("images/")
        names = rows.class_name.tolist()
        images.append(LabelledImage(name, RESOLUTION_WH, names, rows[BOX_COLUMNS].to_numpy()))
    if label_format == "coco":
        return write_coco(folder / "truth.json", images)
    if label_format == "voc":
        write_voc_files(folder / "annotations", images)
    else:
        write_labels("yolo", folder, images)
    return folder


def write_answers(folder, answer_format: str, found: dict[str, Detections], names=MASK_CLASSES):
    """Write detections in a format, and return the path. COCO's ids are those of ``make_truth``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{answer_format}.json"
    if answer_format == "records":
        records = [make_record(f"/a/b/{file}", RESOLUTION_WH, d) for file, d in found.items()]
        write_json(path, records)
        return path
    if answer_format == "coco":
        images = []
        for file, d in found.items():
            classes = [names[class_id] for class_id in decide(d.y_prob)]
            images.append(LabelledImage(file, RESOLUTION_WH, classes, d.xyxy, d.confidence))
        return write_coco(path, images)
    if answer_format == "results":
        results = []
        for image_id, d in enumerate(found.values(), 1):
            for box, confidence, class_id in zip(
                d.xyxy.tolist(), d.confidence.tolist(), decide(d.y_prob).tolist(), strict=True
            ):
                bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                result = {"image_id": image_id, "category_id": class_id + 1, "bbox": bbox}
                results.append(result | {"score": confidence})
        path.write_text(json.dumps(results))
        return path
    for file, d in found.items():
        lines = []
        for box, confidence, class_id in zip(d.xyxy, d.confidence, decide(d.y_prob), strict=True):
            centre = (box[:2] + box[2:]) / 2 / RESOLUTION_WH
            size = (box[2:] - box[:2]) / RESOLUTION_WH
            numbers = [*centre, *size, confidence]
            lines.append(f"{class_id} {' '.join(f'{value:.7f}' for value in numbers)}\n")
        text = folder / "labels" / file.removeprefix("images/").replace(".jpg", ".txt")
        text.parent.mkdir(exist_ok=True)
        text.write_text("".join(lines))
    (folder / "labels" / "classes.txt").write_text("\n".join(names))
    return folder / "labels"


PAIRS = [("results", "coco")]
for answer_name in ("records", "coco", "yolo"):
    PAIRS += [(answer_name, truth_name) for truth_name in ("coco", "voc", "yolo")]


@pytest.mark.parametrize(("answer_format", "truth_format"), PAIRS)
def test_every_format_gives_the_same_scores(answer_format, truth_format, drawn, tmp_path):
    found, labels = drawn
    truth_path = make_truth(tmp_path / "truth", truth_format, labels, list(found))
    answer_path = write_answers(tmp_path / "answers", answer_format, found)
    truth = read_truth(truth_path)
    assert not truth.problems
    assert sorted(truth.files) == sorted(found)
    answers = read_answers(answer_path, truth)
    assert not answers.unknown and not answers.no_face
    expected = score_answers(found, labels, rounds=2)
    scores = score_answers(answers.found, truth.labels, rounds=2)
    pd.testing.assert_frame_equal(
        scores.drop(columns=["low", "high"]), expected.drop(columns=["low", "high"]), atol=1e-6
    )


def test_the_command_prints_and_writes_the_scores(drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path, "coco", labels, list(found))
    answers = write_answers(tmp_path / "answers", "results", found)
    table = tmp_path / "scores.csv"
    assert run_scoring([str(answers), str(truth), "--csv", str(table)]) == 0
    printed = capsys.readouterr().out
    assert f"12 photographs with {len(labels)} faces" in printed
    scores = pd.read_csv(table).set_index(["score", "what", "size", "iou"])
    face = scores.loc[("ap", "face", "all sizes", 0.5)]
    assert f"{face.value:.3f} ({face.low:.3f}-{face.high:.3f})" in printed
    assert face.n == len(labels)
    assert run_scoring([str(answers), str(truth), "--min-confidence", "1"]) == 0
    assert f"{'missed, boxes and labels':<37}{len(labels)} " in capsys.readouterr().out


def test_what_is_not_answered_or_not_known_is_named(drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path, "coco", labels, list(found))
    first, *others = found
    changed = {file: found[file] for file in others}
    changed["elsewhere/strange.jpg"] = found[others[0]]
    answers = write_answers(tmp_path, "records", changed)
    assert run_scoring([str(answers), str(truth)]) == 1
    output = capsys.readouterr()
    missed = int((labels.file == first).sum())
    assert f"1 photograph has no answer, so {missed} face" in output.out and first in output.out
    assert "1 image with" in output.err and "strange.jpg" in output.err


def test_regions_are_ignored(drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path, "coco", labels, list(found))
    answers = write_answers(tmp_path, "records", found)
    rows = [(file.removeprefix("images/"), 0, 0, WIDTH, HEIGHT) for file in found]
    columns = ["file", *BOX_COLUMNS]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "regions.csv", index=False)
    arguments = [str(answers), str(truth), "--ignore", str(tmp_path / "regions.csv")]
    assert run_scoring(arguments) == 0
    assert "precision, boxes                     1.000 (1.000-1.000)" in capsys.readouterr().out
    rows.append(("strange.jpg", 0, 0, 9, 9))
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "regions.csv", index=False)
    assert run_scoring(arguments) == 1
    assert "strange.jpg" in capsys.readouterr().err


def test_crowds_of_coco_are_ignored(tmp_path):
    face = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20]}
    crowd = {"image_id": 1, "category_id": 1, "bbox": [50, 50, 100, 100], "iscrowd": 1}
    images = [{"id": 1, "file_name": "a.jpg"}]
    categories = [{"id": 1, "name": "with_mask"}]
    content = {"images": images, "annotations": [face, crowd], "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    results = [face | {"score": 0.9}, face | {"bbox": [60, 60, 20, 20], "score": 0.9}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    truth = read_truth(tmp_path / "truth.json")
    assert len(truth.labels) == 1 and len(truth.ignored) == 1
    answers = read_answers(tmp_path / "results.json", truth)
    scores = score_answers(answers.found, truth.labels, ignored=truth.ignored, rounds=2)
    assert scores[scores.score == "false_face"].value.tolist() == [0, 0]


BAD_BOXES = {
    "flat": ([1, 2, 0, 4], "their box is flat"),
    "negative": ([9, 2, -4, 4], "bbox has a negative width or height"),
    "three numbers": ([1, 2, 3], "bbox is not four numbers"),
    "none": (None, "bbox is not four numbers"),
}


@pytest.mark.parametrize(("bbox", "reason"), BAD_BOXES.values(), ids=BAD_BOXES.keys())
def test_a_coco_file_alone_says_which_boxes_it_leaves_out(tmp_path, bbox, reason):
    face = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 20, 20]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [face, face | {"bbox": bbox}],
        "categories": [{"id": 1, "name": "with_mask"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    truth = read_truth(tmp_path / "truth.json")
    assert truth.labels.x_max.tolist() == [20]
    assert truth.problems == [f"{tmp_path / 'truth.json'}: 1 box is left out: {reason}."]


def test_a_coco_size_that_is_no_number_is_one_sentence(tmp_path):
    image = {"id": 1, "file_name": "a.jpg", "width": "wide", "height": 3}
    content = {"images": [image], "annotations": [], "categories": []}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with pytest.raises(LabelError, match="states a size of a.jpg that is not two numbers"):
        read_truth(tmp_path / "truth.json")


def test_a_detector_of_faces_alone_is_scored_without_classes(drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path / "truth", "voc", labels, list(found))
    folder = write_answers(tmp_path / "answers", "yolo", found, names=("face", "face", "face"))
    assert run_scoring([str(folder), str(truth)]) == 0
    printed = capsys.readouterr().out
    assert "faces alone are scored" in printed and "with_mask" not in printed


NAMES = {
    "nothing": ([], "a.jpg", None),
    "another name": (["b.jpg"], "a.jpg", None),
    "the same": (["x/a.jpg", "y/a.jpg"], "y/a.jpg", "y/a.jpg"),
    "another folder": (["x/a.jpg"], "/elsewhere/a.jpg", "x/a.jpg"),
    "no extension": (["x/a.jpg"], "a", "x/a.jpg"),
    "another extension": (["x/a.jpg"], "x/a.png", "x/a.jpg"),
    "a point in the name": (["a.v2.jpg"], "a.v2", "a.v2.jpg"),
    "Windows": (["x/a.jpg", "y/a.jpg"], "C:\\z\\x\\A.jpg", "x/a.jpg"),
    "two extensions": (["a.jpg", "a.png"], "a.png", "a.png"),
}


@pytest.mark.parametrize(("files", "name", "expected"), NAMES.values(), ids=NAMES.keys())
def test_photographs_are_found_by_name_and_folders(files, name, expected):
    assert FileMatcher(files).find(name)[0] == expected


RESULT = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}
RECORD = {"file": "images/00.jpg", "faces": []}
FACE = {"box": [0, 0, 9, 9], "confidence": 0.5, "class_name": "with_mask"}
BAD_ANSWERS = {
    "no JSON": ("{", "not a readable JSON file"),
    "no answers": ({"a": 1}, "neither COCO results"),
    "a list of numbers": ([1], "result 1, is no object"),
    "no score": ([{**RESULT, "score": None}], "result 1, has no confidence between 0 and 1"),
    "a percentage": ([{**RESULT, "score": 95}], "result 1, has no confidence between 0 and 1"),
    "three numbers": (
        [RESULT, {**RESULT, "bbox": [0, 0, 9]}],
        "result 2, has no usable box: bbox is",
    ),
    "a negative width": ([{**RESULT, "bbox": [0, 0, -9, 9]}], "negative width or height"),
    "an endless number": ([{**RESULT, "bbox": [10**400, 0, 9, 9]}], "bbox is not four numbers"),
    "an unknown category": ([{**RESULT, "category_id": 77}], "has the category 77"),
    "a video": ({"images": [{**RECORD, "frame": 0}]}, "frames of a video"),
    "no box": ({"images": [{**RECORD, "faces": [{**FACE, "box": None}]}]}, "box of four numbers"),
    "a class": ({"images": [{**RECORD, "faces": [{**FACE, "class_name": "cat"}]}]}, "'cat'"),
    "twice": ({"images": [{**RECORD, "file": f"{x}/00.jpg"} for x in "ab"]}, "either may be"),
}


@pytest.mark.parametrize(("content", "message"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_bad_answers_get_one_sentence(content, message, drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path, "coco", labels, list(found))
    path = tmp_path / "answers.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert run_scoring([str(path), str(truth)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and "answers.json" in line


BAD_LINES = {
    "no confidence": ("0 .5 .5 .1 .1", "line 1, has no confidence"),
    "letters": ("0 .5 .5 .1 .1 .9\nnine", "line 2, is not a class"),
    "an unknown class": ("9 .5 .5 .1 .1 .9", "line 1, has the class 9"),
}


@pytest.mark.parametrize(("text", "message"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_lines_get_one_sentence(text, message, drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path / "truth", "voc", labels, list(found))
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / "00.txt").write_text(text)
    assert run_scoring([str(folder), str(truth)]) == 2
    assert "classes.txt" in capsys.readouterr().err
    (folder / "classes.txt").write_text("\n".join(CLASS_NAMES))
    assert run_scoring([str(folder), str(truth)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and "00.txt" in line


def test_results_need_the_ids_of_a_coco_file(drawn, tmp_path, capsys):
    found, labels = drawn
    truth = make_truth(tmp_path, "voc", labels, list(found))
    answers = write_answers(tmp_path / "answers", "results", found)
    assert run_scoring([str(answers), str(truth)]) == 2
    assert "no COCO file with these ids" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["answers.json", "truth.json"])
def test_a_missing_file_gets_one_sentence(missing, tmp_path, capsys):
    for name in ("answers.json", "truth.json"):
        content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}
        (tmp_path / name).write_text(json.dumps(content if name == "truth.json" else []))
    (tmp_path / missing).unlink()
    arguments = [str(tmp_path / "answers.json"), str(tmp_path / "truth.json")]
    assert run_scoring(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"There is no {tmp_path / missing}: check the path."
