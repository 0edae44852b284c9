"""The mask classifier on ONNX Runtime: class probabilities of face crops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort

from utils.classes import CLASS_NAMES, MASK_CLASSES, decide
from utils.detect.crops import to_input
from utils.detect.onnx_session import open_session, share_cores
from utils.paths import MODEL_DIR, get_version
from utils.program import count_cores

# The 8-bit model. The float model lies beside it; notebook 02 compares the two.
CLASSIFIER_FILE = MODEL_DIR / "mask_classifier_int8.onnx"
# The level of a model file that names none. ``evaluate.choose_unsure_level`` chooses one.
UNSURE_BELOW = 0.55
NEEDED_CLASSES = CLASS_NAMES[:2]  # every classifier tells these apart
BATCH_SIZE = 32  # faces per run of the network, to bound the memory that a crowd takes


@dataclass(frozen=True)
class Classifier:
    """A loaded mask classifier.

    Attributes:
        session: maps (N, S, S, 3) float32 RGB in 0-255 to a probability of each of its classes.
        class_names: the columns of the output, some or all of ``CLASS_NAMES`` in their order.
        input_size: S, pixels.
        threshold: a box whose ``no_face`` probability reaches it is dropped.
        unsure_below: an answer whose ``measure_sureness`` is lower is unsure.
        path: the model file. A pickled classifier, as for another process, is opened anew there.
    """

    session: ort.InferenceSession
    class_names: tuple[str, ...]
    input_size: int
    threshold: float
    unsure_below: float = UNSURE_BELOW
    path: Path = CLASSIFIER_FILE

    def __reduce__(self) -> tuple:
        settings = (self.threshold, self.unsure_below)
        return _open_again, (self.path, get_version(self.path), settings)


def _open_again(path: Path, version: tuple[int, int], settings: tuple[float, float]) -> Classifier:
    """Return a classifier in a process beside others. The version tells a new model from an old."""
    with share_cores(count_cores()):
        classifier = load_classifier(path)
    return replace(classifier, threshold=settings[0], unsure_below=settings[1])


def load_classifier(path: str | Path = CLASSIFIER_FILE) -> Classifier:
    """Load a classifier. Classes, input size and threshold are read from the model file.

    A classifier may know fewer classes than ``CLASS_NAMES``, such as with and without a mask alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or it is not a mask classifier.
    """
    session, metadata = open_session(path)
    try:
        classifier = Classifier(
            session=session,
            class_names=tuple(json.loads(metadata["class_names"])),
            input_size=int(metadata["input_size"]),
            threshold=float(metadata["threshold"]),
            unsure_below=float(metadata.get("unsure_below", UNSURE_BELOW)),
            path=Path(path).resolve(),
        )
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"The model file {path} is damaged or not a mask classifier: "
            "restore it with `git checkout` or train it anew."
        ) from error
    known = tuple(name for name in CLASS_NAMES if name in classifier.class_names)
    if classifier.class_names != known or not set(NEEDED_CLASSES) <= set(known):
        raise ValueError(
            f"The model file {path} has the classes {classifier.class_names}; this program needs "
            f"{CLASS_NAMES}, or some of them in this order with {' and '.join(NEEDED_CLASSES)}."
        )
    return classifier


def classify_faces(classifier: Classifier, faces: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the probability of each class for each face.

    Args:
        classifier: from ``load_classifier``.
        faces: N crops from ``crop_faces``, (H, W, 3) uint8 RGB of any size.

    Returns:
        ``y_prob`` (N, C) float32. Rows sum to 1; columns are in the order of ``CLASS_NAMES``, and
        those of classes that the classifier does not know are 0.
    """
    input_name = classifier.session.get_inputs()[0].name
    columns = [CLASS_NAMES.index(name) for name in classifier.class_names]
    parts = [np.zeros((0, len(CLASS_NAMES)), np.float32)]
    for start in range(0, len(faces), BATCH_SIZE):
        batch = to_input(faces[start : start + BATCH_SIZE], classifier.input_size)
        (of_known,) = classifier.session.run(None, {input_name: batch})
        y_prob = np.zeros((len(batch), len(CLASS_NAMES)), np.float32)
        y_prob[:, columns] = of_known
        parts.append(y_prob)
    return np.concatenate(parts)


def blend_probabilities(
    y_prob: np.ndarray, y_prob_detector: np.ndarray, detector_share: float
) -> np.ndarray:
    """Blend the classifier's probabilities with the detector's.

    The blend is a weighted geometric mean over the mask classes. The classifier's ``no_face``
    probability stays as it is.

    Args:
        y_prob: (N, C), the classifier's.
        y_prob_detector: (N, C), the detector's.
        detector_share: weight of the detector, 0-1.

    Returns:
        (N, C) float32; rows sum to 1.
    """
    count = len(MASK_CLASSES)
    of_classifier = np.clip(y_prob[:, :count], 1e-6, 1)
    of_detector = np.clip(y_prob_detector[:, :count], 1e-6, 1)
    product = of_classifier ** (1 - detector_share) * of_detector**detector_share
    no_face = y_prob[:, count:]
    is_face = 1 - no_face.sum(axis=1, keepdims=True)
    blended = product / product.sum(axis=1, keepdims=True) * is_face
    return np.concatenate([blended, no_face], axis=1).astype(np.float32)


def measure_sureness(
    y_prob: np.ndarray, y_prob_classifier: np.ndarray, y_prob_detector: np.ndarray | None
) -> np.ndarray:
    """Measure how sure each answer is.

    This is the probability of the answer. If the detector has an opinion too, it is at most the
    mean of the two opinions' probabilities of the answer. So it is low if the answer is unlikely,
    and if the detector and the classifier clearly differ.

    Args:
        y_prob: (N, C), from which ``decide`` takes the answer.
        y_prob_classifier: (N, C), the classifier's.
        y_prob_detector: (N, C), the detector's, or None.

    Returns:
        (N,) in 0-1.
    """
    rows = np.arange(len(y_prob))
    answer = decide(y_prob)
    sureness = y_prob[rows, answer]
    if y_prob_detector is None:
        return sureness
    mean = (y_prob_classifier[rows, answer] + y_prob_detector[rows, answer]) / 2
    return np.minimum(sureness, mean)
