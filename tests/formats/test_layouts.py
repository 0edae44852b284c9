"""Layouts of labelled photographs: the usual ones are read, and nothing is lost silently."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.formats.annotation import write_annotation
from utils.classes import LabelError
from utils.formats import read_labels


def draw(path: Path) -> Path:
    """Write a picture of 30 x 20 pixels that depends on its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = list(str(path).encode())
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path, {".jfif": "JPEG"}.get(path.suffix) or None)
    return path


def annotate(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_annotation(path, file=f"{path.stem}.jpg")


LAYOUTS = {
    "classes at the root": {"with_mask/1.jpg": "raw", "NoMask/1.jpg": "raw"},
    "classes at the root and in a source": {"with_mask/1.jpg": "raw", "own/masked/2.jpg": "own"},
    "a source called mask": {"mask/with_mask/1.jpg": "mask", "mask/without mask/1.jpg": "mask"},
    "classes in split folders": {
        "set/train/WithMask/1.jpg": "set",
        "set/test/WithoutMask/1.jpg": "set",
    },
    "split folders at the root": {"train/WithMask/1.jpg": "train", "val/no_mask/1.jpg": "val"},
    "other suffixes": {"s/with_mask/1.jfif": "s", "s/with_mask/2.gif": "s"},
    "annotations and images": {"s/images/a.jpg": "s", "s/annotations/a.xml": ""},
    "VOC 2007": {"s/JPEGImages/a.jpg": "s", "s/Annotations/a.xml": ""},
    "VOC 2007 at the root": {"JPEGImages/a.jpg": "raw", "Annotations/a.xml": ""},
    "images around annotations": {"a.jpg": "raw", "annotations/a.xml": ""},
    "XML beside images": {"s/a.jpg": "s", "s/a.xml": "", "s/train/a.jpg": "s", "s/train/a.xml": ""},
    "XML beside images at the root": {"a.jpg": "raw", "a.xml": ""},
    "nested alike": {
        "s/images/train/a.jpg": "s",
        "s/images/val/a.jpg": "s",
        "s/annotations/train/a.xml": "",
        "s/annotations/val/a.xml": "",
    },
    "split folders with both": {
        "s/train/images/a.jpg": "s",
        "s/train/annotations/a.xml": "",
        "s/val/images/a.jpg": "s",
        "s/val/annotations/a.xml": "",
    },
    "flat XML of nested images": {"s/images/train/a.jpg": "s", "s/annotations/a.xml": ""},
    "deep below the source": {"s/x/VOC/JPEGImages/a.jpg": "s", "s/x/VOC/Annotations/a.XML": ""},
    "XML and class folders": {"s/a.jpg": "s", "s/a.xml": "", "s/with_mask/b.jpg": "s"},
}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_usual_layout_is_read(tmp_path, files):
    root = tmp_path / "raw"
    for name in files:
        if name.lower().endswith(".xml"):
            annotate(root / name)
        else:
            draw(root / name)
    draw(root / "another/with_mask/1.jpg")
    table, problems = read_labels(root)
    found = dict(zip(table.file, table.source, strict=True))
    expected = {name: source for name, source in files.items() if source}
    assert found == {**expected, "another/with_mask/1.jpg": "another"}
    assert problems.empty
    has_box = table.set_index("file").x_min.notna()
    assert has_box.any() == any(name.lower().endswith(".xml") for name in files)


def test_what_is_not_used_is_accounted_for(tmp_path):
    for name in ("s/with_mask/1.jpg", "s/cats/2.jpg", "s/cats/deep/3.jpg", "s/4.jpg", "t/5.jpg"):
        draw(tmp_path / name)
    draw(tmp_path / "v/images/6.jpg")
    draw(tmp_path / "v/images/7.jpg")
    draw(tmp_path / "s/with_mask/without_mask/8.jpg")
    annotate(tmp_path / "v/annotations/6.xml")
    annotate(tmp_path / "v/annotations/gone.xml")
    for name in ("s/with_mask/9.heic", "s/photos.zip", "s/with_mask/notes.txt"):
        (tmp_path / name).touch()
    table, problems = read_labels(tmp_path)
    assert table.file.tolist() == ["s/with_mask/1.jpg", "v/images/6.jpg"]
    reasons = dict(zip(problems.file, problems.problem, strict=False))
    assert "in folders of 2 classes" in reasons["s/with_mask/without_mask/8.jpg"]
    assert "'cats' is unknown" in reasons["s/cats"]
    assert "Not used: 2 images in it" in reasons["s/cats"]
    assert "describes gone.jpg, which is not in" in reasons["gone.xml"]
    assert "without labels beside labelled ones" in reasons["v/images"]
    assert "7.jpg" in reasons["v/images"]
    text = " ".join(problems.problem)
    for part in ("4.jpg", "9.heic is passed over", "photos.zip is passed over", "t holds 1 image"):
        assert part in text
    assert len(problems) == 8


def test_the_first_reasons_are_shown_if_nothing_can_be_used(tmp_path):
    for name in ("a/1.jpg", "b/cats/1.jpg"):
        draw(tmp_path / name)
    for name in ("c/images/1.heic", "d/images/1.heic"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(LabelError) as error:
        read_labels(tmp_path)
    message = str(error.value)
    assert f"{tmp_path} holds no labelled images" in message
    assert "a holds 1 image without labels" in message
    assert "(cats)" in message
    assert "There is 1 more such reason." in message


def test_the_notes_of_a_mac_are_ignored(tmp_path):
    draw(tmp_path / "f/with_mask/1.jpg")
    draw(tmp_path / "s/images/a.jpg")
    annotate(tmp_path / "s/annotations/a.xml")
    for name in (
        "f/with_mask/._1.jpg",
        "s/images/._a.jpg",
        "s/annotations/._a.xml",
        "__MACOSX/with_mask/._1.jpg",
        "__MACOSX/f/with_mask/._1.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    table, problems = read_labels(tmp_path)
    assert table.file.tolist() == ["f/with_mask/1.jpg", "s/images/a.jpg"]
    assert problems.empty
    (tmp_path / "__MACOSX/._x").touch()
    assert len(read_labels(tmp_path / "f")[0]) == 1


def test_folders_behind_links_are_read_once(tmp_path):
    draw(tmp_path / "elsewhere/with_mask/1.jpg")
    draw(tmp_path / "elsewhere/more/2.jpg")
    root = tmp_path / "raw"
    draw(root / "own/without_mask/3.jpg")
    (root / "linked").symlink_to(tmp_path / "elsewhere/with_mask/..")
    (root / "with_mask").symlink_to(tmp_path / "elsewhere/more")
    (root / "own/mask").symlink_to(tmp_path / "elsewhere/more")
    (root / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "own/loop").symlink_to(root / "own")
    (root / "a second way").symlink_to(root / "own")
    table, problems = read_labels(root)
    assert table.file.tolist() == [
        "linked/with_mask/1.jpg",
        "own/mask/2.jpg",
        "own/without_mask/3.jpg",
        "with_mask/2.jpg",
    ]
    assert problems.file.tolist() == ["linked/more"]


def test_one_photograph_in_two_classes_is_reported(tmp_path):
    data = draw(tmp_path / "f/with_mask/a.jpg").read_bytes()
    draw(tmp_path / "f/with_mask/c.jpg")
    for name in ("f/without_mask/b.jpg", "g/with_mask/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    table, problems = read_labels(tmp_path)
    assert problems.file.tolist() == [
        "f/with_mask/a.jpg",
        "f/without_mask/b.jpg",
        "g/with_mask/d.jpg",
    ]
    assert problems.problem.str.contains("is the same photograph as").all()
    assert problems.problem.str.contains("left out; look at it, and delete it from").all()
    assert table.file.tolist() == ["f/with_mask/c.jpg"]
    (tmp_path / "f/without_mask/b.jpg").unlink()
    table, problems = read_labels(tmp_path)
    assert len(table) == 3
    assert problems.empty


def test_if_all_photographs_are_in_two_classes_the_error_says_so(tmp_path):
    data = draw(tmp_path / "f/with_mask/a.jpg").read_bytes()
    (tmp_path / "f/without_mask").mkdir()
    (tmp_path / "f/without_mask/b.jpg").write_bytes(data)
    with pytest.raises(LabelError, match="is in two class folders.* is the same photograph as"):
        read_labels(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_no_table_can_hold_is_reported(tmp_path):
    draw(tmp_path / "s/with_mask/a.jpg")
    bad = os.fsdecode(b"Jos\xe9.jpg")
    draw(tmp_path / "s/with_mask/b.jpg").rename(tmp_path / "s/with_mask" / bad)
    table, problems = read_labels(tmp_path)
    assert table.file.tolist() == ["s/with_mask/a.jpg"]
    assert r"Jos\xe9.jpg is passed over" in problems.problem[0]
    assert isinstance(problems, pd.DataFrame)
