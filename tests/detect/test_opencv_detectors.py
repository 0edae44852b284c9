"""OpenCV's detectors: against OpenCV itself, and without their model files."""

import cv2
import numpy as np
import pytest

from utils import paths
from utils.boxes import box_iou, box_overlap, clip_boxes
from utils.detect.opencv_detectors import RES10_FILES, YUNET_FILE, Res10, YuNet
from utils.images import read_image, resize_image

MODEL_FILES = {YuNet: (YUNET_FILE,), Res10: RES10_FILES}
EXAMPLES = sorted(path.name for path in paths.EXAMPLES_DIR.glob("*.jpg"))


def load(detector, **options):
    """Return a detector, or skip the test if its model file is not here."""
    try:
        return detector(**options)
    except FileNotFoundError as error:
        pytest.skip(f"{error} It is in neither folder of models.")


@pytest.fixture
def model_folder(tmp_path, monkeypatch):
    """An empty folder in the place of both folders of models."""
    monkeypatch.setattr(paths, "MODEL_DIR", tmp_path)
    monkeypatch.setattr(paths, "SHARED_DIR", tmp_path)
    return tmp_path


by_detector = pytest.mark.parametrize(
    ("detector", "files"), MODEL_FILES.items(), ids=["YuNet", "Res10"]
)


@by_detector
def test_a_missing_model_file_is_named(detector, files, model_folder):
    with pytest.raises(FileNotFoundError, match=f"{files[0]} is not in .*: run `make detectors`"):
        detector()


@by_detector
@pytest.mark.parametrize("content", [b"", b"no net"], ids=["empty", "text"])
def test_a_damaged_model_file_is_named(detector, files, content, model_folder, capfd):
    for file in files:
        (model_folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"{files[0]} is damaged: .*`make detectors`"):
        detector()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("file", EXAMPLES)
def test_yunet_at_one_scale_agrees_with_opencv(file):
    image = read_image(paths.EXAMPLES_DIR / file)
    found = load(YuNet, min_confidence=0.3, scales=(1.0,))(image)
    model = str(paths.find_model(YUNET_FILE))
    reference = cv2.FaceDetectorYN.create(model, "", image.shape[1::-1], 0.3, 0.45)
    _, rows = reference.detect(image[:, :, ::-1].copy())
    expected = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    np.testing.assert_allclose(found.xyxy, clip_boxes(expected, image.shape[1::-1]), atol=1e-3)
    np.testing.assert_allclose(found.confidence, rows[:, 14], atol=1e-6)


@pytest.mark.parametrize("file", EXAMPLES)
def test_yunet_keeps_the_most_confident_of_overlapping_boxes(file):
    image = read_image(paths.EXAMPLES_DIR / file)
    found = load(YuNet, min_confidence=0.2)(image)
    assert (np.triu(box_overlap(found.xyxy, found.xyxy), 1) <= 0.45).all()
    for scale in (1.0, 2.0):
        alone = load(YuNet, min_confidence=0.2, scales=(scale,))(image)
        is_covered = box_overlap(alone.xyxy, found.xyxy) > 0.45
        is_surer = found.confidence[None] >= alone.confidence[:, None] - 1e-6
        assert (is_covered & is_surer).any(axis=1).all()


def test_yunet_searches_no_image_larger_than_max_side():
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    half = resize_image(image, (image.shape[1] // 2, image.shape[0] // 2))
    max_side = round(max(image.shape[:2]) / 2)
    found = load(YuNet, scales=(1.0, 2.0), max_side=max_side)(image)
    expected = load(YuNet, scales=(1.0,))(half)
    assert len(found) == len(expected) > 0
    assert box_iou(found.xyxy, 2 * expected.xyxy).max(axis=1).min() > 0.9


@pytest.mark.parametrize("file", EXAMPLES)
def test_boxes_of_res10_do_not_overlap_and_reach_min_confidence(file):
    image = read_image(paths.EXAMPLES_DIR / file)
    found = load(Res10, min_confidence=0.2)(image)
    assert len(found) > 0
    assert (found.confidence >= 0.2).all()
    assert (np.triu(box_iou(found.xyxy, found.xyxy), 1) <= 0.45).all()
    few = load(Res10, min_confidence=0.6)(image)
    np.testing.assert_array_equal(few.xyxy, found.xyxy[found.confidence >= 0.6])
