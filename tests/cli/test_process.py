"""Process images and videos: annotated copies, records and problems, and how a run ends."""

import json
import threading
import time

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_blocks
from tests.films import FPS, draw_street, write_video
from tests.mjpeg_server import Stream
from utils.boxes import Detections
from utils.classes import MASK_CLASSES
from utils.cli import JsonStream, Report, make_record, process_images, process_video
from utils.draw import blur_faces, draw_detections
from utils.images import read_image, write_image
from utils.program import NO_MEMORY
from utils.video import Monitor, PeopleCounter, Video, VideoWriter
from utils.video.tracker import MEMORY_S

BOX = (20, 40, 60, 90)


class FakeWindow:
    """A window that the user closes when the n-th image is shown."""

    def __init__(self, closed_at: int = 1_000) -> None:
        self.closed_at = closed_at
        self.shown = []

    def show(self, image: np.ndarray, wait: bool = False) -> bool:
        self.shown.append((image.copy(), wait))
        return len(self.shown) < self.closed_at


@pytest.fixture
def files(tmp_path):
    """One image per class, as PNG so that no detail is lost."""
    blocks = {name: draw_blocks((name, BOX)) for name in MASK_CLASSES}
    return [write_image(tmp_path / f"{name}.png", image) for name, image in blocks.items()]


@pytest.fixture
def street(tmp_path):
    """A video of 100 frames with two people."""
    with VideoWriter(tmp_path / "street.mp4", FPS) as writer:
        for frame in range(100):
            writer.add(draw_street(frame), frame / FPS)
    return writer.path


def stop_at(pipeline, call: int):
    """Return the same pipeline, interrupted by Ctrl-C at the n-th image."""
    calls = iter(range(1, 1_000))

    def detect_until(image):
        if next(calls) == call:
            raise KeyboardInterrupt
        return pipeline(image)

    return detect_until


def test_no_files_give_an_empty_report(pipeline, tmp_path):
    report = Report()
    assert process_images([], pipeline, tmp_path, report) == []
    assert (report.records, report.problems, report.exit_code) == ([], [], 0)
    assert report.summary("image", []) == "0 images, 0 faces."


def test_each_image_gives_a_record_and_an_annotated_jpeg(pipeline, files, tmp_path, capsys):
    report = Report()
    copies = process_images(files, pipeline, tmp_path / "new" / "output", report)
    assert [copy.name for copy in copies] == [f"{name}.jpg" for name in MASK_CLASSES]
    assert [record["file"] for record in report.records] == [file.as_posix() for file in files]
    faces = [face for record in report.records for face in record["faces"]]
    assert [face["class_name"] for face in faces] == list(MASK_CLASSES)
    assert [face["box"] for face in faces] == [list(BOX)] * len(files)
    for file, copy, name in zip(files, copies, MASK_CLASSES, strict=True):
        with Image.open(copy) as image:
            assert (image.format, image.size) == ("JPEG", (160, 120))
        source = draw_blocks((name, BOX))
        written = read_image(copy).astype(float)
        drawn = draw_detections(source, pipeline(source)).astype(float)
        assert np.abs(written - drawn).mean() < np.abs(written - source).mean() / 3
        np.testing.assert_array_equal(read_image(file), source)
    assert "3/3" in capsys.readouterr().err


def test_one_image_shows_no_progress_bar(pipeline, files, tmp_path, capsys):
    process_images(files[:1], pipeline, tmp_path / "output", Report())
    assert capsys.readouterr() == ("", "")


