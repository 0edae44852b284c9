"""The classifier: a few steps from random weights on drawn faces, checked as a long training is."""

import keras
import numpy as np
import pandas as pd
import pytest

from tests.small_data import make_small_data
from utils.classes import CLASS_NAMES
from utils.detect import classify_faces, load_classifier, to_input
from utils.evaluate import apply_calibration
from utils.formats import read_labels
from utils.train.classifier import (
    AVERAGED_EPOCHS,
    add_calibration,
    average_weights,
    build_classifier,
    extract_features,
    fine_tune,
    grad_cam,
    train_head,
    unfreeze_classifier,
)
from utils.train.data.crops import (
    load_crops,
    load_inference_faces,
    make_face_dataset,
    sample_weights,
)
from utils.train.export import export_classifier
from utils.train.mobilenet import FIRST_TRAINED_LAYER, choose_start

pytestmark = pytest.mark.training

INPUT_SIZE, BATCH, STEPS, EPOCHS = 64, 8, 2, 3
TEMPERATURE = 1.7
BIAS = np.array([0.2, 0.0, -0.1, -1.5])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Return the root of the small data set and its label table."""
    root = make_small_data(tmp_path_factory.mktemp("small_data"))
    return root, read_labels(root)[0]


@pytest.fixture(scope="module")
def faces(labelled):
    root, table = labelled
    return load_inference_faces(table, root)


@pytest.fixture(scope="module")
def class_id(labelled):
    return labelled[1].class_name.map(CLASS_NAMES.index).to_numpy()


@pytest.fixture(scope="module")
def make_steps(labelled):
    root, table = labelled
    crops = load_crops(table, root)
    weights = sample_weights(table, dict.fromkeys(CLASS_NAMES, 0.25), {})
    return lambda first_step, steps: make_face_dataset(
        crops, weights, INPUT_SIZE, BATCH, first_step, steps
    )


@pytest.fixture(scope="module")
def validation(faces, class_id):
    return to_input(faces, INPUT_SIZE)[::8], np.eye(len(CLASS_NAMES), dtype=np.float32)[
        class_id[::8]
    ]


@pytest.fixture(scope="module")
def normalized_weights(faces):
    """Return random weights with batch norms that fit their activations.

    With the initial statistics, activations would fade from layer to layer.
    """
    keras.utils.set_random_seed(0)
    model = build_classifier(INPUT_SIZE, weights=None)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.trainable, norm.momentum = True, 0.0
    model(to_input(faces, INPUT_SIZE), training=True)
    return model.get_weights()


def build_normalized(normalized_weights: list[np.ndarray]) -> keras.Model:
    model = build_classifier(INPUT_SIZE, weights=None)
    model.set_weights(normalized_weights)
    return model


@pytest.fixture
def model(normalized_weights):
    return build_normalized(normalized_weights)


@pytest.fixture(scope="module")
def trained(normalized_weights, make_steps, validation, tmp_path_factory):
    """Return the weights before a short fine-tuning, and the model after it."""
    model = build_normalized(normalized_weights)
    before = get_weights(model)
    return before, fine_tune(
        model, make_steps, validation, tmp_path_factory.mktemp("run"), 1, STEPS
    )[0]


def build_small() -> keras.Model:
    """Return a small model with the layer names that fine-tuning uses; it trains in seconds."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((INPUT_SIZE, INPUT_SIZE, 3))
    maps = keras.layers.Conv2D(8, 3, strides=4)(keras.layers.Rescaling(1 / 255)(pixels))
    maps = keras.layers.BatchNormalization()(
        keras.layers.Conv2D(8, 1, name=FIRST_TRAINED_LAYER)(maps)
    )
    features = keras.layers.GlobalAveragePooling2D()(
        keras.layers.DepthwiseConv2D(3, activation="relu6")(maps)
    )
    dropped = keras.layers.Dropout(0.3, name="dropout")(features)
    return keras.Model(pixels, keras.layers.Dense(len(CLASS_NAMES), name="logits")(dropped))


