"""The size of an image once it is upright, and whether it is stored that way."""

from __future__ import annotations

from pathlib import Path

from utils.images import read_image

TURNED_ASIDE = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 274  # the EXIF tag


def read_upright_size(path: str | Path) -> tuple[tuple[int, int], bool]:
    """Return the (width, height) of an upright image, and whether it is stored turned.

    Reads the header alone where Pillow knows the format.

    Raises:
        ImageError: the file is not an image that can be read.
    """
    from PIL import Image  # the script does not need it

    orientation = 1
    stored_wh = (0, 0)
    try:
        with Image.open(path) as image:
            if image.format in ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF"):
                stored_wh = image.size
                orientation = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        stored_wh = (0, 0)
    if 0 in stored_wh:
        height, width = read_image(path).shape[:2]
        return (width, height), False
    width, height = stored_wh
    is_turned = orientation in range(2, 9)
    if orientation in TURNED_ASIDE:
        return (height, width), is_turned
    return stored_wh, is_turned