def test_bad_file_is_reported_and_the_others_are_done(pipeline, files, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no photograph")
    report = Report()
    process_images(
        [files[0], tmp_path / "text.jpg", files[1]], pipeline, tmp_path / "output", report
    )
    assert [record["file"] for record in report.records] == [file.as_posix() for file in files[:2]]
    assert len(report.problems) == 1 and "text.jpg" in report.problems[0]
    assert report.problems[0] in capsys.readouterr().err
    assert report.exit_code == 1


def test_run_fails_if_every_file_is_bad(pipeline, tmp_path):
    report = Report()
    missing = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert process_images(missing, pipeline, tmp_path / "output", report) == []
    assert (len(report.problems), report.exit_code) == (2, 2)


def test_copy_that_cannot_be_written_is_reported(pipeline, files, tmp_path):
    report = Report()
    (tmp_path / "output" / f"{MASK_CLASSES[0]}.jpg").mkdir(parents=True)
    copies = process_images(files, pipeline, tmp_path / "output", report)
    assert len(copies) == len(files) - 1
    (problem,) = report.problems
    assert f"{MASK_CLASSES[0]}.jpg cannot be written" in problem
    assert [record["file"] for record in report.records] == [file.as_posix() for file in files]
    assert [len(record["faces"]) for record in report.records] == [1, 1, 1]
    assert report.exit_code == 1


def test_ctrl_c_keeps_the_images_done_so_far(pipeline, files, tmp_path):
    report = Report()
    copies = process_images(files, stop_at(pipeline, 3), tmp_path / "output", report)
    assert len(copies) == len(report.records) == 2
    assert report.interrupted and report.exit_code == 1
    assert report.summary("image", copies).endswith("; stopped before the end.")


def test_ctrl_c_before_the_first_image_leaves_nothing(pipeline, files, tmp_path):
    report = Report()
    assert process_images(files, stop_at(pipeline, 1), tmp_path / "output", report) == []
    assert (report.records, report.exit_code) == ([], 1)


def test_closing_the_window_does_not_end_a_run_over_images(pipeline, files, tmp_path):
    report = Report()
    window = FakeWindow(closed_at=2)
    copies = process_images(files, pipeline, tmp_path / "output", report, window)
    assert [wait for _, wait in window.shown] == [True, True]
    assert len(copies) == len(report.records) == len(files)


def test_faces_can_be_blurred_in_the_copies(pipeline, files, tmp_path):
    (copy,) = process_images(files[:1], pipeline, tmp_path / "output", Report(), blur=True)
    image = read_image(files[0])
    found = pipeline(image)
    expected = draw_detections(blur_faces(image, found.xyxy), found).astype(float)
    assert np.abs(read_image(copy).astype(float) - expected).mean() < 3


def test_video_without_frames_is_reported(pipeline, tmp_path):
    report = Report()
    (tmp_path / "text.jpg").write_text("no film")
    video = Video(tmp_path / "text.jpg")
    assert process_video(video, Monitor(pipeline), tmp_path / "output", report) == []
    assert len(report.problems) == 1 and report.exit_code == 2
    assert not (tmp_path / "output").exists()


def test_video_is_processed_to_its_end(pipeline, street, tmp_path):
    report = Report()
    monitor = Monitor(pipeline, counter=PeopleCounter(interval_s=2))
    times = []
    (copy,) = process_video(
        Video(street),
        monitor,
        tmp_path / "output",
        report,
        on_frame=lambda tracks, time_s: times.append(time_s),
    )
    assert monitor.counter.counts == {"with_mask": 1, "without_mask": 1, "mask_worn_incorrectly": 0}
    assert [row["people"] for row in monitor.counter.list_intervals()] == [2, 2]
    assert [record["frame"] for record in report.records] == list(range(100))
    assert times == pytest.approx([frame / FPS for frame in range(100)], abs=2e-3)
    labels = {
        (face["class_name"], face["track_id"])
        for record in report.records[5:]
        for face in record["faces"]
    }
    assert len(labels) == 2 and {name for name, _ in labels} == {"with_mask", "without_mask"}
    written = Video(copy)
    assert (written.fps, written.frame_count) == (pytest.approx(FPS), 100)
    (_, _, last) = list(written)[-1]
    assert np.abs(last.astype(int) - draw_street(99)).max() > 60  # drawn on


def test_first_frames_of_a_video_have_their_faces(pipeline, tmp_path):
    report = Report()
    path = write_video(tmp_path / "film é.mp4", fps=12.5, resolution_wh=(160, 120))
    (copy,) = process_video(Video(path), Monitor(pipeline), tmp_path / "output", report)
    assert copy == tmp_path / "output" / "film é.mp4"
    assert [record["time_s"] for record in report.records] == pytest.approx([0, 0.08, 0.16, 0.24])
    assert [len(record["faces"]) for record in report.records] == [1, 1, 1, 0]
    assert {record["file"] for record in report.records} == {str(path)}


def test_records_of_a_video_are_written_as_they_come(pipeline, street, tmp_path):
    report = Report(keep_records=False)
    stream = JsonStream(tmp_path / "a.json")
    process_video(Video(street), Monitor(pipeline), None, report, stream=stream)
    records = json.loads((tmp_path / "a.json").read_text())["images"]
    assert (len(records), report.records, report.counts["images"]) == (100, [], 100)
    assert {len(record["faces"]) for record in records} == {2}
    assert not list(tmp_path.glob("output*"))


@pytest.mark.slow
def test_stream_that_breaks_off_five_times_counts_each_person_once(pipeline):
    """The stream is away for longer than a track lives; no person and no frame is counted twice."""
    report = Report()
    monitor = Monitor(pipeline, counter=PeopleCounter(interval_s=1e6))
    breaks = 0
    with Stream([draw_street(30)], fps=40) as stream:
        video = Video(stream.address, report.warn)

        def kill_sometimes(tracks: Detections, time_s: float) -> None:
            nonlocal breaks
            if report.counts["images"] % 12 == 11 and breaks < 5:
                stream.kill()
                time.sleep(MEMORY_S + 0.2 if breaks % 2 else 0)
                stream.start()
                breaks += 1

        window = FakeWindow(closed_at=80)
        process_video(video, monitor, None, report, window, on_frame=kill_sometimes)
    assert (breaks, video.reader.reopened) == (5, 5)
    assert (report.counts["images"], report.exit_code) == (80, 0)
    assert monitor.counter.counts == {"with_mask": 1, "without_mask": 1, "mask_worn_incorrectly": 0}
    frames = {row["track_id"]: row["frames"] for row in monitor.counter.list_tracks()}
    assert frames == {1: 78, 2: 78}  # a track counts from its third frame
    assert [row["people"] for row in monitor.counter.list_intervals()] == [2]
    assert [record["frame"] for record in report.records] == list(range(80))
    assert np.all(np.diff([record["time_s"] for record in report.records]) > 0)


def test_copy_in_the_folder_of_the_video_does_not_replace_it(pipeline, tmp_path):
    path = write_video(tmp_path / "film.mp4")
    content = path.read_bytes()
    (copy,) = process_video(Video(path), Monitor(pipeline), tmp_path, Report())
    assert copy.name == "film_2.mp4" and path.read_bytes() == content


@pytest.mark.parametrize("is_live", [True, False])
def test_ctrl_c_leaves_complete_files_of_a_video(pipeline, tmp_path, is_live):
    report = Report()
    video = Video(write_video(tmp_path / "film.mp4", fps=1))
    if is_live:
        video._read_live = video._read_file
        video.is_live = True
    stream = JsonStream(tmp_path / "a.json")
    monitor = Monitor(stop_at(pipeline, 3))
    (copy,) = process_video(video, monitor, tmp_path / "output", report, stream=stream)
    assert len(list(Video(copy))) == len(report.records) == 2
    assert len(json.loads((tmp_path / "a.json").read_text())["images"]) == 2
    assert report.exit_code == (0 if is_live else 1)  # Ctrl-C is the normal end of a camera


@pytest.mark.parametrize("writer", [JsonStream, VideoWriter])
def test_each_frame_of_the_copy_has_its_record_after_ctrl_c(
    pipeline, tmp_path, monkeypatch, writer
):
    add = writer.add
    calls = []

    def add_and_press(*args):
        add(*args)
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "add", add_and_press)
    video = Video(write_video(tmp_path / "film.mp4"))
    stream = JsonStream(tmp_path / "a.json")
    (copy,) = process_video(video, Monitor(pipeline), tmp_path / "output", Report(), stream=stream)
    records = json.loads((tmp_path / "a.json").read_text())["images"]
    assert (len(records), len(list(Video(copy)))) == (3, 2 if writer is JsonStream else 3)


