"""The classifier: a model small enough to compute by hand, and files that are no classifier."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.special import softmax

from utils.classes import CLASS_NAMES
from utils.detect.crops import to_input
from utils.detect.mask_classifier import (
    BATCH_SIZE,
    blend_probabilities,
    classify_faces,
    load_classifier,
)

INPUT_SIZE = 8
WEIGHTS = np.random.default_rng(0).normal(0, 0.02, (3, len(CLASS_NAMES))).astype(np.float32)
METADATA = {
    "class_names": json.dumps(CLASS_NAMES),
    "input_size": str(INPUT_SIZE),
    "threshold": "0.6",
}


def write_model(path, metadata=METADATA, matrix=WEIGHTS):
    """Write a model: softmax of the mean colour of a face times a matrix."""
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["channels_first"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y_prob"], axis=1),
    ]
    shape = ["N", INPUT_SIZE, INPUT_SIZE, 3]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
    y_prob = helper.make_tensor_value_info("y_prob", TensorProto.FLOAT, ["N", matrix.shape[1]])
    weights = numpy_helper.from_array(matrix, "weights")
    graph = helper.make_graph(nodes, "mean", [pixels], [y_prob], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def draw_faces(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (side, side, 3), np.uint8) for side in rng.integers(1, 40, count)]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_classifier(write_model(tmp_path_factory.mktemp("net") / "é.onnx"))


def test_classes_size_and_threshold_are_read_from_the_model_file(classifier):
    assert classifier.class_names == CLASS_NAMES
    assert classifier.input_size == INPUT_SIZE
    assert classifier.threshold == float(METADATA["threshold"])


@pytest.mark.parametrize("faces", [[], np.zeros((0, 9, 9, 3), np.uint8)], ids=["list", "array"])
def test_no_faces_give_no_rows(classifier, faces):
    y_prob = classify_faces(classifier, faces)
    assert (y_prob.shape, y_prob.dtype) == ((0, len(CLASS_NAMES)), np.float32)


@pytest.mark.parametrize("count", [1, 5, BATCH_SIZE, BATCH_SIZE + 1, 2 * BATCH_SIZE + 3])
def test_probabilities_agree_with_numpy(classifier, count):
    faces = draw_faces(count)
    y_prob = classify_faces(classifier, faces)
    colour = to_input(faces, INPUT_SIZE).mean(axis=(1, 2))
    np.testing.assert_allclose(y_prob, softmax(colour @ WEIGHTS, axis=1), atol=1e-5)
    np.testing.assert_allclose(y_prob.sum(axis=1), 1, atol=1e-6)
    assert y_prob.dtype == np.float32


def test_a_classifier_of_two_classes_gives_no_other_class(tmp_path):
    names = CLASS_NAMES[:2]
    metadata = METADATA | {"class_names": json.dumps(names)}
    classifier = load_classifier(write_model(tmp_path / "two.onnx", metadata, WEIGHTS[:, :2]))
    faces = draw_faces(5)
    y_prob = classify_faces(classifier, faces)
    colour = to_input(faces, INPUT_SIZE).mean(axis=(1, 2))
    np.testing.assert_allclose(y_prob[:, :2], softmax(colour @ WEIGHTS[:, :2], axis=1), atol=1e-5)
    np.testing.assert_array_equal(y_prob[:, 2:], 0)
    assert classify_faces(classifier, []).shape == (0, len(CLASS_NAMES))


def test_many_faces_are_classified_like_each_alone(classifier):
    faces = draw_faces(BATCH_SIZE + 7)
    one_by_one = np.concatenate([classify_faces(classifier, [face]) for face in faces])
    np.testing.assert_allclose(classify_faces(classifier, faces), one_by_one, atol=1e-6)


FOREIGN = {
    "without metadata": {},
    "without a threshold": {key: METADATA[key] for key in ("class_names", "input_size")},
    "with a size that is no number": METADATA | {"input_size": "small"},
    "with class names that are no JSON": METADATA | {"class_names": "with_mask"},
    "with other classes": METADATA | {"class_names": json.dumps(["cat", "dog"])},
    "with one class": METADATA | {"class_names": json.dumps(["with_mask"])},
    "with the classes in another order": METADATA | {"class_names": json.dumps(CLASS_NAMES[::-1])},
}


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN.keys())
def test_another_model_is_refused(tmp_path, metadata):
    path = write_model(tmp_path / "net.onnx", metadata)
    message = r"The model file .*net\.onnx (is damaged or not a mask classifier|has the classes)"
    with pytest.raises(ValueError, match=message):
        load_classifier(path)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_model_is_refused(tmp_path, capfd, share):
    path = write_model(tmp_path / "net.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"net\.onnx is damaged(:| or not a mask classifier)"):
        load_classifier(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["net.onnx", ""], ids=["file", "folder"])
def test_a_missing_model_is_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=f"The model file {path} is missing: "):
        load_classifier(path)


def test_blending_no_faces_gives_no_rows():
    assert blend_probabilities(np.zeros((0, 4)), np.zeros((0, 4)), 0.5).shape == (0, 4)


# The detector's share and the blend of [0.6, 0.2, 0.1, 0.1] with the detector's [0.1, 0.9, 0, 0].
@pytest.mark.parametrize(
    ("share", "expected"), [(0, [0.6, 0.2, 0.1, 0.1]), (1, [0.09, 0.81, 0.0, 0.1])]
)
def test_share_0_is_the_classifier_and_share_1_the_detector_but_for_no_face(share, expected):
    of_classifier = np.array([[0.6, 0.2, 0.1, 0.1]], np.float32)
    of_detector = np.array([[0.1, 0.9, 0.0, 0.0]], np.float32)
    blended = blend_probabilities(of_classifier, of_detector, share)
    np.testing.assert_allclose(blended, [expected], atol=1e-4)


def test_share_one_half_is_the_geometric_mean():
    of_classifier = np.array([[0.8, 0.2, 0, 0]], np.float32)
    of_detector = np.array([[0.2, 0.8, 0, 0]], np.float32)
    blended = blend_probabilities(of_classifier, of_detector, 0.5)
    np.testing.assert_allclose(blended, [[0.5, 0.5, 0, 0]], atol=1e-4)
