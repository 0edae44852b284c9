"""The size and frame rate of H.264 streams, where they change.

OpenCV squeezes every frame into the size of the first, and assumes 25 frames a second for a stream
without a container. Both are in the sequence parameter set (SPS), ITU-T H.264, 7.3.2.1 and E.1.1.
"""

from __future__ import annotations

import io
import mmap
import re
from dataclasses import dataclass
from pathlib import Path

START = re.compile(rb"\x00\x00\x01[\x27\x47\x67]")  # of a sequence parameter set
STREAM_STARTS = (b"\x00\x00\x00\x01", b"\x00\x00\x01")
MAX_SPS = 512  # bytes
# Profiles whose parameter sets have a chroma format.
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
EXTENDED_SAR = 255


@dataclass(frozen=True)
class Parameters:
    """What a sequence parameter set says.

    Attributes:
        size_wh: width and height of the coded frame, pixels, before cropping.
        crop: what is cropped on the left, right, top and bottom, in units of the chroma format.
        fps: frames per second, or None.
    """

    size_wh: tuple[int, int]
    crop: tuple[int, ...]
    fps: float | None


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


class Bits:
    """Reads bits and Exp-Golomb codes (9.1)."""

    def __init__(self, data: bytes) -> None:
        """Read from the first bit of some bytes."""
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """Return the next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the parameter set ends early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        """Return the next code."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """Return the next code with a sign."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -code // 2


def parse_parameters(sps: bytes) -> Parameters:
    """Return what a sequence parameter set says.

    Args:
        sps: its bytes, from the one after the start code.

    Raises:
        ValueError: it cannot be read.
    """
    # 7.4.1: a byte 3 after two zeros keeps the data from looking like a start code.
    bits = Bits(sps[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
    profile = bits.bits(8)
    bits.bits(16)  # constraints and level
    bits.unsigned()  # id
    if profile in HIGH_PROFILES:
        chroma_format = bits.unsigned()
        if chroma_format == 3:
            bits.bits(1)
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.bits(1)
        if bits.bits(1):
            _skip_scaling_lists(bits, 12 if chroma_format == 3 else 8)
    bits.unsigned()  # log2_max_frame_num
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.bits(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()  # reference frames
    bits.bits(1)
    width = 16 * (bits.unsigned() + 1)
    height = 16 * (bits.unsigned() + 1)
    frames_only = bits.bits(1)
    if not frames_only:
        height *= 2
        bits.bits(1)
    bits.bits(1)
    crop: tuple[int, ...] = ()
    if bits.bits(1):
        crop = tuple(bits.unsigned() for _ in range(4))
    fps = _read_fps(bits) if bits.bits(1) else None
    return Parameters((width, height), crop, fps)


def _skip_scaling_lists(bits: Bits, count: int) -> None:
    for index in range(count):
        if not bits.bits(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _read_fps(bits: Bits) -> float | None:
    """Return the frame rate in the video usability information (VUI), or None."""
    if bits.bits(1) and bits.bits(8) == EXTENDED_SAR:
        bits.bits(32)
    if bits.bits(1):  # overscan
        bits.bits(1)
    if bits.bits(1):  # colors
        bits.bits(4)
        if bits.bits(1):
            bits.bits(24)
    if bits.bits(1):  # where the chroma samples lie
        bits.unsigned()
        bits.unsigned()
    if not bits.bits(1):
        return None
    units, scale = bits.bits(32), bits.bits(32)
    return scale / (2 * units) if units and scale else None  # a frame has two fields


def split_stream(path: Path) -> list[Part]:
    """Return the parts of an H.264 stream without a container; of any other file, none.

    Args:
        path: the file.
    """
    size = path.stat().st_size
    parts: list[Part] = []
    with open(path, "rb") as file:
        if not file.read(4).startswith(STREAM_STARTS):
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for match in START.finditer(data):
                sps = data[match.start() + 3 : match.start() + 3 + MAX_SPS]
                try:
                    parameters = parse_parameters(re.split(rb"\x00\x00[\x00\x01]", sps)[0])
                except ValueError:
                    continue
                if parts and parts[-1].parameters == parameters:
                    continue
                start = match.start() if parts else 0
                if parts:
                    parts[-1] = Part(parts[-1].start, start, parts[-1].parameters)
                parts.append(Part(start, size, parameters))
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
