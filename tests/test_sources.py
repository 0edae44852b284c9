"""Sources: the frames of a video, a folder and a stream, and sentences for what cannot be read."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import BLOCK_COLORS
from tests.mjpeg_server import Stream
from utils.files import SourceError
from utils.images import write_image
from utils.live import LiveReader
from utils.sources import Video, hide_password


def write_video(path: Path, rate: float = 12.5, names=tuple(BLOCK_COLORS), resolution_wh=(64, 48)) -> Path:
    """A film of one frame a colour, so that a frame is known by its colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, resolution_wh)
    for name in names:
        writer.write(np.full((*resolution_wh[::-1], 3), BLOCK_COLORS[name][::-1], np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("rate", [5.0, 12.5, 30.0])
def test_frames_come_as_they_were_written(tmp_path, rate):
    video = Video(write_video(tmp_path / "film é.mp4", rate))
    assert (video.is_live, video.frame_count, video.path) == (False, len(BLOCK_COLORS), tmp_path / "film é.mp4")
    assert video.rate == pytest.approx(rate)
    frames = list(video)
    assert [number for number, _, _ in frames] == list(range(len(BLOCK_COLORS)))
    assert [time_s for _, time_s, _ in frames] == pytest.approx([number / rate for number, _, _ in frames], abs=1e-3)
    for (_, _, image), color in zip(frames, BLOCK_COLORS.values(), strict=True):
        assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
        assert np.abs(image.mean(axis=(0, 1)) - color).max() < 20


def test_a_video_can_be_left_before_its_end(tmp_path):
    video = Video(str(write_video(tmp_path / "a.mp4")))
    frames = iter(video)
    assert next(frames)[0] == 0
    frames.close()


@pytest.mark.parametrize("content", [b"", b"no film" * 100, None], ids=["empty", "text", "missing"])
@pytest.mark.parametrize("name", ["a b.mp4", "a.jpg"])
def test_what_is_no_video_is_named_in_one_sentence(tmp_path, capfd, content, name):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"{path}.*: check .*\.$"):
        list(Video(path))
    assert capfd.readouterr() == ("", "")


def test_a_camera_that_is_not_there_is_named_in_one_sentence(capfd):
    with pytest.raises(SourceError, match=r"^Camera 97 cannot be opened: plug it in"):
        Video(97)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("login", ["", "user:secret@"])
def test_a_stream_that_does_not_answer_is_named_in_one_sentence_without_its_password(capfd, login):
    with pytest.raises(SourceError, match=r"^rtsp://127\.0\.0\.1:1/film is not a video that can be read"):
        Video(f"rtsp://{login}127.0.0.1:1/film")
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_a_film_of_its_images(tmp_path):
    told = []
    for number, name in enumerate(BLOCK_COLORS):
        write_image(tmp_path / f"{number + 8}.png", np.full((48 + 8 * number, 64, 3), BLOCK_COLORS[name], np.uint8))
    (tmp_path / "9b.jpg").write_text("no picture")
    video = Video(tmp_path, told.append)
    frames = list(video)
    assert (video.is_live, video.frame_count, len(told), "9b.jpg" in told[0]) == (False, 5, 1, True)
    assert {image.shape for _, _, image in frames} == {(48, 64, 3)}  # the first one's, for one film
    for (_, _, image), color in zip(frames, BLOCK_COLORS.values(), strict=True):
        np.testing.assert_array_equal(image[24, 32], color)


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(SourceError, match=rf"{tmp_path} holds no images"):
        Video(tmp_path)


def test_a_film_that_is_cut_off_gives_its_frames_and_is_told(tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(100):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video, frames = Video(path), []
    with pytest.raises(SourceError, match=rf"^{path} ends after \d+ of 100 frames: it is cut off"):
        frames.extend(number for number, _, _ in video)
    assert 30 < len(frames) < 60


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("film.mp4", "film.mp4"),
        ("rtsp://host/film", "rtsp://host/film"),
        ("rtsp://user:secret@host/film", "rtsp://host/film"),
        ("rtsp://user:se@cret@host/film", "rtsp://host/film"),
        ("rtsp://user:se/cret@host/film", "rtsp://host/film"),
        ("http://secret@host:80/a?b=c", "http://host:80/a?b=c"),
    ],
)
def test_no_password_is_shown(address, shown):
    assert hide_password(address) == shown


def test_a_stream_gives_its_newest_frame_and_none_twice():
    images = [np.full((48, 64, 3), value, np.uint8) for value in range(0, 250, 10)]
    with Stream(images, rate=50) as stream:
        video, seen, times = Video(stream.address), [], []
        assert (video.is_live, video.frame_count) == (True, None)
        for number, time_s, image in video:
            seen.append(int(image.mean().round(-1)))
            times.append(time_s)
            if number == 3:
                time.sleep(0.3)  # a judge that is slow
            if number == 12:
                break
    assert np.all(np.diff(times) > 0)
    steps = np.diff(seen)[:12] % 250
    assert steps[3] >= 80  # what came meanwhile is passed over
    assert np.median(np.delete(steps, 3)) == 10  # else frame after frame


def test_a_stream_that_breaks_five_times_comes_back_and_says_so():
    image, told, broken = np.full((48, 64, 3), 120, np.uint8), [], 0
    with Stream([image], rate=50) as stream:
        video = Video(stream.address.replace("://", "://user:secret@"), told.append)
        for number, _, frame in video:
            assert abs(frame.mean() - 120) < 3
            if number % 10 == 9:
                if broken == 5:
                    break
                stream.kill()
                stream.start()
                broken += 1
    assert video.reader.reopened == 5
    assert sum("is back" in sentence for sentence in told) == 5
    assert sum("trying again in" in sentence for sentence in told) >= 5
    assert not any("secret" in sentence for sentence in told)


def test_a_stream_that_stays_away_is_given_up():
    told = []

    class Gone:
        def read(self):
            return False, None

        def release(self):
            pass

    assert list(LiveReader(Gone, told.append, "The door", patience=1.0, first_wait=0.1)) == []
    assert told[-1] == "The door gave nothing for 1 s and is given up."
    assert told[:-1] == [f"The door broke off: trying again in {wait:g} s." for wait in (0.1, 0.2, 0.4)]
