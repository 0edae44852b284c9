"""Moving pictures: the frames of a video file, a folder, a stream or a camera, through one iterator."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from utils.files import SourceError, find_images, is_text
from utils.images import ImageError, fit_image, read_image
from utils.video.live import LiveReader

# FFmpeg writes to the terminal about sources that it cannot read; what a person needs is the sentence of a SourceError.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_RATE = 25.0  # frames a second, where a source does not tell
KINDS = (
    "rtsp",
    "rtsps",
    "rtmp",
    "rtp",
    "srt",
    "tcp",
    "udp",
    "http",
    "https",
    "file",
)  # of addresses
TIMEOUT_MS = 10_000  # for an address to answer, and for its next frame
CUT_OFF = 0.9  # a file that ends before this share of its frames is cut off; fewer are a matter of counting


def hide_password(text: str) -> str:
    """An address without the name and password in it; all before its last ``@`` goes, whatever a password holds."""
    return re.sub(r"://.*@", "://", text)


class Video:
    """The frames of a source in order: iterate over it once.

    No frame of a file or a folder is skipped. A stream or camera is read in a thread of its own, and who is slower
    than it gets its newest frame; where it breaks, it is reopened (``utils.video.live``).

    Attributes:
        name: what it is called in records, without the password of an address.
        path: a path whose stem its annotated copy can have.
        files: what it is read from on this machine: a video, or the images of a folder.
        is_live: whether it has no end of its own.
        rate: frames a second.
        frame_count: how many, None where unknown.
        reader: of a live source, once it is read; it counts the frames skipped and the times reopened.
    """

    def __init__(
        self, source: str | int | Path, tell: Callable[[str], None] = lambda sentence: None
    ) -> None:
        """Open a file, a folder of images, an address such as ``rtsp://...``, or a camera by its number.

        Args:
            source: what to open.
            tell: takes a sentence about each break of a live source, and about each image that cannot be read.

        Raises:
            SourceError: there is no such source, or it cannot be read.
        """
        self._source, self._tell, self.reader, self._unread = str(source), tell, None, 0
        self.name = hide_password(self._source)
        self._is_camera, is_address = self.name.isdecimal(), "://" in self.name
        self.path, self.is_live = Path(self.name), self._is_camera
        self.rate, self.frame_count, self._capture = DEFAULT_RATE, None, None
        if not (self._is_camera or is_address) and Path(self.name).is_dir():
            files, problems = find_images([self.name])
            if problems:
                raise SourceError(problems[0])
            self.files, self.frame_count, self._is_folder = files, len(files), True
            return
        self.files, self._is_folder = [] if self._is_camera or is_address else [self.path], False
        if self.files and not self.path.is_file():
            raise SourceError(f"There is no video {self.name}: check the path.")
        if self.files and not is_text(self.path):
            raise SourceError(f"{self.name} has a name that is no text: rename it.")
        self._capture = self._open()
        if not self._capture.isOpened():
            raise SourceError(self._say_why())
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 and not self._is_camera else None
        self.is_live = self._is_camera or (is_address and self.frame_count is None)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else DEFAULT_RATE
        if self._is_camera or is_address:
            self.path = Path(
                f"camera_{self.name}"
                if self._is_camera
                else re.sub(r"\W+", "_", self.name.split("://")[1])
            )

    def _open(self) -> cv2.VideoCapture:
        if self._is_camera:
            return cv2.VideoCapture(int(self._source))
        if "://" not in self._source:
            return cv2.VideoCapture(self._source)
        waits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            TIMEOUT_MS,
        ]
        return cv2.VideoCapture(self._source, cv2.CAP_FFMPEG, waits)

    def _say_why(self) -> str:
        if "://" in self.name:
            kind = self.name.split("://")[0].lower()
            if kind not in KINDS:
                return f"{self.name} is no address of a stream: such begin with rtsp:// or http://."
            return f"{self.name} does not answer with a video: check the address, the network and the password."
        if not self._is_camera and not self.path.stat().st_size:
            return f"{self.name} is empty: fetch or save it again."
        if not self._is_camera:
            return (
                f"{self.name} is cut off or no video that can be read: check it, or save it as MP4."
            )
        if sys.platform.startswith("linux") and Path(f"/dev/video{self.name}").exists():
            return f"Camera {self.name} cannot be opened: close the program that uses it, or allow this one to."
        return f"Camera {self.name} cannot be opened: plug it in, or name a picture with --image."

    def __iter__(self) -> Iterator[tuple[int, float, np.ndarray]]:
        """(frame number from 0, seconds from the start, (H, W, 3) uint8 RGB image) of each frame.

        Raises:
            SourceError: not one frame can be read, a file ends long before it should, a stream stays away, or some
                images of a folder cannot be read; the frames until then have come.
        """
        number = -1
        frames = (
            self._read_live
            if self.is_live
            else self._read_folder
            if self._is_folder
            else self._read_file
        )
        for number, (time_s, image) in enumerate(frames()):
            yield number, time_s, image
        if number < 0:
            raise SourceError(
                f"{self.name} holds no frame that can be read: check it, or save it as MP4."
            )
        if self.reader and self.reader.given_up:
            raise SourceError(
                f"{self.name} is given up: check that it is switched on and can be reached."
            )
        if self._unread:
            raise SourceError(
                f"{self.name}: {self._unread} of {self.frame_count} images could not be read."
            )
        if not self.is_live and self._capture and number + 1 < CUT_OFF * (self.frame_count or 0):
            raise SourceError(
                f"{self.name} ends after {number + 1} of {self.frame_count} frames: it is cut off."
            )

    def _read_file(self) -> Iterator[tuple[float, np.ndarray]]:
        number = 0
        try:
            while True:
                good, frame = self._capture.read()
                if not good:
                    return
                position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                yield position or number / self.rate, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                number += 1
        finally:
            self._capture.release()

    def _read_folder(self) -> Iterator[tuple[float, np.ndarray]]:
        first = None
        for number, file in enumerate(self.files):
            try:
                image = read_image(file)
            except ImageError as error:
                self._tell(str(error))
                self._unread += 1
                continue
            first = first or image.shape[1::-1]
            yield number / self.rate, fit_image(image, first)

    def _read_live(self) -> Iterator[tuple[float, np.ndarray]]:
        captures = iter([self._capture])  # the one that is open already comes first
        self.reader = LiveReader(
            lambda: next(captures, None) or self._open(), self._tell, self.name
        )
        started = time.monotonic()
        try:
            for arrived, frame in self.reader:
                yield max(0.0, arrived - started), cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self.reader.close()
