"""Detect the faces of every frame, and classify each face only when its class may have changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from utils.boxes import Detections, as_boxes, box_iou
from utils.classes import CLASS_NAMES, decide
from utils.detect import Classifier, Detector, detect_masks

SETTLED = 5  # a face is settled after this many classifications in a row with the same class
EVERY = 5  # one in this many settled faces is classified per frame, rounded up
# Two boxes of successive frames are the same face if their IoU is above SAME_IOU, and neither of
# them has an IoU above OTHER_IOU with a third box.
SAME_IOU = 0.6
OTHER_IOU = 0.1


@dataclass
class _Faces:
    """The faces of a frame, as parallel arrays.

    Attributes:
        xyxy: (N, 4) boxes, pixels.
        y_prob: (N, C) the last classification; 0 if there is none.
        is_unsure: (N,) bool, whether that classification is in doubt.
        streak: (N,) number of classifications in a row with the same class.
        waited: (N,) number of frames since the last classification.
    """

    xyxy: np.ndarray = field(default_factory=lambda: as_boxes([]))
    y_prob: np.ndarray = field(default_factory=lambda: np.zeros((0, len(CLASS_NAMES)), np.float32))
    is_unsure: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    streak: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    waited: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def select(self, index: np.ndarray) -> _Faces:
        """Return copies of the faces at some positions."""
        return _Faces(
            xyxy=self.xyxy[index],
            y_prob=self.y_prob[index],
            is_unsure=self.is_unsure[index],
            streak=self.streak[index],
            waited=self.waited[index],
        )


class VideoPipeline:
    """Detects and classifies the faces of successive frames; returns what ``detect_masks`` does.

    A settled face keeps its last classification for some frames. It is classified at once if the
    detector's own prediction of its class differs. If a classification differs from the last one,
    the face is not settled any more and is classified in every frame. So a change is reported as
    quickly as if every face was classified in every frame.
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
        classified, y_prob, is_unsure = self._classify(image, found, due)

        is_same = decide(y_prob) == decide(faces.y_prob[classified])
        faces.streak[classified] = np.where(is_same, faces.streak[classified], 0) + 1
        faces.y_prob[classified] = y_prob
        faces.is_unsure[classified] = is_unsure
        faces.waited += 1
        faces.waited[classified] = 0

        rejected = np.setdiff1d(due, classified)
        kept = np.setdiff1d(np.arange(len(found)), rejected)
        self._last = faces.select(kept)
        return replace(found[kept], y_prob=faces.y_prob[kept], is_unsure=faces.is_unsure[kept])

    def _classify(
        self, image: np.ndarray, found: Detections, positions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Classify some of the detections of a frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            found: the detections.
            positions: (K,) which of them to classify.

        Returns:
            The positions (M,) of those that the classifier takes for faces, their ``y_prob``
            (M, C) and their ``is_unsure`` (M,).
        """
        # ``detect_masks`` drops the other boxes. The positions in ``track_id`` tell which are left.
        numbered = replace(found, track_id=np.arange(len(found)))

        def select(_: np.ndarray) -> Detections:
            return numbered[positions]

        classified = detect_masks(image, detector=select, classifier=self._classifier)
        return (
            np.asarray(classified.track_id),
            np.asarray(classified.y_prob),
            np.asarray(classified.is_unsure),
        )

    def _recall(self, xyxy: np.ndarray) -> _Faces:
        """Return what the last frame knew about the faces of this one; zeros for new faces.

        Args:
            xyxy: (N, 4) boxes of this frame.
        """
        iou = box_iou(xyxy, self._last.xyxy)
        overlaps = iou > OTHER_IOU
        found_once = overlaps.sum(axis=1) == 1  # boxes that overlap one box of the last frame
        seen_once = overlaps.sum(axis=0) == 1  # boxes of the last frame that overlap one of these
        is_same = (iou > SAME_IOU) & found_once[:, None] & seen_once[None]
        position, last_position = np.nonzero(is_same)
        faces = _Faces(
            xyxy=xyxy,
            y_prob=np.zeros((len(xyxy), len(CLASS_NAMES)), np.float32),
            is_unsure=np.zeros(len(xyxy), bool),
            streak=np.zeros(len(xyxy), int),
            waited=np.zeros(len(xyxy), int),
        )
        faces.y_prob[position] = self._last.y_prob[last_position]
        faces.is_unsure[position] = self._last.is_unsure[last_position]
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
        count = math.ceil(len(settled) / EVERY)
        longest = settled[np.argsort(-faces.waited[settled], kind="stable")][:count]
        return np.union1d(np.flatnonzero(~is_settled), longest)
