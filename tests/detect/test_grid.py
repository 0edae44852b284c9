"""Grid points: the centres of the cells, and the cache."""

import numpy as np
import pytest

from utils.detect.grid import grid_points


def test_points_are_cell_centres_fine_to_coarse_row_by_row():
    points, stride_of = grid_points((16, 8), (4, 8))
    fine = [(x, y) for y in (2, 6) for x in (2, 6, 10, 14)]
    coarse = [(4, 4), (12, 4)]
    np.testing.assert_array_equal(points, fine + coarse)
    np.testing.assert_array_equal(stride_of, [4] * 8 + [8] * 2)
    assert points.dtype == stride_of.dtype == np.float32


def test_the_cached_arrays_are_read_only():
    for array in grid_points([16, 8], [4, 8]):
        with pytest.raises(ValueError, match="read-only"):
            array += 1