def test_closing_the_window_ends_a_video(pipeline, tmp_path):
    report = Report()
    window = FakeWindow(closed_at=2)
    video = Video(write_video(tmp_path / "film.mp4"))
    process_video(video, Monitor(pipeline), None, report, window)
    assert [wait for _, wait in window.shown] == [False, False]
    assert (len(report.records), report.exit_code) == (2, 0)


def test_video_copy_that_cannot_be_written_is_reported(pipeline, street, tmp_path):
    report = Report()
    (tmp_path / "output" / "street.mp4").mkdir(parents=True)
    assert process_video(Video(street), Monitor(pipeline), tmp_path / "output", report) == []
    (problem,) = report.problems
    assert "cannot be written" in problem


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_in_the_order_of_the_files(
    pipeline, tmp_path, workers
):
    files = []
    for number in range(12):
        name = MASK_CLASSES[number % len(MASK_CLASSES)]
        path = write_image(tmp_path / f"{number:02}.png", draw_blocks((name, BOX)))
        files.append(path)
    files[3].write_bytes(b"")
    files[8].unlink()

    def slow_at_first(image):
        time.sleep(0.02 * (threading.active_count() % 3))
        return pipeline(image)

    report = Report()
    copies = process_images(files, slow_at_first, tmp_path / "output", report, workers=workers)
    done = [file for number, file in enumerate(files) if number not in (3, 8)]
    assert [record["file"] for record in report.records] == [file.as_posix() for file in done]
    assert [copy.stem for copy in copies] == [file.stem for file in done]
    assert ["03.png" in report.problems[0], "08.png" in report.problems[1]] == [True, True]
    for record, copy in zip(report.records, copies, strict=True):
        expected = MASK_CLASSES[int(copy.stem) % len(MASK_CLASSES)]
        assert [face["class_name"] for face in record["faces"]] == [expected]


