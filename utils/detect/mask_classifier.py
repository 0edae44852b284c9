"""Judge faces: the mask classifier on ONNX Runtime. No TensorFlow here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.detect.crops import to_input
from utils.detect.onnx_session import open_session
from utils.paths import MODEL_DIR

CLASSIFIER_FILE = (
    MODEL_DIR / "mask_classifier_int8.onnx"
)  # 8 bits; the float file lies beside it: notebook 02
BATCH = 32  # faces a call of the network, so that a crowd does not fill the memory


@dataclass(frozen=True)
class Classifier:
    """A loaded mask classifier.

    Attributes:
        session: takes (N, S, S, 3) float32 RGB in 0-255 and gives (N, C) calibrated probabilities.
        class_names: the columns of the output.
        input_size: S, pixels.
        threshold: a face whose ``no_face`` probability reaches it is none.
    """

    session: ort.InferenceSession
    class_names: tuple[str, ...]
    input_size: int
    threshold: float


def load_classifier(path: str | Path = CLASSIFIER_FILE) -> Classifier:
    """Load a classifier; classes, input size and threshold are read from the file itself.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or is no mask classifier.
    """
    session, metadata = open_session(path)
    try:
        class_names = tuple(json.loads(metadata["class_names"]))
        classifier = Classifier(
            session, class_names, int(metadata["input_size"]), float(metadata["threshold"])
        )
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"The model file {path} is damaged or no mask classifier: restore or retrain it."
        ) from error
    if class_names != CLASS_NAMES:
        raise ValueError(
            f"The model file {path} has the classes {class_names}; this program needs {CLASS_NAMES}."
        )
    return classifier


def classify_faces(classifier: Classifier, faces: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities of each class for each face.

    Args:
        classifier: from ``load_classifier``.
        faces: N crops, (H, W, 3) uint8 RGB of any size, as ``faces.crop_faces`` makes them.

    Returns:
        ``y_prob`` (N, C) float32; rows sum to 1, columns as ``classes.CLASS_NAMES``.
    """
    parts = [np.zeros((0, len(classifier.class_names)), np.float32)]
    for start in range(0, len(faces), BATCH):
        batch = to_input(faces[start : start + BATCH], classifier.input_size)
        parts.append(
            classifier.session.run(None, {classifier.session.get_inputs()[0].name: batch})[0]
        )
    return np.concatenate(parts)


def blend_probabilities(y_prob: np.ndarray, y_prob_other: np.ndarray, share: float) -> np.ndarray:
    """Two opinions of the same faces as one: a weighted geometric mean over the classes that a person is told.

    Args:
        y_prob: (N, C) the classifier's; its ``no_face`` stays as it is.
        y_prob_other: (N, C) the detector's own.
        share: the weight of the other opinion, 0-1.

    Returns:
        (N, C) float32; rows sum to 1.
    """
    told = len(MASK_CLASSES)
    odds = (
        np.clip(y_prob[:, :told], 1e-6, 1) ** (1 - share)
        * np.clip(y_prob_other[:, :told], 1e-6, 1) ** share
    )
    rest = y_prob[:, told:]
    blended = odds / odds.sum(axis=1, keepdims=True) * (1 - rest.sum(axis=1, keepdims=True))
    return np.concatenate([blended, rest], axis=1).astype(np.float32)
