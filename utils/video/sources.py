"""Read the frames of a video file, a folder of images, a stream or a camera."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import cv2
import numpy as np

from utils.images import (
    ImageError,
    PassedOver,
    SourceError,
    describe_passed_over,
    find_images,
    is_utf8,
    read_image_apart,
)
from utils.messages import hide_secrets, is_address
from utils.video.live import LiveReader
from utils.video.media import (
    Clock,
    OpencvReader,
    PyavReader,
    ends_early,
    import_av,
    may_jump,
    stores_count,
)

# FFmpeg would write its own messages to the terminal about a source that it cannot read.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_FPS = 25.0  # frames per second of a folder, and of a source that does not say
MAX_FPS = 1000.0  # a source that reports more is wrong
SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "tcp", "udp", "http", "https", "file")
TIMEOUT_MS = 10_000  # milliseconds for an address to answer, and for each further frame
MAX_STEM = 100  # characters in the name of an address's copy
# A file with less than this share of the frames that it announces is cut off; a smaller difference
# is an inexact count.
MIN_COMPLETE = 0.9
# Codecs that OpenCV's wheel decodes only with the help of some graphics cards, by FFmpeg's code.
NEEDS_PYAV = {"AV01": "AV1"}


def _find_local(source: str) -> str:
    """Return the path of a file:// address, and any other source as it is."""
    if source.lower().startswith("file://"):
        return url2pathname(urlsplit(source).path)
    return source


def _find_camera(source: str) -> int | None:
    """Return the number of a camera that is given by its number or device, or None.

    Args:
        source: such as ``0``, ``/dev/video0`` or ``/dev/v4l/by-id/usb-...``, a link to the former.
    """
    if re.fullmatch(r"[0-9]{1,4}", source):
        return int(source)
    if source.startswith("/dev/"):
        device = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(source))
        if device:
            return int(device[1])
    return None


def _usable_fps(fps: float | None) -> float:
    return fps if fps is not None and 0 < fps < MAX_FPS else DEFAULT_FPS


