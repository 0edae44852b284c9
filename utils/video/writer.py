"""Write frames as an MP4 file that has the frame rate and the length of its source."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from utils.files import is_utf8
from utils.images import ImageError, fit_image

MIN_FREE = 64 * 2**20  # bytes that stay free on the disk, so that the file's index fits
CHECK_EVERY = 25  # frames between two checks of the free space


class VideoWriter:
    """Writes frames as MP4. A file can be played only after ``close``, or after the ``with`` block.

    Attributes:
        path: the file.
        fps: frames per second.
        frame_count: number of frames written so far.
    """

    def __init__(self, path: str | Path, fps: float, real_time: bool = False) -> None:
        """Prepare a file; it is created with its first frame.

        Args:
            path: the file to write.
            fps: frames per second.
            real_time: whether to repeat or drop frames, so that the video is as fast as a source
                whose frames come irregularly. Otherwise each frame is written once.
        """
        self.path = Path(path)
        self.fps = fps
        self.frame_count = 0
        self._real_time = real_time
        self._writer: cv2.VideoWriter | None = None
        self._resolution_wh = (0, 0)

    def add(self, image: np.ndarray, time_s: float) -> None:
        """Write one frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_s: time of the frame, seconds.

        Raises:
            ImageError: the file cannot be written, or the disk is nearly full. The frames written
                before can be played.
        """
        if self._writer is None:
            self._writer = self._open((image.shape[1], image.shape[0]))
        if self.frame_count % CHECK_EVERY == 0:
            self._check_free_space()
        if image.shape[1::-1] != self._resolution_wh:
            image = fit_image(image, self._resolution_wh)
        frame = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        count = int(time_s * self.fps) + 1 if self._real_time else self.frame_count + 1
        while self.frame_count < count:
            self._writer.write(frame)
            self.frame_count += 1

    def _check_free_space(self) -> None:
        """Close the file and raise an ImageError if the disk is nearly full."""
        if shutil.disk_usage(self.path.parent).free < MIN_FREE:
            length = self.frame_count / self.fps
            self.close()
            raise ImageError(
                f"{self.path} ends after {length:.1f} s: the disk is full. Make room on the disk."
            )

    def _open(self, resolution_wh: tuple[int, int]) -> cv2.VideoWriter:
        """Return the open file, for frames of this width and height."""
        if not is_utf8(self.path):
            raise ImageError(
                f"{self.path} has a name that is not valid UTF-8: choose another folder."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._resolution_wh = resolution_wh
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self.path), codec, self.fps, resolution_wh)
        if not writer.isOpened():
            raise ImageError(f"{self.path} cannot be written: choose another folder.")
        return writer

    def close(self) -> None:
        """Complete the file so that it can be played."""
        if self._writer is not None:
            self._writer.release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
