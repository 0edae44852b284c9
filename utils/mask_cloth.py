"""What masks look like, as formulas of x and y in the face frame (``face_frame``): outline, height, folds, colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Each kind, how often it is drawn, and the colours it is made in, the common ones several times.
KINDS = {"surgical": 0.5, "cloth": 0.3, "respirator": 0.2}
COLOURS_OF = {
    "surgical": ("light_blue", "light_blue", "light_blue", "white", "white", "green", "pink", "black"),
    "cloth": ("black", "black", "black", "grey", "white", "navy", "red", "skin", "pink"),
    "respirator": ("white", "white", "white", "white", "black", "grey"),
}
COLOURS = {  # RGB in white light
    "light_blue": (158, 200, 228),
    "white": (240, 241, 243),
    "black": (38, 38, 42),
    "grey": (128, 131, 136),
    "green": (125, 208, 184),
    "pink": (232, 194, 208),
    "navy": (42, 54, 92),
    "red": (160, 44, 48),
    "skin": (205, 160, 132),
}
PATTERNS = ("plain", "stripes", "dots", "checks")
SIDE = 0.9  # x where a mask ends and its loops begin
# Of each way to wear one: y of the upper edge in the middle, how far it falls to the sides, and the same below.
EDGES = {"well": (0.24, 0.26, 1.86, -0.48), "under_nose": (0.9, -0.2, 1.88, -0.48), "chin": (1.42, -0.4, 2.12, -0.6)}
# How much that differs from mask to mask: standard deviations, cut at 0.08.
JITTER = {"well": [0.025] * 4, "under_nose": [0.04, 0.06, 0.04, 0.04], "chin": [0.04, 0.04, 0.06, 0.06]}
EAR_TOP, EAR_LOBE = (1.1, 0.25, -1.1), (1.1, 0.7, -1.1)
VALVES = 0.3  # of the respirators have one


@dataclass(frozen=True)
class Cloth:
    """A mask at points of the face frame, arrays of one shape.

    Attributes:
        inside: distance to the nearest edge, above 0 on the mask.
        relief: height of folds and creases above the surface.
        lines: 0-1, how dark seams and stitches are.
        second: 0-1, where a pattern has its second colour.
    """

    inside: np.ndarray
    relief: np.ndarray
    lines: np.ndarray
    second: np.ndarray


def choose_mask(rng: np.random.Generator) -> dict[str, str]:
    """A mask drawn by chance: ``kind``, ``colour`` and ``pattern``, as ``synthetic_masks.add_mask`` takes them."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    patterned = kind == "cloth" and rng.random() < 0.35
    pattern = str(rng.choice(PATTERNS[1:])) if patterned else "plain"
    return {"kind": kind, "colour": str(rng.choice(COLOURS_OF[kind])), "pattern": pattern}


def cloth_height(x: np.ndarray, y: np.ndarray, kind: str, worn: str) -> np.ndarray:
    """z of a mask's surface: it falls away to the ears and the neck, and stands where nose, mouth or cup hold it up."""
    x = np.clip(x, -1.5, 1.5)
    z = 0.1 - 0.25 * x**2 - 0.5 * x**4 - 1.2 * np.maximum(0, y - 1.55) ** 2
    if worn == "well":
        z += 0.4 * np.exp(-((x / 0.42) ** 2) - ((y - 0.72) / 0.4) ** 2)
    if worn != "chin":
        z += 0.22 * np.exp(-((x / 0.5) ** 2) - ((y - 1.2) / 0.4) ** 2)
    if kind == "respirator":
        z += 0.3 * np.exp(-((x / 0.6) ** 2) - ((y - 1.05) / 0.5) ** 2) - 0.1 * np.abs(x)
    return z


def _pattern(x: np.ndarray, y: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    angle, width = rng.uniform(0, np.pi), rng.uniform(0.1, 0.22)
    along = (x * np.cos(angle) + y * np.sin(angle)) / width
    beside = (y * np.cos(angle) - x * np.sin(angle)) / width
    if name == "stripes":
        return (along % 1 < 0.45).astype(float)
    if name == "dots":
        return (np.hypot(along % 1 - 0.5, beside % 1 - 0.5) < 0.28).astype(float)
    return ((along % 1 < 0.4) + (beside % 1 < 0.4).astype(float)) / 2 if name == "checks" else np.zeros_like(x)


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(distance / width, -30, 30)))


