"""Video streams without a container, whose frames change their size."""

from fractions import Fraction

import cv2
import pytest

from tests.odd_videos import FRAMES, draw_frame, write_film, write_joined
from utils.video import Video
from utils.video.media.streams import PartOfFile, split_stream

SIZES = [(160, 120), (120, 160), (160, 90)]
STREAMS = {
    "H.264": ("a.h264", {"codec": "libx264", "time_base": Fraction(1, 10)}, 10),
    "HEVC": ("a.h265", {"codec": "libx265", "time_base": Fraction(1, 10)}, None),
    "MPEG-2": ("a.m2v", {"codec": "mpeg2video", "rate": 25, "time_base": Fraction(1, 25)}, None),
}


@pytest.fixture(params=STREAMS.values(), ids=STREAMS.keys())
def stream(request, tmp_path):
    """Return a stream of three parts, and the frame rate that its headers tell."""
    pytest.importorskip("av")
    name, options, fps = request.param
    times = [number * float(options["time_base"]) for number in range(FRAMES)]
    parts = [{"resolution_wh": size_wh, "times": times, **options} for size_wh in SIZES]
    return write_joined(tmp_path / name, parts), fps


def test_a_stream_is_split_where_its_frames_change_their_size(stream):
    path, fps = stream
    found = split_stream(path)
    assert [part.parameters.size_wh for part in found] == SIZES
    assert [part.parameters.fps for part in found] == [fps] * 3
    assert (found[0].start, found[-1].end) == (0, path.stat().st_size)
    for part, size in zip(found, SIZES, strict=True):
        with PartOfFile(path, part.start, part.end) as file:
            capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [])
            frames = 0
            while True:
                is_read, frame = capture.read()
                if not is_read:
                    break
                frames += 1
                assert frame.shape == (*size[::-1], 3)
        assert frames == FRAMES


def test_each_frame_of_a_stream_has_its_own_size(stream, without_pyav):
    frames = [image for _, _, image in Video(stream[0])]
    assert len(frames) == 3 * FRAMES
    for number, image in enumerate(frames):
        expected = draw_frame(number % FRAMES, SIZES[number // FRAMES])
        assert image.shape == expected.shape
        assert abs(image.astype(float) - expected).mean() < 8


def test_other_files_have_no_parts(tmp_path):
    pytest.importorskip("av")
    assert split_stream(write_film(tmp_path / "a.mp4")) == []
    for content in (b"", b"\0\0\0\1", b"\0\0\1\x67" + bytes(20), b"\0\0\1\x67\x64"):
        (tmp_path / "a.h264").write_bytes(content)
        assert split_stream(tmp_path / "a.h264") == []
