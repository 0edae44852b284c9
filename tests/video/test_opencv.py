"""Videos without PyAV: the frame rate of odd times, and H.264 streams without a container."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.odd_videos import write_film, write_joined
from utils.video.h264 import PartOfFile, parse_parameters, split_stream
from utils.video.opencv import measure_fps

STEADY = [number / 30 for number in range(100)]
RATES = {
    "no frames": ([], 25, 25),
    "steady": (STEADY, 30, 30),
    "rounded to milliseconds": ([round(time_s, 3) for time_s in STEADY], 30, 30),
    "slow motion": ([number / 240 for number in range(100)], 240, 240),
    "a wrong claim": ([round(time_s, 3) for time_s in STEADY], 1000, 30),
    "no claim": (STEADY, None, 30),
    "a pause": ([*STEADY, 10, 10 + 1 / 30], 30, 30),
    "half as fast at times": ([*STEADY[:50], *(2 * time_s for time_s in STEADY[50:])], 20, 30),
    "very fast at times": ([0, 0.001, 0.002, 0.003, 1, 2, 3, 4], 2, 60),
}


@pytest.mark.parametrize(("times", "nominal", "fps"), RATES.values(), ids=RATES.keys())
def test_measure_fps(times, nominal, fps):
    assert measure_fps(times, nominal) == pytest.approx(fps, rel=0.02)


def test_fps_of_no_frames_and_no_claim_is_unknown():
    assert measure_fps([], None) is None


def test_sizes_and_frame_rate_of_an_h264_stream(tmp_path):
    pytest.importorskip("av")
    sizes = [(160, 120), (120, 160), (160, 90)]
    parts = [{"resolution_wh": size, "time_base": Fraction(1, 10)} for size in sizes]
    path = write_joined(tmp_path / "a.h264", parts)
    found = split_stream(path)
    assert [part.parameters.fps for part in found] == [10, 10, 10]
    assert (found[0].start, found[-1].end) == (0, path.stat().st_size)
    for part, size in zip(found, sizes, strict=True):
        with PartOfFile(path, part.start, part.end) as file:
            capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [])
            frames = 0
            while True:
                is_read, frame = capture.read()
                if not is_read:
                    break
                frames += 1
                assert frame.shape == (*size[::-1], 3)
        assert frames == 40


def test_other_files_have_no_parts(tmp_path):
    pytest.importorskip("av")
    assert split_stream(write_film(tmp_path / "a.mp4")) == []
    for content in (b"", b"\0\0\0\1", b"\0\0\1\x67" + bytes(20), b"\0\0\1\x67\x64"):
        (tmp_path / "a.h264").write_bytes(content)
        assert split_stream(tmp_path / "a.h264") == []


def test_damaged_parameters_are_an_error_or_a_number():
    rng = np.random.default_rng(0)
    for _ in range(500):
        try:
            parameters = parse_parameters(b"\x67" + rng.bytes(rng.integers(0, 60)))
        except ValueError:
            continue
        assert min(parameters.size_wh) > 0
