"""The annotated copy of a video: an MP4 of its rate and length, also from a camera whose frames come as they please."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from utils.files import is_text
from utils.images import ImageError, fit_image

MIN_FREE = (
    64 * 2**20
)  # bytes left on the disk at which a copy is closed, while it can still be: an index must fit


class VideoCopy:
    """Frames written as MP4. Close it, or use it in a ``with`` statement: only then can it be played.

    Attributes:
        frame_count: frames written so far.
    """

    def __init__(self, path: str | Path, rate: float, by_time: bool = False) -> None:
        """Begin a copy; the file is made with its first frame.

        Args:
            path: where to.
            rate: frames a second.
            by_time: whether frames are repeated or left out so that the copy runs as time did; else each has its turn.
        """
        self.path, self.rate, self.frame_count = Path(path), rate, 0
        self._by_time, self._writer, self._resolution_wh = by_time, None, (0, 0)

    def add(self, image: np.ndarray, time_s: float) -> None:
        """Write one (H, W, 3) uint8 RGB frame of the moment ``time_s``.

        Raises:
            ImageError: the file cannot be written, or the disk is nearly full; what was written can be played.
        """
        if self._writer is None:
            self._begin(image.shape[1::-1])
        if self.frame_count % 25 == 0 and shutil.disk_usage(self.path.parent).free < MIN_FREE:
            length = self.frame_count / self.rate
            self.close()
            raise ImageError(f"{self.path} ends after {length:.1f} s: the disk is full.")
        if image.shape[1::-1] != self._resolution_wh:
            image = fit_image(image, self._resolution_wh)
        frame = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        due = int(time_s * self.rate) + 1 if self._by_time else self.frame_count + 1
        while self.frame_count < due:
            self._writer.write(frame)
            self.frame_count += 1

    def _begin(self, resolution_wh: tuple[int, int]) -> None:
        if not is_text(self.path):
            raise ImageError(f"{self.path} has a name that is no text: choose another folder.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._resolution_wh = resolution_wh
        self._writer = cv2.VideoWriter(
            str(self.path), cv2.VideoWriter_fourcc(*"mp4v"), self.rate, resolution_wh
        )
        if not self._writer.isOpened():
            raise ImageError(f"{self.path} cannot be written: choose another folder.")

    def close(self) -> None:
        """End the file so that it can be played."""
        if self._writer is not None:
            self._writer.release()

    def __enter__(self) -> VideoCopy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
