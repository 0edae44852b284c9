"""The detection pipeline: an image to its faces, and each face to its class probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from utils.boxes import Detections
from utils.classes import NO_FACE
from utils.detect.crops import crop_faces
from utils.detect.face_detector import FCOS
from utils.detect.mask_classifier import (
    CLASSIFIER_FILE,
    Classifier,
    blend_probabilities,
    classify_faces,
    load_classifier,
    measure_sureness,
)
from utils.detect.opencv_detectors import Res10, YuNet
from utils.images import ImageError, read_image_apart

# Both map an (H, W, 3) uint8 RGB image to its faces. A pipeline also classifies them (``y_prob``).
Detector = Callable[[np.ndarray], Detections]
Pipeline = Callable[[np.ndarray], Detections]

DETECTORS: dict[str, Callable[..., Detector]] = {"fcos": FCOS, "yunet": YuNet, "res10": Res10}
DETECTOR_SYNONYMS = {"ssd": "fcos"}  # the name in earlier versions
DETECTOR_SHARE = 0.25  # weight of the detector's class probabilities; chosen in notebook 04


def load_detector(name: str = "fcos", min_confidence: float = 0.5, **options: Any) -> Detector:
    """Load a face detector.

    Args:
        name: one of ``DETECTORS``. Only ``fcos`` sets ``y_prob``.
        min_confidence: least confidence of a face.
        **options: further arguments of the detector's class.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: the name is unknown, or the model file is damaged.
    """
    name = DETECTOR_SYNONYMS.get(name, name)
    if name not in DETECTORS:
        raise ValueError(f"There is no detector '{name}': use one of {', '.join(DETECTORS)}.")
    return DETECTORS[name](min_confidence=min_confidence, **options)


def load_models(
    detector: str = "fcos",
    min_confidence: float = 0.5,
    classifier: str | Path = CLASSIFIER_FILE,
    **options: Any,
) -> tuple[Detector, Classifier]:
    """Load a detector and a classifier for ``detect_masks``.

    Args:
        detector: name of the detector.
        min_confidence: least confidence of a face.
        classifier: model file of the classifier.
        **options: further arguments of the detector's class.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: the name is unknown, or a model file is damaged.
    """
    return load_detector(detector, min_confidence, **options), load_classifier(classifier)


def load_pipeline(
    detector: str = "fcos",
    min_confidence: float = 0.5,
    classifier: str | Path = CLASSIFIER_FILE,
    *,
    detector_share: float = DETECTOR_SHARE,
    **options: Any,
) -> Pipeline:
    """Load both models as one function of an image.

    Args:
        detector, min_confidence, classifier, options: as in ``load_models``.
        detector_share: as in ``detect_masks``.

    Raises:
        FileNotFoundError, ValueError: as in ``load_models``.
    """
    face_detector, mask_classifier = load_models(detector, min_confidence, classifier, **options)
    return partial(
        detect_masks,
        detector=face_detector,
        classifier=mask_classifier,
        detector_share=detector_share,
    )


def detect_masks(
    image: np.ndarray,
    detector: Detector,
    classifier: Classifier,
    detector_share: float = DETECTOR_SHARE,
) -> Detections:
    """Find the faces of an image and classify each.

    Args:
        image: (H, W, 3) uint8 RGB.
        detector: finds the faces.
        classifier: gives the class probabilities. Boxes that it calls ``no_face`` are dropped.
        detector_share: weight of the detector's class probabilities, if it has any, 0-1.

    Returns:
        Detections with ``y_prob`` (N, C) and ``is_unsure`` (N,), the most confident first.
    """
    found = detector(image)
    found = found[np.argsort(-found.confidence, kind="stable")]
    y_prob = classify_faces(classifier, crop_faces(image, found.xyxy))
    return combine_opinions(
        found, y_prob, classifier.threshold, classifier.unsure_below, detector_share
    )


def combine_opinions(
    found: Detections,
    y_prob_classifier: np.ndarray,
    threshold: float,
    unsure_below: float,
    detector_share: float = DETECTOR_SHARE,
) -> Detections:
    """Return the faces with the probabilities that detector and classifier give together.

    Args:
        found: the detector's answer, with N boxes.
        y_prob_classifier: (N, C), the classifier's answer.
        threshold, unsure_below: as in ``Classifier``.
        detector_share: weight of the detector's class probabilities, if it has any, 0-1.

    Returns:
        Detections with ``y_prob`` (M, C) and ``is_unsure`` (M,), without the boxes that the
        classifier calls ``no_face``.
    """
    y_prob = y_prob_classifier
    if found.y_prob is not None:
        y_prob = blend_probabilities(y_prob_classifier, found.y_prob, detector_share)
    sureness = measure_sureness(y_prob, y_prob_classifier, found.y_prob)
    is_face = y_prob[:, NO_FACE] < threshold
    return replace(found, y_prob=y_prob, is_unsure=sureness < unsure_below)[is_face]


def one_at_a_time(detector: Detector) -> Detector:
    """Return a detector that several threads may use: each waits for its turn."""
    return _OneAtATime(detector)


class _OneAtATime:
    """A detector that one thread at a time may call. In another process it has its own lock."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._lock = Lock()

    def __call__(self, image: np.ndarray) -> Detections:
        with self._lock:
            return self._detector(image)

    def __reduce__(self) -> tuple[type, tuple[Detector]]:
        return _OneAtATime, (self._detector,)


def find_faces(
    files: Iterable[str | Path], detector: Detector, name: str = "finding faces"
) -> Iterator[tuple[Path, np.ndarray, Detections]]:
    """Run a detector over image files, with a progress bar.

    A file that cannot be read is reported and skipped.

    Args:
        files: image files.
        detector: finds the faces of an image.
        name: of the progress bar.

    Yields:
        The file, its image and the detections.
    """
    # Imported here because a single image needs no progress bar.
    from tqdm.auto import tqdm

    for file in tqdm(list(files), desc=name, unit="image", leave=False):
        try:
            image = read_image_apart(file)
        except ImageError as error:
            tqdm.write(str(error))
            continue
        yield Path(file), image, detector(image)
