"""Masks: a classifier small enough to be computed by hand, and files that are none."""

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


def write_net(path, metadata=METADATA):
    """Mean colour of a face, times a matrix, through softmax."""
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["channels_first"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y_prob"], axis=1),
    ]
    pixels = helper.make_tensor_value_info(
        "pixels", TensorProto.FLOAT, ["N", INPUT_SIZE, INPUT_SIZE, 3]
    )
    y_prob = helper.make_tensor_value_info("y_prob", TensorProto.FLOAT, ["N", len(CLASS_NAMES)])
    graph = helper.make_graph(
        nodes, "mean", [pixels], [y_prob], [numpy_helper.from_array(WEIGHTS, "weights")]
    )
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
    return load_classifier(write_net(tmp_path_factory.mktemp("net") / "é.onnx"))


def test_what_the_file_says_is_read_from_it(classifier):
    assert classifier.class_names == CLASS_NAMES
    assert classifier.input_size == INPUT_SIZE
    assert classifier.threshold == float(METADATA["threshold"])


def test_no_faces_give_no_rows(classifier):
    for nothing in ([], np.zeros((0, 9, 9, 3), np.uint8)):
        y_prob = classify_faces(classifier, nothing)
        assert (y_prob.shape, y_prob.dtype) == ((0, len(CLASS_NAMES)), np.float32)


@pytest.mark.parametrize("count", [1, 5, BATCH_SIZE, BATCH_SIZE + 1, 2 * BATCH_SIZE + 3])
def test_probabilities_are_those_of_numpy(classifier, count):
    faces = draw_faces(count)
    y_prob = classify_faces(classifier, faces)
    colour = to_input(faces, INPUT_SIZE).mean(axis=(1, 2))
    np.testing.assert_allclose(y_prob, softmax(colour @ WEIGHTS, axis=1), atol=1e-5)
    np.testing.assert_allclose(y_prob.sum(axis=1), 1, atol=1e-6)
    assert y_prob.dtype == np.float32


def test_a_crowd_is_judged_as_its_people_one_by_one(classifier):
    faces = draw_faces(BATCH_SIZE + 7)
    one_by_one = np.concatenate([classify_faces(classifier, [face]) for face in faces])
    np.testing.assert_allclose(classify_faces(classifier, faces), one_by_one, atol=1e-6)


FOREIGN = {
    "without metadata": {},
    "without a threshold": {key: METADATA[key] for key in ("class_names", "input_size")},
    "with a size that is no number": METADATA | {"input_size": "small"},
    "with class names that are no JSON": METADATA | {"class_names": "with_mask"},
    "with other classes": METADATA | {"class_names": json.dumps(["cat", "dog"])},
    "with the classes in another order": METADATA | {"class_names": json.dumps(CLASS_NAMES[::-1])},
}


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_model_is_refused_in_a_sentence(tmp_path, metadata):
    with pytest.raises(
        ValueError,
        match=r"The model file .*net\.onnx (is damaged or no mask classifier|has the classes)",
    ):
        load_classifier(write_net(tmp_path / "net.onnx", metadata))


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_damaged_model_is_refused_in_a_sentence(tmp_path, capfd, share):
    path = write_net(tmp_path / "net.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"net\.onnx is damaged(:| or no mask classifier)"):
        load_classifier(path)
    assert capfd.readouterr() == ("", "")


def test_a_missing_model_is_named_in_a_sentence(tmp_path):
    for path in (tmp_path / "net.onnx", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"The model file {path} is missing: "):
            load_classifier(path)


@pytest.mark.parametrize(
    ("share", "expected"), [(0, [0.6, 0.2, 0.1, 0.1]), (1, [0.09, 0.81, 0.0, 0.1])]
)
def test_a_share_of_nothing_or_all_is_one_opinion_and_no_face_is_the_classifiers(share, expected):
    judged, other = (
        np.array([[0.6, 0.2, 0.1, 0.1]], np.float32),
        np.array([[0.1, 0.9, 0.0, 0.0]], np.float32),
    )
    np.testing.assert_allclose(blend_probabilities(judged, other, share), [expected], atol=1e-4)


def test_two_opinions_meet_at_their_geometric_mean():
    judged, other = (
        np.array([[0.8, 0.2, 0, 0]], np.float32),
        np.array([[0.2, 0.8, 0, 0]], np.float32),
    )
    np.testing.assert_allclose(
        blend_probabilities(judged, other, 0.5), [[0.5, 0.5, 0, 0]], atol=1e-4
    )
    assert blend_probabilities(np.zeros((0, 4)), np.zeros((0, 4)), 0.5).shape == (0, 4)
