"""The grid of points at which FCOS predicts: the centre of every cell of every stride."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

PAD = 114  # gray level beyond the image's border, in training and in inference


def grid_points(
    resolution_wh: tuple[int, int], strides: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of the cells of each stride, fine to coarse, row by row.

    Args:
        resolution_wh: width and height of the network's input, multiples of the coarsest stride.
        strides: pixels per cell.

    Returns:
        Points (P, 2) as x, y in pixels, and their strides (P,), both float32. They are cached for
        the next image of this size and therefore read-only.
    """
    return _make_grid(tuple(resolution_wh), tuple(strides))


@lru_cache(maxsize=16)
def _make_grid(
    resolution_wh: tuple[int, int], strides: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Compute what ``grid_points`` returns; its arguments must be hashable."""
    width, height = resolution_wh
    all_points = []
    all_strides = []
    for stride in strides:
        x = (np.arange(width // stride) + 0.5) * stride
        y = (np.arange(height // stride) + 0.5) * stride
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        all_points.append(points)
        all_strides.append(np.full(len(points), stride))
    points = np.concatenate(all_points).astype(np.float32)
    stride_of = np.concatenate(all_strides).astype(np.float32)
    points.flags.writeable = False
    stride_of.flags.writeable = False
    return points, stride_of
