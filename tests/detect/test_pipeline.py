"""The pipeline: stand-ins that find coloured blocks, and the shipped models on the examples."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import draw_blocks, find_blocks
from utils import paths
from utils.boxes import Detections, box_iou, clip_boxes
from utils.classes import CLASS_NAMES, MASK_CLASSES, decide
from utils.detect import pipeline
from utils.detect.face_detector import DETECTOR_FILE, FAST_PASSES, FCOS
from utils.detect.pipeline import (
    DETECTORS,
    detect_masks,
    find_faces,
    load_detector,
    load_models,
    load_pipeline,
)
from utils.formats import read_voc_folder
from utils.images import list_images, read_image, resize_image
from utils.labels import BOX_COLUMNS

ANNOTATED = dict(tuple(read_voc_folder(paths.EXAMPLES_DIR)[0].groupby("file")))
BLOCKS = [
    (name, (10 + 50 * place, 20, 40 + 50 * place, 60)) for place, name in enumerate(CLASS_NAMES)
]


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request):
    try:
        return load_detector(request.param)
    except FileNotFoundError as error:
        pytest.skip(f"{error} It is in neither folder of models.")


@pytest.mark.parametrize("file", ANNOTATED)
def test_the_annotated_faces_are_found(detector, file):
    image = read_image(paths.EXAMPLES_DIR / file)
    true = ANNOTATED[file][BOX_COLUMNS].to_numpy()
    found = detector(image)
    assert box_iou(true, found.xyxy).max(axis=1, initial=0).min() >= 0.5
    np.testing.assert_array_equal(found.xyxy, clip_boxes(found.xyxy, image.shape[1::-1]))
    assert ((found.confidence >= 0.5) & (found.confidence <= 1)).all()
    if found.y_prob is not None:
        assert found.y_prob.shape == (len(found), len(CLASS_NAMES))
        np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-5)


def test_only_fcos_gives_class_probabilities(detector):
    found = detector(read_image(paths.EXAMPLES_DIR / "hopper.jpg"))
    assert (found.y_prob is not None) == isinstance(detector, FCOS)


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_boxes_scale_with_the_image(detector, scale):
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    scaled = resize_image(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
    count = len(ANNOTATED["three_classes.jpg"])
    boxes, _ = split_most_confident(detector(image), count)
    scaled_boxes, other_confidence = split_most_confident(detector(scaled), count)
    assert len(boxes) == len(scaled_boxes) == count
    assert box_iou(boxes, scaled_boxes / scale).max(axis=1).min() > 0.8
    assert (other_confidence < 0.6).all()  # at some sizes FCOS gives a badge about 0.5


def split_most_confident(found: Detections, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes of the most confident faces, and the confidence of all others."""
    order = np.argsort(-found.confidence)
    return found.xyxy[order[:count]], found.confidence[order[count:]]


def test_a_higher_min_confidence_gives_fewer_boxes(detector):
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    many = type(detector)(min_confidence=0.02)(image)
    few = type(detector)(min_confidence=0.6)(image)
    assert len(many) > len(few) >= 1
    assert (few.confidence >= 0.6).all()


def test_a_detector_is_more_confident_in_rgb_than_in_bgr(detector):
    """Log-odds are compared, because all confidences are near 1."""

    def sum_log_odds(image, boxes):
        found = detector(image)
        is_match = box_iou(boxes, found.xyxy) > 0.5
        confidence = (is_match * found.confidence).max(axis=1, initial=0)
        confidence = np.clip(confidence, 1e-6, 1 - 1e-6)
        return np.log(confidence / (1 - confidence)).sum()

    rgb = 0.0
    bgr = 0.0
    for file, rows in ANNOTATED.items():
        image = read_image(paths.EXAMPLES_DIR / file)
        boxes = rows[BOX_COLUMNS].to_numpy()
        rgb += sum_log_odds(image, boxes)
        bgr += sum_log_odds(np.ascontiguousarray(image[:, :, ::-1]), boxes)
    assert rgb > bgr


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 4000), (4000, 1), (60, 20_000)], ids=str)
def test_images_of_extreme_shape_can_be_searched(detector, size):
    assert len(detector(np.full((*size, 3), 128, np.uint8))) == 0


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match=r"no detector 'haar': use one of fcos, yunet, res10"):
        load_detector("haar")


def test_an_unknown_pass_is_refused():
    message = r"Unknown passes: fine. Choose from coarse, tiles, crowd."
    with pytest.raises(ValueError, match=message):
        load_detector(passes=["coarse", "fine"])


