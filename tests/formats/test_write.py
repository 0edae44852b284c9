"""Labels that we write are read by supervision, an independent reader, box for box."""

import json
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from utils.formats import LabelledImage, name_label_files, read_voc, write_labels
from utils.images import write_image

IMAGES = [
    LabelledImage("a.png", (60, 40), [], np.zeros((0, 4)), np.zeros(0)),
    LabelledImage("b.png", (30, 20), ["mask_worn_incorrectly"], np.array([[0, 0, 30, 20]])),
    LabelledImage(
        "Zoë & Œ <1>.png",
        (101, 77),
        ["without_mask", "with_mask", "without_mask"],
        np.array([[0, 5, 7, 77], [33, 1, 101, 50], [10, 20, 11, 21]]),
        np.array([0.91, 0.5, 0.75]),
    ),
]


def save_images(folder: Path) -> Path:
    for image in IMAGES:
        width, height = image.resolution_wh
        write_image(folder / image.file, np.zeros((height, width, 3), np.uint8))
    return folder


def read_with_supervision(label_format: str, folder: Path, images: Path) -> sv.DetectionDataset:
    if label_format == "coco":
        return sv.DetectionDataset.from_coco(
            str(images), str(folder / "annotations/instances_default.json")
        )
    if label_format == "yolo":
        return sv.DetectionDataset.from_yolo(
            str(images), str(folder / "labels"), str(folder / "data.yaml")
        )
    return sv.DetectionDataset.from_pascal_voc(str(images), str(folder))


@pytest.mark.parametrize("label_format", ["coco", "yolo", "voc"])
def test_supervision_reads_the_same_boxes_and_classes(tmp_path, label_format):
    images = save_images(tmp_path / "images")
    paths = write_labels(label_format, tmp_path / "labels_of", IMAGES)
    names = [image.file for image in IMAGES]
    assert sorted(paths) == sorted(name_label_files(label_format, tmp_path / "labels_of", names))
    data = read_with_supervision(label_format, tmp_path / "labels_of", images)
    assert len(data.image_paths) == len(IMAGES)
    for image in IMAGES:
        found = data.annotations[str(images / image.file)]
        np.testing.assert_allclose(found.xyxy, image.xyxy, atol=1e-3)
        found_names = [] if found.class_id is None else [data.classes[i] for i in found.class_id]
        assert found_names == list(image.class_names)


def test_a_coco_file_holds_the_confidence_and_each_image(tmp_path):
    (path,) = write_labels("coco", tmp_path, IMAGES)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert [entry["file_name"] for entry in content["images"]] == [image.file for image in IMAGES]
    assert [item.get("score") for item in content["annotations"]] == [None, 0.91, 0.5, 0.75]
    assert [item["name"] for item in content["categories"]] == [
        "with_mask",
        "without_mask",
        "mask_worn_incorrectly",
    ]


def test_we_read_our_voc_files_box_for_box(tmp_path):
    for path, image in zip(write_labels("voc", tmp_path, IMAGES), IMAGES, strict=True):
        name, resolution_wh, faces = read_voc(path)
        assert (name, resolution_wh) == (image.file, image.resolution_wh)
        assert [face for face, _ in faces] == list(image.class_names)
        assert [box.tolist() for _, box in faces] == image.xyxy.tolist()


@pytest.mark.parametrize(
    ("box", "expected"),
    [((1.6, 2.4, 9.5, 11.6), [2, 2, 10, 12]), ((3.1, 4.2, 3.4, 4.4), [3, 4, 4, 5])],
    ids=["fractions", "smaller than a pixel"],
)
def test_voc_boxes_are_whole_pixels_and_never_flat(tmp_path, box, expected):
    image = LabelledImage("a.png", (30, 20), ["with_mask"], np.array([box]))
    ((_, found),) = read_voc(write_labels("voc", tmp_path, [image])[0])[2]
    assert found.tolist() == expected


def test_label_studio_tasks_have_the_documented_form(tmp_path):
    config, tasks_file = write_labels("label-studio", tmp_path, IMAGES)
    tasks = json.loads(tasks_file.read_text(encoding="utf-8"))
    assert [task["data"]["image"] for task in tasks] == [
        "/data/local-files/?d=a.png",
        "/data/local-files/?d=b.png",
        "/data/local-files/?d=Zo%C3%AB%20%26%20%C5%92%20%3C1%3E.png",
    ]
    (prediction,) = tasks[2]["predictions"]
    assert prediction["model_version"] == "face-mask-detector"
    assert prediction["score"] == 0.72
    for result, name, box in zip(
        prediction["result"], IMAGES[2].class_names, IMAGES[2].xyxy, strict=True
    ):
        assert result["type"] == "rectanglelabels"
        assert (result["original_width"], result["original_height"]) == (101, 77)
        value = result["value"]
        assert value["rectanglelabels"] == [name]
        width, height = value["width"] * 1.01, value["height"] * 0.77
        left, top = value["x"] * 1.01, value["y"] * 0.77
        np.testing.assert_allclose([left, top, left + width, top + height], box, atol=1e-9)
        # What the labeling interface must call them.
        text = config.read_text()
        assert (
            f'<RectangleLabels name="{result["from_name"]}" toName="{result["to_name"]}">' in text
        )
        assert f'<Label value="{name}"/>' in text
    assert tasks[0]["predictions"][0]["result"] == []
    assert "score" not in tasks[0]["predictions"][0]


def test_an_unknown_format_and_no_images(tmp_path):
    with pytest.raises(ValueError, match="tfrecord is unknown: use coco"):
        write_labels("tfrecord", tmp_path, [])
    for label_format in ("coco", "yolo", "voc", "label-studio"):
        for path in write_labels(label_format, tmp_path / label_format, []):
            assert path.is_file()