def test_after_ctrl_c_each_copy_of_several_workers_has_its_record(pipeline, files, tmp_path):
    class StoppedReport(Report):
        """A report whose second image is interrupted by Ctrl-C."""

        def add(self, record: dict) -> None:
            super().add(record)
            if len(self.records) == 2:
                raise KeyboardInterrupt

    report = StoppedReport()
    output = tmp_path / "output"
    copies = process_images(files * 10, pipeline, output, report, workers=2)
    assert report.interrupted
    assert 2 <= len(report.records) < 10
    assert len(copies) == len(report.records)
    assert sorted(path for path in output.iterdir()) == sorted(copies)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_for_which_there_is_no_memory_is_reported(pipeline, files, tmp_path, workers):
    def run_out(image):
        found = pipeline(image)
        if make_record("", (160, 120), found)["faces"][0]["class_name"] == MASK_CLASSES[1]:
            raise MemoryError
        return found

    report = Report()
    process_images(files, run_out, tmp_path / "output", report, workers=workers)
    (problem,) = report.problems
    assert problem == f"{files[1]} cannot be processed: {NO_MEMORY}"
    assert (len(report.records), report.exit_code) == (2, 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unexpected_error_costs_one_image(pipeline, files, tmp_path, workers):
    def fail(image):
        found = pipeline(image)
        if make_record("", (160, 120), found)["faces"][0]["class_name"] == MASK_CLASSES[1]:
            raise IndexError("of a kind that nobody thought of")
        return found

    report = Report()
    process_images(files, fail, tmp_path / "output", report, workers=workers)
    (problem,) = report.problems
    assert problem.startswith(f"{files[1]} cannot be processed: IndexError: of a kind")
    assert [record["file"] for record in report.records] == [
        files[0].as_posix(),
        files[2].as_posix(),
    ]
    assert report.exit_code == 1
