"""Tracker: faces that move along known paths keep their tracks and labels."""

import numpy as np
import pytest

from utils.boxes import Detections, box_iou
from utils.video.tracker import MAX_PAUSE_S, MEMORY_S, MIN_HITS, Tracker, match_greedily

FPS = 25.0  # frames a second
MASKED, BARE = np.array([0.9, 0.1, 0, 0]), np.array([0.1, 0.9, 0, 0])


def make_path(start, velocity, seconds=4.0, side=60, first=0.0, hidden=()):
    """Return the box of a face by frame: it moves straight, and has no box while hidden."""
    boxes = {}
    for frame in range(round(first * FPS), round((first + seconds) * FPS)):
        time_s = frame / FPS
        if not any(begin <= time_s < end for begin, end in hidden):
            centre = np.array(start) + np.array(velocity) * (time_s - first)
            boxes[frame] = np.concatenate([centre - side / 2, centre + side / 2])
    return boxes


def follow(paths, noise=0.0, seed=0, drop=0.0, confidence=None, y_prob=None):
    """Run a tracker over paths: (track_id, y_prob) by frame for each path, and the tracker."""
    rng = np.random.default_rng(seed)
    tracker = Tracker()
    answers = [{} for _ in paths]
    for frame in range(1 + max(max(path) for path in paths)):
        shown = [i for i, path in enumerate(paths) if frame in path and rng.random() >= drop]
        rng.shuffle(shown)
        boxes = np.array([paths[i][frame] for i in shown]).reshape(-1, 4)
        boxes = (boxes + rng.normal(0, noise, boxes.shape)).astype(np.float32)
        sure = np.array(
            [0.9 if confidence is None else confidence(i, frame) for i in shown], np.float32
        )
        probabilities = np.array(
            [MASKED if y_prob is None else y_prob(i, frame, rng) for i in shown], np.float32
        )
        found = tracker.update(Detections(boxes, sure, probabilities.reshape(-1, 4)), frame / FPS)
        for box, track_id, row in zip(found.xyxy, found.track_id, found.y_prob, strict=True):
            if not track_id:
                continue
            nearest = shown[int(box_iou(box[None], boxes)[0].argmax())]
            answers[nearest][frame] = (int(track_id), row)
    return answers, tracker


def ids(answer):
    return {track_id for track_id, _ in answer.values()}


def pass_behind(path, edge, first, last):
    """Return a path to the left that passes behind a wall between two times, in seconds.

    The right edge of the wall is at ``edge``; the box covers the part of the face that is visible.
    """
    seen = {}
    for frame, box in path.items():
        left, right = (edge, box[2]) if box[2] > edge > box[0] else (box[0], box[2])
        if not first <= frame / FPS < last:
            seen[frame] = box
        elif right - left > 15 and box[2] > edge:
            seen[frame] = np.array([left, box[1], right, box[3]])
    return seen


SCENES = {
    "standing": [make_path((100, 100), (0, 0))],
    "walking": [make_path((50, 100), (120, 10))],
    "running past": [make_path((0, 100), (600, 0), seconds=1.5)],
    "crossing": [make_path((50, 100), (100, 0)), make_path((450, 112), (-100, 0))],
    "side by side": [
        make_path((100, 100), (40, 0)),
        make_path((170, 100), (40, 0)),
        make_path((240, 100), (40, 0)),
    ],
    "hidden for half a second": [make_path((50, 100), (80, 0), hidden=[(1.5, 2.0)])],
    "crossing, one hidden behind the other": [
        make_path((50, 100), (100, 0)),
        make_path((450, 104), (-100, 0), hidden=[(1.75, 2.25)]),
    ],
    "half covered, then hidden for half a second": [
        pass_behind(make_path((500, 100), (-160, 0)), 300, 1.0, 2.2)
    ],
    "three at three speeds": [
        make_path((50, 100), (110, 0)),
        make_path((450, 130), (-160, 0), side=80),
        make_path((150, 70), (60, 5), side=50),
    ],
    "leaving while another comes": [
        make_path((100, 100), (0, 0), seconds=1.5),
        make_path((400, 100), (0, 0), first=2.0, seconds=2),
    ],
}


def test_no_faces():
    tracker = Tracker()
    nobody = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)
    )
    found = tracker.update(nobody, 0.0)
    assert (len(found), found.y_prob.shape, found.track_id.shape, tracker.count) == (
        0,
        (0, 4),
        (0,),
        0,
    )


@pytest.mark.parametrize("noise", [0.0, 2.0], ids=["exact boxes", "2 px of noise"])
@pytest.mark.parametrize("paths", SCENES.values(), ids=SCENES.keys())
def test_each_face_has_one_track(paths, noise):
    for seed in range(5):
        answers, tracker = follow(paths, noise, seed)
        assert tracker.count == len(paths)
        assert [len(ids(answer)) for answer in answers] == [1] * len(paths)
        assert len(set.union(*map(ids, answers))) == len(paths)


def test_missing_boxes_do_not_end_a_track():
    answers, tracker = follow(SCENES["crossing"], noise=1.0, drop=0.3)
    assert tracker.count == 2
    assert [len(ids(answer)) for answer in answers] == [1, 1]


