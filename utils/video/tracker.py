"""Follow faces from frame to frame, and decide the class of each by a vote over the last second.

Matching follows ByteTrack (Zhang et al., 2022): confident boxes are matched to tracks first, then
the remaining tracks are matched to the less confident boxes, so that a face that turns away keeps
its track. As in C-BIoU (Yang et al., 2023), overlap is measured between enlarged boxes, so that a
small face that moves quickly still overlaps the box predicted for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from utils.boxes import Detections, as_boxes, box_iou

BOX_MARGIN = 0.3  # share of its size added to each side of a box before overlaps are measured
MIN_IOU = 0.1  # least overlap of two enlarged boxes of the same face
MEMORY_S = 1.0  # seconds a face may stay hidden and keep its track; also the length of the vote
# A pause of more than MAX_STEP_S seconds between two frames means that the stream broke off. It
# counts as MAX_STEP_S only, so that tracks survive it. A pause of more than MAX_PAUSE_S counts in
# full, because people have moved on.
MAX_STEP_S = 0.4
MAX_PAUSE_S = 10.0
VELOCITY_TIME_S = 0.5  # seconds, time constant of the average of a track's velocity and size
# While a face is being hidden, its box shrinks and its centre jumps. So the update of velocity and
# size is weighted by the similarity of the old and the new shape, to this power.
SHAPE_POWER = 3
HIDDEN_PENALTY = 0.4  # overlap subtracted per second out of sight when candidates are ranked
# Added to the probability of a track's present label, so that the label does not flicker.
LABEL_BONUS = 0.12
CUT_WEIGHT = 0.1  # factor of the vote of a face that the border cuts: its nose may be hidden
UNSURE_SHARE = 0.5  # weighted share of unsure frames from which a track's label is unsure
MIN_HITS = 3  # confident boxes after which a track counts: a detector rarely repeats a mistake
MAX_EARLY_MISSES = 2  # frames in a row that a track may be missing before it counts


@dataclass(eq=False)
class Track:
    """One face over time.

    Attributes:
        xyxy: (4,) the last box, pixels.
        time_s: the time of the last box, seconds.
        velocity: (2,) of the centre, pixels per second.
        size: (2,) width and height, averaged over time, pixels.
        votes: (seconds, weight, (C,) probabilities, whether unsure) of the last second.
        hits: number of confident boxes so far.
        missed: number of frames since the last box.
        track_id: number from 1, or 0 until the track counts.
        class_id: the present label, or None before the first vote.
    """

    xyxy: np.ndarray
    time_s: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    size: np.ndarray = field(default_factory=lambda: np.zeros(2))
    votes: deque[tuple[float, float, np.ndarray, bool]] = field(default_factory=deque)
    hits: int = 0
    missed: int = 0
    track_id: int = 0
    class_id: int | None = None

    def predict(self, time_s: float) -> np.ndarray:
        """Return the box (4,) expected at a time, in pixels."""
        centre = (self.xyxy[:2] + self.xyxy[2:]) / 2 + self.velocity * (time_s - self.time_s)
        return np.concatenate([centre - self.size / 2, centre + self.size / 2])

    def is_alive(self, time_s: float) -> bool:
        """Return whether the track may still get another box."""
        if time_s - self.time_s > MEMORY_S:
            return False
        return self.hits >= MIN_HITS or self.missed <= MAX_EARLY_MISSES

    def add(
        self,
        xyxy: np.ndarray,
        time_s: float,
        weight: float,
        y_prob: np.ndarray,
        is_confident: bool = True,
        is_unsure: bool = False,
    ) -> None:
        """Add the box of a new frame.

        Args:
            xyxy: (4,) pixels.
            time_s: time of the frame, seconds.
            weight: weight of the frame in the vote.
            y_prob: (C,) probabilities of the classes.
            is_confident: whether the detector is confident enough to start a track.
            is_unsure: whether the class in this frame is in doubt.
        """
        if self.hits:
            self._update_motion(xyxy, time_s)
        else:
            self.size = xyxy[2:] - xyxy[:2]
        self.xyxy = np.asarray(xyxy, float)
        self.time_s = time_s
        self.hits += int(is_confident)
        self.missed = 0
        self.votes.append((time_s, weight, y_prob, is_unsure))
        while self.votes[0][0] < time_s - MEMORY_S:
            self.votes.popleft()

    def _update_motion(self, xyxy: np.ndarray, time_s: float) -> None:
        """Update velocity and size with the box of a new frame.

        They are plain means until the track counts, and then exponential averages over time.
        """
        passed = time_s - self.time_s
        if passed <= 0:
            return
        moved = (xyxy[:2] + xyxy[2:] - self.xyxy[:2] - self.xyxy[2:]) / 2
        size = xyxy[2:] - xyxy[:2]
        if self.hits >= MIN_HITS:
            smaller = np.minimum(size, self.size)
            larger = np.maximum(np.maximum(size, self.size), 1e-6)
            similarity = np.prod(smaller / larger) ** SHAPE_POWER
            share = (1 - np.exp(-passed / VELOCITY_TIME_S)) * similarity
        else:
            share = 1 / self.hits
        self.velocity = (1 - share) * self.velocity + share * moved / passed
        self.size = (1 - share) * self.size + share * size

    def vote(self) -> np.ndarray:
        """Update the label, and return the weighted mean of the probabilities (C,) in memory."""
        weights = [weight for _, weight, _, _ in self.votes]
        probabilities = [y_prob for _, _, y_prob, _ in self.votes]
        mean = np.average(probabilities, axis=0, weights=weights)
        if self.class_id is not None:
            mean[self.class_id] += LABEL_BONUS
            mean /= 1 + LABEL_BONUS
        self.class_id = int(mean.argmax())
        return mean

    def is_unsure(self) -> bool:
        """Return whether at least ``UNSURE_SHARE`` of the votes in memory are unsure, by weight."""
        weights = [weight for _, weight, _, _ in self.votes]
        unsure = [is_unsure for _, _, _, is_unsure in self.votes]
        return bool(np.average(unsure, weights=weights) >= UNSURE_SHARE)


def _enlarge(xyxy: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) with ``BOX_MARGIN`` added on each side."""
    margin = BOX_MARGIN * (xyxy[:, 2:] - xyxy[:, :2])
    return np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1)


