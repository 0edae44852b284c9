"""VideoPipeline: when each face is classified, and that the answers equal those of detect_masks."""

import numpy as np
import pytest

from tests.conftest import draw_blocks, find_blocks
from tests.films import FILMS, follow_people
from utils.classes import NO_FACE, decide
from utils.detect import FAST_PASSES, detect_masks, load_models
from utils.detect import pipeline as detect
from utils.video.monitor import Monitor
from utils.video.pipeline import EVERY, SETTLED, VideoPipeline

PLACES = [(12 + 60 * i, 40, 52 + 60 * i, 90) for i in range(7)]


@pytest.fixture
def classified(monkeypatch):
    """The number of faces that the classifier got, one entry per call."""
    counts = []
    classify = detect.classify_faces
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
def test_settled_faces_are_classified_in_turns(fake_classifier, classified, count, in_turn):
    pipeline = VideoPipeline(find_blocks, fake_classifier)
    names = ["with_mask", "without_mask", "mask_worn_incorrectly"] * 3
    for frame in range(SETTLED + 2 * EVERY):
        image = draw(names[:count], shift=frame % 3)
        found, expected = pipeline(image), detect_masks(image, find_blocks, fake_classifier)
        np.testing.assert_array_equal(found.xyxy, expected.xyxy)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
        np.testing.assert_allclose(found.y_prob, expected.y_prob, atol=0.02)
        assert found.track_id is None
    own_calls = classified[::2]  # every second call is that of ``detect_masks``
    assert own_calls == [count] * SETTLED + [in_turn] * 2 * EVERY


def test_each_settled_face_has_its_turn(fake_classifier):
    """A change of class is reported within one round of turns, whichever face changes."""
    for position in range(EVERY):
        pipeline = VideoPipeline(find_blocks, fake_classifier)
        names = ["with_mask"] * EVERY
        for _ in range(SETTLED + 3):
            pipeline(draw(names))
        names[position] = "without_mask"
        answers = [decide(pipeline(draw(names)).y_prob).tolist() for _ in range(2 * EVERY)]
        changed = [answer[position] == 1 for answer in answers]
        assert changed.index(True) < EVERY and all(changed[changed.index(True) :])
        assert all(sum(answer) <= 1 for answer in answers)


def test_changed_face_is_classified_in_every_frame_until_it_settles(fake_classifier, classified):
    pipeline = VideoPipeline(find_blocks, fake_classifier)
    for frame in range(40):
        pipeline(draw(["with_mask", "with_mask" if frame < 20 else "without_mask"]))
    changed = classified.index(2, SETTLED)
    assert 20 < changed <= 22
    assert classified[changed : changed + SETTLED] == [2] * (SETTLED - 1) + [1]


def test_face_is_classified_at_once_if_the_detector_disagrees(fake_classifier, classified):
    def find(image):
        found = find_blocks(image)
        return detect_masks(image, lambda image: found, fake_classifier, detector_share=0)

    pipeline = VideoPipeline(find, fake_classifier)
    for frame in range(20):
        last = "with_mask" if frame < 15 else "without_mask"
        pipeline(draw(["with_mask", "with_mask", last]))
    assert classified[1::2][14:16] == [1, 2]  # ``find`` itself makes every second call


def test_new_faces_and_boxes_that_are_no_face(fake_classifier, classified):
    pipeline = VideoPipeline(find_blocks, fake_classifier)
    for _ in range(SETTLED + 1):
        assert len(pipeline(draw(["with_mask", "no_face"]))) == 1
    # A box that is no face is not remembered, and is classified in every frame.
    assert classified == [2] * SETTLED + [2]
    found = pipeline(draw(["with_mask", None, "without_mask"]))
    assert decide(found.y_prob).tolist() == [0, 1] and found.y_prob[:, NO_FACE].max() < 0.5
    assert len(pipeline(draw([]))) == 0
    assert len(pipeline(draw(["with_mask"]))) == 1 and classified[-1] == 1


def test_touching_faces_are_classified_in_every_frame(fake_classifier, classified):
    near = draw_blocks(
        ("with_mask", (20, 20, 80, 80)),
        ("without_mask", (60, 90, 100, 118)),
        resolution_wh=(160, 120),
    )

    def find(image):
        found = find_blocks(image)
        found.xyxy[1] = (45, 40, 105, 100)
        return found

    pipeline = VideoPipeline(find, fake_classifier)
    for _ in range(SETTLED + 3):
        pipeline(near)
    assert classified == [2] * (SETTLED + 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["one takes the mask off", "two cross, one puts a mask on", "three cross"]
)
def test_films_are_labelled_as_by_classifying_every_face(name):
    monitor = Monitor(VideoPipeline(*load_models("fcos", 0.25, passes=FAST_PASSES)))
    row = follow_people(monitor, FILMS[name], step=2)
    assert (row["people"], row["identity switches"]) == (row["counted"], 0)
    assert row["most changes of a label"] == any(
        np.isfinite(person.later[0]) for person in FILMS[name].people
    )
    last = sorted(person.later[1] or person.class_name for person in FILMS[name].people)
    counted = [
        class_name for class_name, count in monitor.counter.counts.items() for _ in range(count)
    ]
    assert sorted(counted) == last
