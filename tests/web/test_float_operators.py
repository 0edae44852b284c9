"""Networks rewritten to float operators give the answers of the 8-bit networks."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from utils.detect import CLASSIFIER_FILE, DETECTOR_FILE, load_models
from utils.detect.crops import crop_faces, to_input
from utils.images import read_image, resize_image
from utils.paths import EXAMPLES_DIR, MODEL_DIR
from utils.web.float_operators import use_float_operators


def run(model: onnx.ModelProto, pixels: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"pixels": pixels})[0]


def read_pixels(path) -> np.ndarray:
    """Return inputs of a network: an image for the detector, crops for the classifier."""
    image = read_image(EXAMPLES_DIR / "three_classes.jpg")
    if path == DETECTOR_FILE:
        return resize_image(image, (432, 288))[None].astype(np.float32)
    detector, classifier = load_models()
    return to_input(crop_faces(image, detector(image).xyxy), classifier.input_size)


@pytest.mark.parametrize("clip_first", [False, True])
@pytest.mark.parametrize("path", [DETECTOR_FILE, CLASSIFIER_FILE], ids=lambda path: path.stem)
def test_the_answers_are_those_of_the_8_bit_network(path, clip_first):
    network = onnx.load(path)
    rewritten = use_float_operators(network, clip_first)
    onnx.checker.check_model(rewritten)
    kinds = {node.op_type for node in rewritten.graph.node}
    assert not [kind for kind in kinds if kind.startswith(("Q", "Dequantize"))]
    assert rewritten.ByteSize() < 1.05 * network.ByteSize()  # the weights are still in 8 bits
    pixels = read_pixels(path)
    expected = run(network, pixels)
    distance = np.abs(run(rewritten, pixels) - expected).mean()
    # The float file differs from the 8-bit file by rounding, the rewritten network hardly at all.
    float_network = onnx.load(MODEL_DIR / path.name.replace("_int8", ""))
    float_distance = np.abs(run(float_network, pixels) - expected).mean()
    assert distance < 0.5 * float_distance


def test_a_float_network_stays_as_it_is():
    network = onnx.load(MODEL_DIR / "face_detector.onnx")
    assert list(use_float_operators(network).graph.node) == list(network.graph.node)


def test_an_unknown_operator_is_named():
    network = onnx.load(DETECTOR_FILE)
    conv = next(node for node in network.graph.node if node.op_type == "QLinearConv")
    conv.op_type = "QLinearSoftmax"
    with pytest.raises(ValueError, match="QLinearSoftmax of node .* is not known here"):
        use_float_operators(network)
