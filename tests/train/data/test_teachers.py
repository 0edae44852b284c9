"""Teachers: CenterFace finds the faces that people labelled, and two teachers must agree."""

import numpy as np
import pytest

from utils.boxes import Detections, box_iou
from utils.detect import DETECTOR_FILE
from utils.images import read_image, resize_image
from utils.paths import EXAMPLES_DIR, SHARED_DIR
from utils.train.data.teachers import Agreement, CenterFace

FACES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 60, 20]], np.float32)


def as_detector(xyxy, confidence=0.9):
    """Return a detector that always finds these boxes."""
    boxes = np.array(xyxy, np.float32).reshape(-1, 4)
    return lambda image: Detections(boxes, np.full(len(boxes), confidence, np.float32))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([], []),
        ([(1, 1, 11, 11)], [0]),
        ([(20, 0, 30, 10), (40, 2, 60, 22)], [1, 2]),
        ([(9, 9, 19, 19), (100, 100, 120, 120)], []),
    ],
)
def test_only_faces_that_both_teachers_find_are_reported(second, expected):
    agreed = Agreement(as_detector(FACES, 0.8), as_detector(second, 0.3))
    found = agreed(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_array_equal(found.xyxy, FACES[expected])
    np.testing.assert_allclose(found.confidence, 0.8)


def test_nothing_found_stays_nothing():
    agreed = Agreement(as_detector([]), as_detector(FACES))
    assert len(agreed(np.zeros((8, 8, 3), np.uint8))) == 0


def test_a_missing_and_another_file_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.onnx: get centerface.onnx .* go on without"):
        CenterFace(tmp_path / "no.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"not a model")
    for path in (damaged, DETECTOR_FILE):
        with pytest.raises(ValueError, match=f"{path.name} is .*CenterFace"):
            CenterFace(path)


@pytest.fixture(scope="module")
def center_face():
    return CenterFace(SHARED_DIR / "models" / "centerface.onnx")


@pytest.mark.shared("models")
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_center_face_finds_the_face_at_each_size(center_face, scale):
    image = read_image(EXAMPLES_DIR / "astronaut.jpg")
    whole = center_face(image)
    height, width = image.shape[:2]
    resized = resize_image(image, (round(width * scale), round(height * scale)))
    found = center_face(resized)
    assert len(whole) == len(found) == 1
    assert box_iou(found.xyxy / scale, whole.xyxy)[0, 0] > 0.7


@pytest.mark.shared("models")
def test_center_face_finds_nobody_on_a_grey_picture(center_face):
    found = center_face(np.full((90, 130, 3), 128, np.uint8))
    assert found.xyxy.shape == (0, 4) and found.confidence.shape == (0,)
