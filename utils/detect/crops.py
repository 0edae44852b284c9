"""What the classifier sees of a face: one crop and one resize, used to train and to infer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.boxes import square_boxes
from utils.images import crop_image, resize_image

PADDING = 0.2  # context about a face, as a share of its longer side: chin and ears show how a mask is worn


def crop_faces(image: np.ndarray, xyxy: np.ndarray, padding: float = PADDING) -> list[np.ndarray]:
    """Cut faces out as the classifier was trained to see them: square, with context, the image's edge repeated.

    Args:
        image: (H, W, 3) uint8 RGB.
        xyxy: (N, 4) boxes in pixels.
        padding: added on each side, as a share of the box's longer side.

    Returns:
        N square (S, S, 3) uint8 faces of different sizes, in the order of the boxes.
    """
    squares = square_boxes(xyxy, padding)
    sides = np.round(
        squares[:, 2:3] - squares[:, :1]
    )  # once: four edges rounded apart would give 10 x 11 pixels
    corners = np.round((squares[:, :2] + squares[:, 2:] - sides) / 2)
    return [crop_image(image, box) for box in np.concatenate([corners, corners + sides], axis=1)]


def to_input(faces: Sequence[np.ndarray], input_size: int) -> np.ndarray:
    """Faces of any size as one (N, S, S, 3) float32 batch, RGB in 0-255: scaling lives inside the model."""
    batch = np.empty((len(faces), input_size, input_size, 3), np.float32)
    for position, face in enumerate(faces):
        batch[position] = resize_image(face, (input_size, input_size))
    return batch
