"""Augmentation: colours and detail change, nothing moves, and one seed gives one image."""

import cv2
import numpy as np
import pytest

from utils.train.data.augment import color_jitter, darken, degrade

CHANGES = {"color_jitter": color_jitter, "darken": darken, "degrade": degrade}
SIZES = [(1, 1), (3, 2), (40, 60)]
EDGE = 24  # the first column of the bright part of the image


@pytest.fixture
def image() -> np.ndarray:
    """Return coloured clouds, dark left of ``EDGE`` and bright right of it."""
    clouds = cv2.resize(
        np.random.default_rng(0).uniform(0, 60, (4, 5, 3)).astype(np.float32), (60, 40)
    )
    clouds[:, EDGE:] += 120
    return clouds.astype(np.uint8)


def find_edge(image: np.ndarray) -> int:
    """Return the first column of the bright part."""
    columns = image.mean(axis=(0, 2))
    return int(np.diff(columns).argmax()) + 1


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_seed_gives_the_same_image(change, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    before = image.copy()
    results = set()
    for seed in range(40):
        first, again = (change(image, np.random.default_rng(seed)) for _ in range(2))
        assert (first.shape, first.dtype) == (image.shape, np.uint8)
        np.testing.assert_array_equal(first, again)
        results.add(first.tobytes())
    np.testing.assert_array_equal(image, before)
    assert len(results) > 5


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_nothing_moves(change, image):
    for seed in range(60):
        assert abs(find_edge(change(image, np.random.default_rng(seed))) - EDGE) <= 1


def test_color_jitter_keeps_the_order_of_brightness_within_a_channel(image):
    order = np.argsort(image[:, :, 1], axis=None)
    grey = 0
    for seed in range(60):
        changed = color_jitter(image, np.random.default_rng(seed))
        if np.ptp(changed.astype(int), axis=2).max() == 0:
            grey += 1  # a grey image mixes the three channels
        else:
            assert (np.diff(changed[:, :, 1].ravel()[order].astype(int)) >= 0).all()
    assert 0 < grey < 20


def test_color_jitter_makes_images_brighter_and_darker_but_not_black_or_white(image):
    means = [color_jitter(image, np.random.default_rng(seed)).mean() for seed in range(60)]
    assert min(means) < image.mean() < max(means)
    assert all(20 < value < 235 for value in means)


def test_degrade_changes_some_images_and_leaves_others_alone(image):
    results = [degrade(image, np.random.default_rng(seed)) for seed in range(100)]
    same = [np.array_equal(result, image) for result in results]
    assert 0.3 < np.mean(same) < 0.75  # expected: 0.85 * 0.85 * 0.7
    assert max(np.abs(result.astype(int) - image).mean() for result in results) < 25


def test_degrade_keeps_the_order_of_the_channels():
    """JPEG is written and read with the same order of channels."""
    image = np.full((32, 32, 3), (200, 90, 30), np.uint8)
    for seed in range(60):
        np.testing.assert_allclose(
            degrade(image, np.random.default_rng(seed)).mean(axis=(0, 1)), (200, 90, 30), atol=6
        )


def test_one_image_in_six_becomes_much_darker_and_the_others_stay_the_same(image):
    dark = 0
    for seed in range(600):
        changed = darken(image, np.random.default_rng(seed))
        ratio = changed.mean() / image.mean()
        if ratio < 1:
            dark += 1
            assert 0.15 < ratio < 0.61
        else:
            np.testing.assert_array_equal(changed, image)
    assert 70 <= dark <= 130
