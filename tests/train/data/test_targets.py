"""Targets: the assignment of faces to points, against its rules written point by point."""

import numpy as np
import pytest

from utils.detect import grid_points
from utils.train.data.targets import CENTER_RADIUS, SIZE_LIMIT, assign_faces

STRIDES = [(8, 16, 32), (4, 8, 16, 32), (4, 8, 16), (16,)]
SIZE = 128  # of the image, each side


def draw_faces(
    rng: np.random.Generator, count: int, smallest: float, size: float = SIZE
) -> np.ndarray:
    """Draw boxes in a square image, sides on a logarithmic scale, at most twice as long as wide."""
    sides = np.exp(rng.uniform(np.log(smallest), np.log(size / 2), (count, 1))) * rng.uniform(
        1, 2, (count, 2)
    )
    sides = np.minimum(sides, size)
    corners = rng.uniform(0, 1, (count, 2)) * (size - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def may_learn(box: np.ndarray, x: float, y: float, stride: float, strides: tuple[int, ...]) -> bool:
    """Return whether a point may learn a face, rule by rule."""
    x_min, y_min, x_max, y_max = box
    longer = max(x_max - x_min, y_max - y_min)
    inside = x_min < x < x_max and y_min < y < y_max
    central = (
        max(abs(x - (x_min + x_max) / 2), abs(y - (y_min + y_max) / 2)) < CENTER_RADIUS * stride
    )
    too_large = stride != strides[-1] and longer >= SIZE_LIMIT * stride
    too_small = stride != strides[0] and longer < SIZE_LIMIT * stride / 2
    return inside and central and not too_large and not too_small


@pytest.mark.parametrize("strides", STRIDES, ids=str)
@pytest.mark.parametrize("resolution_wh", [(96, 64), (32, 32), (0, 64)], ids=str)
def test_points_are_the_centres_of_the_cells_row_by_row(resolution_wh, strides):
    width, height = resolution_wh
    expected = [
        (x + stride / 2, y + stride / 2, stride)
        for stride in strides
        for y in range(0, height, stride)
        for x in range(0, width, stride)
    ]
    points, stride_of = grid_points(resolution_wh, strides)
    assert points.dtype == stride_of.dtype == np.float32
    np.testing.assert_array_equal(
        np.column_stack([points, stride_of]), np.reshape(expected, (-1, 3))
    )


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 4))], ids=["list", "array"])
def test_without_faces_all_points_are_background(nothing):
    points, stride_of = grid_points((64, 64), (8, 16, 32))
    face, ignore = assign_faces(nothing, points, stride_of)
    assert face.tolist() == [-1] * len(points)
    assert not ignore.any()


@pytest.mark.parametrize("strides", STRIDES, ids=str)
def test_every_point_learns_the_smallest_face_that_the_rules_allow(strides):
    rng = np.random.default_rng(0)
    points, stride_of = grid_points((SIZE, SIZE), strides)
    taken = 0
    for _ in range(3):
        xyxy, ignored = draw_faces(rng, 12, 5), draw_faces(rng, 4, 8)
        areas = np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1)
        face, ignore = assign_faces(xyxy, points, stride_of, ignored)
        for number, ((x, y), stride) in enumerate(zip(points, stride_of, strict=True)):
            fitting = [
                index for index, box in enumerate(xyxy) if may_learn(box, x, y, stride, strides)
            ]
            assert face[number] == min(fitting, key=areas.__getitem__, default=-1)
            in_ignored = any(box[0] < x < box[2] and box[1] < y < box[3] for box in ignored)
            assert ignore[number] == (in_ignored and not fitting)
            taken += bool(fitting)
    assert taken > 20


@pytest.mark.parametrize("strides", [strides for strides in STRIDES if len(strides) > 1], ids=str)
def test_a_face_wider_than_the_finest_cell_has_points_on_one_level(strides):
    points, stride_of = grid_points((SIZE, SIZE), strides)
    for box in draw_faces(np.random.default_rng(1), 200, strides[0] + 1):
        face, _ = assign_faces([box], points, stride_of)
        assert (face == 0).any(), box
        assert len(np.unique(stride_of[face == 0])) == 1, box


@pytest.mark.parametrize(("side", "stride"), [(47, 8), (48, 16), (95, 16), (96, 32), (128, 32)])
def test_a_face_at_the_limit_of_two_levels_belongs_to_the_coarser(side, stride):
    points, stride_of = grid_points((SIZE, SIZE), (8, 16, 32))
    face, _ = assign_faces([[0, 0, side, side]], points, stride_of)
    assert set(stride_of[face == 0]) == {stride}


def test_a_face_loses_all_its_points_only_to_smaller_ones():
    """In a crowd, each point that a face without points could have has a smaller face."""
    strides = (4, 8, 16)
    rng = np.random.default_rng(2)
    points, stride_of = grid_points((SIZE, SIZE), strides)
    lost = 0
    for _ in range(10):
        xyxy = draw_faces(rng, 50, 5)
        areas = np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1)
        face, _ = assign_faces(xyxy, points, stride_of)
        for index in set(range(len(xyxy))) - set(face.tolist()):
            alone, _ = assign_faces(xyxy[index : index + 1], points, stride_of)
            rivals = face[alone == 0]
            assert len(rivals) and (areas[rivals] <= areas[index]).all()
            lost += 1
    assert lost


def test_a_labelled_face_inside_an_ignored_region_is_assigned():
    points, stride_of = grid_points((64, 64), (8,))
    face, ignore = assign_faces([[20, 20, 44, 44]], points, stride_of, np.array([[10, 10, 54, 54]]))
    assert (face == 0).any() and ignore.any()
    assert not (ignore & (face == 0)).any()
    inside = ((points > 10) & (points < 54)).all(axis=1)
    np.testing.assert_array_equal(ignore | (face == 0), inside)


def test_the_first_of_equal_faces_is_assigned():
    points, stride_of = grid_points((64, 64), (8,))
    face, _ = assign_faces([[20, 20, 44, 44]] * 2, points, stride_of)
    assert set(face.tolist()) == {-1, 0}
