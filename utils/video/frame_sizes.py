"""Where the frames of a video file change their size, from its packets, without decoding.

OpenCV squeezes every frame into the size of the first. Browsers change the size within a recording
when a window is resized or the network is slow.
"""

from __future__ import annotations

from pathlib import Path

import cv2

from utils.video.h264 import MAX_SPS, START, Bits, parse_parameters

SYNC_VP8 = b"\x9d\x01\x2a"  # RFC 6386, 9.1
SYNC_VP9 = 0x498342  # VP9 bitstream specification, 7.2
SRGB = 7  # its color space without subsampling


def list_sizes(path: Path) -> list[tuple[float, tuple[int, int]]]:
    """Return from which time on the frames of a file have which size, if they have several.

    Args:
        path: a video file.

    Returns:
        The time in seconds of each change, the first at the start, and the width and height from
        there on in pixels. Empty if there is one size, or if it is not H.264, VP8 or VP9.
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
        packet: of H.264 (with start codes), VP8 or VP9.
    """
    if packet[3:6] == SYNC_VP8:
        width = int.from_bytes(packet[6:8], "little") & 0x3FFF
        height = int.from_bytes(packet[8:10], "little") & 0x3FFF
        return width, height
    try:
        match = START.search(packet)
        if match:
            return _read_h264(packet[match.start() + 3 : match.start() + 3 + MAX_SPS])
        return _read_vp9(packet[:16])
    except ValueError:
        return None


def _read_h264(sps: bytes) -> tuple[int, int]:
    """Return the size after cropping, of progressive video with 4:2:0 subsampling."""
    parameters = parse_parameters(sps)
    width, height = parameters.size_wh
    if parameters.crop:
        left, right, top, bottom = parameters.crop
        width -= 2 * (left + right)
        height -= 2 * (top + bottom)
    return width, height


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
