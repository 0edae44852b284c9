"""The face frame: cameras known beforehand are found again, and nearer surfaces hide what is behind them."""

import numpy as np
import pytest

from utils.face_frame import LANDMARKS, fit_camera, is_clear, pixel_grid, project, ray_slope, see_surface, unproject

CAMERAS = {
    "upright": [[40, 0, 0, 100], [0, 40, 0, 80]],
    "rolled": [[28, -28, 0, 100], [28, 28, 0, 80]],
    "turned": [[36, 0, 17, 100], [0, 40, 0, 80]],
    "nodding": [[40, 0, 0, 100], [0, 35, -15, 80]],
}


@pytest.fixture(params=CAMERAS.values(), ids=CAMERAS)
def camera(request):
    return np.array(request.param, float)


def test_the_camera_that_made_landmarks_is_found(camera):
    np.testing.assert_allclose(fit_camera(project(camera, LANDMARKS)), camera, atol=1e-6)


def test_unproject_undoes_project_in_the_plane_of_the_eyes(camera):
    points = np.random.default_rng(0).uniform(-1, 2, (7, 3)) * (1, 1, 0)
    np.testing.assert_allclose(unproject(camera, project(camera, points)), points[:, :2], atol=1e-9)


def test_a_ray_goes_through_all_points_that_are_seen_at_one_pixel(camera):
    far, near = np.array([0.2, 0.7, -0.3]), 0.5
    moved = np.append(far[:2] - ray_slope(camera) * (near - far[2]), near)
    np.testing.assert_allclose(project(camera, moved), project(camera, far), atol=1e-9)


def test_points_of_a_surface_are_seen_where_they_are_projected_to(camera):
    def height(x, y):
        return 0.3 - 0.2 * x**2 - 0.1 * (y - 0.7) ** 2

    x, y = np.meshgrid(np.linspace(-0.7, 0.7, 5), np.linspace(0.2, 1.5, 4))
    pixels = project(camera, np.stack([x, y, height(x, y)], axis=2))
    np.testing.assert_allclose(see_surface(camera, pixels, height), np.stack([x, y], axis=2), atol=0.01)


def test_what_stands_out_hides_what_is_behind_it():
    camera = np.array(CAMERAS["turned"], float)  # what is near moves to the right

    def wall(x, y):
        return np.where(np.abs(x) < 0.1, 0.8, 0.0)

    behind = project(camera, np.array([[[0.3, 0.5, 0.0]]]))
    assert abs(see_surface(camera, behind, wall)[0, 0, 0]) < 0.15
    np.testing.assert_allclose(see_surface(camera, behind, lambda x, y: 0 * x)[0, 0], [0.3, 0.5], atol=1e-6)


def test_a_smile_does_not_shrink_the_face():
    face = project(np.array(CAMERAS["upright"], float), LANDMARKS)
    smile = face + np.array([[0, 0], [0, 0], [0, 0], [-4, -4], [4, -4]])
    raised = face + np.array([[0, 0], [0, 0], [0, 0], [0, -4], [0, -4]])
    chins = [project(fit_camera(landmarks), np.array([0, 1.8, 0]))[1] for landmarks in (face, smile, raised)]
    assert chins[2] < chins[1] < chins[0] + 8


@pytest.mark.parametrize(
    ("landmarks", "expected"),
    [
        (LANDMARKS[:, :2] * 40 + 80, True),
        (LANDMARKS[:, :2] * 7 + 80, True),
        (LANDMARKS[:, :2] * 5 + 80, False),
        (LANDMARKS[[1, 0, 2, 4, 3], :2] * 40 + 80, False),
        (LANDMARKS[:, :2] * 40 + [80, 130], False),
        (project(np.array([[30, 0, 30, 80], [0, 40, 0, 80]]), LANDMARKS), False),
        (LANDMARKS[:, :2] * 40 + 80 + [[0, 12], [0, -12], [0, 0], [0, -12], [0, 12]], False),
        (np.full((5, 2), 80.0), False),
        (np.full((5, 2), np.nan), False),
    ],
    ids=["clear", "small", "too small", "mirrored", "no chin", "in profile", "misshapen", "a point", "nothing"],
)
def test_only_clear_faces_are_clear(landmarks, expected):
    assert is_clear(landmarks, (200, 200)) == expected


def test_a_grid_of_the_same_size_is_the_pixels_themselves():
    grid = pixel_grid(np.array([3, 5, 6, 7]), (3, 2))
    np.testing.assert_array_equal(grid, [[[3, 5], [4, 5], [5, 5]], [[3, 6], [4, 6], [5, 6]]])


def test_a_finer_grid_averages_to_the_coarse_one():
    box = np.array([3, 5, 9, 9])
    fine = pixel_grid(box, (18, 12)).reshape(4, 3, 6, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(fine, pixel_grid(box, (6, 4)))
