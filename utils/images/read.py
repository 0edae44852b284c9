"""Read and write image files: (H, W, 3) uint8 RGB everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from utils.atomic import write_bytes
from utils.images.formats import (
    TIFF_STARTS,
    TRANSPARENT_STARTS,
    ImageError,
    blend_tiff,
    count_pages,
    decode_avif,
    is_avif,
    is_truncated,
    read_header_size,
    turn_upright,
)
from utils.images.kinds import START_BYTES, identify
from utils.images.listing import PassedOver, list_folder, split_by_name
from utils.program import describe_shortage

# OpenCV prints warnings about damaged files to the terminal. An ImageError says what matters.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_FATAL)

BLENDED_ROWS = 256  # at once, to bound the memory


def list_images(
    folder: str | Path, on_error: Callable[[OSError], None] | None = None
) -> list[Path]:
    """Return the image files of a folder and its subfolders, sorted by path, see ``listing``.

    Args:
        folder: where to look.
        on_error: callback for the error of each subfolder that cannot be read. Such a folder is
            skipped.

    Raises:
        ImageError: the folder does not exist.
    """
    _check_folder(folder)
    return list_folder(folder, on_error).images


def list_for_table(folder: str | Path) -> tuple[list[Path], list[PassedOver]]:
    """Return the image files of a folder whose names a table can hold, and what is passed over.

    Raises:
        ImageError: the folder does not exist.
    """
    _check_folder(folder)
    listing = list_folder(folder)
    images, badly_named = split_by_name(listing.images)
    return images, [*listing.passed_over, *badly_named]


def _check_folder(folder: str | Path) -> None:
    if not Path(folder).is_dir():
        raise ImageError(f"There is no folder {folder}: check the path.")


def read_image(path: str | Path, on_pages: Callable[[int], None] | None = None) -> np.ndarray:
    """Read an image file, turned upright by its orientation.

    Grey, 16-bit and CMYK files are converted. Transparent pixels are blended with white. Of several
    pictures in one file, the first is read.

    Args:
        path: the image file.
        on_pages: callback for the number of pictures in the file, if there are several.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the file is missing, is not an image, or is truncated.
    """
    data = read_bytes(path)
    image = decode_image(data, path)
    if on_pages is not None:
        pages = count_pages(data)
        if pages > 1:
            on_pages(pages)
    return image


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file. ``cv2.imread`` cannot open non-ASCII paths on Windows.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _make_read_error(path, error) from error


def _make_read_error(path: object, error: OSError) -> ImageError:
    return ImageError(f"{path} cannot be read ({error.strerror}): check the path.")


def decode_image(data: bytes, path: object) -> np.ndarray:
    """Decode the bytes of an image file as ``read_image`` does.

    Args:
        data: content of the file.
        path: what error messages name as the file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: the bytes are not an image, or are truncated.
    """
    if is_truncated(data):
        raise ImageError(f"{path} is cut off before its end: fetch or save it again.")
    if is_avif(data):
        return decode_avif(data, path)
    buffer = np.frombuffer(data, np.uint8)
    image = None
    stored = None
    exif = b""
    try:
        if data:
            image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
        if image is not None and data.startswith(TRANSPARENT_STARTS):
            # Only an unchanged read keeps transparency, but it does not apply the orientation.
            stored, exif = _read_stored(buffer)
    except (cv2.error, MemoryError) as error:
        shortage = describe_shortage(error)
        if shortage:
            raise ImageError(f"{path} cannot be decoded: {shortage}") from error
        raise ImageError(
            f"{path} cannot be decoded (damaged or too large): save it again as JPEG or PNG."
        ) from error
    if image is None:
        kind = identify(data[:START_BYTES])
        if kind:
            raise ImageError(f"{path} is a {kind} file, which cannot be read: save it as JPEG.")
        raise ImageError(f"{path} is not an image that can be read: use a JPEG, PNG or WebP file.")
    if image.ndim < 3:  # a grey PFM
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if stored is None or stored.ndim < 3 or stored.shape[2] != 4:
        return image
    if data.startswith(TIFF_STARTS):
        return blend_tiff(data, image)
    alpha = turn_upright(stored[:, :, 3:], exif)
    if alpha.shape[:2] != image.shape[:2]:  # they differ if the EXIF data are damaged
        return image
    for start in range(0, len(image), BLENDED_ROWS):
        rows = slice(start, start + BLENDED_ROWS)
        opacity = alpha[rows] / np.float32(np.iinfo(stored.dtype).max)
        image[rows] = (image[rows] * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
    return image


def read_upright_size(path: str | Path) -> tuple[tuple[int, int], bool]:
    """Return the (width, height) of an upright image, and whether it is stored turned.

    Reads the header alone of JPEG and PNG files.

    Raises:
        ImageError: the file is not an image that can be read.
    """
    try:
        header = read_header_size(path)
    except OSError as error:
        raise _make_read_error(path, error) from error
    if header is not None:
        return header
    from utils.images.reader_process import measure_image_apart  # it imports this module

    return measure_image_apart(path), False


def _read_stored(buffer: np.ndarray) -> tuple[np.ndarray | None, bytes]:
    """Return an image as it is stored, with its transparency, and its EXIF data (TIFF format)."""
    image, kinds, metadata = cv2.imdecodeWithMetadata(buffer, flags=cv2.IMREAD_UNCHANGED)
    exif = dict(zip(kinds, metadata, strict=True)).get(cv2.IMAGE_METADATA_EXIF, b"")
    return image, bytes(exif).removeprefix(b"Exif\0\0")


def write_image(path: str | Path, image: np.ndarray, quality: int = 92) -> Path:
    """Write an RGB image whole or not at all. The suffix of the path selects the format.

    Args:
        path: the file; it is replaced if it exists, and its folder is created.
        image: (H, W, 3) uint8 RGB.
        quality: of a JPEG, 0-100.

    Returns:
        The path.

    Raises:
        ImageError: the file cannot be written, the suffix is unknown, or the image is too large
            for the format.
    """
    path = Path(path)
    options = []
    if path.suffix.lower() in (".jpg", ".jpeg"):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise ImageError(
            f"{path} cannot be written: {path.suffix or 'no suffix'} is not an image format."
        ) from error
    if not done:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise ImageError(f"{path} cannot be written: {size} pixels are too many for {path.suffix}.")
    try:
        write_bytes(path, data.tobytes())
    except OSError as error:
        raise ImageError(
            f"{path} cannot be written ({error.strerror}): choose another folder."
        ) from error
    return path
