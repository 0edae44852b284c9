"""Image to faces to masks: the one inference path that notebooks, the script and everything else use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from utils.boxes import Detections
from utils.classes import NO_FACE
from utils.classes import decide as decide  # drawing and writing need it too, and lie below
from utils.detect.crops import crop_faces
from utils.detect.face_detector import Detector, load_detector
from utils.detect.mask_classifier import (
    CLASSIFIER_FILE,
    Classifier,
    blend_probabilities,
    classify_faces,
    load_classifier,
)

Judge = Callable[[np.ndarray], Detections]  # an image to its faces with ``y_prob``
DETECTOR_SHARE = 0.25  # best on validation: notebook 04


def load_models(
    detector: str = "ssd",
    min_confidence: float = 0.5,
    classifier: str | Path = CLASSIFIER_FILE,
    **options: object,
) -> tuple[Detector, Classifier]:
    """Both models, ready for ``detect_masks``; ``options`` are the detector's.

    Raises:
        FileNotFoundError, ValueError: as ``load_detector`` and ``load_classifier`` raise them.
    """
    return load_detector(detector, min_confidence, **options), load_classifier(classifier)


def load_judge(*asked: object, detector_share: float = DETECTOR_SHARE, **options: object) -> Judge:
    """Both models as one callable, an image to its judged faces; arguments and errors are those of ``load_models``."""
    detector, classifier = load_models(*asked, **options)
    return partial(
        detect_masks, detector=detector, classifier=classifier, detector_share=detector_share
    )


def detect_masks(
    image: np.ndarray,
    detector: Detector,
    classifier: Classifier,
    detector_share: float = DETECTOR_SHARE,
) -> Detections:
    """Find the faces of an image and judge each.

    Args:
        image: (H, W, 3) uint8 RGB.
        detector: finds faces.
        classifier: judges them; a box that it calls ``no_face`` is dropped.
        detector_share: the weight of the detector's own opinion of the class, where it has one, 0-1.

    Returns:
        Detections with ``y_prob`` (N, C), the most confident first.
    """
    found = detector(image)
    found = found[np.argsort(-found.confidence, kind="stable")]
    y_prob = classify_faces(classifier, crop_faces(image, found.xyxy))
    if found.y_prob is not None:
        y_prob = blend_probabilities(y_prob, found.y_prob, detector_share)
    found = replace(found, y_prob=y_prob)
    return found[found.y_prob[:, NO_FACE] < classifier.threshold]
