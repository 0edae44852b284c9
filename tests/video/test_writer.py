"""VideoWriter: a copy has the frames, the fps and the length of its source."""

from collections import namedtuple

import cv2
import numpy as np
import pytest

from utils.images import ImageError
from utils.video import writer as writer_module
from utils.video.sources import Video
from utils.video.writer import VideoWriter


def make_frame(number: int, resolution_wh=(64, 48)) -> np.ndarray:
    return np.full((*resolution_wh[::-1], 3), 20 + 2 * number, np.uint8)


def test_no_frames_give_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        pass
    assert (copy.frame_count, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("fps", [10, 23.976, 25, 30])
def test_fps_length_and_frames_are_read_back(tmp_path, fps):
    with VideoWriter(tmp_path / "below" / "a é.mp4", fps) as copy:
        for number in range(40):
            copy.add(make_frame(number), number / fps)
    read = Video(copy.path)
    assert (read.frame_count, read.fps) == (40, pytest.approx(fps, abs=1e-3))
    for number, _, image in read:
        assert np.abs(image.astype(int) - make_frame(number)).max() < 12


def test_irregular_frames_give_a_copy_in_real_time(tmp_path):
    """At 25 fps: 5 frames in the first second, 100 in the second, none in the third, one after."""
    times = [*np.linspace(0, 0.8, 5), *np.linspace(1, 1.99, 100), 3.0]
    with VideoWriter(tmp_path / "a.mp4", 25, real_time=True) as copy:
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


def test_frame_of_another_size_is_fitted_into_the_first_size(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        copy.add(make_frame(50), 0)
        copy.add(make_frame(50, (48, 64)), 0.04)
    frames = [image for _, _, image in Video(copy.path)]
    assert {image.shape for image in frames} == {(48, 64, 3)}
    assert frames[1][24, 32].mean() > 90 and frames[1][24, 3].mean() < 30


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


def test_copy_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False, raising=False)
    with pytest.raises(ImageError, match="cannot be written: choose another folder"):
        VideoWriter(tmp_path / "a.mp4", 25).add(make_frame(0), 0)
