"""OpenCV's detectors: against OpenCV itself, and without their files."""

import cv2
import numpy as np
import pytest

from utils import paths
from utils.boxes import box_iou, box_overlap, clip_boxes
from utils.detect.opencv_detectors import RES10_FILES, YUNET_FILE, Res10, YuNet
from utils.images import read_image, resize_image

MODEL_FILES = {YuNet: (YUNET_FILE,), Res10: RES10_FILES}
PICTURES = sorted(path.name for path in paths.EXAMPLES_DIR.glob("*.jpg"))


def load(detector, **options):
    try:
        return detector(**options)
    except FileNotFoundError as error:
        pytest.skip(f"{error} It is in neither folder of models.")


@pytest.mark.parametrize("detector", MODEL_FILES, ids=lambda detector: detector.__name__)
def test_a_missing_or_damaged_model_file_is_named_in_a_sentence(
    detector, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(paths, "MODEL_DIR", tmp_path)
    monkeypatch.setattr(paths, "SHARED_DIR", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=f"{MODEL_FILES[detector][0]} is not in .*: run `make models`"
    ):
        detector()
    for content in (b"", b"no net"):
        for file in MODEL_FILES[detector]:
            (tmp_path / file).write_bytes(content)
        with pytest.raises(
            ValueError, match=f"{MODEL_FILES[detector][0]} is damaged: .*`make models`"
        ):
            detector()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("file", PICTURES)
def test_yunet_at_one_size_is_opencvs(file):
    image = read_image(paths.EXAMPLES_DIR / file)
    found = load(YuNet, min_confidence=0.3, scales=(1.0,))(image)
    net = cv2.FaceDetectorYN.create(
        str(paths.find_model(YUNET_FILE)), "", image.shape[1::-1], 0.3, 0.45
    )
    _, rows = net.detect(image[:, :, ::-1].copy())
    expected = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    np.testing.assert_allclose(found.xyxy, clip_boxes(expected, image.shape[1::-1]), atol=1e-3)
    np.testing.assert_allclose(found.confidence, rows[:, 14], atol=1e-6)


@pytest.mark.parametrize("file", PICTURES)
def test_of_boxes_that_cover_each_other_yunet_keeps_the_surest(file):
    image = read_image(paths.EXAMPLES_DIR / file)
    found = load(YuNet, min_confidence=0.2)(image)
    assert (np.triu(box_overlap(found.xyxy, found.xyxy), 1) <= 0.45).all()
    for scale in (1.0, 2.0):
        alone = load(YuNet, min_confidence=0.2, scales=(scale,))(image)
        covered = box_overlap(alone.xyxy, found.xyxy) > 0.45
        surer = found.confidence[None] >= alone.confidence[:, None] - 1e-6
        assert (covered & surer).any(axis=1).all()


def test_yunet_looks_at_no_more_pixels_than_it_is_told_to():
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    half = max(image.shape[:2]) / 2
    found = load(YuNet, scales=(1.0, 2.0), max_side=round(half))(image)
    expected = load(YuNet, scales=(1.0,))(
        resize_image(image, (image.shape[1] // 2, image.shape[0] // 2))
    )
    assert len(found) == len(expected) > 0
    assert box_iou(found.xyxy, 2 * expected.xyxy).max(axis=1).min() > 0.9


@pytest.mark.parametrize("file", PICTURES)
def test_boxes_of_res10_do_not_cover_each_other_and_are_sure_enough(file):
    image = read_image(paths.EXAMPLES_DIR / file)
    found = load(Res10, min_confidence=0.2)(image)
    assert len(found) > 0 and (found.confidence >= 0.2).all()
    assert (np.triu(box_iou(found.xyxy, found.xyxy), 1) <= 0.45).all()
    few = load(Res10, min_confidence=0.6)(image)
    np.testing.assert_array_equal(few.xyxy, found.xyxy[found.confidence >= 0.6])