@pytest.fixture(scope="module")
def whole_run(make_steps, validation, tmp_path_factory):
    """Return model, history and folder of a training without interruption."""
    run_dir = tmp_path_factory.mktemp("whole")
    model, history = fine_tune(build_small(), make_steps, validation, run_dir, EPOCHS, STEPS)
    return model, history, run_dir


@pytest.fixture(scope="module")
def calibrated(trained):
    return add_calibration(trained[1], TEMPERATURE, BIAS)


def get_weights(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def are_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_new_classifier_trains_its_head_only(model):
    assert model.output_shape == (None, len(CLASS_NAMES))
    assert [variable.path.split("/")[0] for variable in model.trainable_variables] == [
        "logits",
        "logits",
    ]


def test_a_new_classifier_starts_from_a_trained_one(model, faces, tmp_path):
    calibrated = add_calibration(model, TEMPERATURE, BIAS)
    calibrated.save(tmp_path / "trained.keras")
    started = build_classifier(INPUT_SIZE, tmp_path / "trained.keras", seed=0)
    before = get_weights(model)
    after = get_weights(started)
    assert [name for name in after if not are_equal(after[name], before[name])] == ["logits"]
    again = build_classifier(INPUT_SIZE, tmp_path / "trained.keras", seed=0)
    assert are_equal(after["logits"], get_weights(again)["logits"])


def test_without_imagenet_weights_the_start_is_a_trained_classifier(monkeypatch, capsys):
    def refuse(*_, **__):
        raise Exception("URL fetch failure on https://example.org: None -- unreachable")

    monkeypatch.setattr(keras.applications, "MobileNetV2", refuse)
    assert choose_start("model/mask_classifier.keras") == "model/mask_classifier.keras"
    (line,) = capsys.readouterr().out.splitlines()
    assert "(URL fetch failure)" in line
    assert "mask_classifier.keras" in line


def test_unfreezing_makes_the_upper_layers_trainable_but_no_batch_norm(model):
    names = [layer.name for layer in unfreeze_classifier(model).layers]
    learning = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert learning == {
        layer.name
        for layer in model.layers[names.index(FIRST_TRAINED_LAYER) :]
        if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)
    }


def test_training_the_head_on_cached_features_changes_the_head_only(model, faces, class_id):
    before = get_weights(model)
    images = to_input(faces, INPUT_SIZE)
    features = extract_features(model, images, batch_size=64)
    seen = keras.Model(model.input, model.get_layer("features").output)(images)
    np.testing.assert_allclose(features, seen, rtol=1e-3, atol=1e-4)

    weights = 1 / np.bincount(class_id)[class_id]
    history = train_head(model, features, class_id, weights, epochs=12)
    assert history.columns.tolist() == ["epoch", "loss", "accuracy"]
    assert history.epoch.tolist() == list(range(1, 13))
    assert history.loss.iloc[-1] < 0.8 * history.loss.iloc[0]
    after = get_weights(model)
    assert [name for name in after if not are_equal(after[name], before[name])] == ["logits"]
    kernel, bias = after["logits"]
    right = (features @ kernel + bias).argmax(axis=1) == class_id
    assert np.average(right, weights=weights) > 0.5  # of three classes


def test_fine_tuning_changes_the_upper_layers_but_no_batch_norm(trained):
    before, model = trained
    after = get_weights(model)
    names = [layer.name for layer in model.layers]
    changed = {name for name in after if not are_equal(after[name], before[name])}
    norms = {
        layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    }
    frozen = set(names[: names.index(FIRST_TRAINED_LAYER)])
    assert norms and frozen and changed == set(after) - norms - frozen


def test_the_history_has_one_row_per_epoch(whole_run):
    _, history, run_dir = whole_run
    assert set(history.columns) == {
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
    }
    assert history.epoch.tolist() == list(range(1, EPOCHS + 1))
    pd.testing.assert_frame_equal(pd.read_csv(run_dir / "history.csv"), history)


