"""What several tests share: pictures of coloured blocks, stand-ins that find and judge them, a small label table."""

import importlib.util
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from utils.boxes import Detections
from utils.classes import CLASS_NAMES
from utils.detect import Classifier, detect_masks
from utils.paths import ROOT

BLOCK_COLORS = dict(
    zip(CLASS_NAMES, [(230, 20, 20), (20, 230, 20), (20, 20, 230), (230, 230, 20)], strict=True)
)


def draw_blocks(
    *blocks: tuple[str, tuple[int, int, int, int]], resolution_wh: tuple[int, int] = (160, 120)
):
    """A grey picture with a block in its class's colour for each (class_name, box)."""
    image = np.full((*resolution_wh[::-1], 3), 128, np.uint8)
    for name, (x_min, y_min, x_max, y_max) in blocks:
        image[y_min:y_max, x_min:x_max] = BLOCK_COLORS[name]
    return image


def find_blocks(image: np.ndarray) -> Detections:
    """A detector: faces are what has colour. The leftmost is the most confident."""
    colourful = (np.ptp(image.astype(int), axis=2) > 90).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(colourful)
    found = sorted((x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area > 20)
    return Detections(
        np.array(found, np.float32).reshape(-1, 4),
        0.9 - 0.01 * np.arange(len(found), dtype=np.float32),
    )


class MeanColour:
    """In the place of an ONNX Runtime session: a face is what its mean colour is most like."""

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
def judge(fake_classifier) -> Callable[[np.ndarray], Detections]:
    return partial(detect_masks, detector=find_blocks, classifier=fake_classifier)


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """The script as a module, whose name is no Python name."""
    spec = importlib.util.spec_from_file_location("script", ROOT / "03-detect_face_using_mask.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
