"""The detector: output, trainable layers, loss against NumPy, training and export."""

import keras
import numpy as np
import onnxruntime as ort
import pytest
import tensorflow as tf

from utils.boxes import box_area, box_iou
from utils.detect import FCOS, grid_points
from utils.train.data.targets import encode_targets
from utils.train.data.views import Photograph
from utils.train.detector import (
    CLASS_WEIGHTS,
    build_detector,
    compile_detector,
    detection_loss,
    take_mean_weights,
    train_detector,
    unfreeze_detector,
)
from utils.train.export import export_detector
from utils.train.mobilenet import FIRST_TRAINED_LAYER, copy_weights

pytestmark = pytest.mark.training

STRIDES = [(8, 16, 32), (4, 8, 16, 32), (4, 8, 16)]


@pytest.fixture(scope="module")
def base_names() -> list[str]:
    """Return the layers of MobileNetV2 in their order."""
    return [
        layer.name
        for layer in keras.applications.MobileNetV2(include_top=False, weights=None).layers
    ]


@pytest.fixture(scope="module", params=STRIDES, ids=str)
def detector(request):
    """Return strides and a detector with random weights, a narrow neck and narrow heads."""
    keras.utils.set_random_seed(0)
    return request.param, build_detector(request.param, channels=16, weights=None)


@pytest.mark.parametrize("cells_wh", [(1, 1), (3, 2)], ids=str)
def test_every_point_has_an_output_at_any_size(cells_wh, detector):
    strides, model = detector
    width, height = (cells * strides[-1] * 2 for cells in cells_wh)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype(np.float32)
    output = keras.ops.convert_to_numpy(model(pixels))
    assert output.shape == (2, len(grid_points((width, height), strides)[0]), 8)
    assert 0.3 < np.median(np.logaddexp(0, output[..., 4:])) < 5  # distances in strides
    confidence = 1 / (1 + np.exp(-output[..., 3]))
    assert 0.001 < confidence.min() <= confidence.max() < 0.1  # few points are faces


def test_outputs_are_in_the_order_of_the_points(detector):
    """The distances of a point are those of its level's last layer in the point's cell."""
    strides, model = detector
    width, height = 3 * strides[-1], 2 * strides[-1]
    maps = keras.Model(
        model.input, [model.get_layer(f"reach{stride}").output for stride in strides]
    )
    pixels = np.random.default_rng(0).uniform(0, 255, (1, height, width, 3)).astype(np.float32)
    points, stride_of = grid_points((width, height), strides)
    output = keras.ops.convert_to_numpy(model(pixels))[0, :, 4:]
    for stride, level in zip(strides, maps(pixels), strict=True):
        level = keras.ops.convert_to_numpy(level)[0]
        for point, distances in zip(
            points[stride_of == stride], output[stride_of == stride], strict=True
        ):
            column, row = (point // stride).astype(int)
            np.testing.assert_allclose(distances, level[row, column], rtol=1e-5)


def test_the_upper_layers_of_the_base_are_trainable_but_no_batch_norm(detector, base_names):
    _, model = detector
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    lower = set(base_names[: base_names.index(FIRST_TRAINED_LAYER)]) & set(layers)
    norms = {
        name for name in base_names if isinstance(layers.get(name), keras.layers.BatchNormalization)
    }
    new = set(layers) - set(base_names)  # neck and heads, with their batch norms
    assert lower and norms - lower and new
    assert any(isinstance(layers[name], keras.layers.BatchNormalization) for name in new)
    learning = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert learning == set(layers) - lower - norms


def test_unfreezing_makes_the_whole_base_trainable_but_no_batch_norm(base_names):
    model = build_detector(FINE, channels=16, weights=None)
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    norms = {
        name for name in base_names if isinstance(layers.get(name), keras.layers.BatchNormalization)
    }
    learning = {
        variable.path.split("/")[0] for variable in unfreeze_detector(model).trainable_variables
    }
    assert norms and learning == set(layers) - norms


def test_weights_are_copied_to_the_layers_that_both_networks_have():
    source = build_detector((4, 8, 16), channels=16, weights=None)
    model = build_detector((4, 8, 16, 32), channels=16, weights=None)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    with_weights = {layer.name for layer in source.layers if layer.weights}
    assert copy_weights(source, model) == len(with_weights & set(before))
    trained = {layer.name: layer.get_weights() for layer in source.layers}
    assert "neck16_depthwise" not in with_weights  # the coarsest level of one, but not of the other
    for layer in model.layers:
        expected = trained[layer.name] if layer.name in with_weights else before[layer.name]
        for value, other in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, other)


def test_all_layers_are_copied_to_the_same_network():
    source = build_detector(FINE, channels=16, weights=None)
    model = build_detector(FINE, channels=16, weights=None)
    copy_weights(source, model)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(pixels), source(pixels))


def draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw distances (N, 4) to left, top, right and bottom edges."""
    return rng.uniform(0.2, 4, (count, 4)).astype(np.float32)


def generalised_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the GIoU of (N, 4) boxes pair by pair, from IoU and areas."""
    iou = np.diag(box_iou(a, b))
    hull = box_area(np.concatenate([np.minimum(a, b)[:, :2], np.maximum(a, b)[:, 2:]], axis=1))
    union = (box_area(a) + box_area(b)) / (1 + iou)  # as intersection = iou * union
    return iou - (hull - union) / hull


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def compute_loss(target: np.ndarray, output: np.ndarray) -> float:
    """Return the loss, computed point by point from the formulas of its papers."""
    total = 0.0
    points = zip(
        target.reshape(-1, 9).astype(float), output.reshape(-1, 8).astype(float), strict=True
    )
    for y_true, y_pred in points:
        p = 1 / (1 + np.exp(-y_pred[3]))
        if y_true[3]:
            box_true = to_box(y_true[4:8])
            box_pred = to_box(np.logaddexp(0, y_pred[4:]))  # softplus
            quality = box_iou(box_true, box_pred)[0, 0]
            cross_entropy = -quality * np.log(p) - (1 - quality) * np.log(1 - p)
            total += 2 * quality * cross_entropy * y_true[8]
            class_id = y_true[:3].argmax()
            total += 0.5 * CLASS_WEIGHTS[class_id] * -np.log(softmax(y_pred[:3])[class_id])
            total += 1.5 * (1 - generalised_iou(box_true, box_pred)[0])
        else:
            total += 2 * 0.75 * p**2 * -np.log(1 - p) * y_true[8]
    return total / max(1, target[..., 3].sum())


def to_box(distances: np.ndarray) -> np.ndarray:
    """Return the box (1, 4) around the origin with these distances to its edges."""
    left, top, right, bottom = distances
    return np.array([[-left, -top, right, bottom]])


