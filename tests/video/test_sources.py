"""Video: the frames of a file, a folder and a stream, and a sentence for each bad source."""

import re
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import BLOCK_COLORS
from tests.films import write_video
from tests.mjpeg_server import Stream
from utils.images import SourceError, write_image
from utils.video import sources
from utils.video.live import LiveReader
from utils.video.sources import Video

FILE_TESTS = pytest.mark.usefixtures("library")


@FILE_TESTS
@pytest.mark.parametrize("fps", [5.0, 12.5, 30.0])
def test_frames_are_read_as_written(tmp_path, fps):
    video = Video(write_video(tmp_path / "film é.mp4", fps))
    assert (video.is_live, video.frame_count, video.path) == (
        False,
        len(BLOCK_COLORS),
        tmp_path / "film é.mp4",
    )
    assert video.fps == pytest.approx(fps)
    frames = list(video)
    assert [number for number, _, _ in frames] == list(range(len(BLOCK_COLORS)))
    assert [time_s for _, time_s, _ in frames] == pytest.approx(
        [number / fps for number, _, _ in frames], abs=1e-3
    )
    for (_, _, image), color in zip(frames, BLOCK_COLORS.values(), strict=True):
        assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
        assert np.abs(image.mean(axis=(0, 1)) - color).max() < 20


@FILE_TESTS
def test_video_can_be_left_before_its_end(tmp_path):
    video = Video(str(write_video(tmp_path / "a.mp4")))
    frames = iter(video)
    assert next(frames)[0] == 0
    frames.close()


NO_VIDEO = {
    "empty": (b"", r"{} is empty: fetch or save it again\.$"),
    "text": (
        b"no video" * 100,
        r"{} (is cut off or not a readable video|has no readable frame): check it",
    ),
    "missing": (None, r"There is no video {}: check the path\.$"),
}


@FILE_TESTS
@pytest.mark.parametrize(("content", "sentence"), NO_VIDEO.values(), ids=NO_VIDEO.keys())
@pytest.mark.parametrize("name", ["a b.mp4", "a.jpg"])
def test_bad_video_is_named_in_one_sentence(tmp_path, capfd, content, sentence, name):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=sentence.format(re.escape(str(path)))):
        list(Video(path))
    assert capfd.readouterr() == ("", "")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_codec(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"XYZW"))


@FILE_TESTS
@pytest.mark.parametrize(
    ("suffix", "codec", "damage"), [(".mp4", "mp4v", cut_in_half), (".avi", "MJPG", change_codec)],
    ids=["without its index", "unknown codec"],
)  # fmt: skip
def test_video_that_cannot_be_opened_is_named_in_one_sentence(
    tmp_path, capfd, suffix, codec, damage
):
    path = tmp_path / f"film{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (64, 48))
    for _ in range(50):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    assert len(list(Video(path))) == 50
    damage(path)
    with pytest.raises(
        SourceError, match=rf"^{path} is cut off or not a readable video: check it, or save it"
    ):
        Video(path)
    assert capfd.readouterr() == ("", "")


def test_missing_camera_is_named_in_one_sentence(capfd):
    with pytest.raises(SourceError, match=r"^Camera 97 cannot be opened: plug it in"):
        Video(97)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has a file for each camera"
)
def test_camera_used_by_another_program_is_named_in_one_sentence(monkeypatch):
    monkeypatch.setattr(sources.Path, "exists", lambda path: str(path) == "/dev/video97")
    with pytest.raises(
        SourceError, match=r"^Camera 97 cannot be opened: close the program that uses it"
    ):
        Video(97)


ADDRESSES = {
    "rtsp": (
        "rtsp://127.0.0.1:1/film",
        "rtsp://127.0.0.1:1/film does not answer with a video: check the address",
    ),
    "with a password": (
        "rtsp://user:secret@127.0.0.1:1/film",
        "rtsp://127.0.0.1:1/film does not answer",
    ),
    "http": ("http://user:secret@127.0.0.1:1/film", "http://127.0.0.1:1/film does not answer"),
    "a misspelled scheme": (
        "htp://127.0.0.1/film",
        "htp://127.0.0.1/film is not the address of a stream",
    ),
}