def _outline(x: np.ndarray, y: np.ndarray, kind: str, worn: str, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Distance to the nearest edge, above 0 on the mask, and the place down it: 0 at the upper edge, 1 at the lower."""
    top, top_fall, bottom, bottom_fall = EDGES[worn] + np.clip(rng.normal(0, JITTER[worn]), -0.08, 0.08)
    tapered = 0.0 if kind == "surgical" else 0.14
    curve = 1 - np.exp(-((x / 0.35) ** 2)) if worn == "well" else x**2  # over the bridge of the nose, or straight
    upper = top + top_fall * curve + tapered * np.abs(x) ** 3
    lower = bottom + (bottom_fall - tapered) * np.abs(x) ** 2.5
    down = (y - upper) / np.maximum(lower - upper, 0.05)
    side = SIDE - 0.04 * np.sin(np.pi * np.clip(down, 0, 1))
    return np.minimum(np.minimum(y - upper, lower - y), side - np.abs(x)), down


def draw_cloth(x: np.ndarray, y: np.ndarray, kind: str, worn: str, pattern: str, rng: np.random.Generator) -> Cloth:
    """A mask at points of the face frame; the same state of ``rng`` gives the same mask at any points."""
    inside, down = _outline(x, y, kind, worn, rng)
    relief, lines = np.zeros_like(x), np.zeros_like(x)
    for _ in range(9):  # creases, deeper towards the loops that pull
        angle, wave, phase = rng.normal(0, 0.6), np.exp(rng.uniform(1.2, 3.2)), rng.uniform(0, 2 * np.pi)
        bend = y * np.cos(angle) + np.abs(x) * np.sin(angle)
        relief += rng.uniform(0.1, 0.4) / wave * np.sin(wave * bend + phase + rng.normal(0, 3) * x) * (0.2 + x**2)
    relief *= {"surgical": 0.4, "cloth": 0.4, "respirator": 0.1}[kind] * (2.0 if worn == "chin" else 1.0)
    if kind == "surgical":  # three pleats, bound edges
        for place in np.array([0.3, 0.5, 0.7]) + rng.normal(0, 0.02, 3):
            relief += 0.03 * (down - _step(down - place, 0.012))
            lines += 0.14 * _line(down - place, 0.014)
        lines += 0.1 * (_line(down - 0.07, 0.012) + _line(down - 0.94, 0.012))
    elif kind == "cloth":  # a hem, most with a seam in the middle
        lines += 0.12 * _line(inside - 0.06, 0.01) + rng.choice([0, 0.25], p=[0.4, 0.6]) * _line(x, 0.012)
    else:  # folded upright or across, or a cup with a rim
        fold = rng.choice(["upright", "across", "cup"])
        place = {"upright": x, "across": np.minimum(np.abs(down - 0.3), np.abs(down - 0.68)), "cup": inside - 0.1}
        lines += 0.2 * _line(place[fold], 0.013) + 0.12 * _line(inside - 0.05, 0.012)
        relief -= 0.06 * np.abs(x) * (fold == "upright") + 0.03 * _line(place[fold], 0.03)
        if rng.random() < VALVES:
            radius = np.hypot(x - rng.choice([-0.3, 0.0, 0.3]), 1.3 * (down - 0.6))
            relief += 0.04 * _step(0.17 - radius, 0.006)
            lines += 0.3 * _line(radius - 0.1, 0.01) + 0.15 * _line(radius - 0.18, 0.015)
    return Cloth(inside, relief, np.minimum(lines, 0.5), _pattern(x, y, pattern, rng))


def loop_lines(kind: str, worn: str) -> np.ndarray:
    """The ear loops, or the straps of a respirator: (4, 3, 3), lines of three points of the face frame, right side
    first."""
    top, top_fall, bottom, bottom_fall = EDGES[worn]
    upper = top + top_fall * (1 if worn == "well" else SIDE**2)
    lower = bottom + bottom_fall * SIDE**2.5
    middle, half = (upper + lower) / 2, (lower - upper) / 2 - (0.05 if kind == "surgical" else 0.2)
    x = SIDE - 0.04
    z = float(cloth_height(np.float64(x), np.float64(middle), kind, worn))
    pairs = [((x, middle - half, z), EAR_TOP), ((x, middle + half, z), EAR_LOBE)]
    lines = np.array([[start, np.add(start, end) / 2 + (0.03, 0.03, 0), end] for start, end in pairs])
    return np.concatenate([lines, lines * (-1, 1, 1)])
