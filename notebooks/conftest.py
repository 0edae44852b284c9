"""Before notebooks run small: their data, made from the pictures that may ship, in data/small/ (ignored by git)."""

import shutil

import pytest

from tests.small_data import make_small_data
from utils.boxes import Detections
from utils.faces import YUNET_FILE
from utils.paths import DATA_DIR, ROOT, find_model
from utils.prepare import prepare_labels

SMALL_DIR = DATA_DIR / "small"
NEED_A_DETECTOR = ("01-", "03-")


def find_nothing(image):
    """A detector for the label table alone: small photographs hold no unlabelled faces."""
    return Detections.empty()


def pytest_collection_modifyitems(items):
    """Make the data once, and say which notebooks cannot run where no face detector is at hand."""
    notebooks = [item for item in items if item.path.suffix == ".ipynb"]
    if not notebooks:
        return
    shutil.rmtree(SMALL_DIR, ignore_errors=True)
    photographs = make_small_data(SMALL_DIR / "photographs")
    prepare_labels(photographs, find_nothing)[0].to_csv(SMALL_DIR / "labels.csv", index=False)
    (SMALL_DIR / "model").mkdir()
    for file in ("README.md", "model/MODEL_CARD.md"):  # notebook 02 writes its tables into them
        shutil.copyfile(ROOT / file, SMALL_DIR / file)
    try:
        find_model(YUNET_FILE)
    except FileNotFoundError as error:
        for item in notebooks:
            if item.path.name.startswith(NEED_A_DETECTOR):
                item.add_marker(pytest.mark.skip(reason=str(error)))