@pytest.mark.parametrize(("address", "sentence"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_stream_that_does_not_answer_is_named_without_its_password(capfd, address, sentence):
    with pytest.raises(SourceError, match=f"^{re.escape(sentence)}") as caught:
        Video(address)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_folder_is_a_video_of_its_images(tmp_path):
    messages = []
    for number, name in enumerate(BLOCK_COLORS):
        write_image(
            tmp_path / f"{number + 8}.png",
            np.full((48 + 8 * number, 64, 3), BLOCK_COLORS[name], np.uint8),
        )
    (tmp_path / "9b.jpg").write_text("no picture")
    video = Video(tmp_path, messages.append)
    frames = []
    with pytest.raises(SourceError, match=rf"^{tmp_path}: 1 of 5 images could not be read"):
        frames.extend(video)
    assert (video.is_live, video.frame_count, len(messages), "9b.jpg" in messages[0]) == (
        False,
        5,
        1,
        True,
    )
    # Each image keeps its size.
    assert [image.shape for _, _, image in frames] == [(48 + 8 * i, 64, 3) for i in range(4)]
    for (_, _, image), color in zip(frames, BLOCK_COLORS.values(), strict=True):
        np.testing.assert_array_equal(image[24, 32], color)


def test_folder_without_images_is_named(tmp_path):
    with pytest.raises(SourceError, match=rf"{tmp_path} holds no images"):
        Video(tmp_path)


@FILE_TESTS
def test_video_that_is_cut_off_gives_its_frames_and_then_an_error(tmp_path):
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


def test_stream_gives_its_newest_frame_and_none_twice():
    images = [np.full((48, 64, 3), value, np.uint8) for value in range(0, 250, 10)]
    with Stream(images, fps=50) as stream:
        video = Video(stream.address)
        seen = []
        times = []
        assert (video.is_live, video.frame_count) == (True, None)
        for number, time_s, image in video:
            seen.append(int(image.mean().round(-1)))
            times.append(time_s)
            if number == 3:
                time.sleep(0.3)  # a slow consumer
            if number == 12:
                break
    assert np.all(np.diff(times) > 0)
    steps = np.diff(seen)[:12] % 250
    assert steps[3] >= 80  # the frames in between are skipped
    assert np.median(np.delete(steps, 3)) == 10  # otherwise every frame is read


@pytest.mark.slow
def test_stream_that_breaks_off_five_times_is_reopened_and_reported():
    image = np.full((48, 64, 3), 120, np.uint8)
    messages = []
    broken = 0
    with Stream([image], fps=50) as stream:
        video = Video(stream.address.replace("://", "://user:secret@"), messages.append)
        for number, _, frame in video:
            assert abs(frame.mean() - 120) < 3
            if number % 10 == 9:
                if broken == 5:
                    break
                stream.kill()
                stream.start()
                broken += 1
    assert video.reader.reopened == 5
    assert sum("is back" in message for message in messages) == 5
    assert sum("trying again in" in message for message in messages) >= 5
    assert not any("secret" in message for message in messages)


def test_stream_that_stays_away_is_given_up():
    messages = []

    class Gone:
        def read(self):
            return False, None

        def release(self):
            pass

    reader = LiveReader(Gone, messages.append, "The door", give_up_s=1.0, first_wait_s=0.1)
    assert list(reader) == [] and reader.given_up
    assert messages[-1] == "The door sent no frame for 1 s."
    assert messages[:-1] == [
        f"The door broke off: trying again in {wait:g} s." for wait in (0.1, 0.2, 0.4)
    ]


def test_stream_that_ends_raises_an_error_after_its_frames(monkeypatch):
    monkeypatch.setattr(sources, "LiveReader", partial(LiveReader, give_up_s=0.5, first_wait_s=0.1))
    frames = []
    with Stream([np.full((48, 64, 3), 120, np.uint8)], fps=50) as stream:
        video = Video(stream.address)
        with pytest.raises(
            SourceError, match=rf"^{stream.address} is given up: check that it is switched on"
        ):
            for frame in video:
                frames.append(frame)
                if len(frames) == 5:
                    stream.kill()
    assert len(frames) >= 5
