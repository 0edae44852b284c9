"""How far apart faces are, estimated from their size: a camera without a lens, and faces of one width (a flag's worth).

A face whose width in life is W metres and w pixels in a picture stands at W f / w metres, f being the focal length in
pixels, which follows from the picture's width and the camera's field of view (the pinhole camera).
"""

from __future__ import annotations

import math

import numpy as np

from utils.boxes import as_boxes

FACE_WIDTH = (
    0.139  # metres across the cheekbones: men 0.1435, women 0.1351 (Zhuang and Bradtmiller, 2005)
)
FACE_RATIO = 1.13  # of its box, height to width: the median of 3,273 labelled faces
ERROR = 0.15  # of how far away the faces are: nine in ten distances between adults are nearer to the truth (its test)
FIELD_OF_VIEW = 65.0  # degrees from left to right, as webcams have it


def locate_faces(
    xyxy: np.ndarray, resolution_wh: tuple[int, int], field_of_view: float = FIELD_OF_VIEW
) -> np.ndarray:
    """Where faces are before the camera, in metres to the right, down and away from it: (N, 3).

    A turned head is narrower than one that looks at the camera and seems further away by as much, so the longer side of
    a box, at a face's usual proportions, has a say.

    Args:
        xyxy: (N, 4) boxes, pixels.
        resolution_wh: width and height of the picture.
        field_of_view: of the camera, degrees from the left edge to the right.
    """
    boxes = as_boxes(xyxy).astype(float)
    focal = resolution_wh[0] / 2 / math.tan(math.radians(field_of_view) / 2)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    away = FACE_WIDTH * focal / np.maximum(np.maximum(width, height / FACE_RATIO), 1e-6)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(resolution_wh) / 2
    return np.column_stack([centre * (away / focal)[:, None], away])


def find_close(positions: np.ndarray, metres: float) -> np.ndarray:
    """Which faces have another nearer than ``metres``: (N,) bool.

    Args:
        positions: (N, 3) from ``locate_faces``.
        metres: the distance to keep.
    """
    between = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(between, np.inf)
    return (between < metres).any(axis=1)