def test_fcos_is_the_default_and_ssd_is_its_earlier_name():
    assert isinstance(load_detector(), FCOS)
    assert isinstance(load_detector("ssd"), FCOS)
    detector = load_detector(min_confidence=0.3, passes=FAST_PASSES, side=96, path=DETECTOR_FILE)
    assert (detector.min_confidence, detector.passes, detector.side) == (0.3, FAST_PASSES, 96)


def test_an_image_without_faces_gives_no_detections(fake_classifier):
    found = detect_masks(draw_blocks(), find_blocks, fake_classifier)
    assert len(found) == 0
    assert found.y_prob.shape == (0, len(CLASS_NAMES))
    assert decide(found.y_prob).shape == (0,)


def test_each_face_is_classified_in_its_place_and_no_face_is_dropped(fake_classifier):
    image = draw_blocks(*BLOCKS, resolution_wh=(240, 120))
    found = detect_masks(image, find_blocks, fake_classifier)
    expected = [block for block in BLOCKS if block[0] != "no_face"]
    np.testing.assert_array_equal(found.xyxy, [box for _, box in expected])
    names = [CLASS_NAMES[class_id] for class_id in decide(found.y_prob)]
    assert names == [name for name, _ in expected]
    np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-6)


def test_detections_are_sorted_by_confidence(fake_classifier):
    def find_backwards(image):
        found = find_blocks(image)
        return replace(found, confidence=found.confidence[::-1].copy())

    found = detect_masks(draw_blocks(*BLOCKS[:3]), find_backwards, fake_classifier)
    expected = BLOCKS[2::-1]
    np.testing.assert_array_equal(found.xyxy, [box for _, box in expected])
    names = [CLASS_NAMES[class_id] for class_id in decide(found.y_prob)]
    assert names == [name for name, _ in expected]
    assert (np.diff(found.confidence) < 0).all()


@pytest.mark.parametrize("step", [1e-6, -1e-6])
def test_a_box_is_dropped_if_no_face_reaches_the_threshold(fake_classifier, step):
    image = draw_blocks(BLOCKS[0])
    (y_prob,) = detect_masks(image, find_blocks, fake_classifier).y_prob
    no_face = float(y_prob[CLASS_NAMES.index("no_face")])
    classifier = replace(fake_classifier, threshold=no_face + step)
    assert len(detect_masks(image, find_blocks, classifier)) == (step > 0)


def test_no_face_is_never_decided():
    y_prob = np.random.default_rng(0).dirichlet([0.3] * len(CLASS_NAMES), 200)
    class_id = decide(y_prob)
    assert set(class_id.tolist()) == {CLASS_NAMES.index(name) for name in MASK_CLASSES}
    for row, chosen in zip(y_prob, class_id, strict=True):
        assert row[chosen] == row[: len(MASK_CLASSES)].max()


def test_the_named_detector_and_classifier_are_loaded(monkeypatch):
    monkeypatch.setattr(
        pipeline, "load_detector", lambda *asked, **options: ("detector", *asked, options)
    )
    monkeypatch.setattr(pipeline, "load_classifier", lambda path: ("classifier", path))
    assert load_models("res10", 0.7, "a.onnx") == (
        ("detector", "res10", 0.7, {}),
        ("classifier", "a.onnx"),
    )
    assert load_models(passes=FAST_PASSES)[0] == ("detector", "fcos", 0.5, {"passes": FAST_PASSES})


@pytest.mark.parametrize("file", ANNOTATED)
def test_the_shipped_models_are_right_about_the_examples(file):
    true = ANNOTATED[file]
    found = load_pipeline()(read_image(paths.EXAMPLES_DIR / file))
    iou = box_iou(true[BOX_COLUMNS].to_numpy(), found.xyxy)
    assert iou.shape == (len(true), len(true))
    assert iou.max(axis=1).min() >= 0.5
    class_id = decide(found.y_prob)[iou.argmax(axis=1)]
    assert [CLASS_NAMES[value] for value in class_id] == true.class_name.tolist()


def test_no_files_give_no_faces():
    assert list(find_faces([], find_blocks)) == []


def test_files_that_cannot_be_read_are_reported_and_skipped(tmp_path, capsys):
    files = list_images(paths.EXAMPLES_DIR)
    (tmp_path / "text.jpg").write_text("no photograph")
    mixed = [files[0], tmp_path / "text.jpg", str(files[1])]
    found = list(find_faces(mixed, lambda image: Detections.empty()))
    assert [path for path, _, _ in found] == files[:2]
    np.testing.assert_array_equal(found[1][1], read_image(files[1]))
    assert "text.jpg is not an image" in "".join(capsys.readouterr())
