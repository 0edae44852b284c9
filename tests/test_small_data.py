"""The small data set: labelled, repeatable, near-duplicates only where file names say so."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests.small_data import KAGGLE_SPELLING, NEAR_DUPLICATES, make_small_data
from utils.classes import MASK_CLASSES
from utils.curate import HASH_SIDE, find_near_duplicates, hash_image
from utils.formats import read_labels
from utils.images import list_images, read_image
from utils.paths import EXAMPLES_DIR


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return make_small_data(tmp_path_factory.mktemp("small_data"))


def read_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read_raw_boxes(path: Path) -> np.ndarray:
    """Return the boxes of a VOC file as written, not clipped: (N, 4)."""
    tags = ("xmin", "ymin", "xmax", "ymax")
    return np.array(
        [[int(box.findtext(tag)) for tag in tags] for box in ET.parse(path).iter("bndbox")]
    )


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(small_data, tmp_path):
    files = read_files(small_data)
    assert read_files(make_small_data(tmp_path / "again")) == files
    other = read_files(make_small_data(tmp_path / "other", seed=1))
    assert other.keys() == files.keys()
    assert not [name for name in files if name.endswith(".jpg") and other[name] == files[name]]


@pytest.mark.slow
def test_each_call_without_a_folder_creates_a_new_one(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = make_small_data(), make_small_data()
    assert first != second
    assert {first.parent, second.parent} == {tmp_path}


def test_all_classes_and_layouts_are_present(small_data):
    table, problems = read_labels(small_data)
    assert problems.empty
    assert set(table.file) == {
        path.relative_to(small_data).as_posix() for path in list_images(small_data)
    }
    classes = table.groupby("source").class_name.agg(set).to_dict()
    assert classes == {
        "faces": {"with_mask", "without_mask"},
        "scenes": set(MASK_CLASSES),
        "maskedface-net": {"with_mask", "mask_worn_incorrectly"},
    }
    assert table[table.source == "faces"].x_min.isna().all()
    assert table[table.source != "faces"].x_min.notna().all()


def test_one_scene_has_the_kaggle_spelling(small_data):
    texts = [path.read_text() for path in (small_data / "scenes/annotations").glob("*.xml")]
    assert sum(KAGGLE_SPELLING in text for text in texts) == 1
    assert any("mask_worn_incorrectly" in text for text in texts)


@pytest.mark.parametrize("source", ["scenes", "maskedface-net", "examples"])
def test_every_box_is_inside_its_image(small_data, source):
    folder = EXAMPLES_DIR if source == "examples" else small_data / source
    images = {path.stem: path for path in list_images(folder)}
    annotations = sorted((folder / "annotations").glob("*.xml"))
    assert [path.stem for path in annotations] == sorted(images)
    for path in annotations:
        height, width = read_image(images[path.stem]).shape[:2]
        size = ET.parse(path).find("size")
        assert (int(size.findtext("width")), int(size.findtext("height"))) == (width, height)
        boxes = read_raw_boxes(path)
        assert len(boxes)
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (width, height)).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_faces_of_scenes_are_small(small_data):
    boxes = np.concatenate(
        [read_raw_boxes(path) for path in (small_data / "scenes/annotations").glob("*.xml")]
    )
    widths = boxes[:, 2] - boxes[:, 0]
    assert widths.min() >= 20
    assert widths.max() <= 90


def test_near_duplicates_are_those_named_as_copies(small_data):
    files = list_images(small_data)
    names = [path.relative_to(small_data).as_posix() for path in files]
    hashes = np.array([hash_image(read_image(path)) for path in files])
    pairs = find_near_duplicates(hashes)
    found = {frozenset((names[row.first], names[row.second])) for row in pairs.itertuples()}
    assert found == {frozenset(pair) for pair in NEAR_DUPLICATES.items()}
    # The others are far apart, not just beyond the limit.
    first, second = np.triu_indices(len(files), 1)
    share = np.bitwise_count(hashes[first, 0] ^ hashes[second, 0]).sum(axis=1) / HASH_SIDE**2
    assert np.mean(share > 0.25) > 0.95


@pytest.mark.parametrize("copy", [name for name in NEAR_DUPLICATES if "masked_copy" in name])
def test_a_masked_copy_differs_in_the_mask_alone(small_data, copy):
    masked = read_image(small_data / copy).astype(int)
    bare = read_image(small_data / NEAR_DUPLICATES[copy]).astype(int)
    change = np.abs(masked - bare).mean(axis=(1, 2))  # of each row
    third = len(change) // 3
    assert change[:third].mean() < 0.1 * change[third:].mean()
