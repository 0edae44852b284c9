"""Formats of image files beyond what OpenCV does: headers, and what only Pillow decodes rightly."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import cv2
import numpy as np

from utils import MAX_PIXELS
from utils.images.kinds import READABLE, START_BYTES, identify
from utils.messages import UserError
from utils.program import describe_shortage

if TYPE_CHECKING:
    from PIL import Image

# The first bytes of files.
PNG_START = b"\x89PNG"
PNG_SIZE_END = 24  # bytes up to the end of width and height
WEBP_START = b"RIFF"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JPEG_2000_STARTS = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
TRANSPARENT_STARTS = (PNG_START, WEBP_START, *TIFF_STARTS, *JPEG_2000_STARTS)
MPO_MARK = b"MPF\0"  # in the header of a JPEG that holds several pictures
MPO_BYTES = 2**18  # searched for it
ANIMATION_BYTES = 2**16  # searched for the chunk of an animated PNG
# JPEG markers: two bytes that begin a segment.
JPEG_START = b"\xff\xd8"
JPEG_SCAN = b"\xff\xda"
JPEG_END = b"\xff\xd9"
JPEG_FILL = b"\xff\xff"  # padding before a marker
JPEG_APP1 = 0xE1  # the second byte of the marker of EXIF data
JPEG_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
EXIF_START = b"Exif\0\0"
# TIFF 6.0 and EXIF 2.3: a tag is an entry of 12 bytes.
EXIF_ENTRY_BYTES = 12
EXIF_ORIENTATION = 274
TURNED_ASIDE = (5, 6, 7, 8)  # orientations that swap width and height


class ImageError(UserError, ValueError):
    """An image file that cannot be read or written. The message is one sentence for the user."""


def read_header_size(path: str | Path) -> tuple[tuple[int, int], bool] | None:
    """Return the (width, height) of an upright image, and whether it is stored turned.

    It is None if the file is damaged, or neither JPEG nor PNG: then the image must be decoded.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(PNG_SIZE_END)
            if start.startswith(JPEG_START):
                file.seek(len(JPEG_START))
                size_wh, exif = read_jpeg_header(file)
            elif start.startswith(PNG_START):
                size_wh = struct.unpack(">II", start[16:PNG_SIZE_END])
                _, _, exif = file.read().partition(b"eXIf")
            else:
                return None
    except struct.error:
        return None
    if 0 in size_wh:
        return None
    width, height = size_wh
    orientation = read_orientation(exif)
    is_turned = orientation in range(2, 9)
    return (height, width) if orientation in TURNED_ASIDE else (width, height), is_turned


def read_jpeg_header(file: BinaryIO) -> tuple[tuple[int, int], bytes]:
    """Return the (width, height) that a JPEG stores, and its EXIF data (TIFF format).

    Args:
        file: a JPEG, at the first marker.

    Raises:
        struct.error: there is no size before the pixels.
    """
    exif = b""
    while True:
        marker = file.read(2)
        while marker == JPEG_FILL:
            marker = JPEG_FILL[:1] + file.read(1)
        first, code, segment_bytes = struct.unpack(">BBH", marker + file.read(2))
        if first != JPEG_FILL[0] or segment_bytes < 2 or marker == JPEG_SCAN:
            raise struct.error("no size before the pixels")
        if code in JPEG_FRAMES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return (width, height), exif
        segment = file.read(segment_bytes - 2)
        if code == JPEG_APP1 and segment.startswith(EXIF_START) and not exif:
            exif = segment.removeprefix(EXIF_START)


def count_pages(data: bytes) -> int:
    """Return the number of pictures in an image file: pages, frames, or the two of a stereo pair.

    1 if the file is damaged.
    """
    try:
        if data.startswith(b"GIF8"):
            from PIL.GifImagePlugin import GifImageFile

            return GifImageFile(io.BytesIO(data)).n_frames
        if data.startswith(TIFF_STARTS):
            from PIL.TiffImagePlugin import TiffImageFile

            return TiffImageFile(io.BytesIO(data)).n_frames
        if data.startswith(JPEG_START) and MPO_MARK in data[:MPO_BYTES]:
            from PIL.JpegImagePlugin import jpeg_factory

            return getattr(jpeg_factory(io.BytesIO(data)), "n_frames", 1)
        if is_avif(data):
            from PIL.AvifImagePlugin import AvifImageFile

            return AvifImageFile(io.BytesIO(data)).n_frames
    except (OSError, ValueError, SyntaxError, KeyError, ImportError, TypeError, struct.error):
        return 1
    if data.startswith(PNG_START) and b"acTL" in data[:ANIMATION_BYTES]:
        return max(1, data.count(b"fcTL"))
    if data.startswith(WEBP_START) and data[12:16] == b"VP8X":
        return max(1, data.count(b"ANMF"))
    return 1


