"""Where the frames of a video file change their size, from its packets, without decoding.

OpenCV squeezes every frame into the size of the first. Browsers change the size within a recording
when a window is resized or the network is slow.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2

from utils.images.formats import JPEG_START, read_jpeg_header
from utils.video.media.parameter_sets import Bits, find_codec

SYNC_VP8 = b"\x9d\x01\x2a"  # RFC 6386, 9.1
SYNC_VP9 = 0x498342  # VP9 bitstream specification, 7.2
SRGB = 7  # its color space without subsampling
# AV1 bitstream specification, 6.2.2: types of units. A key frame begins with the first or second.
AV1_SEQUENCE = 1
AV1_DELIMITER = 2
AV1_HIGH_LEVEL = 7  # levels above it have a tier


def list_sizes(path: Path) -> list[tuple[float, tuple[int, int]]]:
    """Return from which time on the frames of a file have which size, if they have several.

    Args:
        path: a video file.

    Returns:
        The time in seconds of each change, the first at the start, and the width and height from
        there on in pixels. Empty if there is one size, or if ``read_size`` cannot read the codec.
    """
    capture = cv2.VideoCapture(
        str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1]
    )  # -1: packets as they are
    sizes: list[tuple[float, tuple[int, int]]] = []
    while capture.grab():
        if not capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
            continue
        is_read, packet = capture.retrieve()
        size_wh = read_size(packet.tobytes()) if is_read else None
        if size_wh is None:
            if not sizes:
                break  # another codec
            continue
        if not sizes or sizes[-1][1] != size_wh:
            sizes.append((capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, size_wh))
    capture.release()
    return sizes if len(sizes) > 1 else []


def read_size(packet: bytes) -> tuple[int, int] | None:
    """Return the width and height of a key frame, or None if they cannot be read.

    Args:
        packet: of H.264, HEVC or MPEG-2 (with start codes), Motion JPEG, VP8, VP9 or AV1.
    """
    if packet[3:6] == SYNC_VP8:
        width = int.from_bytes(packet[6:8], "little") & 0x3FFF
        height = int.from_bytes(packet[8:10], "little") & 0x3FFF
        return width, height
    codec = find_codec(packet)
    if codec is not None:
        parameters = codec.read(packet)
        return parameters.size_wh if parameters is not None else None
    try:
        if packet.startswith(JPEG_START):
            size_wh, _ = read_jpeg_header(io.BytesIO(packet[len(JPEG_START) :]))
            return size_wh
        return _read_vp9(packet[:16]) or _read_av1(packet)
    except (ValueError, struct.error):
        return None


def _read_vp9(header: bytes) -> tuple[int, int] | None:
    """Return the size in the uncompressed header of a key frame (7.2)."""
    bits = Bits(header)
    if bits.bits(2) != 2:
        return None
    profile = bits.bits(1) + 2 * bits.bits(1)
    if profile == 3:
        bits.bits(1)
    shows_existing = bits.bits(1)
    is_inter = bits.bits(1)
    bits.bits(2)
    if shows_existing or is_inter or bits.bits(24) != SYNC_VP9:
        return None
    if profile >= 2:
        bits.bits(1)  # bit depth
    color_space = bits.bits(3)
    if color_space != SRGB:
        bits.bits(1)  # range
    if profile in (1, 3):
        bits.bits(1 if color_space == SRGB else 3)
    return bits.bits(16) + 1, bits.bits(16) + 1


def _read_av1(packet: bytes) -> tuple[int, int] | None:
    """Return the size in the sequence header at the beginning of a packet (5.3 to 5.5)."""
    position = 0
    while position + 1 < len(packet):
        unit = Bits(packet[position : position + 1])
        is_forbidden = unit.bits(1)
        kind = unit.bits(4)
        has_extension = unit.bits(1)
        has_size = unit.bits(1)
        if is_forbidden or not has_size or kind not in (AV1_SEQUENCE, AV1_DELIMITER):
            return None
        position += 1 + has_extension
        length = 0
        for index, byte in enumerate(packet[position : position + 8]):
            position += 1
            length |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                break
        if kind == AV1_SEQUENCE:
            return _read_av1_sequence(Bits(packet[position : position + length]))
        position += length
    return None


def _read_av1_sequence(bits: Bits) -> tuple[int, int]:
    """Return the largest size of a frame in a sequence header (5.5.1)."""
    bits.bits(4)  # profile, and whether it is one picture
    delay_bits = 0
    if bits.bits(1):  # a short header
        bits.bits(5)
    else:
        if bits.bits(1):  # timing
            bits.bits(64)
            if bits.bits(1):
                bits.unsigned()
            if bits.bits(1):  # a model of the decoder
                delay_bits = bits.bits(5) + 1
                bits.bits(42)
        has_delay = bits.bits(1)
        for _ in range(bits.bits(5) + 1):  # operating points
            bits.bits(12)
            if bits.bits(5) > AV1_HIGH_LEVEL:
                bits.bits(1)
            if delay_bits and bits.bits(1):
                bits.bits(2 * delay_bits + 1)
            if has_delay and bits.bits(1):
                bits.bits(4)
    width_bits = bits.bits(4) + 1
    height_bits = bits.bits(4) + 1
    return bits.bits(width_bits) + 1, bits.bits(height_bits) + 1
