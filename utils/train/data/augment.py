"""Random changes to training images: colours, loss of detail, and the views of a face crop.

Every function draws from the generator that it is given: the same state gives the same image.
"""

from __future__ import annotations

import cv2
import numpy as np

from utils.images import limit_size

DARK_SHARE = 1 / 6  # share of the views of the detector that ``darken`` changes
SMALL_FACE_SIDES = (10, 48)  # pixels: the sides of faces at the back of a scene


def color_jitter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, exposure, colour cast and brightness; one image in ten loses its colours.

    Args:
        image: (H, W, 3) uint8.
        rng: source of the random numbers.

    Returns:
        A new (H, W, 3) uint8 image.
    """
    gamma = np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    light = 255 * (image / np.float32(255)) ** gamma

    exposure = rng.uniform(0.6, 1.35)
    color_cast = rng.uniform(0.88, 1.12, 3)
    brightness = rng.uniform(-25, 25)
    light = light * (exposure * color_cast).astype(np.float32) + brightness

    if rng.random() < 0.1:
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
    return np.clip(light, 0, 255).astype(np.uint8)


def darken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darken one image in six, as at night or against the light; the others stay the same.

    Args:
        image: (H, W, 3) uint8.
        rng: source of the random numbers.

    Returns:
        An (H, W, 3) uint8 image.
    """
    if rng.random() >= DARK_SHARE:
        return image
    exposure = rng.uniform(0.2, 0.6)
    return (image * np.float32(exposure)).astype(np.uint8)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, add noise and compress as JPEG, each at random; about half of the images stay the same.

    Args:
        image: (H, W, 3) uint8.
        rng: source of the random numbers.

    Returns:
        An (H, W, 3) uint8 image.
    """
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(25, 85))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return image


def augment_face(
    crop: np.ndarray,
    visible_share: float,
    other: np.ndarray,
    input_size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return one random training view of a face.

    Half of the faces lose resolution first. All are rotated, zoomed, shifted, sheared, stretched
    and half of them mirrored; a patch of another crop hides a part of some. Then come
    ``color_jitter`` and ``degrade``.

    Args:
        crop: (H, W, 3) uint8, the face with context around it.
        visible_share: the share of each side of the crop that inference sees.
        other: (H, W, 3) uint8, any crop; the patch is made of it.
        input_size: S, pixels.
        rng: source of the random numbers.

    Returns:
        (S, S, 3) uint8.
    """
    if rng.random() < 0.5:
        crop = _lower_resolution(crop, visible_share, rng)
    view = _warp(crop, visible_share, input_size, rng)
    if rng.random() < 0.15:
        view = _hide_part(view, other, rng)
    view = color_jitter(view, rng)
    return degrade(view, rng)


def _lower_resolution(
    crop: np.ndarray, visible_share: float, rng: np.random.Generator
) -> np.ndarray:
    """Shrink a crop to the size of a face at the back of a scene, so that it loses detail."""
    smallest, largest = SMALL_FACE_SIDES
    side = np.exp(rng.uniform(np.log(smallest), np.log(largest)))
    longer_side = max(crop.shape[:2])
    scale = side / (longer_side * visible_share)
    if scale >= 1:
        return crop
    return limit_size(crop, max(4, round(longer_side * scale)))


def _warp(
    crop: np.ndarray, visible_share: float, input_size: int, rng: np.random.Generator
) -> np.ndarray:
    """Rotate, shear, zoom, shift and mirror the visible part of a crop, in one interpolation."""
    height, width = crop.shape[:2]
    visible_wh = np.array([width, height], float) * visible_share
    if rng.random() < 0.5:
        visible_wh[:] = visible_wh.max()  # keep the proportions of a crop that is not square
    zoom = rng.uniform(0.8, 1.15)
    stretch = np.exp(rng.uniform(-0.1, 0.1, 2))
    visible_wh *= zoom * stretch

    angle = np.deg2rad(rng.uniform(-20, 20))
    shear = rng.uniform(-0.12, 0.12)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = np.diag(input_size / visible_wh) @ (rotation @ [[1, shear], [0, 1]])
    if rng.random() < 0.5:
        linear[0] *= -1  # mirror

    shift = rng.uniform(-0.1, 0.1, 2) * visible_wh
    center = np.array([width / 2, height / 2]) + shift
    matrix = np.column_stack([linear, input_size / 2 - linear @ center])
    return cv2.warpAffine(
        crop,
        matrix,
        (input_size, input_size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _hide_part(view: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hide a random part of a view behind another, shrunk crop, as hats, hands or heads would."""
    size = len(view)
    width, height = rng.integers(size // 10, size // 3, 2)
    x = rng.integers(0, size - width)
    y = rng.integers(0, size - height)
    patch = cv2.resize(other, (int(width), int(height)), interpolation=cv2.INTER_AREA)
    view = view.copy()
    view[y : y + height, x : x + width] = patch
    return view
