"""The monitor: people of a made video followed, counted, drawn and written down, and how a run ends."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.cli.test_annotate import FakeWindow, stop_at
from tests.conftest import draw_blocks
from tests.films import FILMS, follow_people
from tests.mjpeg_server import Stream
from tests.video.test_sources import write_video
from utils.boxes import Detections
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.cli import JsonStream, Report
from utils.detect import load_pipeline
from utils.video import monitor as monitor_module
from utils.video.alerts import Alerts
from utils.video.counts import Census
from utils.video.monitor import Monitor, watch_video
from utils.video.sources import Video
from utils.video.tracker import MEMORY, Tracker
from utils.video.writer import VideoCopy

RATE, SIDE = 25.0, (320, 120)


def draw_street(frame: int) -> np.ndarray:
    """Two people cross: one with a mask walks to the right, below one without who walks to the left."""
    right, left = 10 + 2 * frame, 270 - 2 * frame
    people = [
        ("with_mask", (right, 70, right + 36, 110)),
        ("without_mask", (left, 10, left + 36, 50)),
    ]
    return draw_blocks(*people, resolution_wh=SIDE)


@pytest.fixture
def street(tmp_path):
    """A film of 100 frames with two people."""
    with VideoCopy(tmp_path / "street.mp4", RATE) as copy:
        for frame in range(100):
            copy.add(draw_street(frame), frame / RATE)
    return copy.path


def test_a_film_is_watched_to_its_end(judge, street, tmp_path):
    report, monitor, seen = Report(), Monitor(judge, census=Census(interval_s=2)), []
    (copy,) = watch_video(
        Video(street),
        monitor,
        tmp_path / "output",
        report,
        on_frame=lambda tracks, time_s: seen.append(time_s),
    )
    assert monitor.census.counts == {"with_mask": 1, "without_mask": 1, "mask_worn_incorrectly": 0}
    assert [row["people"] for row in monitor.census.list_intervals()] == [2, 2]
    assert [record["frame"] for record in report.records] == list(range(100))
    assert seen == pytest.approx([frame / RATE for frame in range(100)], abs=2e-3)
    told = {
        (face["class_name"], face["track_id"])
        for record in report.records[5:]
        for face in record["faces"]
    }
    assert len(told) == 2 and {name for name, _ in told} == {"with_mask", "without_mask"}
    written = Video(copy)
    assert (written.rate, written.frame_count) == (pytest.approx(RATE), 100)
    (_, _, last) = list(written)[-1]
    assert np.abs(last.astype(int) - draw_street(99)).max() > 60  # drawn on


def test_the_first_frames_have_their_faces_too(judge, tmp_path):
    report = Report()
    path = write_video(tmp_path / "film é.mp4", rate=12.5, resolution_wh=(160, 120))
    (copy,) = watch_video(Video(path), Monitor(judge), tmp_path / "output", report)
    assert copy == tmp_path / "output" / "film é.mp4"
    assert [record["time_s"] for record in report.records] == pytest.approx([0, 0.08, 0.16, 0.24])
    assert [len(record["faces"]) for record in report.records] == [1, 1, 1, 0]
    assert {record["file"] for record in report.records} == {str(path)}


@pytest.mark.parametrize("name", FILMS)
def test_the_shipped_models_follow_people_as_they_are(name):
    """At half the rate, as on a slow machine; ``tests/bench_video.py`` tells of every frame."""
    monitor = Monitor(load_pipeline("fcos", 0.25, tiled=False))
    row = follow_people(monitor, FILMS[name], step=2)
    assert row["people"] == row["counted"]
    assert row["identity switches"] == 0
    assert row["most changes of a label"] == any(
        np.isfinite(person.later[0]) for person in FILMS[name].people
    )
    last = [person.later[1] or person.class_name for person in FILMS[name].people]
    assert monitor.census.counts == {
        class_name: last.count(class_name) for class_name in MASK_CLASSES
    }


def test_records_are_written_as_they_come(judge, street, tmp_path):
    report = Report(keep=False)
    watch_video(Video(street), Monitor(judge), None, report, stream=JsonStream(tmp_path / "a.json"))
    records = json.loads((tmp_path / "a.json").read_text())["images"]
    assert (len(records), report.records, report.counts["images"]) == (100, [], 100)
    assert {len(record["faces"]) for record in records} == {2}
    assert not list(tmp_path.glob("output*"))


def test_faces_are_made_unrecognisable_wherever_they_go(judge, tmp_path):
    image = draw_street(0)
    pattern = np.random.default_rng(0).integers(-60, 60, image.shape)
    colourful = (image != 128).any(axis=2, keepdims=True)
    image = np.clip(image + pattern * colourful, 0, 255).astype(np.uint8)
    plain, blurred = (
        monitor.draw(image, monitor.watch(image, 0.0)).astype(int)
        for monitor in (Monitor(judge, blur=False), Monitor(judge, blur=True))
    )
    face = np.s_[75:105, 15:40]
    assert np.abs(np.diff(plain[face], axis=1)).mean() > 20
    assert np.abs(np.diff(blurred[face], axis=1)).mean() < 5


@pytest.mark.parametrize("found", ["unsure", "lost"])
def test_a_face_is_not_shown_while_the_detector_is_unsure_of_it_or_loses_it(judge, found):
    """A face walks two pixels a frame; in the last two frames it is found with little confidence, or not at all."""

    def judge_badly(image: np.ndarray) -> Detections:
        faces = judge(image)
        if frame < 8:
            return faces
        return replace(faces, confidence=faces.confidence / 3) if found == "unsure" else faces[:0]

    monitor, rng = Monitor(judge_badly, blur=True), np.random.default_rng(0)
    if found == "unsure":
        monitor.tracker.update = lambda faces, time_s: Tracker().update(
            faces[:0], time_s
        )  # of whom nothing is known
    for frame in range(10):
        left = 20 + 2 * frame
        image = draw_blocks(("with_mask", (left, 40, left + 40, 90)), resolution_wh=SIDE)
        image[45:85, left + 4 : left + 36] = np.clip(
            image[45:85, left + 4 : left + 36] + rng.integers(-60, 60, (40, 32, 3)), 0, 255
        )
        annotated = monitor.draw(image, monitor.watch(image, frame / RATE)).astype(int)
        if frame > 3:
            assert np.abs(np.diff(annotated[50:80, left + 6 : left + 34], axis=1)).mean() < 6


def test_who_is_too_close_is_counted(judge):
    monitor, far = Monitor(judge, distance=5.0, field_of_view=60), Monitor(judge, distance=0.01)
    for frame in range(3):
        image = draw_street(30)
        tracks = monitor.watch(image, frame / RATE)
        annotated, other = (
            monitor.draw(image, tracks),
            far.draw(image, far.watch(image, frame / RATE)),
        )
    assert len(tracks) == 2
    assert [m.census.list_intervals()[0]["too_close"] for m in (monitor, far)] == [2, 0]
    assert monitor.describe(2).endswith("2 people: 1 with_mask, 1 without_mask, 2 too close")
    assert np.abs(annotated.astype(int) - other).max() > 60


def test_someone_without_a_mask_alerts(judge, street):
    told = []
    monitor = Monitor(judge, alerts=Alerts("no-such-program {class} {track}", told.append))
    watch_video(Video(street), monitor, None, Report())
    assert len(told) == 1  # not the one who wears a mask, and not once a frame


def test_a_stream_that_breaks_five_times_counts_nobody_twice(judge):
    """Killed and started again five times, away for longer than a track lives: no person and no frame is told twice."""
    report, monitor, breaks = Report(), Monitor(judge, census=Census(interval_s=1e6)), 0
    with Stream([draw_street(30)], rate=40) as stream:
        video = Video(stream.address, report.warn)

        def kill_sometimes(tracks: Detections, time_s: float) -> None:
            nonlocal breaks
            if report.counts["images"] % 12 == 11 and breaks < 5:
                stream.kill()
                time.sleep(MEMORY + 0.2 if breaks % 2 else 0)
                stream.start()
                breaks += 1

        window = FakeWindow(closed_at=80)
        watch_video(video, monitor, None, report, window, on_frame=kill_sometimes)
    assert (breaks, video.reader.reopened, report.counts["images"], report.exit_code) == (
        5,
        5,
        80,
        0,
    )
    assert monitor.census.counts == {"with_mask": 1, "without_mask": 1, "mask_worn_incorrectly": 0}
    assert {row["track_id"]: row["frames"] for row in monitor.census.list_tracks()} == {
        1: 78,
        2: 78,
    }  # two to be sure
    assert [row["people"] for row in monitor.census.list_intervals()] == [2]
    assert [record["frame"] for record in report.records] == list(range(80))
    assert np.all(np.diff([record["time_s"] for record in report.records]) > 0)


def test_a_video_beside_its_copy_is_not_replaced(judge, tmp_path):
    path = write_video(tmp_path / "film.mp4")
    content = path.read_bytes()
    (copy,) = watch_video(Video(path), Monitor(judge), tmp_path, Report())
    assert copy.name == "film_2.mp4" and path.read_bytes() == content


@pytest.mark.parametrize("is_live", [True, False])
def test_ctrl_c_ends_a_video_whose_files_are_whole(judge, tmp_path, is_live):
    report, video = Report(), Video(write_video(tmp_path / "film.mp4", rate=1))
    if is_live:
        video._read_live, video.is_live = video._read_file, True
    stream = JsonStream(tmp_path / "a.json")
    (copy,) = watch_video(
        video, Monitor(stop_at(judge, 3)), tmp_path / "output", report, stream=stream
    )
    assert len(list(Video(copy))) == len(report.records) == 2
    assert len(json.loads((tmp_path / "a.json").read_text())["images"]) == 2
    assert report.exit_code == (0 if is_live else 1)  # a camera has no other end


@pytest.mark.parametrize("writer", [JsonStream, VideoCopy])
def test_ctrl_c_between_two_files_leaves_no_frame_without_its_record(
    judge, tmp_path, monkeypatch, writer
):
    add, calls = writer.add, []

    def add_and_press(*asked):
        add(*asked)
        calls.append(asked)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "add", add_and_press)
    film, report, stream = (
        write_video(tmp_path / "film.mp4"),
        Report(),
        JsonStream(tmp_path / "a.json"),
    )
    (copy,) = watch_video(Video(film), Monitor(judge), tmp_path / "output", report, stream=stream)
    records = json.loads((tmp_path / "a.json").read_text())["images"]
    assert (len(records), len(list(Video(copy)))) == (3, 2 if writer is JsonStream else 3)


def test_closing_the_window_ends_a_video(judge, tmp_path):
    report, window = Report(), FakeWindow(closed_at=2)
    watch_video(Video(write_video(tmp_path / "film.mp4")), Monitor(judge), None, report, window)
    assert [wait for _, wait in window.shown] == [False, False]
    assert (len(report.records), report.exit_code) == (2, 0)


def test_a_video_without_frames_is_told(judge, tmp_path):
    report = Report()
    (tmp_path / "text.jpg").write_text("no film")
    assert (
        watch_video(Video(tmp_path / "text.jpg"), Monitor(judge), tmp_path / "output", report) == []
    )
    assert len(report.problems) == 1 and report.exit_code == 2
    assert not (tmp_path / "output").exists()


def test_a_video_that_cannot_be_written_is_told(judge, street, tmp_path):
    report = Report()
    (tmp_path / "output" / "street.mp4").mkdir(parents=True)
    assert watch_video(Video(street), Monitor(judge), tmp_path / "output", report) == []
    assert ["cannot be written" in problem for problem in report.problems] == [True]


def test_the_line_of_counts_of_nobody():
    nobody = Detections(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, len(CLASS_NAMES)), np.float32),
    )
    monitor = Monitor(lambda image: nobody)
    assert monitor.describe() == "0 people"
    image = np.full((120, 160, 3), 200, np.uint8)
    tracks = monitor.watch(image, 0.0)
    assert (len(tracks), monitor.draw(image, tracks).shape) == (0, (120, 160, 3))
    assert monitor.census.counts == dict.fromkeys(MASK_CLASSES, 0)


def test_the_rate_is_that_of_the_frames_that_come(judge, monkeypatch):
    """Twelve and a half frames a second, of which a tenth of the time is spent on judging."""
    moments = iter(np.arange(100) * 0.08)
    monkeypatch.setattr(monitor_module.time, "perf_counter", lambda: next(moments))
    monitor = Monitor(judge)
    for frame in range(40):
        monitor.watch(draw_street(frame), frame * 0.08)
        assert ("frames/s" in monitor.describe()) is (frame > 0)
    assert monitor.describe().startswith("12 frames/s, 2 people")
