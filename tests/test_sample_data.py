"""The sample that ships: made by ``make sample``, small, and with something for every notebook."""

from pathlib import Path

import numpy as np
import pytest

from tests.sample_data import CUT_OFF, FAR_COUNT, make_sample
from tests.text_pictures import draw_pictures
from utils.boxes import Detections
from utils.classes import MASK_CLASSES
from utils.curate import prepare_labels
from utils.detect import load_pipeline
from utils.images import ImageError, decode_image, list_images, read_image
from utils.paths import SAMPLE_DIR

MAX_BYTES = 2_000_000
# Mean difference between pixels. Another processor may round a pixel to its neighbour.
MAX_DIFFERENCE = 0.5


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of the files that ``make_sample`` writes; README.md is written by hand."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / "README.md":
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files


def decode(data: bytes) -> np.ndarray | None:
    """Return the image in a file, or None if it holds none."""
    try:
        return decode_image(data, "a file")
    except ImageError:
        return None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return read_files(make_sample(tmp_path_factory.mktemp("sample")))


def test_it_is_small():
    assert sum(path.stat().st_size for path in SAMPLE_DIR.rglob("*") if path.is_file()) < MAX_BYTES


@pytest.mark.slow
def test_making_it_again_gives_the_same_bytes(made, tmp_path):
    assert read_files(make_sample(tmp_path)) == made


def test_making_it_again_gives_what_ships(made):
    shipped = read_files(SAMPLE_DIR)
    assert made.keys() == shipped.keys()  # otherwise: `make sample`, and delete what is left over
    for name, data in made.items():
        if data == shipped[name]:
            continue
        image = decode(data)
        shipped_image = decode(shipped[name])
        if image is None or shipped_image is None:
            # Text is the same everywhere. A file that is cut off is half of one checked elsewhere.
            assert name.endswith((CUT_OFF, ".body"))
            continue
        assert image.shape == shipped_image.shape
        difference = np.abs(image.astype(float) - shipped_image)
        assert difference.mean() < MAX_DIFFERENCE


def find_nothing(image: np.ndarray) -> Detections:
    return Detections.empty()


def test_each_side_of_the_split_has_every_class():
    labels, problems = prepare_labels(SAMPLE_DIR, find_nothing)
    assert problems.file.tolist() == [
        "pictures",
        CUT_OFF,
    ]  # pictures without people, without labels
    for boxed in (labels, labels[labels.source == "scenes"]):
        classes = boxed.groupby("split").class_name.agg(set).to_dict()
        assert set(classes) == {"train", "val", "test"}
        for names in classes.values():
            assert names >= set(MASK_CLASSES)
    assert labels.file.str.contains("far_").sum() >= FAR_COUNT
    assert set(labels.source) == {"faces", "scenes", "maskedface-net"}


def test_the_shipped_models_find_nobody_in_the_pictures_without_people():
    """The first detector took letters on half of them for faces."""
    pipeline = load_pipeline()
    paths = list_images(SAMPLE_DIR / "pictures")
    assert [path.stem for path in paths] == sorted(draw_pictures())
    wrong = [path.stem for path in paths if len(pipeline(read_image(path)))]
    assert wrong == []
