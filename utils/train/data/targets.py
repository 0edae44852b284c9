"""Targets of the face detector: which point learns which face, and what it should output.

The assignment is that of FCOS with centre sampling: Tian et al., "FCOS: A Simple and Strong
Anchor-Free Object Detector", 2020 (arXiv 2006.09214).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from utils.boxes import as_boxes, box_area
from utils.classes import MASK_CLASSES
from utils.detect import grid_points

if TYPE_CHECKING:
    from utils.train.data.views import Photograph

SIZE_LIMIT = 6  # strides: a level learns faces whose longer side is from half of this up to this
CENTER_RADIUS = 1.5  # strides: a point learns a face only if it is this near to the face's centre
IS_FACE = len(MASK_CLASSES)  # position of "is this point a face" in targets and outputs
TARGET_SIZE = len(MASK_CLASSES) + 6  # numbers per point, see encode_targets


def assign_faces(
    xyxy: np.ndarray,
    points: np.ndarray,
    stride_of: np.ndarray,
    ignored: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Assign a face to each point that lies inside it, near its centre, on the level for its size.

    A level of stride s learns faces whose longer side is from 3 s to 6 s (``SIZE_LIMIT``). The
    finest level also learns all smaller faces and the coarsest all larger ones.

    Args:
        xyxy: (N, 4) labelled faces, pixels.
        points: (P, 2) x and y, from ``grid_points``.
        stride_of: (P,) the stride of each point's level, from ``grid_points``.
        ignored: (M, 4) regions that may or may not be faces, such as faces without a label.

    Returns:
        (P,) index of the assigned face, the smallest one if several fit, -1 for background; and the
        (P,) bool ignore mask, true at points without a face that lie in an ignored region.
    """
    xyxy = as_boxes(xyxy)
    in_ignored = np.zeros(len(points), bool)
    if ignored is not None:
        in_ignored = np.any(_is_inside(points, as_boxes(ignored)), axis=1)
    if len(xyxy) == 0:
        return np.full(len(points), -1), in_ignored

    # The coarsest level has no upper limit, and the finest level no lower one.
    strides = np.unique(stride_of)
    max_side = np.where(stride_of == strides[-1], np.inf, SIZE_LIMIT * stride_of)
    min_side = np.where(stride_of == strides[0], 0, SIZE_LIMIT * stride_of / 2)
    side = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1)
    fits_level = (side[None] >= min_side[:, None]) & (side[None] < max_side[:, None])

    center = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    offset = np.abs(points[:, None] - center[None]).max(axis=2)
    is_near_center = offset < CENTER_RADIUS * stride_of[:, None]

    fits = _is_inside(points, xyxy) & is_near_center & fits_level
    area = np.where(fits, box_area(xyxy)[None], np.inf)
    face = np.where(fits.any(axis=1), area.argmin(axis=1), -1)
    return face, in_ignored & (face < 0)


def _is_inside(points: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """Return a (P, N) mask: which points (P, 2) lie strictly inside which boxes (N, 4)."""
    after_start = points[:, None] > xyxy[None, :, :2]
    before_end = points[:, None] < xyxy[None, :, 2:]
    return np.all(after_start & before_end, axis=2)


def encode_targets(view: Photograph, strides: tuple[int, ...]) -> np.ndarray:
    """Return what the detector should output at each point of a square view.

    Args:
        view: a training view with its faces and ignored regions.
        strides: of the detector's levels, pixels.

    Returns:
        (P, 9) float32, for each point: the one-hot class (0-2), 1 if it is a face (3), the
        distances from the point to the left, top, right and bottom edge of its face in strides
        (4-7), and 0 if the loss ignores the point (8).
    """
    size = len(view.image)
    points, stride_of = grid_points((size, size), strides)
    face, ignore = assign_faces(view.xyxy, points, stride_of, view.ignored)
    learns = np.flatnonzero(face >= 0)
    box = view.xyxy[face[learns]]
    to_start = points[learns] - box[:, :2]
    to_end = box[:, 2:] - points[learns]

    target = np.zeros((len(points), TARGET_SIZE), np.float32)
    target[learns, view.class_id[face[learns]]] = 1
    target[learns, IS_FACE] = 1
    target[learns, 4:8] = np.concatenate([to_start, to_end], axis=1) / stride_of[learns, None]
    target[:, 8] = ~ignore
    return target
