"""Write frames as an MP4 file that lasts as long as its source.

With PyAV, each frame keeps its time, and the file plays in browsers; see ``encoders``. Sound is not
written.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from utils.atomic import PART
from utils.images import ImageError, fit_image, is_utf8
from utils.video.media.encoders import Encoder, PyavEncoder, open_encoder

MIN_FREE = 64 * 2**20  # bytes; the file is closed before the disk has less, so that its index fits
CHECK_EVERY = 25  # frames between two looks at the free space


class VideoWriter:
    """Writes frames as MP4. The file has its name after ``close``, or after the ``with`` block.

    Until then it is called ``name.part.mp4``, and a file of an earlier run stays. With PyAV, the
    part that a killed program leaves can be played up to its last seconds.

    Attributes:
        path: the file.
        fps: frames per second of the source.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        """Prepare a file; it is created with its first frame.

        Args:
            path: the file to write.
            fps: frames per second of the source. OpenCV's encoder writes this many.
        """
        self.path = Path(path)
        self.fps = fps
        self._part = self.path.with_name(f"{self.path.stem}{PART}{self.path.suffix}")
        self._encoder: Encoder | None = None
        self._resolution_wh = (0, 0)
        self._added = 0
        self._waiting: tuple[np.ndarray, float] | None = None  # the last frame, and its time
        self._is_closed = False

    @property
    def frame_count(self) -> int:
        """The number of frames so far, with OpenCV's repetitions; ``close`` writes the last."""
        written = self._encoder.frame_count if self._encoder is not None else 0
        return written + (self._waiting is not None)

    @property
    def plays_in_browsers(self) -> bool:
        """Whether browsers can play the file: with PyAV, once there is a frame."""
        return isinstance(self._encoder, PyavEncoder)

    def add(self, image: np.ndarray, time_s: float) -> None:
        """Write one frame. A frame of another size than the first is fitted into it on black.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_s: time of the frame, seconds.

        Raises:
            ImageError: the file cannot be written, or the disk is nearly full. The frames written
                before can be played.
        """
        if self._encoder is None:
            self._encoder = self._open((image.shape[1], image.shape[0]))
            time_s = 0.0  # shown from the start, also if a camera's first frame came late
        if self._added % CHECK_EVERY == 0:
            self._check_free_space()
        self._added += 1
        if image.shape[1::-1] != self._resolution_wh:
            image = fit_image(image, self._resolution_wh)
        # How long a frame is shown is known when the next one comes.
        waiting = self._waiting
        self._waiting = (image, time_s)
        if waiting is not None:
            try:
                self._encoder.write(*waiting, time_s)
            except ValueError as error:
                self._waiting = None
                self.close()
                raise self._make_error(error) from error

    def close(self, end_s: float | None = None) -> None:
        """Complete the file so that it can be played, and give it its name.

        Args:
            end_s: when the last frame ends, seconds; one frame time after its start by default.

        Raises:
            ImageError: the file cannot be completed.
        """
        if self._encoder is None or self._is_closed:
            return
        self._is_closed = True
        try:
            try:
                if self._waiting is not None:
                    image, start_s = self._waiting
                    if end_s is None or end_s <= start_s:
                        end_s = start_s + 1 / self.fps
                    self._waiting = None
                    self._encoder.write(image, start_s, end_s)
            finally:
                self._encoder.close()
                os.replace(self._part, self.path)
        except (OSError, ValueError) as error:
            raise self._make_error(error) from error

    def _make_error(self, error: Exception) -> ImageError:
        reason = getattr(error, "strerror", None) or str(error)
        return ImageError(
            f"{self.path} cannot be written ({reason}): make room on the disk, or choose another "
            "folder."
        )

    def _check_free_space(self) -> None:
        if shutil.disk_usage(self.path.parent).free >= MIN_FREE:
            return
        end_s = self._waiting[1] + 1 / self.fps if self._waiting is not None else 0.0
        self.close()
        raise ImageError(
            f"{self.path} ends after {end_s:.1f} s: the disk is full. Make room on the disk."
        )

    def _open(self, resolution_wh: tuple[int, int]) -> Encoder:
        if not is_utf8(self.path):
            raise ImageError(
                f"{self.path} has a name that is not valid UTF-8: choose another folder."
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            encoder = open_encoder(self._part, self.fps, resolution_wh)
        except (OSError, ValueError) as error:
            with suppress(OSError):
                self._part.unlink()
            reason = getattr(error, "strerror", None) or str(error)
            raise ImageError(
                f"{self.path} cannot be written ({reason}): choose another folder."
            ) from error
        self._resolution_wh = resolution_wh
        return encoder

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
