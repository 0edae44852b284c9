"""Read video files with PyAV, which knows the size, timestamp and duration of each frame.

PyAV is the optional extra ``video``. Without it, OpenCV reads files (``media.opencv``). Both decode
with FFmpeg, to the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from utils.images import stretch_to_square


def import_av() -> Any | None:
    """Return the module of PyAV, or None if it is not installed."""
    try:
        import av
    except ImportError:
        return None
    return av


class PyavReader:
    """Reads the frames of a video file.

    Attributes:
        fps: frames per second on average, or None if unknown.
        stored_count: the number of frames that the file says it has, or None.
        duration_s: the duration that the file says it has, or None.
        announced_count: ``stored_count``, or a guess from the duration; None if unknown.
        has_sound: whether the file has sound, too.
        discarded: number of frames read so far that an edit list leaves out.
        last_duration_s: seconds that the last frame read is shown, or None if unknown.
    """

    def __init__(self, path: Path, av: Any) -> None:
        """Open a file.

        Args:
            path: the file.
            av: the module of PyAV.

        Raises:
            ValueError: PyAV cannot read the file.
        """
        self._av = av
        # FFmpeg takes "12:30.mp4" for an address; no absolute path is one.
        try:
            self._container = av.open(str(path.absolute()), metadata_errors="ignore")
        except (av.FFmpegError, OSError) as error:
            raise ValueError(str(error)) from error
        stream = self._container.streams.best("video")
        if stream is None or stream.codec_context is None:
            self._container.close()
            raise ValueError("no video that can be decoded")
        stream.thread_type = "AUTO"
        self._stream = stream
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None
        self.stored_count = stream.frames or None
        self.duration_s: float | None = None
        if self._container.duration:
            self.duration_s = self._container.duration / av.time_base
        self.announced_count = self.stored_count
        if self.announced_count is None and self.duration_s and self.fps:
            self.announced_count = round(self.duration_s * self.fps)
        self.has_sound = bool(self._container.streams.audio)
        self.discarded = 0
        self.last_duration_s: float | None = None

    def __iter__(self) -> Iterator[tuple[float | None, np.ndarray]]:
        """Yield the timestamp of each frame in seconds, or None, and its (H, W, 3) RGB image."""
        reformatter = self._av.video.reformatter.VideoReformatter()
        first_size = None
        next_s: float | None = None
        try:
            for frame in self._decode():
                # Bicubic, as OpenCV does it, for the same pixels.
                rgb = reformatter.reformat(frame, format="rgb24", interpolation="BICUBIC")
                image = rgb.to_ndarray()
                if first_size is None:
                    first_size = (frame.width, frame.height)
                # What the container says about the shape of pixels holds for its first size.
                sar = self._stream.sample_aspect_ratio
                if (frame.width, frame.height) != first_size:
                    sar = self._stream.codec_context.sample_aspect_ratio
                image = stretch_to_square(image, float(sar) if sar else 1.0)
                if frame.rotation % 90 == 0:
                    image = np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
                time_base = float(frame.time_base or self._stream.time_base)
                timestamp = frame.dts if frame.pts is None else frame.pts
                timestamp_s = next_s if timestamp is None else timestamp * time_base
                self.last_duration_s = frame.duration * time_base if frame.duration else None
                if self.last_duration_s is not None:
                    next_s = (timestamp_s or 0.0) + self.last_duration_s
                yield timestamp_s, image
        finally:
            self._container.close()

    def _decode(self) -> Iterator[Any]:
        """Yield the frames of all packets, without those that are damaged."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, self._av.FFmpegError):  # the end, or damage to the container
                return
            if packet.is_discard:
                self.discarded += 1
            try:
                frames = packet.decode()
            except self._av.FFmpegError:
                continue
            yield from frames
