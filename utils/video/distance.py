"""Estimate the distance between faces from the size of their boxes, without calibrating the camera.

The model is a pinhole camera: a face that is W metres wide and w pixels wide in the image is
W f / w metres away. The focal length f in pixels follows from the width of the image and the
camera's field of view. All faces are assumed to be equally wide.
"""

from __future__ import annotations

import math

import numpy as np

from utils.boxes import as_boxes

# Metres across the cheekbones: men 0.1435, women 0.1351 (Zhuang and Bradtmiller, 2005).
FACE_WIDTH = 0.139
FACE_RATIO = 1.13  # height to width of a face's box: the median of 3,273 labelled faces
# Nine in ten distances between adults have an error below this share of their distance from the
# camera; tests/video/test_distance.py measures it.
ERROR = 0.15
FIELD_OF_VIEW = 65.0  # degrees from left to right, typical of webcams


def locate_faces(
    xyxy: np.ndarray, resolution_wh: tuple[int, int], field_of_view: float = FIELD_OF_VIEW
) -> np.ndarray:
    """Return the positions (N, 3) of faces: metres to the right, down and away from the camera.

    A head in profile is narrower than one that faces the camera, and would seem further away. So
    the width is at least the height divided by ``FACE_RATIO``.

    Args:
        xyxy: (N, 4) boxes, pixels.
        resolution_wh: width and height of the image, pixels.
        field_of_view: of the camera, degrees from the left edge to the right edge.
    """
    boxes = as_boxes(xyxy).astype(float)
    focal = resolution_wh[0] / 2 / math.tan(math.radians(field_of_view) / 2)
    width = boxes[:, 2] - boxes[:, 0]
    height = boxes[:, 3] - boxes[:, 1]
    width = np.maximum(width, height / FACE_RATIO)
    width = np.maximum(width, 1e-6)  # no division by 0
    away = FACE_WIDTH * focal / width
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array(resolution_wh) / 2
    return np.column_stack([centre * (away / focal)[:, None], away])


def find_close(positions: np.ndarray, min_distance: float) -> np.ndarray:
    """Return which faces are closer than a distance to another face: (N,) bool.

    Args:
        positions: (N, 3) from ``locate_faces``, metres.
        min_distance: metres.
    """
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return (distances < min_distance).any(axis=1)
