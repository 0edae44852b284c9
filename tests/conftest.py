"""Shared by many tests: what a test needs, pictures of coloured blocks, and a fake pipeline."""

import importlib.util
import os
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from utils.boxes import Detections
from utils.classes import CLASS_NAMES
from utils.detect import Classifier, detect_masks
from utils.paths import ROOT, SHARED_DIR

# TensorFlow reads this once, when it is imported. 3: print errors only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RUNTIME_DIR = ROOT / "output" / "page" / "runtime"  # where `make page` puts ONNX Runtime
SETUP = "`make system` installs it or says how"
GREY = 128  # of the background of pictures
BLOCK_COLORS = {
    "with_mask": (230, 20, 20),
    "without_mask": (20, 230, 20),
    "mask_worn_incorrectly": (20, 20, 230),
    "no_face": (230, 230, 20),
}


def find_chromium() -> str | None:
    """Return the path of Chromium or Chrome, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


def find_missing(item: pytest.Item) -> str:
    """Return what a test's markers ask for and this machine lacks, as a sentence, or ""."""
    if item.get_closest_marker("browser") and not find_chromium():
        return f"no Chromium: {SETUP}"
    if item.get_closest_marker("display"):
        for program in ("Xvfb", "xdotool"):
            if not shutil.which(program):
                return f"no {program}: {SETUP}"
    if item.get_closest_marker("page") and not RUNTIME_DIR.is_dir():
        return "no runtime of the web page: `make page` fetches it with npm"
    shared = item.get_closest_marker("shared")
    if shared and not (SHARED_DIR / shared.args[0]).exists():
        return "no ../shared, which holds photographs that may not be published"
    return ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs or photographs are missing."""
    missing = find_missing(item)
    if missing:
        pytest.skip(missing)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of a run how many tests were skipped and why, one line per reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


def draw_blocks(
    *blocks: tuple[str, tuple[int, int, int, int]], resolution_wh: tuple[int, int] = (160, 120)
) -> np.ndarray:
    """Return a grey picture with a block in the colour of its class for each (class_name, box)."""
    width, height = resolution_wh
    image = np.full((height, width, 3), GREY, np.uint8)
    for name, (x_min, y_min, x_max, y_max) in blocks:
        image[y_min:y_max, x_min:x_max] = BLOCK_COLORS[name]
    return image


def find_blocks(image: np.ndarray) -> Detections:
    """Detect blocks, as a fake detector. The leftmost block is the most confident."""
    is_colourful = (np.ptp(image.astype(int), axis=2) > 90).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(is_colourful)
    boxes = []
    for x, y, width, height, area in stats[1:].tolist():
        if area > 20:
            boxes.append((x, y, x + width, y + height))
    confidence = 0.9 - 0.01 * np.arange(len(boxes), dtype=np.float32)
    return Detections(np.array(sorted(boxes), np.float32).reshape(-1, 4), confidence)


class MeanColour:
    """A fake ONNX Runtime session: the class of a face follows from its mean colour."""

    weights = np.array([[1, 0, 0, 0.75], [0, 1, 0, 0.75], [0, 0, 1, -0.75]]) * 40 / 255

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="pixels")]

    def run(self, _, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        odds = np.exp(feeds["pixels"].mean(axis=(1, 2)) @ self.weights)
        return [(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)]


@pytest.fixture(scope="session")
def fake_classifier() -> Classifier:
    return Classifier(MeanColour(), CLASS_NAMES, input_size=16, threshold=0.5)


@pytest.fixture(scope="session")
def pipeline(fake_classifier) -> Callable[[np.ndarray], Detections]:
    return partial(detect_masks, detector=find_blocks, classifier=fake_classifier)


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """Return the script as a module. Its file name is not a valid module name."""
    spec = importlib.util.spec_from_file_location("script", ROOT / "03-detect_face_using_mask.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