def test_face_that_returns_later_gets_a_new_track():
    gone = MEMORY_S + 0.2
    path = make_path((100, 100), (0, 0), seconds=4, hidden=[(1.0, 1.0 + gone)])
    assert follow([path])[1].count == 2


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.3, 1), (3.0, 1), (MAX_PAUSE_S - 1, 1), (MAX_PAUSE_S + 1, 2)]
)
def test_pause_of_the_stream_ends_tracks_only_if_it_is_long(seconds, count):
    tracker, path = Tracker(), make_path((100, 100), (0, 0), seconds=4)
    for frame, box in path.items():
        faces = Detections(
            box[None].astype(np.float32), np.ones(1, np.float32), MASKED[None].astype(np.float32)
        )
        tracker.update(faces, frame / FPS + (seconds if frame > 50 else 0))
    assert tracker.count == count


def test_track_with_too_few_boxes_does_not_count():
    path = make_path((100, 100), (0, 0), seconds=(MIN_HITS - 1) / FPS)
    answers, tracker = follow([path])
    assert (answers, tracker.count) == ([{}], 0)


def test_occasional_or_unsure_boxes_make_no_track():
    path = {
        frame: box
        for frame, box in make_path((100, 100), (0, 0), seconds=8).items()
        if frame % 10 == 0
    }
    assert follow([path])[1].count == 0
    path = make_path((100, 100), (0, 0), seconds=8)
    assert (
        follow([path], confidence=lambda i, frame: 0.9 if frame % 20 == 0 and frame < 40 else 0.3)[
            1
        ].count
        == 0
    )


def test_unsure_box_continues_a_track_and_starts_none():
    path = make_path((100, 100), (60, 0))
    answers, tracker = follow([path], confidence=lambda i, frame: 0.9 if frame < 20 else 0.3)
    assert (len(ids(answers[0])), max(answers[0]), tracker.count) == (1, max(path), 1)
    answers, tracker = follow([path], confidence=lambda i, frame: 0.3)
    assert (answers, tracker.count) == ([{}], 0)


def test_labels_do_not_flicker():
    """A third of the frames is classified wrongly, and the mask is taken off in frame 50."""

    def classify(i, frame, rng):
        truth, other = (MASKED, BARE) if frame < 50 else (BARE, MASKED)
        return other if rng.random() < 1 / 3 and frame > 5 else truth

    path = make_path((100, 100), (20, 0))
    for seed in range(5):
        answers, _ = follow([path], seed=seed, y_prob=classify)
        labels = np.array([row.argmax() for _, (_, row) in sorted(answers[0].items())])
        assert np.count_nonzero(np.diff(labels)) == 1
        assert labels[-1] == 1


def test_vote_is_weighted_by_confidence():
    """Half of the frames have one class and half the other: the more confident ones win."""
    path = make_path((100, 100), (0, 0), seconds=1)
    for sure_is_odd in (True, False):
        answers, _ = follow(
            [path],
            confidence=lambda i, frame, odd=sure_is_odd: 0.9 if frame % 2 == odd else 0.55,
            y_prob=lambda i, frame, _: BARE if frame % 2 else MASKED,
        )
        labels = [row.argmax() for frame, (_, row) in answers[0].items() if frame > 5]
        assert set(labels) == {int(sure_is_odd)}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], []),
        ([(0, 0, 10, 10)], [], []),
        ([(0, 0, 10, 10)], [(0, 0, 10, 10)], [(0, 0)]),
        ([(0, 0, 10, 10)], [(500, 0, 510, 10)], []),
        ([(0, 0, 10, 10), (8, 0, 18, 10)], [(9, 0, 19, 10), (1, 0, 11, 10)], [(0, 1), (1, 0)]),
        ([(0, 0, 10, 10), (1, 0, 11, 10)], [(1, 0, 11, 10)], [(1, 0)]),
    ],
)
def test_boxes_are_matched_best_first(first, second, expected):
    assert (
        sorted(match_greedily(np.array(first).reshape(-1, 4), np.array(second).reshape(-1, 4)))
        == expected
    )


@pytest.mark.parametrize(
    ("unsure", "expected"),
    [
        ([False] * 4, False),
        ([True] * 4, True),
        ([True, False, False], False),
        ([False, True], True),
    ],
)
def test_a_track_is_unsure_if_at_least_half_of_its_last_frames_are(unsure, expected):
    tracker = Tracker()
    for frame, is_unsure in enumerate(unsure):
        tracks = tracker.update(
            Detections(
                xyxy=np.array([[0, 0, 60, 60]], np.float32),
                confidence=np.array([0.9], np.float32),
                y_prob=MASKED[None],
                is_unsure=np.array([is_unsure]),
            ),
            frame / FPS,
        )
    assert tracks.is_unsure.tolist() == [expected]


def test_a_face_that_the_border_cuts_hardly_counts_in_the_vote():
    """Without the frame's size it counts in full: two cut frames outvote a whole one."""
    cut = [0.0, 20.0, 30.0, 60.0]
    whole = [2.0, 20.0, 42.0, 60.0]
    answers = []
    for size in (None, (640, 480)):
        tracker = Tracker()
        for frame, box in enumerate((cut, cut, whole)):
            y_prob = np.zeros((1, 4), np.float32)
            y_prob[0, 2 if box is cut else 0] = 1
            confidence = np.array([0.9], np.float32)
            found = Detections(np.array([box], np.float32), confidence, y_prob=y_prob)
            tracks = tracker.update(found, frame / 30, size)
        answers.append(int(tracks.y_prob[0].argmax()))
    assert answers == [2, 0]
