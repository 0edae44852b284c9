"""How a face was photographed: its light, its softness and its noise, so that what is drawn on it has them too."""

from __future__ import annotations

import cv2
import numpy as np


def estimate_softness(grey: np.ndarray) -> float:
    """The blur of a picture's edges in pixels (standard deviation): how much one more blur weakens its strongest
    gradients (Zhuo and Sim, "Defocus map estimation from a single image", 2011)."""
    grey = grey.astype(np.float32)
    pair = (grey, cv2.GaussianBlur(grey, (0, 0), 1.0))
    before, after = (np.hypot(*np.gradient(picture)) for picture in pair)
    strong = before >= max(0.8 * np.quantile(before, 0.998), 1.0)
    ratio = np.median(before[strong] / np.maximum(after[strong], 1e-3)) if strong.any() else 1.5
    return float(np.sqrt(max(1 / max(ratio**2 - 1, 0.02) - 1 / 3, 0)))  # a difference over two pixels is a blur of 1/3


def estimate_noise(grey: np.ndarray) -> float:
    """The noise of a picture in grey levels (Immerkaer, "Fast noise variance estimation", 1996), by the lower quartile
    of the answers, to which edges, hair and wool add little."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    quartile = np.quantile(np.abs(cv2.filter2D(grey.astype(np.float32), -1, kernel)), 0.25)
    return float(quartile / 0.3186 / 6)  # of noise of 1: the quartile of a normal distribution, the kernel's norm


def estimate_light(part: np.ndarray, skin: np.ndarray, sigma: float) -> np.ndarray:
    """The light on a face, (H, W, 3) float32, about 1: the brightness of its skin smoothed by ``sigma`` pixels, some of
    its colour, and some of its exposure, since skins differ too."""
    grey, weight = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32), skin.astype(np.float32) + 1e-4
    smooth = cv2.GaussianBlur(grey * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = max(float(np.average(grey, weights=weight)), 1.0)
    colour = np.average(part.reshape(-1, 3), axis=0, weights=weight.ravel()) / mean
    cast = np.sqrt(np.maximum(colour, 0.3) / (1.2, 0.96, 0.84))  # of skin in white light
    exposure = 0.65 + 0.45 * min(1.0, mean / 150)
    return (np.clip(smooth / mean, 0.35, 1.6)[..., None] * cast * exposure).astype(np.float32)
