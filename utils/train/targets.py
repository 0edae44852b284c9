"""The points of a picture that the face detector answers for: where they lie, and which face each should name."""

from __future__ import annotations

import numpy as np

from utils.boxes import as_boxes, box_area

REACH = 6  # a point of stride s answers for faces whose longer side is under 6 s; the coarsest for all above
RADIUS = (
    1.5  # strides from a face's centre within which a point answers for it (FCOS's centre sampling)
)


def assign_faces(
    xyxy: np.ndarray, points: np.ndarray, stride_of: np.ndarray, ignored: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which face each point answers for (FCOS: Tian et al., 2019): near its centre, inside it, of the level's size.

    Args:
        xyxy: (N, 4) labelled faces.
        points: (P, 2) and ``stride_of`` (P,) from ``grid_points``.
        ignored: (M, 4) boxes about which nothing is known, such as faces that nobody labelled.

    Returns:
        (P,) position of the face, the smallest where several fit, -1 for none; and (P,) bool, true where a point is
        neither a face nor surely none.
    """
    xyxy = as_boxes(xyxy)
    unsure = _inside(points, as_boxes([] if ignored is None else ignored)).any(axis=1)
    if not len(xyxy):
        return np.full(len(points), -1), unsure
    strides = np.unique(stride_of)
    upper = np.where(stride_of == strides[-1], np.inf, REACH * stride_of)[:, None]
    lower = np.where(stride_of == strides[0], 0, REACH * stride_of / 2)[:, None]
    side = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1)[None]
    offset = np.abs(points[:, None] - ((xyxy[:, :2] + xyxy[:, 2:]) / 2)[None]).max(axis=2)
    fits = (
        _inside(points, xyxy)
        & (offset < RADIUS * stride_of[:, None])
        & (side >= lower)
        & (side < upper)
    )
    area = np.where(fits, box_area(xyxy)[None], np.inf)
    face = np.where(fits.any(axis=1), area.argmin(axis=1), -1)
    return face, unsure & (face < 0)


def _inside(points: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    return ((points[:, None] > xyxy[None, :, :2]) & (points[:, None] < xyxy[None, :, 2:])).all(
        axis=2
    )
