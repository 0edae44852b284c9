"""Clock: times that rise, from timestamps that may not."""

import numpy as np
import pytest

from utils.video.media.clock import Clock

CASES = {
    "no frame": ([], [], False),
    "steady": ([0, 0.1, 0.2], [0, 0.1, 0.2], False),
    "begun in the middle": ([1000, 1000.1], [0, 0.1], True),
    "begun before 0": ([-0.5, 0.0], [0, 0.5], False),
    "no timestamps": ([None, None, None], [0, 0.04, 0.08], False),
    "one without": ([0, None, 0.1], [0, 0.04, 0.1], False),
    "a new clock that starts at 0": ([5, 5.1, 0, 0.1], [0, 0.1, 0.14, 0.24], True),
    "a new clock an hour later": ([0, 0.1, 3600, 3600.1], [0, 0.1, 0.14, 0.24], True),
    "a still picture for an hour": ([0, 0.1, 3600], [0, 0.1, 3600], False),
    "a wrong timestamp in a broadcast": ([0, 0.1, 9000, 0.3], [0, 0.1, 0.14, 0.18], True),
    "two at one time": ([0, 0.1, 0.1, 0.2], [0, 0.1, 0.101, 0.2], False),
    "a small step back": ([0, 0.1, 0.05, 0.2], [0, 0.1, 0.101, 0.2], False),
}


@pytest.mark.parametrize(("timestamps", "times", "may_jump"), CASES.values(), ids=CASES.keys())
def test_times_of_frames(timestamps, times, may_jump):
    clock = Clock(0.04, may_jump)
    converted = [clock.convert(timestamp_s) for timestamp_s in timestamps]
    assert converted == pytest.approx(times)
    assert np.all(np.diff(converted) > 0)
