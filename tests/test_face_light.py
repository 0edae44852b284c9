"""Light, softness and noise: what was put into a picture is measured again."""

import cv2
import numpy as np
import pytest

from utils.face_light import estimate_light, estimate_noise, estimate_softness


@pytest.mark.parametrize("softness", [0.5, 1.0, 2.0, 3.0])
def test_the_blur_of_an_edge_is_measured(softness):
    image = np.full((100, 100), 40, np.float32)
    image[:, 50:] = 200
    assert estimate_softness(cv2.GaussianBlur(image, (0, 0), softness)) == pytest.approx(softness, abs=0.3)


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0, 20.0])
def test_the_noise_is_measured_beside_edges(noise):
    image = np.full((100, 100), 60.0)
    image[:, 50:] = 180
    noisy = np.clip(image + np.random.default_rng(0).normal(0, noise, image.shape), 0, 255).astype(np.uint8)
    assert estimate_noise(noisy) == pytest.approx(noise, rel=0.15, abs=0.1)


def test_an_even_picture_has_neither():
    even = np.full((20, 20), 90, np.uint8)
    assert estimate_noise(even) == 0 and np.isfinite(estimate_softness(even))


def test_light_is_that_of_the_skin_and_not_of_what_is_beside_it():
    part = np.zeros((80, 80, 3), np.uint8)
    skin = np.zeros((80, 80), bool)
    skin[20:60, 20:60] = True
    part[skin] = (210, 168, 147)
    part[20:60, 40:60] //= 2
    light = estimate_light(part, skin, 5)
    assert light[40, 53].mean() == pytest.approx(light[40, 27].mean() / 2, rel=0.1)
    assert np.ptp(light[40, 20:35].mean(axis=1)) < 0.1  # the black about it does not darken it


def test_warm_light_is_warm_and_a_dark_face_is_in_less_light():
    skin = np.ones((30, 30), bool)
    face = np.full((30, 30, 3), (200, 160, 140), np.uint8)
    plain, warm, dim = (
        estimate_light(picture, skin, 5).mean(axis=(0, 1))
        for picture in (face, (face * (1.0, 0.9, 0.6)).astype(np.uint8), face // 3)
    )
    assert warm[0] / warm[2] > 1.2 * plain[0] / plain[2]
    assert dim.mean() < 0.85 * plain.mean()
