"""Copies of videos: as many frames, as fast, as long as the source was."""

import shutil
from collections import namedtuple

import cv2
import numpy as np
import pytest

from utils.images import ImageError
from utils.video import writer as video_copy
from utils.video.sources import Video
from utils.video.writer import VideoWriter


def make_frame(number: int, resolution_wh=(64, 48)) -> np.ndarray:
    return np.full((*resolution_wh[::-1], 3), 20 + 2 * number, np.uint8)


def test_a_copy_without_frames_is_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        pass
    assert (copy.frame_count, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("fps", [10, 23.976, 25, 30])
def test_a_copy_has_the_rate_the_length_and_the_frames(tmp_path, fps):
    with VideoWriter(tmp_path / "below" / "a é.mp4", fps) as copy:
        for number in range(40):
            copy.add(make_frame(number), number / fps)
    read = Video(copy.path)
    assert (read.frame_count, read.fps) == (40, pytest.approx(fps, abs=1e-3))
    for number, _, image in read:
        assert np.abs(image.astype(int) - make_frame(number)).max() < 12


def test_a_camera_that_stutters_gives_a_copy_that_runs_as_time_did(tmp_path):
    """25 frames a second are promised; 5 come in the first second, 100 in the next, none in the third, one after it."""
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


def test_a_frame_of_another_size_lies_whole_in_the_first_ones(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as copy:
        copy.add(make_frame(50), 0)
        copy.add(make_frame(50, (48, 64)), 0.04)
    frames = [image for _, _, image in Video(copy.path)]
    assert {image.shape for image in frames} == {(48, 64, 3)}
    assert frames[1][24, 32].mean() > 90 and frames[1][24, 3].mean() < 30


def test_a_full_disk_leaves_a_copy_that_can_be_played(tmp_path, monkeypatch):
    free = iter([10**12, 10**12, 1000])
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(video_copy.shutil, "disk_usage", lambda folder: usage(next(free)))
    copy, number = VideoWriter(tmp_path / "a.mp4", 25), 0
    with pytest.raises(
        ImageError, match=rf"^{tmp_path / 'a.mp4'} ends after 2.0 s: the disk is full"
    ):
        for number in range(100):
            copy.add(make_frame(number), number / 25)
    assert number == 50
    assert len(list(Video(copy.path))) == 50
    assert shutil is video_copy.shutil


def test_what_cannot_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False, raising=False)
    with pytest.raises(ImageError, match="cannot be written: choose another folder"):
        VideoWriter(tmp_path / "a.mp4", 25).add(make_frame(0), 0)
