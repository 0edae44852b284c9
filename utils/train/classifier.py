"""Build, train, calibrate, save and export the mask classifier: MobileNetV2, head first, then its upper blocks."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES
from utils.train import export
from utils.train.loop import train_epochs

FROZEN_UP_TO = "block_5_expand"  # the first layer that is fine-tuned: edges and textures are right as ImageNet has them
AVERAGED = (
    6  # epochs at the end whose weights are averaged (Izmailov et al., "Averaging Weights", 2018)
)


def build_classifier(
    input_size: int = 112, weights: str | None = "imagenet", dropout: float = 0.3
) -> keras.Model:
    """MobileNetV2 (Sandler et al., 2018) with a new head.

    Args:
        input_size: S; the model takes (N, S, S, 3) RGB in 0-255, scaled inside.
        weights: "imagenet", from Keras's cache (``KERAS_HOME``) or the network, or None for chance.
        dropout: before the last layer.

    Returns:
        A model that gives logits (N, C); its base is frozen.
    """
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pixels)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*input_shape.*"
        )  # 112 takes the weights of 224, as it should
        base = keras.applications.MobileNetV2(
            input_tensor=scaled, include_top=False, weights=weights
        )
    base.trainable = False
    features = keras.layers.GlobalAveragePooling2D(name="features")(base.output)
    logits = keras.layers.Dense(len(CLASS_NAMES), name="logits")(
        keras.layers.Dropout(dropout, name="dropout")(features)
    )
    return keras.Model(pixels, logits, name="mask_classifier")


def unfreeze(model: keras.Model, first_layer: str = FROZEN_UP_TO) -> keras.Model:
    """Let the layers from ``first_layer`` on learn. Batch norms stay frozen, hence in inference mode: their statistics
    come from a million photographs, ours from batches of 32."""
    upper = False
    for layer in model.layers:
        upper = upper or layer.name == first_layer
        layer.trainable = upper and not isinstance(layer, keras.layers.BatchNormalization)
    return model


def extract_features(model: keras.Model, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """What the frozen base sees in a batch of (N, S, S, 3) images: (N, 1280), computed once and then kept."""
    see = tf.function(keras.Model(model.input, model.get_layer("features").output))
    starts = tqdm(range(0, len(images), batch_size), desc="features", unit="batch")
    return np.concatenate(
        [see(tf.constant(images[start : start + batch_size])).numpy() for start in starts]
    )


def train_head(
    model: keras.Model,
    features: np.ndarray,
    class_id: np.ndarray,
    weights: np.ndarray,
    epochs: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Train the last layer on cached features: seconds, where the base at every step would take minutes.

    Args:
        model: its "logits" layer learns, in place.
        features: (N, 1280) from ``extract_features``.
        class_id: (N,).
        weights: (N,) how much each face counts.

    Returns:
        The history, a table ``epoch, loss, accuracy``.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(features.shape[1:])
    dropout = keras.layers.Dropout(0.3, seed=seed)
    head = keras.Model(inputs, model.get_layer("logits")(dropout(inputs)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile(keras.optimizers.Adam(2e-3), loss, weighted_metrics=["accuracy"])
    counts = weights * len(weights) / weights.sum()
    log = head.fit(
        features, class_id, sample_weight=counts, batch_size=256, epochs=epochs, verbose=0
    ).history
    return pd.DataFrame({"epoch": range(1, epochs + 1), **log})[["epoch", "loss", "accuracy"]]


def compile_fine_tuning(
    model: keras.Model, steps: int, rate: float = 4e-4, warmup: int = 150
) -> keras.Model:
    """AdamW whose rate warms up, then falls along a cosine; smoothed labels, since one in a hundred is wrong."""
    decay = max(1, steps - warmup)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-6, decay, warmup_target=rate, warmup_steps=warmup
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4), loss, metrics=["accuracy"])
    return model


def fine_tune(
    model: keras.Model,
    make_steps: Callable[[int, int], tf.data.Dataset],
    validation: tuple[np.ndarray, np.ndarray],
    run_dir: str | Path,
    epochs: int = 30,
    steps_per_epoch: int = 120,
    rate: float = 4e-4,
) -> tuple[keras.Model, pd.DataFrame]:
    """Fine-tune the upper blocks. Stopped at any moment and called again, it goes on to the same result.

    After each epoch ``run_dir`` holds the whole state (``checkpoint.keras``), that epoch's weights and the history;
    the model returned has the mean weights of the last epochs.

    Args:
        model: from ``build_classifier``, its head trained.
        make_steps: ``(first_step, steps)`` to a dataset, as ``dataset.make_dataset`` makes it.
        validation: (N, S, S, 3) images and one-hot (N, C).
        run_dir: a folder of this training alone.
        epochs, steps_per_epoch, rate: how long, and the highest learning rate.

    Returns:
        The model and the history: ``epoch, loss, accuracy, val_loss, val_accuracy, seconds``.
    """
    total = epochs * steps_per_epoch
    compile_fine_tuning(unfreeze(model), total, rate, min(150, total // 4))

    def validate(model: keras.Model) -> dict[str, float]:
        values = model.evaluate(*validation, batch_size=64, verbose=0, return_dict=True)
        return {f"val_{name}": values[name] for name in ("loss", "accuracy")}

    def restore_chance(model: keras.Model, epoch: int) -> None:
        model.get_layer("dropout").seed_generator.state.assign(
            [0, epoch]
        )  # the files do not keep the state of chance

    model, history = train_epochs(
        model, make_steps, validate, run_dir, epochs, steps_per_epoch, "fine-tuning", restore_chance
    )
    return average_weights(
        model, run_dir, range(max(1, epochs - AVERAGED + 1), epochs + 1)
    ), history


def average_weights(model: keras.Model, run_dir: str | Path, epochs: range) -> keras.Model:
    """Give a model the mean of the weights that ``fine_tune`` kept after these epochs."""
    sums = None
    for epoch in epochs:
        model.load_weights(Path(run_dir) / f"epoch_{epoch:03d}.weights.h5")
        weights = model.get_weights()
        sums = (
            weights
            if sums is None
            else [total + value for total, value in zip(sums, weights, strict=True)]
        )
    model.set_weights([(total / len(epochs)).astype(total.dtype) for total in sums])
    return model


def add_calibration(model: keras.Model, temperature: float, bias: np.ndarray) -> keras.Model:
    """A model that gives calibrated probabilities: the softmax of logits / temperature + bias (C,)."""
    scaled = keras.layers.Rescaling(1 / temperature, offset=bias.tolist(), name="calibration")(
        model.output
    )
    y_prob = keras.layers.Softmax(name="y_prob")(scaled)
    return keras.Model(model.input, y_prob, name="mask_classifier")


def grad_cam(
    model: keras.Model, image: np.ndarray, class_id: int, layer: str = "block_13_expand_relu"
) -> np.ndarray:
    """Where a model looked for a class: Grad-CAM (Selvaraju et al., 2017).

    Takes an image (S, S, 3) in 0-255 and the class asked about; weights the maps of ``layer``, which has 7 x 7 cells at
    112 pixels. Returns (h, w) float32 in 0-1.
    """
    pair = keras.Model(
        model.input, [model.get_layer(layer).output, model.get_layer("logits").output]
    )
    with tf.GradientTape() as tape:
        maps, logits = pair(tf.constant(image[None], tf.float32))
        score = logits[0, class_id]
    weight = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(maps * weight, axis=-1))[0].numpy()
    return heat / max(float(heat.max()), 1e-9)


def export_onnx(model: keras.Model, path: str | Path, threshold: float, split: str = "") -> Path:
    """Write a calibrated model as ONNX, with its classes, input size and threshold in its metadata."""
    input_size = model.input_shape[1]
    metadata = {
        "class_names": json.dumps(CLASS_NAMES),
        "input_size": str(input_size),
        "threshold": str(threshold),
    }
    return export.export_onnx(model, path, (input_size, input_size), {**metadata, "split": split})