def draw_points(seed: int, faces: float, points: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Draw targets (2, P, 9) with a share of face points, and outputs (2, P, 8)."""
    rng = np.random.default_rng(seed)
    is_face = rng.random((2, points, 1)) < faces
    classes = np.eye(3)[rng.integers(0, 3, (2, points))] * is_face
    distances = draw_boxes(rng, 2 * points).reshape(2, points, 4) * is_face
    counts = is_face | (rng.random((2, points, 1)) < 0.8)
    output = rng.normal(0, 2, (2, points, 8))
    return np.concatenate([classes, is_face, distances, counts], axis=2).astype(
        np.float32
    ), output.astype(np.float32)


def test_the_loss_is_found_under_its_name_in_saved_models():
    assert keras.saving.get_registered_name(detection_loss) == "face_mask>detection_loss"


@pytest.mark.parametrize("faces", [0, 0.1, 0.5, 1])
def test_the_loss_agrees_with_the_formulas_of_its_papers(faces):
    for seed in range(5):
        target, output = draw_points(seed, faces)
        assert float(detection_loss(target, output)) == pytest.approx(
            compute_loss(target, output), rel=1e-4
        )


def test_outputs_at_ignored_points_do_not_change_the_loss():
    target, output = draw_points(0, 0.1)
    ignored = target[..., 8] == 0
    assert ignored.any()
    output[ignored] = 5
    expected = float(detection_loss(target, output))
    output[ignored] = [-9, 9, 0, 9, 1, 2, 3, 4]
    assert float(detection_loss(target, output)) == pytest.approx(expected)


def test_a_perfect_output_has_no_loss_and_extreme_outputs_a_finite_one():
    target, _ = draw_points(0, 0.3)
    reach = np.log(np.expm1(np.maximum(target[..., 4:8], 0.1)))  # the inverse of softplus
    sure = np.concatenate([200 * target[..., :3], 400 * target[..., 3:4] - 200, reach], axis=2)
    assert float(detection_loss(target, sure)) == pytest.approx(0, abs=1e-4)
    wrong = np.concatenate([-sure[..., :4], np.full_like(sure[..., 4:], -100)], axis=2)
    assert np.isfinite(float(detection_loss(target, wrong)))
    for output in (sure, wrong):
        with tf.GradientTape() as tape:
            variable = tf.Variable(output)
            loss = detection_loss(target, variable)
        assert np.isfinite(tape.gradient(loss, variable).numpy()).all()


SIZE, FACE = 64, np.array([[12, 16, 44, 52]], np.float32)
FINE = (4, 8)  # strides of a detector that uses the lower blocks only and trains fast


@pytest.fixture(scope="module")
def one_image() -> tuple[np.ndarray, np.ndarray]:
    """Return an image with a bright face on dark ground, twice, and its targets."""
    image = np.random.default_rng(0).integers(0, 60, (SIZE, SIZE, 3), np.uint8)
    image[16:52, 12:44] += 150
    target = encode_targets(Photograph(image, FACE, np.array([1]), FACE[:0]), FINE)
    return np.stack([image] * 2).astype(np.float32), np.stack([target] * 2)


@pytest.fixture(scope="module")
def trained(one_image, tmp_path_factory):
    """Return a detector trained for two epochs, its history, and its weights before."""
    keras.utils.set_random_seed(0)
    model = build_detector(FINE, channels=16, weights=None)
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    dataset = tf.data.Dataset.from_tensors(one_image)
    model, history = train_detector(
        model,
        lambda first, steps: dataset.repeat(steps),
        dataset,
        tmp_path_factory.mktemp("run"),
        2,
        12,
    )
    return model, history, before


def test_a_few_steps_on_one_image_lower_the_loss(trained):
    _, history, _ = trained
    assert history.columns.tolist() == ["epoch", "loss", "val_loss", "seconds"]
    assert history.loss[1] < 0.95 * history.loss[0]


def test_training_changes_trainable_layers_only(trained, base_names):
    model, _, before = trained
    changed = {
        name
        for name, weights in before.items()
        if any(
            (old != new).any()
            for old, new in zip(weights, model.get_layer(name).get_weights(), strict=True)
        )
    }
    learning = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert changed <= learning and changed & set(base_names)
    assert learning - changed <= set(
        base_names
    )  # gradients may vanish in a base with random weights


def build_small() -> keras.Model:
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    points = keras.layers.Conv2D(8, 8, strides=8)(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.Reshape((4, 8))(points))


@pytest.mark.parametrize("reloaded_after", [None, 1, 4])
def test_the_mean_weights_are_the_running_mean_of_all_steps(reloaded_after, tmp_path):
    """The mean also survives saving and loading the model."""
    steps = 8
    model = compile_detector(build_small(), steps, learning_rate=0.05)
    mean = None
    momentum = model.optimizer.ema_momentum
    for step in range(steps):
        target, _ = draw_points(step, 0.5, points=4)
        pixels = np.random.default_rng(step).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
        model.train_on_batch(pixels, target)
        weights = model.get_weights()
        mean = (
            weights
            if mean is None
            else [momentum * a + (1 - momentum) * b for a, b in zip(mean, weights, strict=True)]
        )
        if step + 1 == reloaded_after:
            model.save(tmp_path / "model.keras")
            model = keras.models.load_model(tmp_path / "model.keras")
    assert 0 < momentum < 1
    assert np.abs(mean[0] - weights[0]).max() > 1e-3
    for found, wanted in zip(take_mean_weights(model).get_weights(), mean, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_eager_steps_give_the_same_weights():
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    target, _ = draw_points(0, 0.5, points=4)
    weights = []
    for eager in (False, True):
        model = compile_detector(build_small(), steps=4, learning_rate=0.05, eager=eager)
        for _ in range(4):
            model.train_on_batch(pixels, target)
        assert model.run_eagerly == eager
        weights.append(model.get_weights())
    for compiled, eager in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, eager, atol=1e-5)


def test_the_learning_rate_warms_up_and_falls():
    steps = 40
    highest = 1e-3
    schedule = compile_detector(build_small(), steps, highest).optimizer._learning_rate
    learning_rates = [float(schedule(step)) for step in range(steps + 1)]
    top = int(np.argmax(learning_rates))
    assert learning_rates[top] == pytest.approx(highest, rel=1e-3) and top == steps // 4
    assert (np.diff(learning_rates[: top + 1]) > 0).all() and (
        np.diff(learning_rates[top:]) < 0
    ).all()
    assert learning_rates[-1] < 0.01 * highest


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "detector.onnx"
    return export_detector(trained[0], path, FINE, 64, calibration=(1.3, 4.0), split="abc")


@pytest.mark.parametrize("size", [(32, 32), (64, 96)], ids=str)
def test_the_exported_detector_agrees_with_keras(size, trained, exported):
    pixels = np.random.default_rng(1).uniform(0, 255, (2, *size, 3)).astype(np.float32)
    (found,) = ort.InferenceSession(str(exported)).run(None, {"pixels": pixels})
    expected = keras.ops.convert_to_numpy(trained[0](pixels))
    assert np.ptp(expected[..., 3]) > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_exported_detector_holds_its_settings(exported):
    metadata = ort.InferenceSession(str(exported)).get_modelmeta().custom_metadata_map
    assert metadata["split"] == "abc"
    fcos = FCOS(path=exported)
    assert (fcos.strides, fcos.calibration, fcos.side) == (FINE, (1.3, 4.0), 64)
