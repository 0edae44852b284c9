"""The grid of points at which the face detector predicts: one per cell of each stride."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

PAD = 114  # gray level beyond the image border, in training and in inference


def grid_points(
    resolution_wh: tuple[int, int], strides: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the cells of each stride, fine to coarse, row by row.

    Args:
        resolution_wh: width and height of the network's input, multiples of the coarsest stride.
        strides: pixels a cell.

    Returns:
        Points (P, 2) as x, y in pixels, and their strides (P,), both float32 and not to be written to: they are kept
        for the next picture of this size.
    """
    return _make_grid(tuple(resolution_wh), tuple(strides))


@lru_cache(maxsize=16)
def _make_grid(
    resolution_wh: tuple[int, int], strides: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    width, height = resolution_wh
    points, stride_of = [], []
    for stride in strides:
        x, y = np.meshgrid(
            (np.arange(width // stride) + 0.5) * stride,
            (np.arange(height // stride) + 0.5) * stride,
        )
        points.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        stride_of.append(np.full(x.size, stride))
    grid = np.concatenate(points).astype(np.float32), np.concatenate(stride_of).astype(np.float32)
    for array in grid:
        array.flags.writeable = False
    return grid
