"""Monitor: frames go in; annotated frames, tracks and counts come out."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import draw_blocks
from tests.films import FILMS, FPS, STREET_SIZE, draw_street, follow_people
from utils.boxes import Detections
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.detect import FAST_PASSES, load_pipeline
from utils.video import Alerts, Monitor, Tracker
from utils.video import monitor as monitor_module


def test_frame_without_faces():
    nobody = Detections(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, len(CLASS_NAMES)), np.float32),
    )
    monitor = Monitor(lambda image: nobody)
    assert monitor.describe() == "0 people"
    image = np.full((120, 160, 3), 200, np.uint8)
    tracks = monitor.update(image, 0.0)
    assert (len(tracks), monitor.draw(image, tracks).shape) == (0, (120, 160, 3))
    assert monitor.counter.counts == dict.fromkeys(MASK_CLASSES, 0)


def test_the_line_of_counts_names_faces_that_do_not_count_yet(pipeline):
    monitor = Monitor(pipeline)
    lines = []
    for frame in range(3):
        monitor.update(draw_street(30), frame / FPS)
        lines.append(monitor.describe().partition(" frames/s, ")[2] or monitor.describe())
    assert lines[0] == "0 people, 2 not counted yet"
    assert lines[-1] == "2 people: 1 with_mask, 1 without_mask"


@pytest.mark.slow
@pytest.mark.parametrize("name", FILMS)
def test_shipped_models_track_and_label_people_correctly(name):
    """At half the frames, as on a slow machine; ``tests/bench_video.py`` measures all frames."""
    monitor = Monitor(load_pipeline("fcos", 0.25, passes=FAST_PASSES))
    row = follow_people(monitor, FILMS[name], step=2)
    assert row["people"] == row["counted"]
    assert row["identity switches"] == 0
    assert row["most changes of a label"] == any(
        np.isfinite(person.later[0]) for person in FILMS[name].people
    )
    last = [person.later[1] or person.class_name for person in FILMS[name].people]
    assert monitor.counter.counts == {
        class_name: last.count(class_name) for class_name in MASK_CLASSES
    }


def test_blurred_faces_have_no_detail(pipeline):
    image = draw_street(0)
    pattern = np.random.default_rng(0).integers(-60, 60, image.shape)
    is_block = (image != 128).any(axis=2, keepdims=True)
    image = np.clip(image + pattern * is_block, 0, 255).astype(np.uint8)
    plain, blurred = (
        monitor.draw(image, monitor.update(image, 0.0)).astype(int)
        for monitor in (Monitor(pipeline, blur=False), Monitor(pipeline, blur=True))
    )
    face = np.s_[75:105, 15:40]
    assert np.abs(np.diff(plain[face], axis=1)).mean() > 20
    assert np.abs(np.diff(blurred[face], axis=1)).mean() < 5


@pytest.mark.parametrize("found", ["unsure", "lost"])
def test_faces_stay_blurred_while_the_detector_is_unsure_or_loses_them(pipeline, found):
    """A face moves two pixels a frame; in the last two frames it has low confidence, or is lost."""

    def detect_badly(image: np.ndarray) -> Detections:
        faces = pipeline(image)
        if frame < 8:
            return faces
        if found == "unsure":
            return replace(faces, confidence=faces.confidence / 3)
        return faces[:0]

    monitor = Monitor(detect_badly, blur=True)
    rng = np.random.default_rng(0)
    if found == "unsure":  # without any track
        monitor.tracker.update = lambda faces, time_s, _: Tracker().update(faces[:0], time_s)
    for frame in range(10):
        left = 20 + 2 * frame
        image = draw_blocks(("with_mask", (left, 40, left + 40, 90)), resolution_wh=STREET_SIZE)
        image[45:85, left + 4 : left + 36] = np.clip(
            image[45:85, left + 4 : left + 36] + rng.integers(-60, 60, (40, 32, 3)), 0, 255
        )
        annotated = monitor.draw(image, monitor.update(image, frame / FPS)).astype(int)
        if frame > 3:
            assert np.abs(np.diff(annotated[50:80, left + 6 : left + 34], axis=1)).mean() < 6


def test_people_too_close_are_marked_and_counted(pipeline):
    near = Monitor(pipeline, min_distance=5.0, field_of_view=60)
    far = Monitor(pipeline, min_distance=0.01)
    image = draw_street(30)
    for frame in range(3):
        tracks = near.update(image, frame / FPS)
        near_image = near.draw(image, tracks)
        far_image = far.draw(image, far.update(image, frame / FPS))
    assert len(tracks) == 2
    assert near.counter.list_intervals()[0]["too_close"] == 2
    assert far.counter.list_intervals()[0]["too_close"] == 0
    assert near.describe(2).endswith("2 people: 1 with_mask, 1 without_mask, 2 too close")
    assert np.abs(near_image.astype(int) - far_image).max() > 60


def test_person_without_a_mask_raises_one_alert(pipeline):
    messages = []
    monitor = Monitor(pipeline, alerts=Alerts("no-such-program {class} {track}", messages.append))
    for frame in range(100):
        monitor.update(draw_street(frame), frame / FPS)
    assert len(messages) == 1  # none for the person with a mask, and not one per frame


def test_fps_shown_is_that_of_the_frames_that_arrive(pipeline, monkeypatch):
    moments = iter(np.arange(100) * 0.08)  # 12.5 frames per second
    monkeypatch.setattr(monitor_module.time, "perf_counter", lambda: next(moments))
    monitor = Monitor(pipeline)
    for frame in range(40):
        monitor.update(draw_street(frame), frame * 0.08)
        assert ("frames/s" in monitor.describe()) is (frame > 0)
    assert monitor.describe().startswith("12 frames/s, 2 people")
