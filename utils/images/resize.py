"""Resize and crop images."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

MAX_STRETCHED = 2**14  # pixels; a longer side comes from a wrong shape of pixels


def resize_image(image: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Resize an image without aliasing.

    The image is halved while it is at least twice too large, then resized linearly. A linear step
    to one half is the mean of four pixels. This looks like ``cv2.INTER_AREA`` and is several times
    faster.

    Args:
        image: (H, W) or (H, W, C).
        resolution_wh: the new width and height.
    """
    height, width = image.shape[:2]
    while width >= 2 * resolution_wh[0] and height >= 2 * resolution_wh[1]:
        width = width // 2
        height = height // 2
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(image, resolution_wh, interpolation=cv2.INTER_LINEAR)


def limit_size(image: np.ndarray, max_side: int) -> np.ndarray:
    """Return the image, or a copy whose longer side is shrunk to ``max_side`` pixels."""
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image
    return resize_image(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def fit_image(image: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Return the image resized to fit into (width, height), centred on black."""
    height, width = image.shape[:2]
    full_width, full_height = resolution_wh
    scale = min(full_width / width, full_height / height)
    new_width = max(1, round(width * scale))
    new_height = max(1, round(height * scale))
    x = (full_width - new_width) // 2
    y = (full_height - new_height) // 2
    fitted = np.zeros((full_height, full_width, 3), np.uint8)
    fitted[y : y + new_height, x : x + new_width] = resize_image(image, (new_width, new_height))
    return fitted


def stretch_to_square(image: np.ndarray, pixel_aspect: float) -> np.ndarray:
    """Return an image whose pixels are not square resized so that they are.

    The shorter side of the pixels is stretched, so that no detail is lost.

    Args:
        image: (H, W, 3).
        pixel_aspect: width of a pixel / its height.
    """
    height, width = image.shape[:2]
    size_wh = (width, height)
    if pixel_aspect > 1:
        size_wh = (max(1, round(width * pixel_aspect)), height)
    elif 0 < pixel_aspect < 1:
        size_wh = (width, max(1, round(height / pixel_aspect)))
    if size_wh == (width, height) or max(size_wh) > MAX_STRETCHED:
        return image
    return resize_image(image, size_wh)


def crop_image(image: np.ndarray, box: Iterable[float]) -> np.ndarray:
    """Return a copy of the pixels of one box, at least 1 x 1. Outside the image its edge repeats.

    Args:
        image: (H, W, C).
        box: (x_min, y_min, x_max, y_max), rounded to whole pixels.
    """
    x_min, y_min, x_max, y_max = (int(round(float(value))) for value in box)
    x_max = max(x_max, x_min + 1)
    y_max = max(y_max, y_min + 1)
    height, width = image.shape[:2]
    if x_min >= 0 and y_min >= 0 and x_max <= width and y_max <= height:
        return image[y_min:y_max, x_min:x_max].copy()
    rows = np.clip(np.arange(y_min, y_max), 0, height - 1)
    columns = np.clip(np.arange(x_min, x_max), 0, width - 1)
    return image[rows[:, None], columns]
