"""Images are resized without aliasing, and cropped as NumPy pads."""

import cv2
import numpy as np
import pytest

from utils.images import crop_image, limit_size, read_image, resize_image
from utils.paths import EXAMPLES_DIR


def draw_image(width: int = 64, height: int = 48) -> np.ndarray:
    """Return a smooth coloured image without symmetry."""
    clouds = np.random.default_rng(0).uniform(20, 235, (3, 4, 3)).astype(np.float32)
    return cv2.resize(clouds, (width, height)).round().astype(np.uint8)


def test_shrinking_averages_pixels_and_does_not_alias():
    image = draw_image(60, 40)
    means = image.reshape(10, 4, 15, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_image(image, (15, 10)) - means).max() <= 1  # rounded twice
    board = np.indices((48, 64)).sum(axis=0) % 2 * np.full((3, 1, 1), 255)
    grey = resize_image(board.transpose(1, 2, 0).astype(np.uint8), (13, 9))  # not a whole factor
    assert np.abs(grey - 127.5).max() <= 1
    assert resize_image(image, (61, 80)).shape == (80, 61, 3)


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((60, 40), 60, (60, 40)),
        ((60, 40), 30, (30, 20)),
        ((20, 400), 100, (5, 100)),
        ((2, 2000), 100, (1, 100)),
    ],
)
def test_the_longer_side_is_limited_and_proportions_stay(size, max_side, expected):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert limit_size(image, max_side).shape[1::-1] == expected


@pytest.mark.parametrize(
    "box",
    [
        (3, 4, 20, 30),
        (0, 0, 64, 48),
        (-7, -9, 10, 12),
        (50, 40, 90, 70),
        (-30, -20, 100, 80),
        (70, 5, 80, 9),
    ],
    ids=["inside", "all", "top left", "bottom right", "around", "outside"],
)
def test_a_crop_repeats_the_edge_as_numpy_pad_does(box):
    padded = np.pad(draw_image(), ((50, 50), (50, 50), (0, 0)), mode="edge")
    x_min, y_min, x_max, y_max = np.array(box) + 50
    np.testing.assert_array_equal(crop_image(draw_image(), box), padded[y_min:y_max, x_min:x_max])


def test_a_crop_is_a_copy_of_at_least_one_pixel():
    image = draw_image()
    crop_image(image, (0, 0, 9, 9))[:] = 0
    np.testing.assert_array_equal(image, draw_image())
    np.testing.assert_array_equal(crop_image(image, (5.2, 7.8, 5.4, 7.9)), image[8:9, 5:6])


@pytest.mark.parametrize("side", [20, 37, 64, 112, 150])
def test_shrinking_a_photograph_looks_like_inter_area(side):
    image = read_image(EXAMPLES_DIR / "astronaut.jpg")
    by_area = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    difference = np.abs(resize_image(image, (side, side)).astype(int) - by_area)
    aliased = cv2.resize(image, (side, side), interpolation=cv2.INTER_NEAREST)
    aliased_difference = np.abs(aliased.astype(int) - by_area)
    assert difference.mean() < aliased_difference.mean() / 2
