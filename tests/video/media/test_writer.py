"""VideoWriter: a copy has the frames, the fps and the length of its source."""

from collections import namedtuple

import cv2
import numpy as np
import pytest

from utils.images import ImageError
from utils.video.media import writer as writer_module
from utils.video.media.writer import VideoWriter
from utils.video.sources import Video

BOTH = pytest.mark.usefixtures("library")


def make_frame(number: int, resolution_wh=(64, 48)) -> np.ndarray:
    return np.full((*resolution_wh[::-1], 3), 20 + 2 * number, np.uint8)


@BOTH
def test_no_frames_give_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        pass
    assert (copy.frame_count, list(tmp_path.iterdir())) == (0, [])


@BOTH
@pytest.mark.parametrize("fps", [10, 23.976, 25, 30])
def test_fps_length_and_frames_are_read_back(tmp_path, fps):
    with VideoWriter(tmp_path / "below" / "a é.mp4", fps) as copy:
        for number in range(40):
            copy.add(make_frame(number), number / fps)
    read = Video(copy.path)
    assert (read.frame_count, read.fps) == (40, pytest.approx(fps, abs=1e-3))
    for number, _, image in read:
        assert np.abs(image.astype(int) - make_frame(number)).max() < 12


def test_opencv_repeats_and_drops_irregular_frames(tmp_path, without_pyav):
    """At 25 fps: 5 frames in the first second, 100 in the second, none in the third, one after."""
    times = [*np.linspace(0, 0.8, 5), *np.linspace(1, 1.99, 100), 3.0]
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        for number, time_s in enumerate(times):
            copy.add(make_frame(number), time_s)
    assert copy.frame_count == 76
    frames = [image for _, _, image in Video(copy.path)]
    assert len(frames) == 76
    for index in (
        10,
        20,
        30,
        40,
        74,
    ):  # each shows the newest of the frames that had come by then, or the next
        due = np.searchsorted(times, index / 25, side="right") - 1
        shown = (frames[index].mean() - 20) / 2
        assert due - 6 <= shown <= due + 6


@BOTH
def test_frame_of_another_size_is_fitted_into_the_first_size(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        copy.add(make_frame(50), 0)
        copy.add(make_frame(50, (48, 64)), 0.04)
    frames = [image for _, _, image in Video(copy.path)]
    assert {image.shape for image in frames} == {(48, 64, 3)}
    assert frames[1][24, 32].mean() > 90 and frames[1][24, 3].mean() < 30


@BOTH
def test_full_disk_leaves_a_copy_that_can_be_played(tmp_path, monkeypatch):
    free = iter([10**12, 10**12, 1000])
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(writer_module.shutil, "disk_usage", lambda folder: usage(next(free)))
    copy, number = VideoWriter(tmp_path / "a.mp4", 25), 0
    with pytest.raises(
        ImageError, match=rf"^{tmp_path / 'a.mp4'} ends after 2.0 s: the disk is full"
    ):
        for number in range(100):
            copy.add(make_frame(number), number / 25)
    assert number == 50
    assert len(list(Video(copy.path))) == 50


def test_copy_that_cannot_be_written_is_an_error(tmp_path, monkeypatch, without_pyav):
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False, raising=False)
    with pytest.raises(ImageError, match=r"cannot be written \(OpenCV.*\): choose another folder"):
        VideoWriter(tmp_path / "a.mp4", 25).add(make_frame(0), 0)


def test_name_of_the_copy_stays_with_the_earlier_file_until_the_end(tmp_path, library):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"earlier")
    with VideoWriter(path, 25) as copy:
        for number in range(3):
            copy.add(make_frame(number), number / 25)
        assert path.read_bytes() == b"earlier"
        assert (tmp_path / "a.part.mp4").is_file()
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert len(list(Video(path))) == 3


@pytest.mark.parametrize("name", ["2021-05-01T12:30:00.mp4", "a%03d.mp4", "a b é.mp4"])
def test_name_may_hold_any_character(tmp_path, monkeypatch, library, name):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(name, 25) as copy:
        copy.add(make_frame(0), 0)
    assert (tmp_path / name).is_file()
    assert len(list(Video(name))) == 1


@pytest.mark.parametrize("fps", [0.01, 0.5, 7.123, 29.97003, 59.94006, 120, 140.5617, 239.76, 999])
def test_any_frame_rate_can_be_written(tmp_path, library, fps):
    with VideoWriter(tmp_path / "a.mp4", fps) as copy:
        for number in range(20):
            copy.add(make_frame(number), number / fps)
    video = Video(copy.path)
    times = [time_s for _, time_s, _ in video]
    assert len(times) == 20 or fps < 0.1
    assert video.end_s == pytest.approx(20 / fps, abs=1 / fps)


@pytest.mark.parametrize("resolution_wh", [(63, 47), (2, 2), (17, 16)])
def test_any_size_can_be_written(tmp_path, library, resolution_wh):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        for number in range(3):
            copy.add(make_frame(number, resolution_wh), number / 25)
    width, height = resolution_wh
    assert {image.shape for _, _, image in Video(copy.path)} == {(height & ~1, width & ~1, 3)}


def test_pyav_keeps_the_time_of_each_frame_and_h264_plays_in_browsers(tmp_path):
    av = pytest.importorskip("av")
    times = [0, 0.007, 0.1, 0.5, 2.25, 2.3, 60]
    writer = VideoWriter(tmp_path / "a.mp4", 25)
    for number, time_s in enumerate(times):
        writer.add(make_frame(number), time_s)
    writer.close(61.5)
    with av.open(str(writer.path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name in ("h264", "vp9")
        assert [frame.time for frame in container.decode(stream)] == pytest.approx(times, abs=1e-4)
        assert container.duration / av.time_base == pytest.approx(61.5, abs=1e-3)


def test_file_of_a_killed_program_can_be_played_up_to_its_last_seconds(tmp_path):
    av = pytest.importorskip("av")
    writer = VideoWriter(tmp_path / "a.mp4", 25)
    for number in range(250):
        writer.add(make_frame(number % 100), number / 25)
    # What is on the disk now is what a killed program leaves.
    copy = tmp_path / "killed.mp4"
    copy.write_bytes((tmp_path / "a.part.mp4").read_bytes())
    writer.close()
    with av.open(str(copy)) as container:
        seconds = [frame.time for frame in container.decode(video=0)]
    assert seconds[-1] > 7.5
    assert len(seconds) == round(seconds[-1] * 25) + 1
