"""PeopleCounter: people counted once, and shares over time, against the frames fed to it."""

import csv
import io
import pickle

import numpy as np
import pytest

from utils.boxes import Detections
from utils.classes import MASK_CLASSES
from utils.video.counts import INTERVAL_COLUMNS, SHARES, TRACK_COLUMNS, PeopleCounter

WITH, WITHOUT, BADLY = np.eye(4, dtype=np.float32)[:3]


def make_faces(*people: tuple[int, np.ndarray]) -> Detections:
    """Return the faces of a frame from pairs (track_id, y_prob)."""
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (len(people), 1))
    y_prob = np.array([row for _, row in people], np.float32).reshape(-1, 4)
    track_id = np.array([number for number, _ in people], np.int64)
    return Detections(boxes, np.ones(len(people), np.float32), y_prob, track_id)


def test_no_people():
    counter = PeopleCounter()
    assert (counter.list_tracks(), counter.list_intervals()) == ([], [])
    assert counter.counts == dict.fromkeys(MASK_CLASSES, 0)
    counter.update(make_faces(), 3.0)
    assert counter.list_tracks() == []
    (row,) = counter.list_intervals()
    assert (row["people"], [row[name] for name in SHARES]) == (0, ["", "", ""])


def test_person_is_counted_once_by_the_last_label():
    counter = PeopleCounter()
    for frame in range(100):
        counter.update(make_faces((1, WITH), (2, WITHOUT if frame < 90 else WITH)), frame / 25)
    assert counter.counts == {"with_mask": 2, "without_mask": 0, "mask_worn_incorrectly": 0}


def test_row_of_a_track_summarizes_its_frames():
    counter = PeopleCounter()
    rows = [WITH] * 6 + [BADLY] * 3 + [WITHOUT]
    for frame, y_prob in enumerate(rows):
        counter.update(make_faces((7, 0.8 * y_prob + 0.05)), 10 + frame / 10)
    (row,) = counter.list_tracks()
    assert list(row) == list(TRACK_COLUMNS)
    assert (row["track_id"], row["first_s"], row["last_s"], row["frames"]) == (7, 10.0, 10.9, 10)
    assert (row["class_name"], [row[name] for name in SHARES]) == ("with_mask", [0.6, 0.1, 0.3])
    assert row["probability"] == pytest.approx(
        np.mean([(0.8 * y + 0.05)[0] for y in rows]), abs=1e-4
    )


def test_interval_counts_the_people_in_it():
    counter = PeopleCounter(interval_s=10)
    counter.update(make_faces((1, WITH), (2, WITHOUT)), 1.0)
    counter.update(make_faces((1, WITH), (3, BADLY)), 9.9)
    counter.update(make_faces((1, WITHOUT)), 10.0)  # no frame from 20 to 30 s
    counter.update(make_faces(), 35.0)
    rows = counter.list_intervals()
    assert [list(row) for row in rows] == [list(INTERVAL_COLUMNS)] * 3
    assert [(row["start_s"], row["end_s"], row["people"]) for row in rows] == [
        (0, 10, 3),
        (10, 20, 1),
        (30, 35, 0),
    ]
    assert [[row[name] for name in MASK_CLASSES] for row in rows] == [
        [1, 1, 1],
        [0, 1, 0],
        [0, 0, 0],
    ]
    assert [[row[name] for name in SHARES] for row in rows] == [
        [0.3333] * 3,
        [0, 1, 0],
        ["", "", ""],
    ]


def test_person_too_close_is_counted_once_per_interval():
    counter = PeopleCounter(interval_s=10)
    for time_s in (1.0, 2.0):
        counter.update(
            make_faces((1, WITH), (2, WITH), (3, WITH), (0, WITH)),
            time_s,
            np.array([True, True, False, True]),
        )
    counter.update(make_faces((3, WITH), (1, WITH)), 11.0, np.array([True, False]))
    counter.update(make_faces((3, WITH)), 21.0)
    assert [row["too_close"] for row in counter.list_intervals()] == [2, 1, 0]


def test_times_of_intervals_are_rounded_as_those_of_tracks():
    counter = PeopleCounter(interval_s=0.7)
    counter.update(make_faces(), 19 * 0.1)
    (row,) = counter.list_intervals()
    assert (row["start_s"], row["end_s"]) == (1.4, 1.9)


def test_rows_can_be_written_as_csv():
    counter = PeopleCounter()
    counter.update(make_faces((1, WITH)), 0.0)
    text = io.StringIO()
    writer = csv.DictWriter(text, TRACK_COLUMNS)
    writer.writerows(counter.list_tracks())
    assert text.getvalue().startswith("1,0.0,0.0,1,with_mask,1.0,")


def test_memory_does_not_grow_with_frames():
    counter = PeopleCounter(interval_s=1e9)
    sizes = []
    for frame in range(2000):
        counter.update(make_faces((1, WITH), (2, WITHOUT)), frame / 25)
        if frame in (500, 1999):
            sizes.append(len(pickle.dumps(counter)))
    assert sizes[0] == sizes[1]
