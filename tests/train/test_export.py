"""Export: an ONNX file agrees with its Keras model at any size, and its 8-bit version nearly."""

import shutil
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from utils.detect import classify_faces, load_classifier
from utils.images import read_image
from utils.paths import EXAMPLES_DIR, MODEL_DIR
from utils.train.export import export_onnx, quantize_onnx, write_unsure_level
from utils.train.loop import save_model

pytestmark = pytest.mark.training

METADATA = {"strides": "[8, 16]", "side": "640", "nothing": ""}
CONVOLUTIONS = 3


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Return a model of three convolutions with a down- and upsampled branch, like a detector's."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((None, None, 3), name="pixels")
    fine = keras.layers.Conv2D(64, 4, strides=4, activation="relu")(
        keras.layers.Rescaling(1 / 128, offset=-1)(pixels)
    )
    coarse = keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu6")(fine)
    both = keras.layers.Add()([fine, keras.layers.UpSampling2D(2)(coarse)])
    answer = keras.layers.Conv2D(8, 1, name="answer")(both)
    return keras.Model(pixels, keras.layers.Reshape((-1, 8))(answer))


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return export_onnx(model, tmp_path_factory.mktemp("export") / "é.onnx", (None, None), METADATA)


@pytest.fixture(scope="module")
def batches() -> list[np.ndarray]:
    return [draw_pixels(seed, (4, 64, 48)) for seed in range(6)]


def draw_pixels(seed: int, size: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (*size, 3)).astype(np.float32)


def run_onnx(path, pixels: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["pixels"]
    return session.run(None, {"pixels": pixels})[0]


def read_metadata(path) -> dict[str, str]:
    return (
        ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        .get_modelmeta()
        .custom_metadata_map
    )


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 64, 48), (2, 8, 96)], ids=str)
def test_an_onnx_file_agrees_with_keras_at_any_size(size, model, path):
    pixels = draw_pixels(7, size)
    expected = np.asarray(keras.ops.convert_to_numpy(model(pixels)))
    assert expected.std() > 0.05  # the model does not return a constant
    found = run_onnx(path, pixels)
    assert found.shape == (size[0], size[1] * size[2] // 16, 8)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_fixed_size_is_the_only_one_accepted(model, tmp_path):
    path = export_onnx(model, tmp_path / "fixed.onnx", (48, 64), {})
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [64, 48, 3]
    pixels = draw_pixels(8, (2, 64, 48))
    np.testing.assert_allclose(
        run_onnx(path, pixels), keras.ops.convert_to_numpy(model(pixels)), atol=1e-4
    )
    assert read_metadata(path) == {}


def test_metadata_is_read_back(path):
    assert read_metadata(path) == METADATA
    onnx.checker.check_model(onnx.load(path))


def count_8_bit_weights(path) -> int:
    return sum(
        item.data_type == onnx.TensorProto.INT8 and len(item.dims) == 4
        for item in onnx.load(path).graph.initializer
    )


@pytest.mark.parametrize("keep_float", [(), ("answer",)], ids=str)
def test_an_8_bit_file_is_smaller_and_agrees_nearly(keep_float, path, batches, tmp_path):
    small = quantize_onnx(path, tmp_path / "quantized.onnx", iter(batches), keep_float)
    assert small == tmp_path / "quantized.onnx"
    assert small.stat().st_size < 0.5 * path.stat().st_size
    assert count_8_bit_weights(path) == 0
    assert count_8_bit_weights(small) == CONVOLUTIONS - len(keep_float)
    assert read_metadata(small) == METADATA
    for size in ((2, 64, 48), (1, 32, 96)):
        pixels = draw_pixels(9, size)
        found, expected = run_onnx(small, pixels), run_onnx(path, pixels)
        assert found.shape == expected.shape
        assert not np.array_equal(found, expected)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_quantizing_does_not_change_the_float_file(path, batches, tmp_path):
    before = path.read_bytes()
    quantize_onnx(path, tmp_path / "quantized.onnx", batches[:1])
    assert path.read_bytes() == before


def test_a_stop_while_a_model_is_written_leaves_the_one_that_was_there(
    model, path, batches, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    shipped = [tmp_path / name for name in ("float.onnx", "rounded.onnx", "float.keras")]
    for file in shipped:
        file.write_bytes(b"the shipped model")
    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        export_onnx(model, shipped[0], (None, None), METADATA)
    with pytest.raises(KeyboardInterrupt):
        quantize_onnx(path, shipped[1], batches)
    with pytest.raises(KeyboardInterrupt):
        save_model(model, shipped[2])
    assert {file.read_bytes() for file in tmp_path.iterdir()} == {b"the shipped model"}
    assert len(list(tmp_path.iterdir())) == 3


def test_the_unsure_level_is_written_and_all_else_stays(tmp_path):
    shipped = MODEL_DIR / "mask_classifier_int8.onnx"
    path = Path(shutil.copy(shipped, tmp_path))
    write_unsure_level([path], 0.37)

    before = load_classifier(shipped)
    after = load_classifier(path)
    assert after.unsure_below == 0.37
    assert before.unsure_below != 0.37
    assert after.threshold == before.threshold
    crop = read_image(EXAMPLES_DIR / "hopper.jpg")
    expected = classify_faces(before, [crop])
    np.testing.assert_array_equal(classify_faces(after, [crop]), expected)
