"""Whether a video file ends before its container says that it does: it is cut off."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

# ISO/IEC 14496-12: a file is a sequence of boxes, each with its size and type. These types begin
# the files that cameras and programs write.
MP4_TYPES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
# RFC 8794: an EBML file is a sequence of elements; that of Matroska and WebM is the Segment.
EBML_START = b"\x1a\x45\xdf\xa3"
SEGMENT_ID = b"\x18\x53\x80\x67"
# Formats without a header that announces a length. MPEG-TS: packets of 188 bytes.
TS_SYNC = 0x47
TS_PACKET = 188
PS_START = b"\x00\x00\x01\xba"


def ends_early(path: Path) -> bool | None:
    """Return whether a file is shorter than its container says; None if it does not say.

    Understands MP4 and MOV, AVI, Matroska and WebM. The number of frames or the duration that
    decoding libraries report may be a guess, or include what an edit list leaves out; the size of
    the container is neither.

    Args:
        path: a video file.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[4:8] in MP4_TYPES:
            return _mp4_ends_early(file, size)
        if head.startswith(b"RIFF"):
            return _riff_ends_early(file, size)
        if head.startswith(EBML_START):
            return _matroska_ends_early(file, size)
    return None


def may_jump(path: Path) -> bool:
    """Return whether the clock of a file may start anew within it: MPEG-TS and MPEG-PS.

    Such files are recorded from broadcasts and cameras, and concatenated byte by byte.

    Args:
        path: a video file.
    """
    with open(path, "rb") as file:
        head = file.read(TS_PACKET + 5)
    if head.startswith(PS_START):
        return True
    # The packets of Blu-ray and AVCHD have 4 more bytes in front.
    return any(
        len(head) > step + start and head[start] == TS_SYNC and head[start + step] == TS_SYNC
        for start, step in ((0, TS_PACKET), (4, TS_PACKET + 4))
        if len(head) > start + step
    )


def stores_count(path: Path) -> bool:
    """Return whether the format of a file stores the number of its frames: MP4, MOV and AVI.

    Args:
        path: a video file.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    return head[4:8] in MP4_TYPES or head.startswith(b"RIFF")


def _mp4_ends_early(file: BinaryIO, size: int) -> bool | None:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:  # the length follows as 64 bits
            length = int.from_bytes(file.read(8), "big")
        elif length == 0:  # up to the end of the file, whatever that is
            return None
        if length < 8:
            return None  # no box: something else was appended
        if position + length > size:
            return kind in (b"mdat", b"moov", b"moof")
        position += length
    return False


def _riff_ends_early(file: BinaryIO, size: int) -> bool | None:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            return False  # something else was appended
        if length in (0, 0xFFFFFFFF):  # never filled in
            return None
        position += 8 + length + length % 2
    return position > size + 1  # the last byte of padding may be missing


def _matroska_ends_early(file: BinaryIO, size: int) -> bool | None:
    file.seek(len(EBML_START))
    header_size = _read_ebml_size(file)
    if header_size is None:
        return None
    file.seek(header_size, 1)
    while True:
        kind = file.read(1)
        if kind == b"\xec":  # Void, which pads
            length = _read_ebml_size(file)
            if length is None:
                return None
            file.seek(length, 1)
            continue
        if kind + file.read(3) != SEGMENT_ID:
            return None
        length = _read_ebml_size(file)
        if length is None:  # written live
            return None
        return file.tell() + length > size


def _read_ebml_size(file: BinaryIO) -> int | None:
    """Return the size of an element, or None if it is unknown or missing."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = first[0] & (0xFF >> width)
    value = (value << 8 * (width - 1)) | int.from_bytes(file.read(width - 1), "big")
    unknown = (1 << 7 * width) - 1
    return None if value == unknown else value
