"""Faces of a film judged in turns: all are found in every frame, but whose class has settled is judged now and then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from utils.boxes import Detections, as_boxes, box_iou
from utils.classes import CLASS_NAMES, decide
from utils.detect import Classifier, Detector, detect_masks

SETTLED = 5  # judgements of one class in a row after which a face may wait ...
EVERY = (
    5  # ... so that at most every fifth of such faces is judged in a frame: a lone one is, always
)
SAME = 0.6  # overlap of two frames' boxes that are surely one face ...
APART = 0.1  # ... where each overlaps no third by more


class JudgeInTurns:
    """A judge of one film's or camera's frames, in their order; its answers are those of ``detect_masks``.

    A face that waits keeps its last judgement. It is judged at once where the detector's own opinion of it differs, and
    as soon as one judgement differs it is judged in every frame again, so that a mask taken off is told as quickly.
    """

    def __init__(self, detector: Detector, classifier: Classifier) -> None:
        """Args: detector, classifier: as ``detect_masks`` takes them."""
        self._detector, self._classifier = detector, classifier
        self._xyxy, self._y_prob = as_boxes([]), np.zeros((0, len(CLASS_NAMES)), np.float32)
        self._streak = self._waited = np.zeros(
            0, int
        )  # judgements of one class in a row; frames since the last

    def __call__(self, image: np.ndarray) -> Detections:
        found = self._detector(image)
        found = found[np.argsort(-found.confidence, kind="stable")]
        known = self._recognise(found.xyxy)
        y_prob, streak, waited = (
            np.concatenate([rows, np.zeros_like(rows, shape=(1, *rows.shape[1:]))])[
                known
            ]  # those of nobody are 0
            for rows in (self._y_prob, self._streak, self._waited)
        )
        settled = streak >= SETTLED
        if found.y_prob is not None:
            settled &= decide(found.y_prob) == decide(y_prob)
        waiting = np.flatnonzero(settled)
        first = waiting[np.argsort(-waited[waiting], kind="stable")][: -(-len(waiting) // EVERY)]
        due = np.union1d(np.flatnonzero(~settled), first)
        numbered = replace(found, track_id=np.arange(len(found)))
        judged = detect_masks(image, lambda image: numbered[due], self._classifier)
        again = judged.track_id
        streak[again] = (
            np.where(decide(judged.y_prob) == decide(y_prob[again]), streak[again], 0) + 1
        )
        y_prob[again] = judged.y_prob
        waited = waited + 1
        waited[again] = 0
        kept = np.setdiff1d(
            np.arange(len(found)), np.setdiff1d(due, again)
        )  # without what is no face
        found = replace(found[kept], y_prob=y_prob[kept])
        self._xyxy, self._y_prob, self._streak, self._waited = (
            found.xyxy,
            found.y_prob,
            streak[kept],
            waited[kept],
        )
        return found

    def _recognise(self, xyxy: np.ndarray) -> np.ndarray:
        """For each box the position of the last frame's that is surely the same face, else -1: (N,)."""
        iou = box_iou(xyxy, self._xyxy)
        alone = (
            (iou > SAME)
            & ((iou > APART).sum(axis=1, keepdims=True) == 1)
            & ((iou > APART).sum(axis=0) == 1)
        )
        return (
            np.where(alone.any(axis=1), alone.argmax(axis=1), -1)
            if iou.size
            else np.full(len(xyxy), -1)
        )
