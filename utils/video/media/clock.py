"""Times of frames that never go back, from timestamps that may."""

from __future__ import annotations

SMALL_S = 1.0  # seconds; a smaller step back is an inexact timestamp, a larger one a new clock
# Seconds; a larger step ahead is a new clock. FFmpeg's program has the same two limits
# (-dts_delta_threshold and -dts_error_threshold): the first where the format allows a new clock.
MAX_STEP_S = 10.0
MAX_STEP_ELSEWHERE_S = 30 * 3600.0
LEAST_STEP_S = 0.001  # seconds between two frames, at least


class Clock:
    """Turns timestamps into seconds from the first frame, always rising.

    Files that were concatenated, or begun in the middle of a broadcast, have timestamps that start
    anywhere and jump. After a jump, time goes on with one frame time.
    """

    def __init__(self, frame_s: float, may_jump: bool) -> None:
        """Start a clock.

        Args:
            frame_s: seconds from a frame to the next where the timestamps do not tell.
            may_jump: whether the format allows a new clock within a file.
        """
        self._frame_s = frame_s
        self._max_step_s = MAX_STEP_S if may_jump else MAX_STEP_ELSEWHERE_S
        self._offset_s: float | None = None  # of the timestamps
        self._last_s = 0.0

    def convert(self, timestamp_s: float | None) -> float:
        """Return the time of the next frame.

        Args:
            timestamp_s: the timestamp in the file, seconds; None if the frame has none.
        """
        if self._offset_s is None:
            self._offset_s = -(timestamp_s or 0.0)
            return 0.0
        if timestamp_s is None:
            self._last_s += self._frame_s
            return self._last_s
        time_s = timestamp_s + self._offset_s
        step_s = time_s - self._last_s
        if step_s <= -SMALL_S or step_s > self._max_step_s:
            time_s = self._last_s + self._frame_s
            self._offset_s = time_s - timestamp_s
        self._last_s = max(time_s, self._last_s + LEAST_STEP_S)
        return self._last_s
