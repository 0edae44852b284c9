"""What cameras and web sites do to a picture's light, colours and detail: for training views, where boxes stay put."""

from __future__ import annotations

import cv2
import numpy as np


def change_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, gamma, a colour cast, now and then no colour at all."""
    light = 255 * (image / np.float32(255)) ** np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    light = light * (rng.uniform(0.6, 1.35) * rng.uniform(0.88, 1.12, 3)).astype(
        np.float32
    ) + rng.uniform(-25, 25)
    if rng.random() < 0.1:
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
    return np.clip(light, 0, 255).astype(np.uint8)


def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, noise and JPEG blocks, as cameras and web sites add them."""
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image
