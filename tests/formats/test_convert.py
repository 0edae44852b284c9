"""``python -m utils.formats``: data sets in another format, read by supervision and by us."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv
import yaml
from PIL import Image

from tests.cut_writes import ENDS, read_whole, requires_limits, run_cut
from tests.formats.annotation import write_annotation
from utils import paths
from utils.formats import read_labels
from utils.formats.__main__ import run_conversion
from utils.formats.convert import name_copies
from utils.images import write_image
from utils.labels import BOX_COLUMNS


@pytest.fixture
def root(tmp_path) -> Path:
    """Two sources with one image name, and a whole image that is a face."""
    for source, box in (("one", (1, 2, 9, 12)), ("two", (0, 0, 30, 20))):
        write_image(tmp_path / f"root/{source}/images/a.png", np.zeros((20, 30, 3), np.uint8))
        write_annotation(tmp_path / f"root/{source}/annotations/a.xml", box=box, file="a.png")
    write_image(tmp_path / "root/faces/without_mask/b.png", np.zeros((5, 4, 3), np.uint8))
    return tmp_path / "root"


EXPECTED = {
    "one_images_a.png": ("with_mask", [1, 2, 9, 12]),
    "two_images_a.png": ("with_mask", [0, 0, 30, 20]),
    "b.png": ("without_mask", [0, 0, 4, 5]),
}


def read_with_supervision(label_format: str, folder: Path) -> sv.DetectionDataset:
    images = str(folder / "images")
    if label_format == "coco":
        path = folder / "annotations/instances_default.json"
        return sv.DetectionDataset.from_coco(images, str(path))
    if label_format == "yolo":
        labels = str(folder / "labels")
        return sv.DetectionDataset.from_yolo(images, labels, str(folder / "data.yaml"))
    return sv.DetectionDataset.from_pascal_voc(images, str(folder / "annotations"))


@pytest.mark.parametrize("label_format", ["voc", "coco", "yolo"])
def test_a_data_set_is_converted_box_for_box(root, tmp_path, capsys, label_format):
    target = tmp_path / "new" / label_format
    assert run_conversion([str(root), str(target), "--to", label_format]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Wrote 3 images with 3 faces to {target} ({label_format}).\n")
    assert "1 image is one face as a whole" in out
    data = read_with_supervision(label_format, target)
    assert sorted(Path(path).name for path in data.image_paths) == sorted(EXPECTED)
    for path, found in data.annotations.items():
        class_name, box = EXPECTED[Path(path).name]
        assert [data.classes[index] for index in found.class_id] == [class_name]
        np.testing.assert_allclose(found.xyxy, [box], atol=1e-3)
    table, problems = read_labels(tmp_path / "new")
    assert problems.empty
    for row in table.itertuples():
        class_name, box = EXPECTED[Path(row.file).name]
        assert row.class_name == class_name
        np.testing.assert_allclose([getattr(row, name) for name in BOX_COLUMNS], box, atol=1e-3)
    assert len(table) == 3
    original = (root / "two/images/a.png").read_bytes()
    assert (target / "images/two_images_a.png").read_bytes() == original


def test_formats_one_after_another_lose_nothing(root, tmp_path):
    source = root
    tables = []
    for number, label_format in enumerate(("yolo", "voc", "coco", "yolo", "coco", "voc")):
        target = tmp_path / f"{number}" / "s"
        assert run_conversion([str(source), str(target), "--to", label_format]) == 0
        table, _ = read_labels(target.parent)
        tables.append(table.sort_values("file", ignore_index=True))
        source = target.parent
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], atol=1e-3, rtol=0)


def test_a_turned_photograph_is_saved_upright(tmp_path, capsys):
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "root/s/images").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(tmp_path / "root/s/images/a.jpg", exif=exif)
    path = tmp_path / "root/s/annotations/a.xml"
    write_annotation(path, box=(1, 2, 9, 28), size=(20, 30), file="a.jpg")
    target = tmp_path / "new"
    assert run_conversion([str(tmp_path / "root"), str(target), "--to", "coco"]) == 0
    assert "1 image was saved upright: s/images/a.jpg." in capsys.readouterr().out
    with Image.open(target / "images/a.jpg") as image:
        assert image.size == (20, 30)
        assert image.getexif().get(274, 1) == 1
    (found,) = read_with_supervision("coco", target).annotations.values()
    np.testing.assert_allclose(found.xyxy, [[1, 2, 9, 28]])


def test_what_cannot_be_read_is_named_and_the_others_are_converted(root, tmp_path, capsys):
    (root / "two/images/a.png").write_bytes(b"\x89PNG nothing")
    write_annotation(root / "one/annotations/gone.xml", file="gone.png")
    write_image(root / "two/images/empty.png", np.zeros((20, 30, 3), np.uint8))
    assert run_conversion([str(root), str(tmp_path / "new"), "--to", "yolo"]) == 1
    out, err = capsys.readouterr()
    assert "2 images with 2 faces" in out
    assert "a.png" in err
    assert "gone" in err
    assert "1 image has no labels that can be used and is left out: two/images/empty.png." in out


def test_without_a_usable_image_the_reasons_are_given(tmp_path, capsys):
    (tmp_path / "root/s/with_mask").mkdir(parents=True)
    (tmp_path / "root/s/with_mask/a.jpg").write_bytes(b"text")
    assert run_conversion([str(tmp_path / "root"), str(tmp_path / "new"), "--to", "voc"]) == 2
    err = capsys.readouterr().err
    assert "can be converted" in err
    assert "a.jpg is not an image" in err
    assert not (tmp_path / "new").exists()


def test_wrong_arguments_give_one_sentence_and_change_nothing(root, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    (tmp_path / "none").mkdir()
    for source, target, sentence in (
        (root, tmp_path / "full", "full exists and is not empty: name a new folder"),
        (root, root / "new", "name a folder outside it"),
        (tmp_path / "none", tmp_path / "new", "holds no labelled images"),
        (tmp_path / "nowhere", tmp_path / "new", "There is no folder"),
        (root, tmp_path / "full/mine.txt/new", "mine.txt"),
    ):
        assert run_conversion([str(source), str(target), "--to", "coco"]) == 2
        err = capsys.readouterr().err
        assert sentence in err
        assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "none", "root"]


def test_stopped_or_failed_conversion_leaves_nothing(root, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.formats.convert.write_labels", stop)
    with pytest.raises(KeyboardInterrupt):
        run_conversion([str(root), str(tmp_path / "new"), "--to", "coco"])
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


CONVERT = """
from utils.formats.__main__ import run_conversion
limit()
sys.exit(run_conversion(sys.argv[1:]))
"""
# Bytes within an image (78), and within the labels of each format.
CUTS = [("voc", 40), ("voc", 200), ("coco", 300), ("yolo", 90)]


@requires_limits
@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("label_format", "size"), CUTS)
def test_a_conversion_that_stops_within_a_write_leaves_no_data_set(
    root, tmp_path, capsys, label_format, size, end
):
    options = ["--to", label_format]
    assert run_conversion([str(root), str(tmp_path / "whole"), *options]) == 0
    whole = read_whole(tmp_path / "whole")
    run_cut(CONVERT, root, tmp_path / "cut", *options, size=size, end=end)
    assert not (tmp_path / "cut").exists()
    assert run_conversion([str(root), str(tmp_path / "cut"), *options]) == 0
    assert read_whole(tmp_path / "cut") == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "root", "whole"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([], []),
        (["x/a.jpg", "y/b.jpg"], ["a.jpg", "b.jpg"]),
        (["x/a.jpg", "y/A.png"], ["x_a.jpg", "y_A.png"]),
        (["x/a.jpg", "x/a.png"], ["x_a.jpg", "x_a_2.png"]),
        (["x/a.jpg", "y/a.jpg", "z/x_a.jpg"], ["x_a_2.jpg", "y_a.jpg", "x_a.jpg"]),
    ],
)
def test_copies_have_unique_stems(files, names):
    assert list(name_copies(files).values()) == names


def test_the_command_converts_the_sample_and_names_its_broken_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "utils.formats", paths.SAMPLE_DIR, tmp_path / "new", "--to", "voc"],
        capture_output=True,
        text=True,
        cwd=paths.ROOT,
    )
    assert done.returncode == 1
    assert "cut_off.jpg is cut off before its end" in done.stderr
    assert "Traceback" not in done.stderr
    assert "faces to" in done.stdout


@pytest.fixture
def divided(tmp_path) -> Path:
    """A YOLO set with three splits; one image has an empty text file, one has none."""
    root = tmp_path / "divided"
    for name, split in (("a", "train"), ("b", "train"), ("c", "val"), ("d", "test"), ("e", "val")):
        write_image(root / f"images/{split}/{name}.png", np.zeros((20, 40, 3), np.uint8))
        text = root / f"labels/{split}/{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        if name != "e":
            text.write_text("" if name == "b" else "1 0.250000 0.500000 0.200000 0.400000\n")
    (root / "data.yaml").write_text(
        "train: images/train\nval: images/val\ntest: images/test\nnc: 3\n"
        "names: [with_mask, without_mask, mask_worn_incorrectly]\n"
    )
    return root


SPLITS = {"train": ["a.png", "b.png"], "val": ["c.png", "e.png"], "test": ["d.png"]}
FACES = {"a.png": 1, "b.png": 0, "c.png": 1, "d.png": 1, "e.png": 0}


def check_split(data: sv.DetectionDataset, split: str) -> None:
    found = {Path(path).name: len(faces) for path, faces in data.annotations.items()}
    assert found == {name: FACES[name] for name in SPLITS[split]}
    for faces in data.annotations.values():
        assert [data.classes[index] for index in faces.class_id] == ["without_mask"] * len(faces)
        boxes = np.tile([6, 6, 14, 14], (len(faces), 1))
        np.testing.assert_allclose(faces.xyxy, boxes, atol=1e-3)


def test_splits_and_empty_images_stay_through_all_formats(divided, tmp_path, capsys):
    source = divided
    for number, label_format in enumerate(("yolo", "coco", "voc", "yolo")):
        target = tmp_path / f"{number}"
        assert run_conversion([str(source), str(target), "--to", label_format]) == 0
        out = capsys.readouterr().out
        assert "Wrote 5 images with 3 faces" in out
        assert "2 images are listed without a face, and kept so." in out
        assert "Splits: 2 in train, 2 in val, 1 in test." in out
        source = target

    for split, names in SPLITS.items():
        data = sv.DetectionDataset.from_yolo(
            str(tmp_path / f"0/images/{split}"),
            str(tmp_path / f"0/labels/{split}"),
            str(tmp_path / "0/data.yaml"),
        )
        check_split(data, split)
        path = tmp_path / f"1/annotations/instances_{split}.json"
        check_split(sv.DetectionDataset.from_coco(str(tmp_path / "1/images"), str(path)), split)
        listed = (tmp_path / f"2/ImageSets/Main/{split}.txt").read_text().split()
        assert listed == [Path(name).stem for name in names]
    data = sv.DetectionDataset.from_pascal_voc(
        str(tmp_path / "2/images"), str(tmp_path / "2/annotations")
    )
    assert {Path(path).name: len(faces) for path, faces in data.annotations.items()} == FACES

    first, last = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "0", tmp_path / "3")
    )
    assert first == last


def test_a_set_that_supervision_wrote_keeps_its_split_folders(divided, tmp_path, capsys):
    for split in SPLITS:
        data = sv.DetectionDataset.from_yolo(
            str(divided / f"images/{split}"),
            str(divided / f"labels/{split}"),
            str(divided / "data.yaml"),
        )
        folder = tmp_path / f"coco/{split}"
        data.as_coco(str(folder), str(folder / "_annotations.coco.json"))
        folder = tmp_path / f"voc/{split}"
        data.as_pascal_voc(str(folder / "images"), str(folder / "annotations"))
    for label_format in ("coco", "voc"):
        target = tmp_path / f"from_{label_format}"
        source = tmp_path / label_format
        assert run_conversion([str(source), str(target), "--to", "yolo"]) == 0, label_format
        assert "Splits: 2 in train, 2 in val, 1 in test." in capsys.readouterr().out
        for split in SPLITS:
            data = sv.DetectionDataset.from_yolo(
                str(target / f"images/{split}"),
                str(target / f"labels/{split}"),
                str(target / "data.yaml"),
            )
            check_split(data, split)


def test_an_image_whose_boxes_cannot_be_used_is_no_negative(divided, tmp_path, capsys):
    (divided / "labels/train/b.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    write_image(divided / "images/unlisted.png", np.zeros((20, 40, 3), np.uint8))
    assert run_conversion([str(divided), str(tmp_path / "new"), "--to", "coco"]) == 1
    out, err = capsys.readouterr()
    assert "no class has the number 9" in err
    assert "1 image is listed without a face, and kept so." in out
    assert "left out: images/train/b.png, images/unlisted.png." in out


def test_images_in_no_split_or_in_two_are_counted(divided, tmp_path, capsys):
    write_image(divided / "images/f.png", np.zeros((20, 40, 3), np.uint8))
    (divided / "labels/f.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (divided / "data.yaml").write_text(
        "train: images/train\nval: [images/val, images/train]\nnames: [with_mask, without_mask]\n"
    )
    (divided / "labels/val/e.txt").touch()
    assert run_conversion([str(divided), str(tmp_path / "new"), "--to", "yolo"]) == 1
    out, err = capsys.readouterr()
    assert "in more than one split, which stay in the first of them" in err
    assert "Splits: 2 in train, 2 in val, 2 in no split." in out
    assert (tmp_path / "new/images/f.png").is_file()


@pytest.mark.parametrize(("kept", "missing"), [("train", "val"), ("val", "train")])
def test_a_yolo_set_without_train_or_val_gets_the_other_and_says_so(
    divided, tmp_path, capsys, kept, missing
):
    lines = (divided / "data.yaml").read_text().splitlines()
    others = [line for line in lines if line.startswith(missing)]
    lines = [line for line in lines if line not in others]
    (divided / "data.yaml").write_text("\n".join(lines))
    for path in (*divided.glob(f"images/{missing}/*"), *divided.glob(f"labels/{missing}/*")):
        path.unlink()
    assert run_conversion([str(divided), str(tmp_path / "new"), "--to", "yolo"]) == 0
    assert f"There is no {missing} split, and Ultralytics needs one" in capsys.readouterr().out
    written = yaml.safe_load((tmp_path / "new/data.yaml").read_text())
    assert (written[kept], written[missing]) == (f"images/{kept}", f"images/{kept}")


@pytest.mark.parametrize("label_format", ["voc", "coco", "yolo"])
def test_a_set_of_images_without_faces_is_converted(tmp_path, capsys, label_format):
    write_image(tmp_path / "old/images/a.png", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "old/labels").mkdir()
    (tmp_path / "old/labels/a.txt").touch()
    (tmp_path / "old/classes.txt").write_text("with_mask\n")
    assert run_conversion([str(tmp_path / "old"), str(tmp_path / "new"), "--to", label_format]) == 0
    out, _ = capsys.readouterr()
    assert "Wrote 1 image with 0 faces" in out
    assert "1 image is listed without a face, and kept so." in out
