"""Encode the frames of an MP4 file, with PyAV or with OpenCV.

PyAV keeps the time of each frame. OpenCV's own encoder has one frame rate for the whole file, so
frames are repeated where the source was slow.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from utils.video.media.pyav import import_av

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
