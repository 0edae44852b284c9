"""How many people a video has shown, each counted once, and the share that wears a mask over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from utils.boxes import Detections
from utils.classes import MASK_CLASSES, decide

SHARES = tuple(f"share_{name}" for name in MASK_CLASSES)
TRACK_COLUMNS = ("track_id", "first_s", "last_s", "frames", "class_name", "probability", *SHARES)
INTERVAL_COLUMNS = ("start_s", "end_s", "people", *MASK_CLASSES, *SHARES, "too_close")


@dataclass
class Person:
    """One track's sums: ``y_prob`` of its frames, and how many of them were labelled each class."""

    first_s: float
    last_s: float = 0.0
    frames: int = 0
    class_id: int = 0
    labelled: Counter = field(default_factory=Counter)
    y_prob: np.ndarray | float = 0.0


class Census:
    """Counts people, not boxes: a person is a track, and wears what the votes about that track say.

    What it keeps grows with the number of people and of intervals, never with the number of frames.
    """

    def __init__(self, interval_s: float = 60.0) -> None:
        """Args: interval_s: how many seconds one row of the table over time covers."""
        self.interval_s = interval_s
        self._people: dict[int, Person] = {}
        self._intervals: dict[
            int, dict[int, int]
        ] = {}  # number of the interval: the class of each track in it
        self._close: dict[
            int, set[int]
        ] = {}  # number of the interval: the tracks that were too close to another
        self._last_s = 0.0

    def update(
        self, detections: Detections, time_s: float, close: np.ndarray | None = None
    ) -> None:
        """Take in a frame.

        Args:
            detections: its faces, with ``y_prob`` and with ``track_id``, 0 for what does not count.
            time_s: its moment, seconds.
            close: (N,) bool, which faces are too close to another.
        """
        number, counts = int(time_s // self.interval_s), detections.track_id > 0
        if close is not None:
            self._close.setdefault(number, set()).update(
                detections.track_id[close & counts].tolist()
            )
        detections = detections[counts]
        self._last_s = max(self._last_s, time_s)
        interval = self._intervals.setdefault(number, {})
        class_ids = decide(detections.y_prob).tolist()
        for track_id, class_id, y_prob in zip(
            detections.track_id.tolist(), class_ids, detections.y_prob, strict=True
        ):
            person = self._people.setdefault(track_id, Person(time_s))
            person.last_s, person.class_id, person.frames = time_s, class_id, person.frames + 1
            person.labelled[class_id] += 1
            person.y_prob = person.y_prob + y_prob
            interval[track_id] = class_id

    @property
    def counts(self) -> dict[str, int]:
        """How many people there have been of each class, by what each wore last."""
        last = Counter(person.class_id for person in self._people.values())
        return {name: last[class_id] for class_id, name in enumerate(MASK_CLASSES)}

    def list_tracks(self) -> list[dict]:
        """A row a person, columns as ``TRACK_COLUMNS``: the class that most frames were labelled, its mean probability,
        and the share of the frames labelled each class."""
        rows = []
        for track_id, person in self._people.items():
            class_id = person.labelled.most_common(1)[0][0]
            row = {
                "track_id": track_id,
                "first_s": round(person.first_s, 3),
                "last_s": round(person.last_s, 3),
            }
            row |= {"frames": person.frames, "class_name": MASK_CLASSES[class_id]}
            row |= {"probability": round(float(person.y_prob[class_id] / person.frames), 4)}
            shares = [
                round(person.labelled[number] / person.frames, 4)
                for number in range(len(MASK_CLASSES))
            ]
            rows.append(row | dict(zip(SHARES, shares, strict=True)))
        return rows

    def list_intervals(self) -> list[dict]:
        """A row an interval, columns as ``INTERVAL_COLUMNS``: how many people it showed, of each class as it left them,
        their shares, empty where there was nobody, and how many of them were too close to another at least once.
        Intervals in which nothing was watched have no row."""
        rows = []
        for number, people in sorted(self._intervals.items()):
            counts = Counter(people.values())
            row = {
                "start_s": number * self.interval_s,
                "end_s": min((number + 1) * self.interval_s, self._last_s),
            }
            row |= {"people": len(people)}
            row |= {name: counts[class_id] for class_id, name in enumerate(MASK_CLASSES)}
            shares = [
                round(counts[class_id] / len(people), 4) if people else ""
                for class_id in range(len(SHARES))
            ]
            row |= dict(zip(SHARES, shares, strict=True))
            rows.append(row | {"too_close": len(self._close.get(number, ()))})
        return rows
