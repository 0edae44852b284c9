"""Crops: squares about the boxes, with the image's edge repeated, and batches of them."""

import cv2
import numpy as np
import pytest

from utils.detect.crops import crop_faces, to_input

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def test_no_boxes_give_no_faces_and_an_empty_batch():
    assert crop_faces(IMAGE, np.zeros((0, 4))) == []
    assert to_input([], 32).shape == (0, 32, 32, 3)


# Box, padding and the square that is cut out.
CASES = {
    "square": ((20, 20, 40, 40), 0.0, (20, 20, 40, 40)),
    "padded": ((20, 20, 40, 40), 0.2, (16, 16, 44, 44)),
    "wide": ((20, 30, 40, 40), 0.0, (20, 25, 40, 45)),
    "over the corner": ((0, 0, 10, 10), 0.5, (-5, -5, 15, 15)),
    "over the right and lower edge": ((70, 40, 80, 60), 0.1, (63, 38, 87, 62)),
    "outside": ((-40, -40, -20, -20), 0.0, (-40, -40, -20, -20)),
}


@pytest.mark.parametrize(("box", "padding", "square"), CASES.values(), ids=CASES.keys())
def test_a_face_is_the_padded_square_about_its_box(box, padding, square):
    padded = np.pad(IMAGE, ((50, 50), (50, 50), (0, 0)), mode="edge")
    x_min, y_min, x_max, y_max = np.array(square) + 50
    (face,) = crop_faces(IMAGE, np.array([box]), padding)
    np.testing.assert_array_equal(face, padded[y_min:y_max, x_min:x_max])


def test_faces_are_square_for_any_box():
    rng = np.random.default_rng(1)
    corners = rng.uniform(-10, 70, (300, 2))
    sizes = rng.uniform(0, 50, (300, 2))
    faces = crop_faces(IMAGE, np.concatenate([corners, corners + sizes], axis=1))
    assert len(faces) == 300
    assert all(face.shape[0] == face.shape[1] for face in faces)
    expected = np.maximum(1, sizes.max(axis=1) * 1.4)
    np.testing.assert_allclose([len(face) for face in faces], expected, atol=0.51)


def test_the_centre_of_a_face_is_the_centre_of_its_box():
    columns = np.broadcast_to(np.arange(80, dtype=np.uint8)[None, :, None], (60, 80, 3))
    corners, sizes = np.random.default_rng(2).uniform(20, 30, (2, 100, 2))
    faces = crop_faces(columns, np.concatenate([corners, corners + sizes], axis=1), padding=0)
    centres = [face.mean() + 0.5 for face in faces]
    np.testing.assert_allclose(centres, corners[:, 0] + sizes[:, 0] / 2, atol=0.51)


def test_a_batch_holds_each_face_as_opencv_resizes_it():
    boxes = np.array([[5, 5, 37, 37], [10, 10, 11, 11], [30, 30, 46, 46]])
    faces = crop_faces(IMAGE, boxes, padding=0)
    batch = to_input(faces, 16)
    assert batch.dtype == np.float32
    reduced = cv2.resize(faces[0], (16, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(batch[0], reduced)
    np.testing.assert_array_equal(batch[1], np.broadcast_to(IMAGE[10, 10], (16, 16, 3)))
    np.testing.assert_array_equal(batch[2], faces[2])  # has the right size already
