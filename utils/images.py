"""Image files in and out: RGB uint8 everywhere, and an unreadable file is an error that names it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

# OpenCV writes its own pages about damaged files to the terminal; what a person needs is the sentence of an ImageError.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_FATAL)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class ImageError(ValueError):
    """An image file that cannot be read or written. Its text is one sentence for a person."""


def list_images(
    folder: str | Path, on_error: Callable[[OSError], None] | None = None
) -> list[Path]:
    """The image files of a folder and the folders below it, sorted by path.

    Args:
        folder: where to look.
        on_error: callback for the error of each subfolder that cannot be read. Such a folder is
            skipped.

    Raises:
        ImageError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"There is no folder {folder}: check the path.")
    paths = (
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=on_error)
        for name in names
    )
    return sorted(
        path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def _is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG stops before its end marker; OpenCV would fill the missing rows with grey."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if not data.startswith(b"\xff\xd8"):
        return False
    # Segment by segment to the first scan: a thumbnail has an end marker of its own. Nor is the end of the file asked
    # for: phones append films.
    place = 2
    while (marker := data[place : place + 2]).startswith(b"\xff") and marker != b"\xff\xda":
        place += 1 if marker == b"\xff\xff" else 2 + int.from_bytes(data[place + 2 : place + 4])
    return data.find(b"\xff\xd9", place) < 0


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB, turned upright by its EXIF tag.

    Grey, 16-bit and CMYK files are converted; transparent pixels of PNG and WebP are laid on white.

    Raises:
        ImageError: the file is missing, is no image, or is cut off.
    """
    try:
        data = Path(
            path
        ).read_bytes()  # not cv2.imread, which cannot open accented names on Windows
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    return decode_image(data, path)


def decode_image(data: bytes, path: object) -> np.ndarray:
    """The bytes of an image file as ``read_image`` gives them; ``path`` is what an error names.

    Raises:
        ImageError: they are no image, or are cut off.
    """
    if _is_truncated(data):
        raise ImageError(f"{path} is cut off before its end: fetch or save it again.")
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB) if data else None
        # PNG and WebP keep their transparency only when read unchanged, but then they lie as they were stored.
        raw, exif = _read_stored(buffer) if data[:4] in (b"\x89PNG", b"RIFF") else (None, b"")
    except cv2.error as error:
        raise ImageError(
            f"{path} cannot be decoded (damaged or too large): save it again as JPEG or PNG."
        ) from error
    if image is None:
        raise ImageError(f"{path} is not an image that can be read: use a JPEG, PNG or WebP file.")
    if raw is not None and raw.ndim == 3 and raw.shape[2] == 4:
        alpha = _turn(raw[:, :, 3:], exif) / np.float32(np.iinfo(raw.dtype).max)
        if alpha.shape[:2] == image.shape[:2]:  # else its EXIF data are damaged
            image = (image * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    return image


def _read_stored(buffer: np.ndarray) -> tuple[np.ndarray | None, bytes]:
    """An image as it is stored, its transparency with it, and its EXIF data."""
    image, kinds, metadata = cv2.imdecodeWithMetadata(buffer, flags=cv2.IMREAD_UNCHANGED)
    exif = dict(zip(kinds, metadata, strict=True)).get(cv2.IMAGE_METADATA_EXIF, b"")
    return image, bytes(exif).removeprefix(b"Exif\0\0")


def _turn(image: np.ndarray, exif: bytes) -> np.ndarray:
    """An image turned upright by the orientation in its EXIF data (TIFF 6.0, tag 274), as OpenCV does by itself."""
    order = "little" if exif.startswith(b"II") else "big"
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    tags = [
        exif[at : at + 12] for at in range(start + 2, min(start + 2 + 12 * count, len(exif)), 12)
    ]
    values = {int.from_bytes(tag[:2], order): int.from_bytes(tag[8:10], order) for tag in tags}
    orientation = values.get(274, 1)
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


def write_image(path: str | Path, image: np.ndarray, quality: int = 92) -> Path:
    """Write an RGB image; its suffix chooses the format, missing folders are made.

    Args:
        path: where to; an existing file is replaced.
        image: (H, W, 3) uint8 RGB.
        quality: of a JPEG, 0-100.

    Raises:
        ImageError: the folder cannot be written, the suffix is unknown, or its format cannot hold so many pixels.
    """
    path = Path(path)
    options = (
        [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix.lower() in (".jpg", ".jpeg") else []
    )
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise ImageError(
            f"{path} cannot be written: {path.suffix or 'no suffix'} is no image format."
        ) from error
    if not done:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise ImageError(f"{path} cannot be written: {size} pixels are too many for {path.suffix}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise ImageError(
            f"{path} cannot be written ({error.strerror}): choose another folder."
        ) from error
    return path


def resize_image(image: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Resize to (width, height): halved while it is twice too large, so that nothing aliases, and the rest linearly.

    A linear step to one half is the mean of four pixels. The mean over the whole area at once looks the same and takes
    several times as long.
    """
    height, width = image.shape[:2]
    while width >= 2 * resolution_wh[0] and height >= 2 * resolution_wh[1]:
        width, height = width // 2, height // 2
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(image, resolution_wh, interpolation=cv2.INTER_LINEAR)


def limit_size(image: np.ndarray, max_side: int) -> np.ndarray:
    """The image, or a copy shrunk so that its longer side is ``max_side`` pixels."""
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image
    return resize_image(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def fit_image(image: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """The image resized to lie whole in the middle of (width, height); what it leaves free is black."""
    scale = min(size / side for size, side in zip(resolution_wh, image.shape[1::-1], strict=True))
    width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
    x, y = (resolution_wh[0] - width) // 2, (resolution_wh[1] - height) // 2
    fitted = np.zeros((*resolution_wh[::-1], 3), np.uint8)
    fitted[y : y + height, x : x + width] = resize_image(image, (width, height))
    return fitted


def crop_image(image: np.ndarray, box: Iterable[float]) -> np.ndarray:
    """The pixels of one box, at least 1 x 1. What lies outside the image repeats its edge."""
    x_min, y_min, x_max, y_max = (int(round(float(value))) for value in box)
    rows = np.clip(np.arange(y_min, max(y_max, y_min + 1)), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x_min, max(x_max, x_min + 1)), 0, image.shape[1] - 1)
    if rows[-1] - rows[0] + 1 == len(rows) and columns[-1] - columns[0] + 1 == len(
        columns
    ):  # wholly inside
        return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return image[rows[:, None], columns]