class Video:
    """Iterates once over the frames of a source, in order.

    Of a file or a folder, every frame is read, in its own size and with square pixels. Files are
    read by PyAV if it is installed, and else by OpenCV. A stream or camera is read in a thread of
    its own, which keeps only the newest frame and reopens the source when it breaks off
    (``LiveReader``).

    Attributes:
        name: name of the source in records, without the secrets of an address.
        path: a path whose stem is the name of the annotated copy.
        files: the files on this machine that are read: a video, or the images of a folder.
        is_live: whether the source has no end.
        fps: frames per second.
        frame_count: number of frames as announced, which may be a guess, or None if unknown.
        has_sound: whether a file has sound, as far as is known.
        end_s: after the last frame of a file or folder, when it ends, seconds; else None.
        reader: of a live source, once its frames are read.
    """

    def __init__(
        self, source: str | int | Path, on_message: Callable[[str], None] = lambda message: None
    ) -> None:
        """Open a source.

        Args:
            source: a file, a folder of images, an address such as ``rtsp://...``, or the number or
                device of a camera.
            on_message: called with a sentence about each break of a live source, and about each
                image of a folder that cannot be read.

        Raises:
            SourceError: there is no such source, or it cannot be read.
        """
        self._source = _find_local(str(source))
        self._on_message = on_message
        self._unread = 0  # images of a folder that cannot be read
        self._capture: cv2.VideoCapture | None = None  # of a live source
        self._reader: PyavReader | OpencvReader | None = None  # of a file
        self.name = self._source
        self.path = Path(self._source)
        self.files: list[Path] = []
        self.fps = DEFAULT_FPS
        self.frame_count: int | None = None
        self.has_sound = False
        self.end_s: float | None = None
        self.reader: LiveReader | None = None
        self.is_live = False
        # A path that exists is what it is, whatever its name looks like. A file called 0 does not
        # hide camera 0, because such files come about by a slip in the shell.
        camera = _find_camera(self._source)
        is_path = not isinstance(source, int)
        self._is_folder = is_path and os.path.isdir(self._source)
        self._is_camera = camera is not None and not self._is_folder
        self._camera = camera or 0
        self._is_file = is_path and not self._is_camera and os.path.isfile(self._source)
        self._is_address = is_address(self._source) and not self._is_folder and not self._is_file
        self._may_jump = False
        if self._is_folder:
            self._list_images()
            return
        if self._is_camera:
            self.path = Path(f"camera_{self._camera}")
        elif self._is_address:
            self.name = hide_secrets(self._source)
            stem = re.sub(r"\W+", "_", self.name.split("://")[1]).strip("_")
            self.path = Path(stem[:MAX_STEM] or "stream")
        else:
            self._check_file()
            self._may_jump = may_jump(self.path)
        self._open_first()

    def _list_images(self) -> None:
        """Set the files of a folder."""
        passed_over: list[PassedOver] = []
        files, problems = find_images([self.name], on_passed_over=passed_over.append)
        if problems:
            raise SourceError(problems[0])
        for sentence in describe_passed_over(passed_over):
            self._on_message(sentence)
        self.files = files
        self.frame_count = len(files)

    def _check_file(self) -> None:
        if not self._is_file:
            raise SourceError(self._explain_missing())
        if not is_utf8(self.path):
            raise SourceError(f"{self.name} has a name that is not valid UTF-8: rename it.")
        try:
            self.path.open("rb").close()
        except OSError as error:
            raise SourceError(
                f"{self.name} cannot be read ({error.strerror}): change its permissions."
            ) from error
        self.files = [self.path]

    def _explain_missing(self) -> str:
        shown = hide_secrets(self.name)
        if shown != self.name or "@" in self.name:
            return (
                f"There is no video {shown}: check the path, or begin an address with rtsp:// or "
                "http://."
            )
        return f"There is no video {shown}: check the path."

    def _open_first(self) -> None:
        if self._is_file:
            self._reader = self._open_file()
        else:
            capture = self._open()
            if not capture.isOpened():
                raise SourceError(self._explain_failure())
            reader = OpencvReader(capture)
            self.is_live = self._is_camera or reader.announced_count is None
            if self.is_live:
                self._capture = capture
                self.fps = _usable_fps(reader.fps)
                return
            self._reader = reader
        self.fps = _usable_fps(self._reader.fps)
        self.frame_count = self._reader.announced_count
        self.has_sound = self._reader.has_sound

    def _open_file(self) -> PyavReader | OpencvReader:
        av = import_av()
        if av is not None:
            with suppress(ValueError):  # OpenCV has further decoders
                return PyavReader(self.path, av)
        # FFmpeg takes "12:30.mp4" for an address; no absolute path is one.
        capture = cv2.VideoCapture(str(self.path.absolute()))
        if not capture.isOpened():
            raise SourceError(self._explain_failure())
        return OpencvReader(capture, self.path, stores_count=stores_count(self.path))

    def _open(self) -> cv2.VideoCapture:
        """Return a new capture of a camera or of an address."""
        if self._is_camera:
            return cv2.VideoCapture(self._camera)
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
            if is_linux and Path(f"/dev/video{self._camera}").exists():
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
            raise SourceError(self._explain_no_frame())
        if self.reader is not None and self.reader.given_up:
            raise SourceError(
                f"{self.name} is given up: check that it is switched on and can be reached."
            )
        if self._unread:
            raise SourceError(
                f"{self.name}: {self._unread} of {self.frame_count} images could not be read."
            )
        if self._reader is not None:
            self._check_not_cut_off(count, self._reader)

    def _explain_no_frame(self) -> str:
        codec = self._reader.codec if isinstance(self._reader, OpencvReader) else ""
        if codec in NEEDS_PYAV:
            codec = NEEDS_PYAV[codec]
            return (
                f"{self.name} is {codec} video, which OpenCV cannot decode here: install "
                'PyAV with `pip install --constraint requirements.lock --editable ".[video]"` or '
                "`make lab`, or save the video as H.264."
            )
        return f"{self.name} has no readable frame: check it, or save it as MP4."

    def _check_not_cut_off(self, count: int, reader: PyavReader | OpencvReader) -> None:
        """Check the frames read against what the file stores; a guessed number is no measure."""
        is_short = ends_early(self.path) if self._is_file else None
        stored = reader.stored_count
        # Where the container is cut off, any frame missing is a loss. Where it does not tell,
        # a small difference is an inexact count.
        least = 1.0 if is_short else MIN_COMPLETE
        if stored is not None:
            missing = stored - count - reader.discarded
            if count + reader.discarded >= least * stored:
                return
            if is_short is not False:
                raise SourceError(
                    f"{self.name} ends after {count} of {stored} frames: it is cut off. "
                    "Copy or save it again."
                )
            if isinstance(reader, PyavReader):  # OpenCV cannot tell what an edit list leaves out
                raise SourceError(
                    f"{self.name} is damaged, and {missing} of its {stored} frames cannot be "
                    "read: copy or save it again."
                )
            return
        duration_s = reader.duration_s
        if duration_s is None or is_short is False or self._may_jump:
            return
        assert self.end_s is not None
        if self.end_s < least * duration_s - 1 / self.fps:
            raise SourceError(
                f"{self.name} ends after {self.end_s:.1f} of {duration_s:.1f} s: it is cut off. "
                "Copy or save it again."
            )

    def _read_file(self) -> Iterator[tuple[float, np.ndarray]]:
        reader = self._reader
        if reader is None:  # iterated before
            self._open_first()
            reader = self._reader
        assert reader is not None
        clock = Clock(1 / self.fps, self._may_jump)
        time_s = 0.0
        for timestamp_s, image in reader:
            time_s = clock.convert(timestamp_s)
            yield time_s, image
        self.end_s = time_s + (reader.last_duration_s or 1 / self.fps)

    def _read_folder(self) -> Iterator[tuple[float, np.ndarray]]:
        for number, file in enumerate(self.files):
            try:
                image = read_image_apart(file)
            except ImageError as error:
                self._on_message(str(error))
                self._unread += 1
                continue
            yield number / self.fps, image
            self.end_s = (number + 1) / self.fps

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
                rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                yield max(0.0, arrived - started), rgb
        finally:
            self.reader.close()
