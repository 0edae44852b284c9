"""What there is to look at: the files that an argument means, and the frames of a video, a stream or a camera."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np

from utils.images import IMAGE_SUFFIXES, list_images

# FFmpeg writes to the terminal about sources that it cannot read; what a person needs is the sentence of a SourceError.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_RATE = 25.0  # frames a second, where a source does not tell


class SourceError(ValueError):
    """A source that cannot be read. Its text is one sentence for a person."""


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """A sorting key that puts ``face2`` before ``face10``."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def _expand(argument: str, output: Path) -> list[Path]:
    """The files of one argument: itself, a folder's images, or a glob's; copies made earlier are passed over."""
    path = Path(argument)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = list_images(path)
    elif glob.has_magic(argument):
        matches = [Path(match) for match in glob.glob(argument, recursive=True)]
        found = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES and match.is_file()]
        found += [image for folder in matches if folder.is_dir() for image in list_images(folder)]
    else:
        raise SourceError(f"There is no file or folder {argument}: check the path.")
    root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts)).resolve()
    if output not in (root, *root.parents):  # else the copies themselves are asked for
        found = [file for file in found if output not in file.resolve().parents]
    if not found:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise SourceError(f"{argument} holds no images ({kinds}): check the path.")
    return sorted(found, key=natural_key)


def find_images(arguments: Iterable[str], output: str | Path = "output") -> tuple[list[Path], list[str]]:
    """The image files that arguments mean: files as they are, the images of folders and of globs in natural order.

    Args:
        arguments: files, folders (with the folders below them) or globs, ``**`` included.
        output: the folder of annotated copies; those of an earlier run are not taken for sources.

    Returns:
        The files, each once, and a sentence for each argument that means none.
    """
    files: dict[Path, Path] = {}
    problems = []
    for argument in arguments:
        try:
            for file in _expand(argument, Path(output).resolve()):
                files.setdefault(file.resolve(), file)
        except SourceError as error:
            problems.append(str(error))
    return list(files.values()), problems


def name_copies(files: Sequence[Path], folder: str | Path, suffix: str = ".jpg") -> list[Path]:
    """A path in ``folder`` for the annotated copy of each file: its stem, numbered where another has it already.

    No two copies share a name, and none replaces a source or its neighbours.
    """
    folder = Path(folder)
    taken = set()
    if folder.is_dir() and any(file.parent.resolve() == folder.resolve() for file in files):
        taken = {path.name.casefold() for path in folder.iterdir()}
    copies, numbers = [], {}
    for file in files:
        stem = file.stem
        name, number = f"{stem}{suffix}", numbers.get(stem, 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}{suffix}"
        taken.add(name.casefold())
        numbers[stem] = number
        copies.append(folder / name)
    return copies


class Video:
    """The frames of a video file, a stream or a camera, in order: iterate over it once.

    Attributes:
        name: what it is called in records, without the password of an address.
        path: a path whose stem its annotated copy can have.
        is_live: whether it has no end of its own.
        rate: frames a second.
        frame_count: how many, None where unknown.
    """

    def __init__(self, source: str | int) -> None:
        """Open a file, an address such as ``rtsp://...``, or a camera by its number.

        Raises:
            SourceError: there is no such source, or it cannot be read.
        """
        source = str(source)
        self.name = re.sub(r"://[^/@]*@", "://", source)
        is_camera, is_address = self.name.isdecimal(), "://" in self.name
        if not (is_camera or is_address or Path(self.name).is_file()):
            raise SourceError(f"There is no video {self.name}: check the path.")
        self._capture = cv2.VideoCapture(int(source) if is_camera else source)
        if not self._capture.isOpened():
            if is_camera:
                raise SourceError(f"Camera {self.name} cannot be opened: plug it in, or name a picture with --image.")
            raise SourceError(f"{self.name} is not a video that can be read: check the address or save it as MP4.")
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 and not is_camera else None
        self.is_live = is_camera or (is_address and self.frame_count is None)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else DEFAULT_RATE
        stem = f"camera_{self.name}" if is_camera else re.sub(r"\W+", "_", self.name.split("://")[-1])
        self.path = Path(stem) if is_camera or is_address else Path(self.name)

    def __iter__(self) -> Iterator[tuple[int, float, np.ndarray]]:
        """(frame number from 0, seconds from the start, (H, W, 3) uint8 RGB image) of each frame.

        Raises:
            SourceError: not one frame can be read.
        """
        started, number = time.monotonic(), 0
        try:
            while True:
                good, frame = self._capture.read()
                if not good:
                    break
                position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                time_s = time.monotonic() - started if self.is_live else position or number / self.rate
                yield number, time_s, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                number += 1
        finally:
            self._capture.release()
        if number == 0:
            raise SourceError(f"{self.name} holds no frame that can be read: check it, or save it as MP4.")
