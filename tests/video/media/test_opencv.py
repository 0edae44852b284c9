"""Videos without PyAV: the frame rate of odd times."""

import pytest

from utils.video.media.opencv import measure_fps

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
