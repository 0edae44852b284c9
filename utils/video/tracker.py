"""Who is who between the frames of a video, and what each one wears by the votes of the last second.

ByteTrack's idea (Zhang et al., 2022) in a few lines: boxes that are sure find their tracks first, then boxes that are
unsure find those that are left, so that a face turning away is not lost; and C-BIoU's (Yang et al., 2023): overlap is
measured between enlarged boxes, so that a small face that moves quickly still meets its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from utils.boxes import Detections, as_boxes, box_iou

ENLARGED = 0.3  # of its size that a box grows by on each side before overlaps are measured
MIN_IOU = 0.1  # of enlarged boxes, to be the same face
MEMORY = 1.0  # seconds that a face may be hidden and still be the same, and over which it votes
GAP = 0.4  # seconds between frames from which on nothing was watched: a stream that breaks ages nobody ...
OUTAGE = 10.0  # ... but for one so long that people have moved on
STEADY = 0.5  # seconds over which a track's velocity is averaged
WHOLE = 3  # how quickly a box that changes its shape loses its say in that: behind somebody its middle jumps
DOUBT = 0.4  # of overlap that each second out of sight costs: who was just seen is likelier than who is hidden there
INERTIA = 0.12  # the share of all votes that the present label has besides, so that a tie does not flicker
CONFIRMED = (
    3  # times seen before a track counts: a detector's mistake is seldom made again and again ...
)
PROBATION = 2  # ... with no more frames missed in a row meanwhile


@dataclass(eq=False)
class Track:
    """One face over time.

    Attributes:
        xyxy: (4,) where it was seen last, pixels.
        time_s: when that was.
        velocity: (2,) of its centre, pixels a second.
        size: (2,) its width and height, whole also while it is half hidden, pixels.
        votes: (seconds, weight, (C,) probabilities) of the last second.
        hits: how often it was seen for sure.
        missed: frames since it was seen at all.
        track_id: its number from 1, 0 until it counts.
        class_id: its present label.
    """

    xyxy: np.ndarray
    time_s: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    size: np.ndarray = field(default_factory=lambda: np.zeros(2))
    votes: deque = field(default_factory=deque)
    hits: int = 0
    missed: int = 0
    track_id: int = 0
    class_id: int | None = None

    def predict(self, time_s: float) -> np.ndarray:
        """(4,) where it should be by now."""
        centre = (self.xyxy[:2] + self.xyxy[2:]) / 2 + self.velocity * (time_s - self.time_s)
        return np.concatenate([centre - self.size / 2, centre + self.size / 2])

    def is_alive(self, time_s: float) -> bool:
        """Whether it may still be seen again."""
        return time_s - self.time_s <= MEMORY and (
            self.hits >= CONFIRMED or self.missed <= PROBATION
        )

    def see(
        self, xyxy: np.ndarray, time_s: float, weight: float, y_prob: np.ndarray, sure: bool = True
    ) -> None:
        """Take in a box that is this face, and is ``sure`` to be one."""
        passed = time_s - self.time_s
        if self.hits and passed > 0:
            moved, size = (
                (xyxy[:2] + xyxy[2:] - self.xyxy[:2] - self.xyxy[2:]) / 2,
                xyxy[2:] - xyxy[:2],
            )
            whole = (
                np.prod(np.minimum(size, self.size) / np.maximum(np.maximum(size, self.size), 1e-6))
                ** WHOLE
            )
            share = (
                (1 - np.exp(-passed / STEADY)) * whole if self.hits >= CONFIRMED else 1 / self.hits
            )
            self.velocity = (1 - share) * self.velocity + share * moved / passed
            self.size = (1 - share) * self.size + share * size
        if not self.hits:
            self.size = xyxy[2:] - xyxy[:2]
        self.xyxy, self.time_s, self.hits, self.missed = (
            np.asarray(xyxy, float),
            time_s,
            self.hits + sure,
            0,
        )
        self.votes.append((time_s, weight, y_prob))
        while self.votes[0][0] < time_s - MEMORY:
            self.votes.popleft()

    def vote(self) -> np.ndarray:
        """(C,) the mean of its probabilities, each weighted with its detection's confidence."""
        _, weights, probabilities = zip(*self.votes, strict=True)
        y_prob = np.average(probabilities, axis=0, weights=weights)
        if self.class_id is not None:
            y_prob[self.class_id] += INERTIA
            y_prob /= 1 + INERTIA
        self.class_id = int(y_prob.argmax())
        return y_prob


