"""Face crops: the same crop and resize for training the classifier and for running it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.boxes import square_boxes
from utils.images import crop_image, resize_image

# Context on each side, as a share of the box's longer side: chin and ears show how a mask is worn.
PADDING = 0.2


def crop_faces(image: np.ndarray, xyxy: np.ndarray, padding: float = PADDING) -> list[np.ndarray]:
    """Cut out faces as squares with some context. Beyond the image, its edge is repeated.

    Args:
        image: (H, W, 3) uint8 RGB.
        xyxy: (N, 4) boxes in pixels.
        padding: added on each side, as a share of the box's longer side.

    Returns:
        N square (S, S, 3) uint8 faces of different sizes, in the order of the boxes.
    """
    squares = square_boxes(xyxy, padding)
    # Round the side once: four edges rounded separately could give 10 x 11 pixels.
    sides = np.round(squares[:, 2:3] - squares[:, :1])
    corners = np.round((squares[:, :2] + squares[:, 2:] - sides) / 2)
    boxes = np.concatenate([corners, corners + sides], axis=1)
    return [crop_image(image, box) for box in boxes]


def to_input(faces: Sequence[np.ndarray], input_size: int) -> np.ndarray:
    """Resize faces to one batch for the classifier, which scales the pixel values itself.

    Args:
        faces: N (H, W, 3) uint8 RGB faces of any size.
        input_size: S, pixels.

    Returns:
        (N, S, S, 3) float32 RGB in 0-255.
    """
    batch = np.empty((len(faces), input_size, input_size, 3), np.float32)
    for position, face in enumerate(faces):
        batch[position] = resize_image(face, (input_size, input_size))
    return batch