def test_an_interrupted_training_resumes_to_the_same_weights(
    whole_run, make_steps, validation, tmp_path
):
    def interrupt(first_step, steps):
        if first_step >= 2 * STEPS:
            raise KeyboardInterrupt
        return make_steps(first_step, steps)

    with pytest.raises(KeyboardInterrupt):
        fine_tune(build_small(), interrupt, validation, tmp_path, EPOCHS, STEPS)
    # The state of a stop between writing the third row of the history and its checkpoint.
    log = pd.read_csv(tmp_path / "history.csv")
    assert log.epoch.tolist() == [1, 2]
    pd.concat([log, log[:1].assign(epoch=3, loss=-1)]).to_csv(tmp_path / "history.csv", index=False)

    expected, expected_history, _ = whole_run
    model, history = fine_tune(build_small(), make_steps, validation, tmp_path, EPOCHS, STEPS)
    assert are_equal(model.get_weights(), expected.get_weights())
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), expected_history.drop(columns="seconds")
    )


def test_a_finished_training_is_loaded(whole_run, validation):
    expected, expected_history, run_dir = whole_run
    model, history = fine_tune(build_small(), None, validation, run_dir, EPOCHS, STEPS)
    assert are_equal(model.get_weights(), expected.get_weights())
    pd.testing.assert_frame_equal(history, expected_history)


def test_the_final_weights_are_the_mean_of_the_last_epochs(whole_run):
    trained, _, run_dir = whole_run
    model = build_small()
    epochs = []
    for epoch in range(1, EPOCHS + 1):
        model.load_weights(run_dir / f"epoch_{epoch:03d}.weights.h5")
        epochs.append([weights.astype(float) for weights in model.get_weights()])
    assert not are_equal(*epochs[-2:])
    for first in range(EPOCHS):
        averaged = average_weights(model, run_dir, range(first + 1, EPOCHS + 1)).get_weights()
        for found, values in zip(averaged, zip(*epochs[first:], strict=True), strict=True):
            np.testing.assert_allclose(found, np.mean(values, axis=0), rtol=1e-6, atol=1e-7)
    assert EPOCHS < AVERAGED_EPOCHS
    assert are_equal(
        average_weights(model, run_dir, range(1, EPOCHS + 1)).get_weights(), trained.get_weights()
    )


def test_calibrated_probabilities_are_the_softmax_of_the_scaled_logits(
    trained, calibrated, validation
):
    logits, y_prob = (np.asarray(model(validation[0])) for model in (trained[1], calibrated))
    np.testing.assert_allclose(y_prob, apply_calibration(logits, TEMPERATURE, BIAS), atol=1e-6)


def test_the_exported_model_agrees_with_keras_and_holds_its_settings(calibrated, faces, tmp_path):
    classifier = load_classifier(export_classifier(calibrated, tmp_path / "é.onnx", threshold=0.35))
    assert classifier.class_names == CLASS_NAMES
    assert (classifier.input_size, classifier.threshold) == (INPUT_SIZE, 0.35)
    expected = calibrated.predict(to_input(faces, INPUT_SIZE), verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.01  # the model does not return a constant
    np.testing.assert_allclose(classify_faces(classifier, faces), expected, atol=1e-4)


def test_grad_cam_of_the_last_layer_is_the_class_activation_map(calibrated, faces):
    """Before the pooling both are equal (Zhou et al., 2016, arXiv 1512.04150)."""
    image = to_input(faces[:1], INPUT_SIZE)
    maps = keras.Model(calibrated.input, calibrated.get_layer("out_relu").output)(image)[0].numpy()
    kernel = calibrated.get_layer("logits").get_weights()[0]
    for class_id in range(len(CLASS_NAMES)):
        heat = np.clip(maps @ kernel[:, class_id], 0, None)
        found = grad_cam(calibrated, image[0], class_id, layer="out_relu")
        np.testing.assert_allclose(found, heat / max(heat.max(), 1e-9), atol=1e-3)


def test_grad_cam_has_the_size_of_its_layer_and_a_range_of_0_to_1(trained, faces):
    _, model = trained
    image = to_input(faces[:1], INPUT_SIZE)[0]
    heat = grad_cam(model, image, 1)
    assert heat.shape == model.get_layer("block_13_expand_relu").output.shape[1:3]
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