def match_greedily(
    first: np.ndarray,
    second: np.ndarray,
    penalty: np.ndarray | float = 0.0,
    min_iou: float = MIN_IOU,
) -> list[tuple[int, int]]:
    """Return pairs of positions of overlapping boxes, the largest overlap first.

    Args:
        first: (N, 4) boxes, compared enlarged.
        second: (M, 4) boxes, compared enlarged.
        penalty: (N,) subtracted from the overlap to rank the pairs.
        min_iou: pairs with less overlap are ignored.

    Returns:
        (position in ``first``, position in ``second``); a box is in one pair at most.
    """
    iou = box_iou(_enlarge(as_boxes(first)), _enlarge(as_boxes(second)))
    score = iou - np.reshape(penalty, (-1, 1))
    order = np.argsort(-score, axis=None, kind="stable")
    rows, columns = np.unravel_index(order, iou.shape)
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    pairs = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if iou[row, column] < min_iou or row in used_rows or column in used_columns:
            continue
        pairs.append((row, column))
        used_rows.add(row)
        used_columns.add(column)
    return pairs


def _is_cut(xyxy: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Return which boxes (N, 4) touch the border of the frame, (N,) bool."""
    width, height = resolution_wh
    x_min, y_min, x_max, y_max = xyxy.T
    return (x_min <= 1) | (y_min <= 1) | (x_max >= width - 1) | (y_max >= height - 1)


class Tracker:
    """Gives each face a track that it keeps from frame to frame.

    Attributes:
        count: number of tracks that count so far.
    """

    def __init__(self, start_confidence: float = 0.5) -> None:
        """Create a tracker.

        Args:
            start_confidence: confidence a box needs to start a track; a less confident box can only
                continue one.
        """
        self.start_confidence = start_confidence
        self.count = 0
        self._tracks: list[Track] = []
        self._last_s: float | None = None  # time of the last frame
        self._clock_s = 0.0  # time watched, without long pauses

    def update(
        self,
        detections: Detections,
        time_s: float,
        resolution_wh: tuple[int, int] | None = None,
    ) -> Detections:
        """Match the faces of one frame to tracks, and return them with the votes of their tracks.

        Args:
            detections: with ``y_prob`` (N, C); may include boxes under ``start_confidence``.
            time_s: time of the frame, seconds; frames may be dropped between two calls.
            resolution_wh: width and height of the frame. With it, a face that the border of the
                frame cuts counts little in the vote.

        Returns:
            The faces that have a track, with the voted ``y_prob`` and ``is_unsure`` and with
            ``track_id``, which is 0 until the track counts. A track counts from its ``MIN_HITS``-th
            confident box on.
        """
        if detections.y_prob is None:
            raise ValueError("The tracker needs classified faces: detections with y_prob.")
        clock_s = self._advance_clock(time_s)
        self._tracks = [track for track in self._tracks if track.is_alive(clock_s)]
        is_confident = detections.confidence >= self.start_confidence
        matched = self._match(detections, is_confident)
        vote_weight = detections.confidence.copy()
        if resolution_wh is not None:
            vote_weight[_is_cut(detections.xyxy, resolution_wh)] *= CUT_WEIGHT
        for track in self._tracks:
            track.missed += 1
        for index, track in matched.items():
            track.add(
                xyxy=detections.xyxy[index],
                time_s=clock_s,
                weight=float(vote_weight[index]),
                y_prob=detections.y_prob[index],
                is_confident=bool(is_confident[index]),
                is_unsure=detections.is_unsure is not None and bool(detections.is_unsure[index]),
            )
            if track.hits == MIN_HITS and not track.track_id:
                self.count += 1
                track.track_id = self.count
        shown = sorted(matched)
        y_prob = np.array([matched[index].vote() for index in shown], np.float32)
        track_id = np.array([matched[index].track_id for index in shown], np.int64)
        return Detections(
            xyxy=detections.xyxy[shown],
            confidence=detections.confidence[shown],
            y_prob=y_prob.reshape(len(shown), detections.y_prob.shape[1]),
            track_id=track_id,
            is_unsure=np.array([matched[index].is_unsure() for index in shown], bool),
        )

    def _advance_clock(self, time_s: float) -> float:
        """Return the time watched until a frame, in which breaks of the stream are shortened."""
        if self._last_s is not None:
            passed = time_s - self._last_s
            if passed <= MAX_PAUSE_S:
                passed = min(passed, MAX_STEP_S)
            self._clock_s += passed
        self._last_s = time_s
        return self._clock_s

    def _match(self, detections: Detections, is_confident: np.ndarray) -> dict[int, Track]:
        """Return the track of each face by its position; start tracks for new confident faces."""
        matched: dict[int, Track] = {}
        for positions in (np.flatnonzero(is_confident), np.flatnonzero(~is_confident)):
            taken = list(matched.values())
            free = [track for track in self._tracks if track not in taken]
            predicted = as_boxes([track.predict(self._clock_s) for track in free])
            penalty = [HIDDEN_PENALTY * (self._clock_s - track.time_s) for track in free]
            boxes = detections.xyxy[positions]
            for row, column in match_greedily(predicted, boxes, np.array(penalty)):
                matched[int(positions[column])] = free[row]
        for index in np.flatnonzero(is_confident).tolist():
            if index not in matched:
                matched[index] = Track(detections.xyxy[index], self._clock_s)
                self._tracks.append(matched[index])
        return matched

    def predict_missing(self) -> np.ndarray:
        """Return the predicted boxes (N, 4) of the tracks that have no box in the last frame."""
        missing = [
            track for track in self._tracks if track.missed and track.is_alive(self._clock_s)
        ]
        return as_boxes([track.predict(self._clock_s) for track in missing])


def split_tracks(tracks: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Return ``track_id`` (N,) and ``y_prob`` (N, C) of the faces of ``Tracker.update``.

    Raises:
        ValueError: the faces have no tracks or no probabilities.
    """
    if tracks.track_id is None or tracks.y_prob is None:
        raise ValueError("The faces have no tracks: pass what Tracker.update returns.")
    return tracks.track_id, tracks.y_prob
