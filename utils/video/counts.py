"""Count people: each track once, by class, for the whole video and for each interval of time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from utils.boxes import Detections
from utils.classes import CLASS_NAMES, MASK_CLASSES, decide
from utils.video.tracker import split_tracks

SHARES = tuple(f"share_{name}" for name in MASK_CLASSES)
TRACK_COLUMNS = ("track_id", "first_s", "last_s", "frames", "class_name", "probability", *SHARES)
INTERVAL_COLUMNS = ("start_s", "end_s", "people", *MASK_CLASSES, *SHARES, "too_close")


@dataclass
class Person:
    """The sums of one track.

    Attributes:
        first_s: time of the first frame, seconds.
        last_s: time of the last frame, seconds.
        frames: number of frames.
        class_id: label in the last frame.
        label_counts: number of frames with each label.
        y_prob_sum: (C,) sum of the probabilities of all frames.
    """

    first_s: float
    last_s: float = 0.0
    frames: int = 0
    class_id: int = 0
    label_counts: Counter[int] = field(default_factory=Counter)
    y_prob_sum: np.ndarray = field(default_factory=lambda: np.zeros(len(CLASS_NAMES), np.float32))


class PeopleCounter:
    """Counts each person once: a person is a track, and the class is the label of the track.

    Memory grows with the number of people and of intervals, not with the number of frames.
    """

    def __init__(self, interval_s: float = 60.0) -> None:
        """Create a counter.

        Args:
            interval_s: length of an interval, one row of ``list_intervals``, in seconds.
        """
        self.interval_s = interval_s
        self._people: dict[int, Person] = {}  # by track
        self._intervals: dict[int, dict[int, int]] = {}  # by interval: the class of each track
        self._too_close: dict[int, set[int]] = {}  # by interval: the tracks that were too close
        self._last_s = 0.0

    def update(
        self, tracks: Detections, time_s: float, too_close: np.ndarray | None = None
    ) -> None:
        """Count the people of one frame. Faces with ``track_id`` 0 do not count yet.

        Args:
            tracks: the faces of the frame, from ``Tracker.update``.
            time_s: time of the frame, seconds.
            too_close: (N,) bool, whether each face is too close to another.
        """
        track_ids, y_prob = split_tracks(tracks)
        is_counted = track_ids > 0
        number = int(time_s // self.interval_s)
        interval = self._intervals.setdefault(number, {})
        self._last_s = max(self._last_s, time_s)
        if too_close is not None:
            close_ids = track_ids[too_close & is_counted].tolist()
            self._too_close.setdefault(number, set()).update(close_ids)
        track_ids = track_ids[is_counted]
        y_prob = y_prob[is_counted]
        class_ids = decide(y_prob)
        for index, track_id in enumerate(track_ids.tolist()):
            class_id = int(class_ids[index])
            person = self._people.setdefault(track_id, Person(first_s=time_s))
            person.last_s = time_s
            person.frames += 1
            person.class_id = class_id
            person.label_counts[class_id] += 1
            person.y_prob_sum += y_prob[index]
            interval[track_id] = class_id

    @property
    def counts(self) -> dict[str, int]:
        """The number of people of each class, by the last label of each person."""
        last = Counter(person.class_id for person in self._people.values())
        return {name: last[class_id] for class_id, name in enumerate(MASK_CLASSES)}

    def list_tracks(self) -> list[dict]:
        """Return one row per person, with the columns of ``TRACK_COLUMNS``.

        ``class_name`` is the most frequent label, ``probability`` its mean over all frames, and
        each share the part of the frames with that label.
        """
        rows = []
        for track_id, person in self._people.items():
            class_id = person.label_counts.most_common(1)[0][0]
            row = {
                "track_id": track_id,
                "first_s": round(person.first_s, 3),
                "last_s": round(person.last_s, 3),
                "frames": person.frames,
                "class_name": MASK_CLASSES[class_id],
                "probability": round(float(person.y_prob_sum[class_id] / person.frames), 4),
            }
            for number, column in enumerate(SHARES):
                row[column] = round(person.label_counts[number] / person.frames, 4)
            rows.append(row)
        return rows

    def list_intervals(self) -> list[dict]:
        """Return one row per interval, with the columns of ``INTERVAL_COLUMNS``.

        A row counts the people in the interval by their last label in it, and those who were too
        close to another person at least once. The shares are empty if there were no people.
        Intervals without a frame have no row.
        """
        rows = []
        for number, people in sorted(self._intervals.items()):
            counts = Counter(people.values())
            end_s = (number + 1) * self.interval_s
            row: dict[str, float | str] = {
                "start_s": round(number * self.interval_s, 3),
                "end_s": round(min(end_s, self._last_s), 3),
                "people": len(people),
            }
            for class_id, name in enumerate(MASK_CLASSES):
                row[name] = counts[class_id]
            for class_id, column in enumerate(SHARES):
                row[column] = round(counts[class_id] / len(people), 4) if people else ""
            row["too_close"] = len(self._too_close.get(number, ()))
            rows.append(row)
        return rows
