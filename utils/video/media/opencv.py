"""Read video files and addresses with OpenCV, without PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from utils.images import resize_image, stretch_to_square
from utils.video.media.frame_sizes import list_sizes
from utils.video.media.streams import Part, PartOfFile, split_stream

TOLERANCE = 0.1  # by which times between frames may differ in a video with a constant frame rate
ROUNDING_S = 0.0015  # Matroska rounds times to milliseconds
MAX_GRID_FPS = 60.0  # frames per second at most for a video without a constant frame rate
PROBED_FRAMES = 3000  # whose times tell the frame rate


def read_fps(capture: cv2.VideoCapture) -> float | None:
    """Return the frames per second that a source says it has, or None if it says nothing usable."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps < np.inf else None


def square_pixels(image: np.ndarray, capture: cv2.VideoCapture) -> np.ndarray:
    """Return a frame of a capture with square pixels.

    Args:
        image: (H, W, 3) as the capture returned it, turned upright.
        capture: where it is from.
    """
    width, height = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    if width <= 0 or height <= 0 or width == height:
        return image
    is_turned = capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
    return stretch_to_square(image, height / width if is_turned else width / height)


class OpencvReader:
    """Reads the frames of a video file or of an address with an end.

    Attributes:
        codec: FFmpeg's code of four letters for the codec.

    The others are those of ``utils.video.media.pyav.PyavReader``.
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        path: Path | None = None,
        stores_count: bool = False,
    ) -> None:
        """Prepare to read.

        Args:
            capture: open, at the first frame.
            path: the file, or None for an address.
            stores_count: whether the format stores the number of frames. For other formats OpenCV
                returns a guess.
        """
        self._capture = capture
        code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        self.codec = code.to_bytes(4, "little").decode("latin")
        self.fps = read_fps(capture)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.announced_count = count if count > 0 else None
        self.stored_count = self.announced_count if stores_count else None
        self.duration_s: float | None = None
        if self.announced_count and self.fps:
            self.duration_s = self.announced_count / self.fps
        self.has_sound = False  # OpenCV does not tell
        self.discarded = 0
        self.last_duration_s: float | None = None
        self._path = path
        self._parts: list[Part] = []  # of a stream without a container
        self._sizes: list[tuple[float, tuple[int, int]]] = []  # of a file with several
        if path is not None:
            self._parts = split_stream(path)
            if self._parts:
                self.fps = self._parts[0].parameters.fps or self.fps
            else:
                self.fps = measure_fps(list_times(path), self.fps)
                self._sizes = list_sizes(path)

    def __iter__(self) -> Iterator[tuple[float | None, np.ndarray]]:
        """Yield the timestamp of each frame in seconds, or None, and its (H, W, 3) RGB image."""
        if len(self._parts) > 1:
            yield from self._read_parts()
            return
        count = 0
        timestamp_s: float | None = None
        known_s = 0.0  # the last timestamp
        try:
            while True:
                is_read, frame = self._capture.read()
                if not is_read:
                    break
                count += 1
                # OpenCV returns 0 where there is no timestamp.
                timestamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if timestamp_s == 0 and count > 1:
                    timestamp_s = None
                rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                known_s = timestamp_s or known_s
                rgb = self._restore_size(rgb, known_s)
                yield timestamp_s, square_pixels(rgb, self._capture)
        finally:
            self._capture.release()
        if count == self.stored_count and self.duration_s and timestamp_s is not None:
            self.last_duration_s = max(0.0, self.duration_s - timestamp_s) or None

    def _restore_size(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """Return a frame, which OpenCV squeezed into the size of the first, in its own size."""
        if not self._sizes:
            return image
        size_wh = self._sizes[0][1]
        for start_s, later_wh in self._sizes:
            if start_s <= time_s + ROUNDING_S:
                size_wh = later_wh
        if self._capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90:
            size_wh = size_wh[::-1]
        if size_wh == image.shape[1::-1]:
            return image
        return resize_image(image, size_wh)

    def _read_parts(self) -> Iterator[tuple[float | None, np.ndarray]]:
        """Yield the frames of each part in its own size."""
        self._capture.release()
        assert self._path is not None
        for part in self._parts:
            with PartOfFile(self._path, part.start, part.end) as file:
                source: Any = file  # OpenCV's types do not name Python's files
                capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [])
                try:
                    while True:
                        is_read, frame = capture.read()
                        if not is_read:
                            break
                        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                        yield None, square_pixels(rgb, capture)
                finally:
                    capture.release()


def list_times(path: Path, most: int = PROBED_FRAMES) -> list[float]:
    """Return the timestamps of the first frames of a file in seconds, sorted, without decoding.

    Empty if the format has no timestamps.
    """
    capture = cv2.VideoCapture(
        str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1]
    )  # -1: packets as they are
    times: list[float] = []
    while len(times) < most and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    return sorted(times) if any(times) else []


def measure_fps(times: list[float], nominal: float | None) -> float | None:
    """Return the frames per second of a grid into which all frames of a video fit.

    Args:
        times: of its frames in seconds, sorted.
        nominal: what the file says, or None.

    Returns:
        ``nominal`` where it is constant and true. Otherwise the frame rate of the shortest steps,
        up to ``MAX_GRID_FPS``.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if len(steps) < 2:
        return nominal
    shortest, median = np.quantile(steps, [0.05, 0.5])
    if nominal:
        allowed = TOLERANCE / nominal + ROUNDING_S
        if abs(median - 1 / nominal) <= allowed and 1 / nominal - shortest <= allowed:
            return nominal
    if median - shortest <= TOLERANCE * median + ROUNDING_S:
        return float(1 / median)
    return float(min(MAX_GRID_FPS, 1 / shortest))
