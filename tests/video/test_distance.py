"""Distances: faces projected by a pinhole camera are located where they were."""

import math

import numpy as np
import pytest

from utils.video.distance import ERROR, FACE_RATIO, FACE_WIDTH, find_close, locate_faces

RESOLUTION = (1280, 720)


def take_picture(positions, field_of_view, face_width=FACE_WIDTH) -> np.ndarray:
    """Return the boxes of faces at (metres right, down, away), by similar triangles."""
    focal = RESOLUTION[0] / 2 / math.tan(math.radians(field_of_view) / 2)
    boxes = []
    for x, y, z in positions:
        half = np.array([face_width, FACE_RATIO * face_width]) / 2
        corners = [(np.array([x, y]) - half) * focal / z, (np.array([x, y]) + half) * focal / z]
        boxes.append(np.concatenate(corners) + np.tile(RESOLUTION, 2) / 2)
    return np.array(boxes).reshape(-1, 4)


PEOPLE = {
    "no people": [],
    "one": [(0, 0, 2)],
    "side by side": [(-0.5, 0, 2), (0.5, 0, 2)],
    "one behind the other": [(0, 0, 1.5), (0.3, -0.1, 3.5)],
    "far away": [(-2, 0, 8), (2, 0.2, 9)],
}


@pytest.mark.parametrize("field_of_view", [40, 65, 90])
@pytest.mark.parametrize("people", PEOPLE.values(), ids=PEOPLE.keys())
def test_faces_are_located_where_they_are(people, field_of_view):
    found = locate_faces(take_picture(people, field_of_view), RESOLUTION, field_of_view)
    assert found.shape == (len(people), 3)
    np.testing.assert_allclose(found, np.reshape(people, (-1, 3)), rtol=1e-5, atol=1e-4)


def test_head_in_profile_is_located_by_its_height():
    (box,) = take_picture([(0, 0, 2)], 65)
    middle = (box[0] + box[2]) / 2
    narrow = [[middle - 0.3 * (box[2] - box[0]), box[1], middle + 0.3 * (box[2] - box[0]), box[3]]]
    assert locate_faces(narrow, RESOLUTION, 65)[0, 2] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("share", "limit"), [(0.93, 0.08), (1.07, 0.08)], ids=["a narrow face", "a wide face"]
)
def test_error_is_that_of_the_assumed_width(share, limit):
    """A face that is 7 % wider or narrower than assumed gives a distance wrong by as much."""
    found = locate_faces(take_picture([(1, 0, 3)], 65, FACE_WIDTH * share), RESOLUTION, 65)
    assert abs(found[0, 2] / 3 - 1) < limit
    assert abs(found[0, 2] / 3 - 1) > 0.05


def test_error_covers_nine_in_ten_distances_between_adults():
    """Widths of men and women as measured (Zhuang and Bradtmiller, 2005), in boxes 3 % off."""
    rng = np.random.default_rng(0)
    errors = []
    while len(errors) < 1000:
        away, between, angle = rng.uniform(1, 6), rng.uniform(0.5, 2.5), rng.uniform(0, math.pi)
        first = np.array([rng.uniform(-0.3, 0.3) * away, 0, away])
        second = first + between * np.array([math.cos(angle), 0, math.sin(angle)])
        widths = [
            rng.normal(*((0.1435, 0.0069) if rng.random() < 0.5 else (0.1351, 0.0065)))
            for _ in range(2)
        ]
        boxes = [
            take_picture([place], 65, width)
            for place, width in zip((first, second), widths, strict=True)
        ]
        boxes = np.concatenate(boxes)
        boxes += rng.normal(0, 0.03, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        found = locate_faces(boxes, RESOLUTION, 65)
        errors.append(
            abs(np.linalg.norm(found[0] - found[1]) - between) / np.mean([first[2], second[2]])
        )
    assert 0.7 * ERROR < np.quantile(errors, 0.9) < ERROR


@pytest.mark.parametrize(
    ("people", "metres", "expected"),
    [
        ([], 1.5, []),
        ([(0, 0, 2)], 1.5, [False]),
        ([(-0.5, 0, 2), (0.5, 0, 2)], 1.5, [True, True]),
        ([(-0.5, 0, 2), (0.5, 0, 2)], 0.9, [False, False]),
        ([(0, 0, 2), (0, 0, 4)], 1.5, [False, False]),
        ([(0, 0, 2), (0.3, 0, 2.2), (3, 0, 5)], 1.5, [True, True, False]),
    ],
)
def test_find_close(people, metres, expected):
    positions = locate_faces(take_picture(people, 65), RESOLUTION)
    assert find_close(positions, metres).tolist() == expected


def test_empty_box_is_located_far_away():
    assert np.isfinite(locate_faces([[5, 5, 5, 5]], RESOLUTION)).all()
