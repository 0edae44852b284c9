"""COCO and YOLO folders of other programs are read, and everything left out is said."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from utils.formats import read_coco_folder, read_labels, read_yolo_folder
from utils.images import write_image
from utils.labels import BOX_COLUMNS

NAMES = ["mask_worn_incorrectly", "with_mask", "without_mask"]  # the order in which they are met
BOXES = {
    "a.png": ([0, 2, 1], [[0, 0, 30, 20], [3, 4, 9, 12], [10, 11, 29, 20]]),
    "b.png": ([1], [[5, 6, 7, 8]]),
}


def make_dataset(folder: Path) -> sv.DetectionDataset:
    paths = []
    annotations = {}
    for name, (class_id, boxes) in BOXES.items():
        path = str(write_image(folder / name, np.zeros((20, 30, 3), np.uint8)))
        paths.append(path)
        annotations[path] = sv.Detections(np.array(boxes, float), class_id=np.array(class_id))
    return sv.DetectionDataset(NAMES, paths, annotations)


def save_with_supervision(label_format: str, data: sv.DetectionDataset, folder: Path) -> None:
    if label_format == "coco":
        data.as_coco(str(folder / "images"), str(folder / "annotations.json"))
    elif label_format == "yolo":
        data.as_yolo(str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))
    else:
        data.as_pascal_voc(str(folder / "images"), str(folder / "annotations"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("label_format", ["coco", "yolo", "voc"])
@pytest.mark.parametrize("place", ["set", "."], ids=["a source of the root", "the root itself"])
def test_what_supervision_writes_is_read_box_for_box(tmp_path, label_format, place):
    root = tmp_path / "root"
    save_with_supervision(label_format, make_dataset(tmp_path / "drawn"), root / place)
    table, problems = read_labels(root)
    assert problems.problem.tolist() == []
    for name, (class_id, boxes) in BOXES.items():
        rows = table[table.file == (Path(place) / "images" / name).as_posix()]
        assert rows.class_name.tolist() == [NAMES[index] for index in class_id]
        np.testing.assert_allclose(rows[BOX_COLUMNS].to_numpy(), boxes, atol=1e-3)


def save_image(path: Path, size_wh=(30, 20)) -> None:
    write_image(path, np.zeros((size_wh[1], size_wh[0], 3), np.uint8))


def write_coco_file(path: Path, images: list, annotations: list, names=("with_mask",)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": 10 * (index + 1), "name": name} for index, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


IMAGE = {"id": 7, "file_name": "a.jpg", "width": 30, "height": 20}
FACE = {"id": 1, "image_id": 7, "category_id": 10, "bbox": [1, 2, 8, 7]}
LEFT_OUT = {
    "crowd": ({"iscrowd": 1}, r"1 box is left out: they are crowds \(iscrowd\)"),
    "outline": ({"bbox": [], "segmentation": [[1, 2, 3, 4]]}, "they are outlines"),
    "no box": ({"bbox": None}, "they have no box"),
    "endless number": ({"bbox": [10**400, 2, 3, 4]}, "bbox is not four numbers"),
    "category as a list": ({"category_id": [10]}, "is not listed"),
    "three numbers": ({"bbox": [1, 2, 3]}, "bbox is not four numbers"),
    "text": ({"bbox": [1, "x", 3, 4]}, "bbox is not four numbers"),
    "NaN": ({"bbox": [1, float("nan"), 3, 4]}, "bbox is not four finite numbers"),
    "negative": ({"bbox": [5, 2, -4, 4]}, "bbox has a negative width or height"),
    "flat": ({"bbox": [1, 2, 0, 4]}, "flat or reversed"),
    "outside": ({"bbox": [40, 2, 5, 4]}, "outside the image"),
    "unlisted category": ({"category_id": 3}, "the category 3 is not listed"),
    "unknown class": ({"category_id": 20}, "the class 'cat' is unknown"),
    "unlisted image": ({"image_id": 8}, "its image is not listed"),
}


@pytest.mark.parametrize(("change", "reason"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_a_coco_annotation_that_cannot_be_used_is_said_and_the_others_stay(
    tmp_path, change, reason
):
    save_image(tmp_path / "a.jpg")
    write_coco_file(
        tmp_path / "train.json", [IMAGE], [FACE | change, FACE], names=("with_mask", "cat")
    )
    labels = read_coco_folder(tmp_path)
    assert [row["x_max"] for row in labels.rows] == [9]
    (problem,) = labels.problems
    assert re.search(reason, problem["problem"])


@pytest.mark.parametrize(
    "place",
    ["a.jpg", "images/a.jpg", "train/a.jpg", "images/train/a.jpg", "photos/deep/a.jpg"],
)
@pytest.mark.parametrize("name", ["a.jpg", "C:\\photos\\a.jpg", "/data/x/a.jpg", "../a.jpg"])
def test_the_image_of_a_coco_entry_is_found(tmp_path, place, name):
    save_image(tmp_path / place)
    write_coco_file(
        tmp_path / "annotations/instances_train.json", [IMAGE | {"file_name": name}], [FACE]
    )
    labels = read_coco_folder(tmp_path)
    assert [row["file"] for row in labels.rows] == [place]
    assert labels.problems == []


def test_an_id_may_be_text_in_one_place_and_a_number_in_another(tmp_path):
    save_image(tmp_path / "images/a.jpg")
    face = FACE | {"image_id": "7", "category_id": "10"}
    write_coco_file(tmp_path / "annotations.json", [IMAGE], [face])
    table, problems = read_labels(tmp_path)
    assert (table.class_name.tolist(), problems.problem.tolist()) == (["with_mask"], [])


def test_two_images_of_one_name_are_not_guessed(tmp_path):
    for place in ("x/a.jpg", "y/a.jpg"):
        save_image(tmp_path / place)
    write_coco_file(tmp_path / "labels.json", [IMAGE], [FACE])
    labels = read_coco_folder(tmp_path)
    assert labels.rows == []
    assert "2 images are called a.jpg" in labels.problems[0]["problem"]
    assert "1 box is left out" in labels.problems[0]["problem"]


def test_boxes_follow_an_image_that_was_resized_and_not_one_that_was_turned(tmp_path):
    save_image(tmp_path / "a.jpg", (60, 40))
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "b.jpg", exif=exif)
    turned = {"id": 8, "file_name": "b.jpg", "width": 30, "height": 20}
    write_coco_file(tmp_path / "a.json", [IMAGE, turned], [FACE, FACE | {"image_id": 8}])
    labels = read_coco_folder(tmp_path)
    assert [[row[name] for name in BOX_COLUMNS] for row in labels.rows] == [[2, 4, 18, 18]]
    (problem,) = labels.problems
    assert "is for 30 x 20 pixels" in problem["problem"]
    assert "has 20 x 30 once it is turned upright" in problem["problem"]


def test_images_without_a_face_are_named(tmp_path):
    for name in ("a.jpg", "empty.jpg", "faces/with_mask/1.jpg"):
        save_image(tmp_path / "s" / name)
    write_coco_file(tmp_path / "s/labels.json", [IMAGE], [FACE])
    for root in (tmp_path, tmp_path / "s"):
        table, problems = read_labels(root)
        assert len(table) == 1
        (problem,) = problems.problem
        assert "without a labelled face: " in problem
        assert "empty.jpg" in problem and "faces/with_mask/1.jpg" in problem


@pytest.mark.parametrize("text", ["", "{", '{"images": [1], "annotations": []}'])
def test_a_json_file_that_is_not_coco_is_named(tmp_path, text):
    save_image(tmp_path / "faces/with_mask/1.jpg")
    save_image(tmp_path / "set/a.jpg")
    (tmp_path / "set/_annotations.coco.json").write_text(text)
    table, problems = read_labels(tmp_path)
    assert len(table) == 1
    assert "_annotations.coco.json is not a" in problems.problem[0]


def write_yolo_set(
    folder: Path, line: str = "0 0.5 0.5 0.2 0.4", names: str = "[with_mask]"
) -> None:
    save_image(folder / "images/a.jpg")
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text(f"{line}\n0 0.5 0.5 1 1\n")
    (folder / "data.yaml").write_text(f"train: images\nnames: {names}\n")


YOLO_LINES = {
    "outline": ("0 0.1 0.1 0.2 0.2 0.3 0.3", "outlines"),
    "four numbers": ("0 0.5 0.5 0.2", "4 numbers in place of 5"),
    "text": ("with_mask 0.5 0.5 0.2 0.2", "not numbers"),
    "unknown number": ("3 0.5 0.5 0.2 0.2", "no class has the number 3"),
    "pixels": ("0 15 10 5 5", "not in shares"),
    "flat": ("0 0.5 0.5 0 0.2", "flat or reversed"),
    "NaN": ("0 nan 0.5 0.1 0.2", "not four finite numbers"),
}


@pytest.mark.parametrize(("line", "reason"), YOLO_LINES.values(), ids=YOLO_LINES.keys())
def test_a_yolo_line_that_cannot_be_used_is_said_and_the_others_stay(tmp_path, line, reason):
    write_yolo_set(tmp_path / "s", line)
    labels = read_yolo_folder(tmp_path / "s", tmp_path)
    assert [[row[name] for name in BOX_COLUMNS] for row in labels.rows] == [[0, 0, 30, 20]]
    assert "1 box is left out" in labels.problems[0]["problem"]
    assert reason in labels.problems[0]["problem"]


@pytest.mark.parametrize(
    "names", ["[with_mask]", "{0: with_mask}", "{'0': With Mask}", "\n- with_mask\n- cat"]
)
def test_the_class_names_of_yolo_are_a_list_or_a_table(tmp_path, names):
    write_yolo_set(tmp_path, names=names)
    labels = read_yolo_folder(tmp_path)
    assert labels.problems == []
    assert [row["class_name"] for row in labels.rows] == ["with_mask", "with_mask"]


@pytest.mark.parametrize(
    ("yaml", "sentence"),
    [
        (None, r"no data.yaml or classes.txt that names their classes: add one"),
        ("", "(names is missing)"),
        ("names: {a: with_mask}", "(the keys of names are not numbers)"),
        ("names: 3", "cannot be read as a YOLO data file"),
        ("train: images", "cannot be read as a YOLO data file"),
        ("names: [a", "cannot be read as a YOLO data file"),
        ("names: [with_mask]\nval: nowhere/images", "names nowhere/images, where there are no"),
    ],
)
def test_a_yolo_folder_without_usable_names_gives_one_sentence(tmp_path, yaml, sentence):
    write_yolo_set(tmp_path)
    (tmp_path / "data.yaml").unlink()
    if yaml is not None:
        (tmp_path / "data.yaml").write_text(yaml)
    (problem,) = read_yolo_folder(tmp_path).problems
    assert sentence in problem["problem"]
    assert "\n" not in problem["problem"]


@pytest.mark.parametrize("place", ["../train/images", "/content/set/train/images", "list.txt"])
def test_places_that_other_programs_write_are_understood(tmp_path, place):
    write_yolo_set(tmp_path / "train")
    (tmp_path / "train/data.yaml").unlink()
    (tmp_path / "list.txt").write_text("train/images/a.jpg\n")
    (tmp_path / "data.yaml").write_text(f"train: {place}\nnames: [with_mask]\n")
    labels = read_yolo_folder(tmp_path)
    assert labels.problems == []
    assert len(labels.rows) == 2


def test_an_absolute_place_in_the_data_set_is_found_from_a_relative_root(tmp_path, monkeypatch):
    write_yolo_set(tmp_path / "set")
    yaml = f"path: {tmp_path.as_posix()}/set\ntrain: images\nnames: [with_mask]\n"
    (tmp_path / "set/data.yaml").write_text(yaml)
    monkeypatch.chdir(tmp_path)
    table, problems = read_labels("set")
    assert (table.file.tolist(), problems.problem.tolist()) == (["images/a.jpg"] * 2, [])


def test_a_box_that_is_written_twice_counts_once_and_one_with_two_classes_not_at_all(tmp_path):
    other = FACE | {"bbox": [15, 2, 8, 7]}
    faces = [FACE, FACE, FACE, other, other | {"category_id": 20}]
    save_image(tmp_path / "coco/images/a.jpg")
    write_coco_file(
        tmp_path / "coco/annotations.json", [IMAGE], faces, names=("with_mask", "without_mask")
    )
    write_yolo_set(tmp_path / "yolo", names="[with_mask, without_mask]")
    lines = ["0 0.25 0.5 0.1 0.1", "0 0.25 0.5 0.1 0.1", "0 0.75 0.5 0.1 0.1", "1 0.75 0.5 0.1 0.1"]
    (tmp_path / "yolo/labels/a.txt").write_text("\n".join(lines))
    table, problems = read_labels(tmp_path)
    assert table.file.tolist() == ["coco/images/a.jpg", "yolo/images/a.jpg"]
    said = problems.problem.tolist()
    assert re.search(r"a\.jpg: the box .* has two classes \(with_mask, without_mask\)", said[0])
    assert "2 boxes are left out: they repeat another box of the same class." in said[1]
    assert re.search(r"a\.txt: the box .* has two classes \(with_mask, without_mask\)", said[2])
    assert "1 box is left out: they repeat another box of the same class." in said[3]


def test_yolo_layouts_and_texts_without_images(tmp_path):
    for place in ("train/images/a.jpg", "images/val/b.jpg", "beside/c.jpg", "empty/images/d.jpg"):
        save_image(tmp_path / place)
    for place in ("train/labels/a.txt", "labels/val/b.txt", "beside/c.txt", "labels/gone.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("0 0.5 0.5 1 1 0.87\n")
    (tmp_path / "classes.txt").write_text("with_mask\n")
    labels = read_yolo_folder(tmp_path)
    assert sorted(row["file"] for row in labels.rows) == [
        "beside/c.jpg",
        "images/val/b.jpg",
        "train/images/a.jpg",
    ]
    (problem,) = labels.problems
    assert problem["file"] == "labels/gone.txt"
