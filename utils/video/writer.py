"""Write frames as an MP4 file that lasts as long as its source.

With PyAV, each frame keeps its time, and the file plays in browsers. OpenCV's own encoder has one
frame rate for the whole file, so frames are repeated where the source was slow. Neither writes
sound.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from utils.atomic import PART
from utils.images import ImageError, fit_image, is_utf8
from utils.video.pyav import import_av

MIN_FREE = 64 * 2**20  # bytes; the file is closed before the disk has less, so that its index fits
CHECK_EVERY = 25  # frames between two looks at the free space
MIN_FPS = 0.1  # frames per second in a file from OpenCV
MAX_NUMERATOR = 65535  # of the frame rate as a fraction: MPEG-4 Part 2 stores it in 16 bits

# Encoders that browsers can play, the best first, with their options. CRF 20 is a little better
# than x264's default, and 30 looks similar in VP9. Fast presets leave the processor to detection:
# "superfast" takes 2.5 ms for a frame of 640 x 480, "veryfast" 4 ms, OpenCV's mp4v 1.8 ms.
ENCODERS = (
    ("libx264", {"preset": "superfast", "crf": "20", "tune": "zerolatency"}),
    ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "30", "row-mt": "1"}),
)
TIME_BASE = Fraction(1, 90_000)  # seconds; the clock of MPEG
BT601 = 6  # FFmpeg's numbers of the color space that OpenCV converts to ...
LIMITED_RANGE = 1  # ... and of its range
KEY_FRAME_S = 2.0  # seconds between frames to which a player can jump
# The file is written in fragments of a second, which can be played without its end, and becomes a
# usual MP4 when it is closed.
FRAGMENTED = {
    "movflags": "hybrid_fragmented",
    "frag_duration": "1000000",
    "flush_packets": "1",
}


class Encoder(Protocol):
    """Encodes the frames of one file, all of one size.

    Attributes:
        frame_count: number of frames written so far, with repetitions.
    """

    frame_count: int

    def write(self, image: np.ndarray, start_s: float, end_s: float) -> None:
        """Write a frame, (H, W, 3) uint8 RGB, that is shown from start to end, seconds.

        Raises:
            ValueError: it cannot be written.
        """

    def close(self) -> None:
        """Complete the file.

        Raises:
            ValueError: it cannot be written.
        """


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


def open_encoder(path: Path, fps: float, resolution_wh: tuple[int, int]) -> Encoder:
    """Return the best encoder that works here.

    Args:
        path: the file to write.
        fps: frames per second of the source.
        resolution_wh: width and height of all frames, pixels.

    Raises:
        OSError, ValueError: the file cannot be written.
    """
    path = path.absolute()  # FFmpeg takes "12:30.mp4" for an address
    path.open("wb").close()  # says why where it cannot be written; the encoders do not
    av = import_av()
    if av is not None:
        for name, options in ENCODERS:
            with suppress(ValueError):
                return PyavEncoder(av, path, fps, resolution_wh, name, options)
    return OpencvEncoder(path, fps, resolution_wh)


class PyavEncoder:
    """Encodes with PyAV, each frame at its own time. See ``Encoder``."""

    def __init__(
        self,
        av: Any,
        path: Path,
        fps: float,
        resolution_wh: tuple[int, int],
        codec: str,
        options: dict[str, str],
    ) -> None:
        """Create the file.

        Args:
            av: the module of PyAV.
            path: the file.
            fps: frames per second of the source.
            resolution_wh: width and height of the frames, pixels.
            codec: FFmpeg's name of the encoder.
            options: of the encoder.

        Raises:
            ValueError: PyAV lacks the encoder, or it cannot encode this size.
        """
        self.frame_count = 0
        self._av = av
        # These store a color for 2 x 2 pixels: the last odd row and column are left out.
        self._resolution_wh = (resolution_wh[0] & ~1, resolution_wh[1] & ~1)
        if 0 in self._resolution_wh:
            raise ValueError("an image one pixel wide")
        try:
            self._container = av.open(str(path), "w", format="mp4", options=FRAGMENTED)
            rate = Fraction(fps).limit_denominator(1001)
            stream = self._container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height = self._resolution_wh
            stream.pix_fmt = "yuv420p"
            stream.gop_size = max(1, round(KEY_FRAME_S * fps))
            stream.codec_context.time_base = TIME_BASE
            stream.codec_context.colorspace = BT601
            stream.codec_context.color_range = LIMITED_RANGE
            stream.codec_context.open()
        except (av.FFmpegError, OSError) as error:
            raise ValueError(str(error)) from error
        self._stream = stream
        self._durations: dict[int, int] = {}  # by time, in units of TIME_BASE

    def write(self, image: np.ndarray, start_s: float, end_s: float) -> None:
        """Write a frame. See ``Encoder``."""
        width, height = self._resolution_wh
        yuv = cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2YUV_I420)
        frame = self._av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = round(start_s / TIME_BASE)
        frame.time_base = TIME_BASE
        self._durations[frame.pts] = max(1, round(end_s / TIME_BASE) - frame.pts)
        self._encode(frame)
        self.frame_count += 1

    def close(self) -> None:
        """Complete the file. See ``Encoder``."""
        try:
            self._encode(None)
        finally:
            try:
                self._container.close()
            except (self._av.FFmpegError, OSError) as error:
                raise ValueError(str(error)) from error

    def _encode(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                packet.duration = self._durations.pop(packet.pts, packet.duration)
                self._container.mux(packet)
        except (self._av.FFmpegError, OSError) as error:
            raise ValueError(str(error)) from error


class OpencvEncoder:
    """Encodes with OpenCV, at a constant frame rate. See ``Encoder``."""

    def __init__(self, path: Path, fps: float, resolution_wh: tuple[int, int]) -> None:
        """Create the file.

        Args:
            path: the file.
            fps: frames per second, rounded to what MPEG-4 can store.
            resolution_wh: width and height of the frames, pixels.

        Raises:
            ValueError: OpenCV cannot write the file.
        """
        self.frame_count = 0
        self._fps = round_fps(fps)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(path), codec, self._fps, resolution_wh)
        if not self._writer.isOpened():
            raise ValueError("OpenCV has no encoder for it")

    def write(self, image: np.ndarray, start_s: float, end_s: float) -> None:
        """Write a frame until its end, or leave it out if the file is ahead. See ``Encoder``."""
        count = round(end_s * self._fps) - self.frame_count
        if count < 1 and self.frame_count < end_s * self._fps + 1:
            count = 1  # rather a frame time too long than not at all
        frame = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        for _ in range(count):
            self._writer.write(frame)
            self.frame_count += 1

    def close(self) -> None:
        """Complete the file. See ``Encoder``."""
        self._writer.release()


def round_fps(fps: float) -> float:
    """Return the nearest frame rate that MPEG-4 Part 2 can store, as a decimal fraction."""
    decimals = 3
    while decimals and fps * 10**decimals > MAX_NUMERATOR:
        decimals -= 1
    return max(MIN_FPS, round(fps, decimals))
