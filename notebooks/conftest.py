"""Before notebooks run small: their data, made from the pictures that may ship, in data/small/, and
a Bing on loopback that serves more of them."""

import shutil

import pandas as pd

from tests.fake_bing import FakeBing
from tests.small_data import make_small_data
from utils.boxes import Detections
from utils.curate import prepare_labels
from utils.paths import DATA_DIR, ROOT

SMALL_DIR = DATA_DIR / "small"
PHRASES = ("face mask", "nose & mask", "visage")  # of notebook 01, run small
PORT = 18764  # as its parameter SERVER says


def find_nothing(image):
    """A detector for the label table alone: small photographs hold no unlabelled faces."""
    return Detections.empty()


def pytest_collection_modifyitems(items):
    """Make the data once."""
    notebooks = [item for item in items if item.path.suffix == ".ipynb"]
    if not notebooks:
        return
    shutil.rmtree(SMALL_DIR, ignore_errors=True)
    photographs = make_small_data(SMALL_DIR / "photographs")
    prepare_labels(photographs, find_nothing)[0].to_csv(SMALL_DIR / "labels.csv", index=False)
    boxed = pd.read_csv(SMALL_DIR / "labels.csv").query(
        "source == 'scenes' and class_name == 'no_face'"
    )
    boxed.assign(confidence=0.7).to_csv(SMALL_DIR / "unlabelled_faces.csv", index=False)
    scenes = sorted((make_small_data(SMALL_DIR / "web", seed=1) / "scenes" / "images").iterdir())
    results = {
        phrase: [*scenes[place :: len(PHRASES)], "html/a.jpg"]
        for place, phrase in enumerate(PHRASES)
    }
    FakeBing(results, port=PORT).__enter__()  # until the tests end
    (SMALL_DIR / "model").mkdir()
    # Notebooks 02 and 04 write their tables into these pages.
    for file in ("README.md", "model/mask_classifier.md", "model/face_detector.md"):
        shutil.copyfile(ROOT / file, SMALL_DIR / file)