def is_avif(data: bytes) -> bool:
    """Return whether the bytes of an image file are AVIF."""
    return data[4:8] == b"ftyp" and identify(data[:START_BYTES]) == READABLE


def is_truncated(data: bytes) -> bool:
    """Return whether a JPEG or PNG ends before its end marker. OpenCV fills such rows with grey."""
    if data.startswith(PNG_START):
        return b"IEND" not in data
    if not data.startswith(JPEG_START):
        return False
    # Skip the segments before the first scan: a thumbnail in one of them has its own end marker.
    # The end marker need not be at the end of the file: phones append videos.
    position = len(JPEG_START)
    while True:
        marker = data[position : position + 2]
        if marker == JPEG_SCAN or not marker.startswith(b"\xff"):
            break
        if marker == JPEG_FILL:
            position += 1
        else:
            segment_bytes = int.from_bytes(data[position + 2 : position + 4], "big")
            position += 2 + segment_bytes
    return data.find(JPEG_END, position) < 0


def read_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data, 1 to 8. 1, upright, if it is missing or damaged."""
    order: Literal["little", "big"] = "little" if exif.startswith(b"II") else "big"
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    first = start + 2
    end = min(first + EXIF_ENTRY_BYTES * count, len(exif))
    orientation = 1
    for position in range(first, end, EXIF_ENTRY_BYTES):
        tag = int.from_bytes(exif[position : position + 2], order)
        if tag == EXIF_ORIENTATION:
            orientation = int.from_bytes(exif[position + 8 : position + 10], order)
    return orientation


def turn_upright(image: np.ndarray, exif: bytes) -> np.ndarray:
    """Return an image turned upright by the orientation in its EXIF data, as OpenCV turns it."""
    orientation = read_orientation(exif)
    if orientation in TURNED_ASIDE:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def decode_avif(data: bytes, path: object) -> np.ndarray:
    """Decode an AVIF with Pillow: OpenCV does not apply its rotation and its transparency.

    Raises:
        ImageError: the file is damaged, or it is turned and this Pillow cannot read AVIF.
    """
    try:
        from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile
    except ImportError:  # Pillow before 11.3
        SUPPORTED = False
    if SUPPORTED:
        try:
            return _flatten(AvifImageFile(io.BytesIO(data)))
        except (OSError, ValueError, SyntaxError, RuntimeError, MemoryError) as error:
            shortage = describe_shortage(error)
            raise ImageError(
                f"{path} cannot be decoded: {shortage}"
                if shortage
                else f"{path} cannot be decoded (damaged or too large): save it again as JPEG."
            ) from error
    if b"irot" in data or b"imir" in data:
        raise ImageError(
            f"{path} is an AVIF file that must be turned, which this installation cannot do: "
            "install Pillow 11.3 or newer, or save it as JPEG."
        )
    image = None
    with suppress(cv2.error):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ImageError(f"{path} is an AVIF file that cannot be read: save it as JPEG.")
    return image


def _flatten(image: Image.Image) -> np.ndarray:
    """Return a picture of Pillow upright and on white, as RGB.

    Raises:
        ValueError: it has more than ``MAX_PIXELS``, or it is damaged.
    """
    from PIL import Image, ImageOps

    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many")
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return np.array(Image.alpha_composite(white, upright).convert("RGB"))


def blend_tiff(data: bytes, image: np.ndarray) -> np.ndarray:
    """Return a TIFF with transparency on white.

    Args:
        data: the file.
        image: what OpenCV makes of it, for files that Pillow cannot read. OpenCV lays 8 bits on
            black.
    """
    try:
        from PIL.TiffImagePlugin import TiffImageFile

        return _flatten(TiffImageFile(io.BytesIO(data)))
    except (OSError, ValueError, SyntaxError, KeyError, ImportError, TypeError, struct.error):
        return image
