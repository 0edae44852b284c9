"""Video streams without a container, such as ``.h264`` files, whose frames change their size.

Such files are joined byte by byte. OpenCV squeezes every frame into the size of the first.
"""

from __future__ import annotations

import io
import mmap
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from utils.video.media.parameter_sets import MAX_BYTES, MAX_HEADERS, Parameters, find_codec


@dataclass(frozen=True)
class Part:
    """A part of a stream in which all frames have one size.

    Attributes:
        start: position of its first byte.
        end: position after its last byte.
        parameters: of its frames.
    """

    start: int
    end: int
    parameters: Parameters


def split_stream(path: Path) -> list[Part]:
    """Return the parts of an H.264, HEVC or MPEG-2 stream without a container.

    Args:
        path: the file. Of any other, there are no parts.
    """
    size = path.stat().st_size
    parts: list[Part] = []
    with open(path, "rb") as file:
        codec = find_codec(file.read(MAX_BYTES))
        if codec is None:
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            starts = [match.start() for match in codec.start.finditer(data)]
            for start, next_start in pairwise([*starts, size]):
                parameters = codec.read(data[start : min(next_start, start + MAX_HEADERS)])
                if parameters is None:
                    continue
                if parts and parts[-1].parameters == parameters:
                    continue
                if parts:
                    parts[-1] = Part(parts[-1].start, start, parts[-1].parameters)
                parts.append(Part(start if parts else 0, size, parameters))
    return parts


class PartOfFile(io.BufferedIOBase):
    """A range of the bytes of a file as a file of its own."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        """Open the range from ``start`` to ``end``."""
        self._file = open(path, "rb")
        self._start = start
        self._length = end - start
        self._file.seek(start)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes."""
        left = self._length - self.tell()
        if size is None or size < 0 or size > left:
            size = left
        return self._file.read(max(0, size))

    def tell(self) -> int:
        """Return the position within the range."""
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move within the range, and return the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._length}[whence]
        self._file.seek(self._start + max(0, base + offset))
        return self.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
