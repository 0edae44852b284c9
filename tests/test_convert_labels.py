"""``python -m utils.formats``: data sets in another format, read by supervision and by us."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import supervision as sv
from PIL import Image

from tests.voc import write_annotation
from utils import paths
from utils.convert_labels import name_copies, run_conversion
from utils.formats import read_labels
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
    assert "1 image without a labelled face is left out: two/images/empty.png." in out


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

    monkeypatch.setattr("utils.convert_labels.write_labels", stop)
    with pytest.raises(KeyboardInterrupt):
        run_conversion([str(root), str(tmp_path / "new"), "--to", "coco"])
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


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
