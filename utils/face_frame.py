"""A frame of coordinates on a face, placed in a picture by five landmarks.

The *face frame* has its x axis to the picture's right, y down and z towards the camera; the unit is the distance of the
eyes, which are at (-0.5, 0, 0) and (0.5, 0, 0). An affine camera turns it into pixels: a head's roll, its turn and its
nod are all in there, what perspective adds to a near face is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Eyes, tip of the nose, corners of the mouth, in YuNet's order: x and y about as it finds them in web portraits, z as
# in common head models.
LANDMARKS = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.63, 0.45], [-0.42, 1.05, 0.05], [0.42, 1.05, 0.05]])
MOUTH = 0.88  # the mean width of a mouth; of wider ones, chins lie lower by the power 0.6 (81 web portraits)
CHIN = np.array([0.0, 1.9, 0.0])  # its lower edge, or a little below
MIN_EYES, MAX_TURN, MAX_MISFIT = 6.0, 0.7, 0.15  # pixels between the eyes; tangent of the turn; in the frame's unit
FRONT, BACK, STEP = 1.0, -1.2, 0.06  # z between which a surface is looked for


def _expected(landmarks: np.ndarray) -> np.ndarray:
    """``LANDMARKS``, the mouth of a smile pulled up as far as it is wider, or chins would be sought too high."""
    eyes, mouth = (float(np.linalg.norm(landmarks[b] - landmarks[a])) for a, b in ((0, 1), (3, 4)))
    points = LANDMARKS.copy()
    points[3:, 1] *= min(1.0, (MOUTH / max(mouth / max(eyes, 1e-9), 1e-9)) ** 0.6)
    return points


def fit_camera(landmarks: np.ndarray) -> np.ndarray:
    """The affine camera (2, 4), from homogeneous points of the face frame to pixels, that fits (5, 2) landmarks best.

    Its depth column is what the offset of the nose tells of the head's turn.
    """
    landmarks = np.asarray(landmarks, float)
    points = np.column_stack([_expected(landmarks), np.ones(len(LANDMARKS))])
    return np.linalg.lstsq(points, landmarks, rcond=None)[0].T


def project(camera: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the face frame in pixels (..., 2)."""
    return points @ camera[:, :3].T + camera[:, 3]


def unproject(camera: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """x and y (..., 2) at which the rays through pixels (..., 2) cross the plane z = 0."""
    return (pixels - camera[:, 3]) @ np.linalg.inv(camera[:, :2]).T


def ray_slope(camera: np.ndarray) -> np.ndarray:
    """How far x and y (2,) of a ray move back when it comes nearer by 1: the tangents of the head's turn and nod."""
    return np.linalg.solve(camera[:, :2], camera[:, 2])


def is_clear(landmarks: np.ndarray, resolution_wh: tuple[int, int]) -> bool:
    """Whether (5, 2) landmarks are a face that is large enough, turned to the camera and shaped as faces are, and that
    an image of (width, height) shows down to its chin."""
    camera, eyes = fit_camera(landmarks), float(np.linalg.norm(landmarks[1] - landmarks[0]))
    if not (eyes >= MIN_EYES and np.linalg.det(camera[:, :2]) >= 0.4 * eyes**2):  # in profile, or mirrored
        return False
    misfit = np.abs(project(camera, _expected(landmarks)) - landmarks).max() / eyes
    chin = project(camera, CHIN)
    shown = (chin >= 0).all() and (chin < resolution_wh).all()
    return bool(shown and misfit < MAX_MISFIT and np.abs(ray_slope(camera)).max() < MAX_TURN)


def pixel_grid(box: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Where the pixels of a box that is drawn with another (width, height) lie in the image: (H, W, 2)."""
    (x_min, y_min, x_max, y_max), (width, height) = box, size_wh
    x = x_min + (np.arange(width) + 0.5) * (x_max - x_min) / width - 0.5
    y = y_min + (np.arange(height) + 0.5) * (y_max - y_min) / height - 0.5
    return np.stack(np.meshgrid(x, y), axis=2)


def see_surface(
    camera: np.ndarray, pixels: np.ndarray, height: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Where the rays through pixels first meet the surface z = height(x, y).

    Rays are followed from the front to the back, so that what stands out hides what is behind it.

    Args:
        camera: (2, 4).
        pixels: (H, W, 2).
        height: of a surface over the face frame.

    Returns:
        (H, W, 2), the x and y of each point that is seen.
    """
    plane, slope = unproject(camera, pixels), ray_slope(camera)
    depth, met = np.full(plane.shape[:2], BACK), np.zeros(plane.shape[:2], bool)
    level, before = FRONT, np.full(plane.shape[:2], -1.0)
    while level > BACK and not met.all():
        over = height(*np.moveaxis(plane - slope * level, 2, 0)) - level
        first = ~met & (over >= 0)
        depth[first] = level + STEP * (over / np.maximum(over - before, 1e-9))[first]
        met, before, level = met | first, over, level - STEP
    return plane - slope * depth[..., None]
