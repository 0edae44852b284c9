"""``--labels``: the script's answers as label files of other programs."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_blocks, find_blocks
from utils.cli import run as run_module
from utils.formats import read_voc, read_yolo_folder
from utils.images import write_image

FACES = [("with_mask", (20, 40, 60, 90)), ("without_mask", (70, 10, 100, 50))]
BOXES = [list(box) for _, box in FACES]


@pytest.fixture
def run(script, fake_classifier, monkeypatch, tmp_path, capsys):
    """Run the script with fake models in an empty folder; return the exit code and its errors."""
    monkeypatch.setattr(
        run_module, "load_models", lambda *args, **options: (find_blocks, fake_classifier)
    )
    monkeypatch.setattr(run_module, "has_display", lambda: False)
    monkeypatch.chdir(tmp_path)

    def call(*argv: str | Path):
        try:
            code = script.main(["--output", "copies", *map(str, argv)])
        except SystemExit as error:
            code = error.code
        errors = [line for line in capsys.readouterr().err.split("\n") if "\r" not in line]
        return code, "\n".join(errors)

    return call


def save_photos(folder: Path) -> None:
    write_image(folder / "a/1.png", draw_blocks(*FACES))
    write_image(folder / "b/1.png", np.zeros((20, 30, 3), np.uint8))


def test_coco_has_every_face_by_the_path_below_the_folder(run, tmp_path):
    save_photos(tmp_path / "photos")
    assert run("--image", "photos", "--labels", "coco", "out") == (0, "")
    content = json.loads((tmp_path / "out/annotations/instances_default.json").read_text())
    assert [entry["file_name"] for entry in content["images"]] == ["a/1.png", "b/1.png"]
    found = [item["bbox"] for item in content["annotations"]]
    assert sorted([x, y, x + width, y + height] for x, y, width, height in found) == sorted(BOXES)
    assert all(0 < item["score"] <= 1 for item in content["annotations"])


def test_yolo_voc_and_label_studio_are_written(run, tmp_path):
    save_photos(tmp_path / "photos/images")
    assert run("--image", "photos/images", "--labels", "yolo", "photos") == (0, "")
    labels = read_yolo_folder(tmp_path / "photos")
    assert labels.problems == []
    assert sorted(row["class_name"] for row in labels.rows) == ["with_mask", "without_mask"]
    assert {row["file"] for row in labels.rows} == {"images/a/1.png"}
    said = (
        "4 files are passed over (photos/classes.txt, photos/data.yaml, photos/labels/a/1.txt, "
        "photos/labels/b/1.txt). None is an image: 3 .txt, 1 .yaml.\n"
    )
    assert run("--image", "photos", "--labels", "voc", "out") == (0, said)
    faces = read_voc(tmp_path / "out/a/1.xml")[2]
    assert sorted((name, tuple(box)) for name, box in faces) == sorted(FACES)
    assert run("--image", "photos", "--labels", "label-studio", "studio") == (0, said)
    assert len(json.loads((tmp_path / "studio/tasks.json").read_text())) == 2


def test_boxes_are_those_of_the_upright_photograph(run, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned a quarter clockwise
    upright = Image.fromarray(draw_blocks(*FACES))
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert run("--image", "turned.png", "--labels", "voc", "out") == (0, "")
    _, resolution_wh, faces = read_voc(tmp_path / "out/turned.xml")
    assert resolution_wh == upright.size
    assert sorted(tuple(box) for _, box in faces) == sorted(map(tuple, BOXES))


def test_no_label_file_is_replaced(run, tmp_path):
    write_image(tmp_path / "1.png", draw_blocks(*FACES))
    (tmp_path / "1.xml").write_text("mine")
    code, err = run("--image", "1.png", "--labels", "voc", ".")
    assert code == 2
    assert "1.xml exists and may hold your corrections: name another folder" in err
    assert (tmp_path / "1.xml").read_text() == "mine"
    assert not (tmp_path / "copies").exists() or not list((tmp_path / "copies").iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--image", "1.png", "--labels", "voc7", "out"), "voc7 is unknown: use one of coco, yolo"),
        (("--image", "1.png", "--labels", "voc", ""), "the folder of --labels is empty"),
        (("--video", "a.mp4", "--labels", "voc", "out"), "--labels is for --image"),
        (("--image", "1.png", "1.jpg", "--labels", "yolo", "out"), "would have the same yolo file"),
        (("--image", "1.png", "--labels", "coco", "1.jpg"), "1.jpg cannot be written"),
    ],
    ids=["unknown format", "no folder", "video", "two images of one stem", "a file in place"],
)
def test_wrong_arguments_give_one_sentence(run, tmp_path, arguments, sentence):
    for name in ("1.png", "1.jpg"):
        write_image(tmp_path / name, draw_blocks(*FACES))
    code, err = run(*arguments)
    assert code == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
