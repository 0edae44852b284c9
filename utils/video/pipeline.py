"""Detect the faces of every frame, and classify each face only when its class may have changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from utils.boxes import Detections, as_boxes, box_iou
from utils.classes import CLASS_NAMES, decide
from utils.detect import Classifier, Detector, detect_masks

SETTLED = 5  # a face is settled after this many classifications in a row with the same class
EVERY = 5  # one in this many settled faces is classified per frame, rounded up
SAME_IOU = 0.6  # two boxes of successive frames are the same face if they overlap by more ...
OTHER_IOU = 0.1  # ... and neither overlaps a third box by more than this


@dataclass
class _Faces:
    """The faces of a frame, as parallel arrays.

    Attributes:
        xyxy: (N, 4) boxes, pixels.
        y_prob: (N, C) the last classification; 0 if there is none.
        streak: (N,) number of classifications in a row with the same class.
        waited: (N,) number of frames since the last classification.
    """

    xyxy: np.ndarray = field(default_factory=lambda: as_boxes([]))
    y_prob: np.ndarray = field(default_factory=lambda: np.zeros((0, len(CLASS_NAMES)), np.float32))
    streak: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    waited: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def select(self, index: np.ndarray) -> _Faces:
        """Return copies of the faces at some positions."""
        return _Faces(
            xyxy=self.xyxy[index],
            y_prob=self.y_prob[index],
            streak=self.streak[index],
            waited=self.waited[index],
        )


class VideoPipeline:
    """Detects and classifies the faces of successive frames; answers like ``detect_masks``.

    A face that waits keeps its last classification. It is classified at once if the detector's own
    prediction of its class differs, and in every frame again after a classification differs, so
    that a change is reported as quickly as without waiting.
    """

    def __init__(self, detector: Detector, classifier: Classifier) -> None:
        """Create a pipeline for the frames of one video.

        Args:
            detector: finds faces, as ``detect_masks`` takes it.
            classifier: from ``load_classifier``.
        """
        self._detector = detector
        self._classifier = classifier
        self._last = _Faces()

    def __call__(self, image: np.ndarray) -> Detections:
        """Return the classified faces of the next frame, the most confident first.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        found = self._detector(image)
        found = found[np.argsort(-found.confidence, kind="stable")]
        faces = self._recall(found.xyxy)
        due = self._list_due(found, faces)
        numbered = replace(found, track_id=np.arange(len(found)))
        classified = detect_masks(image, lambda _: numbered[due], self._classifier)
        # ``detect_masks`` drops what is no face: the numbers tell which boxes are left.
        done = np.asarray(classified.track_id)
        y_prob = np.asarray(classified.y_prob)
        is_same = decide(y_prob) == decide(faces.y_prob[done])
        faces.streak[done] = np.where(is_same, faces.streak[done], 0) + 1
        faces.y_prob[done] = y_prob
        faces.waited += 1
        faces.waited[done] = 0
        rejected = np.setdiff1d(due, done)
        kept = np.setdiff1d(np.arange(len(found)), rejected)
        self._last = faces.select(kept)
        return replace(found[kept], y_prob=faces.y_prob[kept])

    def _recall(self, xyxy: np.ndarray) -> _Faces:
        """Return what is known of faces from the last frame; zeros for new faces."""
        iou = box_iou(xyxy, self._last.xyxy)
        overlaps = iou > OTHER_IOU
        is_alone = (overlaps.sum(axis=1, keepdims=True) == 1) & (overlaps.sum(axis=0) == 1)
        position, last_position = np.nonzero((iou > SAME_IOU) & is_alone)
        faces = _Faces(
            xyxy=xyxy,
            y_prob=np.zeros((len(xyxy), len(CLASS_NAMES)), np.float32),
            streak=np.zeros(len(xyxy), int),
            waited=np.zeros(len(xyxy), int),
        )
        faces.y_prob[position] = self._last.y_prob[last_position]
        faces.streak[position] = self._last.streak[last_position]
        faces.waited[position] = self._last.waited[last_position]
        return faces

    def _list_due(self, found: Detections, faces: _Faces) -> np.ndarray:
        """Return the positions of the faces to classify in this frame, in order.

        These are all faces that are not settled, and those settled faces that waited longest.
        """
        is_settled = faces.streak >= SETTLED
        if found.y_prob is not None:
            is_settled &= decide(found.y_prob) == decide(faces.y_prob)
        settled = np.flatnonzero(is_settled)
        count = -(-len(settled) // EVERY)  # rounded up
        longest = settled[np.argsort(-faces.waited[settled], kind="stable")][:count]
        return np.union1d(np.flatnonzero(~is_settled), longest)
