"""The size and frame rate in the headers of H.264, HEVC and MPEG-2 video.

OpenCV squeezes every frame into the size of the first, and assumes 25 frames a second for H.264
without a container.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

MAX_BYTES = 512  # of a header
MAX_HEADERS = 16384  # bytes at the beginning of a key frame in which its headers are
START_CODE = re.compile(rb"\x00{2,}\x01")
NEXT_CODE = re.compile(rb"\x00\x00[\x00\x01]")  # where a header ends
# H.264 profiles whose parameter sets have a chroma format.
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
EXTENDED_SAR = 255
# How many pixels share a color, by the number of the chroma format: across and down.
CHROMA_STEPS = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}


@dataclass(frozen=True)
class Parameters:
    """What the header of a video says.

    Attributes:
        size_wh: width and height of its frames, pixels, after cropping.
        fps: frames per second, or None.
    """

    size_wh: tuple[int, int]
    fps: float | None = None


class Codec(NamedTuple):
    """A codec whose packets begin with start codes.

    Attributes:
        start: finds where key frames begin in a stream, with all that decoding them needs.
        header: finds the start code of the header with the size.
        parse: returns what the header says, from the byte after the start code. Raises ValueError.
    """

    start: re.Pattern[bytes]
    header: re.Pattern[bytes]
    parse: Callable[[bytes], Parameters]

    def read(self, data: bytes) -> Parameters | None:
        """Return what the last header at the beginning of a key frame says, or None.

        FFmpeg puts the header of the file before that of the frame.
        """
        matches = list(self.header.finditer(data[:MAX_HEADERS]))
        if not matches:
            return None
        start = matches[-1].start() + 3
        try:
            return self.parse(NEXT_CODE.split(data[start : start + MAX_BYTES], maxsplit=1)[0])
        except ValueError:
            return None


class Bits:
    """Reads bits and Exp-Golomb codes (ITU-T H.264, 9.1)."""

    def __init__(self, data: bytes) -> None:
        """Read from the first bit of some bytes."""
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """Return the next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the header ends early")
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


def find_codec(data: bytes) -> Codec | None:
    """Return the codec of a stream or packet that begins with a start code, or None.

    Args:
        data: at least its first bytes.
    """
    match = START_CODE.match(data[:MAX_BYTES])
    if match is None:
        return None
    code, following = (*data[match.end() : match.end() + 2], 0, 0)[:2]
    if code == MPEG2_SEQUENCE:
        return MPEG2
    if code in HEVC_FIRST and following == 1:
        return HEVC
    # In H.264, the first bit is 0, and the type of the unit (7.4.1) is not.
    return H264 if code < 0x80 and code & 0x1F else None


def _unescape(header: bytes) -> Bits:
    # H.264, 7.4.1, and H.265, 7.4.2: a byte 3 after two zeros keeps data from looking like a code.
    return Bits(header.replace(b"\x00\x00\x03", b"\x00\x00"))


def _crop(
    size_wh: tuple[int, int], window: list[int], chroma_format: int, field_count: int
) -> tuple[int, int]:
    """Return a size without what is cropped on the left, right, top and bottom, in chroma units."""
    step_x, step_y = CHROMA_STEPS.get(chroma_format, (1, 1))
    left, right, top, bottom = window
    width = size_wh[0] - step_x * (left + right)
    height = size_wh[1] - step_y * field_count * (top + bottom)
    if width < 1 or height < 1:
        raise ValueError("nothing is left of the frame")
    return width, height


def parse_h264(header: bytes) -> Parameters:
    """Return what a sequence parameter set of H.264 says (ITU-T H.264, 7.3.2.1 and E.1.1)."""
    bits = _unescape(header[1:])
    profile = bits.bits(8)
    bits.bits(16)  # constraints and level
    bits.unsigned()  # id
    chroma_format = 1
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
    field_count = 1
    if not bits.bits(1):  # frames may be two fields
        field_count = 2
        height *= 2
        bits.bits(1)
    bits.bits(1)
    window = [0, 0, 0, 0]
    if bits.bits(1):
        window = [bits.unsigned() for _ in range(4)]
    fps = _read_fps(bits) if bits.bits(1) else None
    return Parameters(_crop((width, height), window, chroma_format, field_count), fps)


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


def parse_hevc(header: bytes) -> Parameters:
    """Return the size in a sequence parameter set of HEVC (ITU-T H.265, 7.3.2.2)."""
    bits = _unescape(header[2:])
    bits.bits(4)  # id of the video parameter set
    sub_layer_count = bits.bits(3)
    bits.bits(1)
    _skip_profile(bits, sub_layer_count)
    bits.unsigned()  # id
    chroma_format = bits.unsigned()
    if chroma_format == 3:
        bits.bits(1)
    size_wh = (bits.unsigned(), bits.unsigned())
    window = [0, 0, 0, 0]
    if bits.bits(1):
        window = [bits.unsigned() for _ in range(4)]
    return Parameters(_crop(size_wh, window, chroma_format, field_count=1))


def _skip_profile(bits: Bits, sub_layer_count: int) -> None:
    """Skip profile, tier and level of a stream and its sub-layers (H.265, 7.3.3)."""
    bits.bits(96)
    has_parts = [(bits.bits(1), bits.bits(1)) for _ in range(sub_layer_count)]
    if sub_layer_count:
        bits.bits(2 * (8 - sub_layer_count))
    for has_profile, has_level in has_parts:
        bits.bits(88 * has_profile + 8 * has_level)


def parse_mpeg2(header: bytes) -> Parameters:
    """Return the size in a sequence header of MPEG-1 or MPEG-2 (ITU-T H.262, 6.2.2.1)."""
    bits = Bits(header[1:])
    size_wh = (bits.bits(12), bits.bits(12))
    bits.bits(26)  # aspect ratio, frame rate and bit rate
    # In MPEG-4 part 2, the same code begins 20 bits about a group of frames.
    if 0 in size_wh or not bits.bits(1):
        raise ValueError("no sequence header")
    return Parameters(size_wh)


MPEG2_SEQUENCE = 0xB3
HEVC_FIRST = (0x40, 0x42, 0x44, 0x46, 0x4E)  # parameter sets, a delimiter, or information (SEI)
SPS_H264 = re.compile(rb"\x00\x00\x01[\x27\x47\x67]")
SEQUENCE_MPEG2 = re.compile(rb"\x00\x00\x01\xb3")
H264 = Codec(start=SPS_H264, header=SPS_H264, parse=parse_h264)
HEVC = Codec(
    start=re.compile(rb"\x00\x00\x01\x40\x01"),  # the video parameter set
    header=re.compile(rb"\x00\x00\x01\x42\x01"),
    parse=parse_hevc,
)
MPEG2 = Codec(start=SEQUENCE_MPEG2, header=SEQUENCE_MPEG2, parse=parse_mpeg2)
