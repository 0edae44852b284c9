"""The graphs of the web page answer as utils.detect does."""

import math

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from utils.boxes import box_overlap, nms
from utils.detect import (
    CLASSIFIER_FILE,
    DETECTOR_FILE,
    FCOS,
    PAD,
    crop_faces,
    detect_masks,
    load_models,
    to_input,
)
from utils.detect.face_detector import MERGE_OVERLAP, TILE_ODDS
from utils.images import crop_image, read_image, resize_image
from utils.paths import EXAMPLES_DIR
from utils.web import graphs

PICTURES = sorted(EXAMPLES_DIR.glob("*.jpg"))
EXACT = 1e-3  # pixels, and probability


def open_graph(model: onnx.ModelProto) -> ort.InferenceSession:
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(model.SerializeToString(), options)


@pytest.fixture(scope="module")
def detect_graph() -> ort.InferenceSession:
    return open_graph(graphs.build_detect_graph(float_operators=False))


@pytest.fixture(scope="module")
def merge_graph() -> ort.InferenceSession:
    return open_graph(graphs.build_merge_graph())


@pytest.fixture(scope="module")
def classify_graph() -> ort.InferenceSession:
    return open_graph(graphs.build_classify_graph(float_operators=False))


def search(graph, image, tile, scale, min_confidence=0.5, odds=1.0):
    """Run the detect graph on a part of an image, as the page does."""
    part = crop_image(image, tile)
    height, width = part.shape[:2]
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    padded_wh = [math.ceil(length / 16) * 16 for length in size_wh]
    pixels = np.full((1, padded_wh[1], padded_wh[0], 3), PAD, np.float32)
    pixels[0, : size_wh[1], : size_wh[0]] = resize_image(part, size_wh)
    inputs = {
        "pixels": pixels,
        "input_wh": np.array(padded_wh),
        "min_confidence": np.array(min_confidence, np.float32),
        "vote_confidence": np.array(min_confidence, np.float32),
        "scale_xy": np.array(size_wh, np.float32) / (width, height),
        "tile": np.array(tile, np.float32),
        "image_wh": np.array(image.shape[1::-1], np.float32),
        "tile_odds": np.array(odds, np.float32),
    }
    inputs["scale_xy"] = inputs["scale_xy"].astype(np.float32)
    return graph.run(None, inputs)


def whole(image):
    return (0, 0, image.shape[1], image.shape[0])


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.stem)
def test_the_detect_graph_finds_the_boxes_of_the_whole_pass(file, detect_graph):
    image = read_image(file)
    detector = FCOS(0.3, passes=())
    expected = detector(image)
    scale = min(detector.side / max(image.shape[:2]), 2)
    boxes, confidence, y_prob = search(detect_graph, image, whole(image), scale, 0.3)
    np.testing.assert_allclose(boxes, expected.xyxy, atol=EXACT * image.shape[1])
    np.testing.assert_allclose(confidence, expected.confidence, atol=EXACT)
    np.testing.assert_allclose(y_prob, expected.y_prob[:, :3], atol=EXACT)


def test_the_detect_graph_finds_nothing_on_a_plain_image(detect_graph):
    image = np.full((90, 160, 3), 128, np.uint8)
    boxes, confidence, y_prob = search(detect_graph, image, whole(image), 2.0)
    assert boxes.shape == (0, 4) and confidence.shape == (0,) and y_prob.shape == (0, 3)


def test_a_face_that_the_edge_of_a_tile_cuts_is_left_to_the_next_tile(detect_graph):
    image = read_image(EXAMPLES_DIR / "three_classes.jpg")
    left = search(detect_graph, image, whole(image), 0.5)[0][0]
    uncut = [0, 0, int(left[2]) + 40, image.shape[0]]
    cut = [0, 0, int(left[2]) - 8, image.shape[0]]
    for tile, is_found in ((uncut, True), (cut, False)):
        boxes, _, _ = search(detect_graph, image, tile, 0.5)
        distance = np.abs(boxes[:, :2] - left[:2]).max(axis=1, initial=0)
        found = len(boxes) > 0 and distance.min() < 10
        assert found == is_found


def test_the_confidence_of_a_box_in_a_tile_is_lowered(detect_graph):
    image = read_image(EXAMPLES_DIR / "three_classes.jpg")
    _, plain, _ = search(detect_graph, image, whole(image), 0.5)
    _, lowered, _ = search(detect_graph, image, whole(image), 0.5, odds=TILE_ODDS)
    odds = TILE_ODDS * plain / (1 - plain)
    np.testing.assert_allclose(lowered, odds / (1 + odds), atol=EXACT)


@pytest.mark.parametrize("large_count", [0, 1, 3])
def test_the_merge_graph_suppresses_as_utils_boxes(large_count, merge_graph):
    rng = np.random.default_rng(large_count)
    corner = rng.uniform(0, 200, (60, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 80, (60, 2))], axis=1)
    boxes = boxes.astype(np.float32)
    confidence = rng.uniform(0.3, 1, 60).astype(np.float32)
    y_prob = rng.dirichlet(np.ones(3), 60).astype(np.float32)
    rank = confidence.copy()
    rank[:large_count] += 1
    kept = nms(boxes, rank, MERGE_OVERLAP, overlap=box_overlap)
    kept = kept[np.argsort(-confidence[kept], kind="stable")]
    inputs = {"boxes": boxes, "confidence": confidence, "y_prob": y_prob}
    inputs |= {"large_count": np.array(large_count), "is_single": np.array(False)}
    merged = merge_graph.run(None, inputs)
    np.testing.assert_array_equal(merged[0], boxes[kept])
    np.testing.assert_array_equal(merged[1], confidence[kept])
    np.testing.assert_array_equal(merged[2], y_prob[kept])

    inputs["is_single"] = np.array(True)
    order = np.argsort(-confidence, kind="stable")
    np.testing.assert_array_equal(merge_graph.run(None, inputs)[0], boxes[order])


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.stem)
def test_the_classify_graph_judges_as_detect_masks(file, merge_graph, classify_graph):
    image = read_image(file)
    detector, classifier = load_models()
    found = detector(image)
    expected = detect_masks(image, detector, classifier)
    inputs = {
        "boxes": found.xyxy,
        "confidence": found.confidence,
        "y_prob": found.y_prob[:, :3],
        "large_count": np.array(0),
        "is_single": np.array(True),
    }
    boxes, _, y_prob_detector, squares = merge_graph.run(None, inputs)
    crops = [crop_image(image, square) for square in squares]
    for crop, face in zip(crops, crop_faces(image, boxes), strict=True):
        np.testing.assert_array_equal(crop, face)
    pixels = to_input(crops, classifier.input_size)
    inputs = {"pixels": pixels, "y_prob_detector": y_prob_detector}
    y_prob, answer, is_unsure, is_face = classify_graph.run(None, inputs)
    np.testing.assert_allclose(y_prob[is_face], expected.y_prob, atol=EXACT)
    np.testing.assert_array_equal(answer[is_face], expected.y_prob[:, :3].argmax(axis=1))
    np.testing.assert_array_equal(is_unsure[is_face], expected.is_unsure)


@pytest.mark.parametrize(
    ("build", "other", "message"),
    [
        (graphs.build_detect_graph, CLASSIFIER_FILE, "not a face detector"),
        (graphs.build_classify_graph, DETECTOR_FILE, "not a mask classifier"),
    ],
)
def test_another_model_is_refused(build, other, message):
    with pytest.raises(ValueError, match=message):
        build(other)
