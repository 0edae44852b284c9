"""Image to faces to masks: the one inference path that notebooks, the script and everything else use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.boxes import Detections
from utils.classes import NO_FACE
from utils.classes import decide as decide  # drawing and writing need it too, and lie below
from utils.crops import crop_faces
from utils.faces import Detector, load_detector
from utils.masks import CLASSIFIER_FILE, Classifier, classify_faces, load_classifier


def load_models(
    detector: str = "yunet", min_confidence: float = 0.5, classifier: str | Path = CLASSIFIER_FILE
) -> tuple[Detector, Classifier]:
    """Both models, ready for ``detect_masks``; errors as ``load_detector`` and ``load_classifier`` raise them."""
    return load_detector(detector, min_confidence), load_classifier(classifier)


def detect_masks(image: np.ndarray, detector: Detector, classifier: Classifier) -> Detections:
    """Find the faces of an image and judge each.

    Args:
        image: (H, W, 3) uint8 RGB.
        detector: finds faces.
        classifier: judges them; a box that it calls ``no_face`` is dropped.

    Returns:
        Detections with ``y_prob`` (N, C), the most confident first.
    """
    found = detector(image)
    found = found[np.argsort(-found.confidence, kind="stable")]
    found = replace(found, y_prob=classify_faces(classifier, crop_faces(image, found.xyxy)))
    return found[found.y_prob[:, NO_FACE] < classifier.threshold]
