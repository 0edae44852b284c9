"""Judging in turns: who is judged when, and that nothing is told otherwise than by judging all."""

import numpy as np
import pytest

from tests.conftest import draw_blocks, find_blocks
from tests.films import FILMS, follow_people
from utils.classes import NO_FACE, decide
from utils.detect import detect_masks, load_models
from utils.detect import pipeline as detect
from utils.video.monitor import Monitor
from utils.video.pipeline import EVERY, SETTLED, VideoPipeline

PLACES = [(12 + 60 * i, 40, 52 + 60 * i, 90) for i in range(7)]


@pytest.fixture
def judged(monkeypatch):
    """How many faces the classifier looked at, one entry a frame."""
    counts, classify = [], detect.classify_faces
    monkeypatch.setattr(
        detect,
        "classify_faces",
        lambda classifier, faces: counts.append(len(faces)) or classify(classifier, faces),
    )
    return counts


def draw(names, shift=0):
    blocks = [
        (n, (x0 + shift, y0, x1 + shift, y1))
        for n, (x0, y0, x1, y1) in zip(names, PLACES, strict=False)
        if n
    ]
    return draw_blocks(*blocks, resolution_wh=(460, 120))


@pytest.mark.parametrize(("count", "in_turn"), [(0, 0), (1, 1), (2, 1), (5, 1), (6, 2), (7, 2)])
def test_settled_faces_are_judged_in_turns(fake_classifier, judged, count, in_turn):
    judge = VideoPipeline(find_blocks, fake_classifier)
    names = ["with_mask", "without_mask", "mask_worn_incorrectly"] * 3
    for frame in range(SETTLED + 2 * EVERY):
        image = draw(names[:count], shift=frame % 3)
        found, expected = judge(image), detect_masks(image, find_blocks, fake_classifier)
        np.testing.assert_array_equal(found.xyxy, expected.xyxy)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
        np.testing.assert_allclose(found.y_prob, expected.y_prob, atol=0.02)
        assert found.track_id is None
    mine = judged[::2]
    assert mine == [count] * SETTLED + [in_turn] * 2 * EVERY


def test_each_has_its_turn(fake_classifier, monkeypatch):
    """A mask that changes is told after as many frames as there are in a round, whoever wears it."""
    for position in range(EVERY):
        judge, names = VideoPipeline(find_blocks, fake_classifier), ["with_mask"] * EVERY
        for _ in range(SETTLED + 3):
            judge(draw(names))
        names[position] = "without_mask"
        answers = [decide(judge(draw(names)).y_prob).tolist() for _ in range(2 * EVERY)]
        told = [answer[position] == 1 for answer in answers]
        assert told.index(True) < EVERY and all(told[told.index(True) :])
        assert all(sum(answer) <= 1 for answer in answers)


def test_a_face_that_changed_is_judged_in_every_frame_until_it_has_settled(fake_classifier, judged):
    judge = VideoPipeline(find_blocks, fake_classifier)
    for frame in range(40):
        judge(draw(["with_mask", "with_mask" if frame < 20 else "without_mask"]))
    changed = judged.index(2, SETTLED)
    assert 20 < changed <= 22
    assert judged[changed : changed + SETTLED] == [2] * (SETTLED - 1) + [1]


def test_the_detectors_own_opinion_calls_for_a_judgement(fake_classifier, judged):
    def find(image):
        found = find_blocks(image)
        return detect_masks(image, lambda image: found, fake_classifier, detector_share=0)

    judge = VideoPipeline(find, fake_classifier)
    for frame in range(20):
        judge(draw(["with_mask"] * 3 if frame < 15 else ["with_mask", "with_mask", "without_mask"]))
    assert judged[1::2][14:16] == [1, 2]  # find calls the classifier first, for an opinion


def test_who_comes_and_who_is_no_face(fake_classifier, judged):
    judge = VideoPipeline(find_blocks, fake_classifier)
    for _ in range(SETTLED + 1):
        assert len(judge(draw(["with_mask", "no_face"]))) == 1
    assert judged == [2] * SETTLED + [
        2
    ]  # what is no face has no memory, and is asked about each time
    found = judge(draw(["with_mask", None, "without_mask"]))
    assert decide(found.y_prob).tolist() == [0, 1] and found.y_prob[:, NO_FACE].max() < 0.5
    assert len(judge(draw([]))) == 0
    assert len(judge(draw(["with_mask"]))) == 1 and judged[-1] == 1


def test_faces_that_touch_are_judged_each_time(fake_classifier, judged):
    near = draw_blocks(
        ("with_mask", (20, 20, 80, 80)),
        ("without_mask", (60, 90, 100, 118)),
        resolution_wh=(160, 120),
    )

    def find(image):
        found = find_blocks(image)
        found.xyxy[1] = (45, 40, 105, 100)
        return found

    judge = VideoPipeline(find, fake_classifier)
    for _ in range(SETTLED + 3):
        judge(near)
    assert judged == [2] * (SETTLED + 3)


@pytest.mark.parametrize(
    "name", ["one takes the mask off", "two cross, one puts a mask on", "three cross"]
)
def test_films_are_told_as_by_judging_all(name):
    monitor = Monitor(VideoPipeline(*load_models("fcos", 0.25, tiled=False)))
    row = follow_people(monitor, FILMS[name], step=2)
    assert (row["people"], row["identity switches"]) == (row["counted"], 0)
    assert row["most changes of a label"] == any(
        np.isfinite(person.later[0]) for person in FILMS[name].people
    )
    last = sorted(person.later[1] or person.class_name for person in FILMS[name].people)
    told = [
        class_name for class_name, count in monitor.counter.counts.items() for _ in range(count)
    ]
    assert sorted(told) == last
