"""Read the frames of a video file, a folder of images, a stream or a camera."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from utils.files import SourceError, find_images, is_utf8
from utils.images import ImageError, fit_image, read_image
from utils.video.live import LiveReader

# FFmpeg would write its own messages to the terminal about a source that it cannot read.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_FPS = 25.0  # frames per second of a folder, and of a source that does not say
MAX_FPS = 1000.0  # a source that reports more is wrong
SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "tcp", "udp", "http", "https", "file")
TIMEOUT_MS = 10_000  # milliseconds for an address to answer, and for each further frame
# A file with less than this share of the frames that it announces is cut off; a smaller difference
# is an inexact count.
MIN_COMPLETE = 0.9


def hide_password(text: str) -> str:
    """Return an address without user name and password, which end at its last ``@``."""
    return re.sub(r"://.*@", "://", text)


class Video:
    """Iterates once over the frames of a source, in order.

    Every frame of a file or a folder is read. A stream or camera is read in a thread of its own,
    which keeps only the newest frame and reopens the source after a break (``LiveReader``).

    Attributes:
        name: name of the source in records, without the password of an address.
        path: a path whose stem is the name of the annotated copy.
        files: the files on this machine that are read: a video, or the images of a folder.
        is_live: whether the source has no end.
        fps: frames per second.
        frame_count: number of frames, or None if unknown.
        reader: reads the frames of a live source; None for others and before the first frame.
    """

    def __init__(
        self, source: str | int | Path, on_message: Callable[[str], None] = lambda message: None
    ) -> None:
        """Open a source.

        Args:
            source: a file, a folder of images, an address such as ``rtsp://...``, or the number of
                a camera.
            on_message: called with a sentence about each break of a live source, and about each
                image of a folder that cannot be read.

        Raises:
            SourceError: there is no such source, or it cannot be read.
        """
        self._source = str(source)
        self._on_message = on_message
        self._unread = 0  # images of a folder that cannot be read
        self._capture: cv2.VideoCapture | None = None
        self.name = hide_password(self._source)
        self.path = Path(self.name)
        self.files: list[Path] = []
        self.fps = DEFAULT_FPS
        self.frame_count: int | None = None
        self.reader: LiveReader | None = None
        self._is_camera = self.name.isdecimal()
        self._is_address = "://" in self.name
        self._is_folder = not self._is_camera and not self._is_address and self.path.is_dir()
        self.is_live = self._is_camera
        if self._is_folder:
            self._list_images()
            return
        if self._is_camera:
            self.path = Path(f"camera_{self.name}")
        elif self._is_address:
            self.path = Path(re.sub(r"\W+", "_", self.name.split("://")[1]))
        else:
            self._check_file()
        self._open_first()

    def _list_images(self) -> None:
        """Set the files of a folder."""
        files, problems = find_images([self.name])
        if problems:
            raise SourceError(problems[0])
        self.files = files
        self.frame_count = len(files)

    def _check_file(self) -> None:
        """Check that a video file exists, and set ``files``."""
        if not self.path.is_file():
            raise SourceError(f"There is no video {self.name}: check the path.")
        if not is_utf8(self.path):
            raise SourceError(f"{self.name} has a name that is not valid UTF-8: rename it.")
        self.files = [self.path]

    def _open_first(self) -> None:
        """Open the source, and read its length and its frames per second."""
        self._capture = self._open()
        if not self._capture.isOpened():
            raise SourceError(self._explain_failure())
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if count > 0 and not self._is_camera:
            self.frame_count = count
        if self._is_address and self.frame_count is None:
            self.is_live = True
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        if 0 < fps < MAX_FPS:
            self.fps = fps

    def _open(self) -> cv2.VideoCapture:
        """Return a new capture of the source, which may not be open."""
        if self._is_camera:
            return cv2.VideoCapture(int(self._source))
        if not self._is_address:
            return cv2.VideoCapture(self._source)
        options = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            TIMEOUT_MS,
        ]
        return cv2.VideoCapture(self._source, cv2.CAP_FFMPEG, options)

    def _explain_failure(self) -> str:
        """Return why the source cannot be opened, and what to do."""
        if self._is_address:
            scheme = self.name.split("://")[0].lower()
            if scheme not in SCHEMES:
                return (
                    f"{self.name} is not the address of a stream: use one that begins with "
                    "rtsp:// or http://."
                )
            return (
                f"{self.name} does not answer with a video: check the address, the network and the "
                "password."
            )
        if self._is_camera:
            is_linux = sys.platform.startswith("linux")
            if is_linux and Path(f"/dev/video{self.name}").exists():
                return (
                    f"Camera {self.name} cannot be opened: close the program that uses it, or "
                    "allow this one to."
                )
            return (
                f"Camera {self.name} cannot be opened: plug it in, or name a picture with --image."
            )
        if not self.path.stat().st_size:
            return f"{self.name} is empty: fetch or save it again."
        return f"{self.name} is cut off or not a readable video: check it, or save it as MP4."

    def __iter__(self) -> Iterator[tuple[int, float, np.ndarray]]:
        """Yield the frames.

        Yields:
            The number of the frame from 0, its time in seconds from the start, and its (H, W, 3)
            uint8 RGB image.

        Raises:
            SourceError: after the last frame, if there was no frame, a file is cut off, a stream
                was given up, or some images of a folder cannot be read.
        """
        if self.is_live:
            frames = self._read_live()
        elif self._is_folder:
            frames = self._read_folder()
        else:
            frames = self._read_file()
        count = 0
        for time_s, image in frames:
            yield count, time_s, image
            count += 1
        self._check_complete(count)

    def _check_complete(self, count: int) -> None:
        """Raise a SourceError if frames are missing after ``count`` frames were read."""
        if count == 0:
            raise SourceError(f"{self.name} has no readable frame: check it, or save it as MP4.")
        if self.reader is not None and self.reader.given_up:
            raise SourceError(
                f"{self.name} is given up: check that it is switched on and can be reached."
            )
        if self._unread:
            raise SourceError(
                f"{self.name}: {self._unread} of {self.frame_count} images could not be read."
            )
        if self.is_live or self._is_folder or self.frame_count is None:
            return
        if count < MIN_COMPLETE * self.frame_count:
            raise SourceError(
                f"{self.name} ends after {count} of {self.frame_count} frames: it is cut off."
            )

    def _read_file(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the time in seconds and the image of each frame of a file."""
        capture = self._capture or self._open()
        number = 0
        try:
            while True:
                is_read, frame = capture.read()
                if not is_read:
                    return
                time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if time_s == 0:  # not every format has times
                    time_s = number / self.fps
                yield time_s, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                number += 1
        finally:
            capture.release()

    def _read_folder(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the time in seconds and the image of each readable file of a folder."""
        resolution_wh = None  # of the first image; the others are fitted into it
        for number, file in enumerate(self.files):
            try:
                image = read_image(file)
            except ImageError as error:
                self._on_message(str(error))
                self._unread += 1
                continue
            if resolution_wh is None:
                resolution_wh = (image.shape[1], image.shape[0])
            yield number / self.fps, fit_image(image, resolution_wh)

    def _read_live(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the time in seconds and the image of each frame that is not skipped."""
        first = self._capture

        def open_capture() -> cv2.VideoCapture:
            """Return the capture that is open already, and a new one after each break."""
            nonlocal first
            capture = first or self._open()
            first = None
            return capture

        self.reader = LiveReader(open_capture, self._on_message, self.name)
        started = time.monotonic()
        try:
            for arrived, frame in self.reader:
                yield max(0.0, arrived - started), cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self.reader.close()