def _enlarge(xyxy: np.ndarray) -> np.ndarray:
    size = xyxy[:, 2:] - xyxy[:, :2]
    return np.concatenate([xyxy[:, :2] - ENLARGED * size, xyxy[:, 2:] + ENLARGED * size], axis=1)


def match_greedily(
    first: np.ndarray, second: np.ndarray, doubt: np.ndarray | float = 0.0, min_iou: float = MIN_IOU
) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap most, best first, each box in one pair at most.

    Args:
        first, second: (N, 4) and (M, 4) boxes, compared enlarged.
        doubt: (N,) overlap that is taken off for the order alone.
        min_iou: pairs that overlap less are none.
    """
    iou = box_iou(_enlarge(as_boxes(first)), _enlarge(as_boxes(second)))
    worth = iou - np.reshape(doubt, (-1, 1))
    pairs, order = [], np.argsort(-worth, axis=None, kind="stable")
    rows, columns = set(), set()
    for row, column in zip(*np.unravel_index(order, iou.shape), strict=True):
        if iou[row, column] >= min_iou and row not in rows and column not in columns:
            pairs.append((int(row), int(column)))
            rows.add(row)
            columns.add(column)
    return pairs


class Tracker:
    """Follows faces from frame to frame.

    Attributes:
        count: how many faces there have been.
    """

    def __init__(self, sure: float = 0.5) -> None:
        """Args: sure: the confidence from which on a box may begin a track; what is less sure only keeps one alive."""
        self.sure, self.count = sure, 0
        self._tracks: list[Track] = []
        self._last_s, self._clock_s = None, 0.0  # of the last frame, and of what was watched

    def update(self, detections: Detections, time_s: float) -> Detections:
        """One frame's faces, each with the votes of its last second, and with ``track_id``, 0 until it counts.

        Boxes under ``sure`` are left out where they are no face that is known.

        Args:
            detections: with ``y_prob`` (N, C); also boxes under ``sure``, where the detector gives them.
            time_s: the frame's moment, seconds; frames may be dropped between two calls.
        """
        passed = 0.0 if self._last_s is None else time_s - self._last_s
        self._last_s, self._clock_s = (
            time_s,
            self._clock_s + (passed if passed > OUTAGE else min(passed, GAP)),
        )
        time_s = self._clock_s
        self._tracks = [track for track in self._tracks if track.is_alive(time_s)]
        seen: dict[int, Track] = {}
        sure = detections.confidence >= self.sure
        for part in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            idle = [track for track in self._tracks if track not in seen.values()]
            predicted = as_boxes([track.predict(time_s) for track in idle])
            doubt = np.array([DOUBT * (time_s - track.time_s) for track in idle])
            seen |= {
                part[j]: idle[i] for i, j in match_greedily(predicted, detections.xyxy[part], doubt)
            }
        for index in np.flatnonzero(sure):
            if index not in seen:
                seen[index] = Track(detections.xyxy[index], time_s)
                self._tracks.append(seen[index])
        for track in self._tracks:
            track.missed += 1
        for index, track in seen.items():
            y_prob = detections.y_prob[index]
            track.see(
                detections.xyxy[index],
                time_s,
                float(detections.confidence[index]),
                y_prob,
                bool(sure[index]),
            )
            if track.hits == CONFIRMED and not track.track_id:
                self.count += 1
                track.track_id = self.count
        shown = sorted(seen)
        y_prob = np.array([seen[index].vote() for index in shown], np.float32)
        track_id = np.array([seen[index].track_id for index in shown], np.int64)
        chosen = detections[shown]
        y_prob = y_prob.reshape(len(shown), detections.y_prob.shape[1])
        return Detections(chosen.xyxy, chosen.confidence, y_prob, track_id)

    def list_hidden(self) -> np.ndarray:
        """(N, 4) where faces should be that were seen in the last second and are not in this frame, pixels."""
        hidden = [track for track in self._tracks if track.missed and track.is_alive(self._clock_s)]
        return as_boxes([track.predict(self._clock_s) for track in hidden])
