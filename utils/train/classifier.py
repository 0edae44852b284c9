"""The mask classifier: MobileNetV2 with a new head; its training, calibration and Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES
from utils.train.loop import train_epochs, warm_up_and_decay
from utils.train.mobilenet import FIRST_TRAINED_LAYER, build_mobilenet, freeze_lower_blocks

# Epochs at the end whose weights are averaged: Izmailov et al., "Averaging Weights Leads to Wider
# Optima", 2018.
AVERAGED_EPOCHS = 6
HEAD_LEARNING_RATE = 2e-3
LABEL_SMOOTHING = 0.05  # about one label in a hundred is wrong


def build_classifier(
    input_size: int = 112,
    weights: str | Path | None = "imagenet",
    dropout: float = 0.3,
    seed: int | None = None,
) -> keras.Model:
    """Build MobileNetV2 with a new head; its base is frozen.

    Args:
        input_size: S; the model takes (N, S, S, 3) RGB in 0-255 and scales it itself.
        weights: of the base: "imagenet", the path of a trained classifier, or None for random
            weights, see ``mobilenet.build_mobilenet``.
        dropout: share of the features that training drops before the last layer.
        seed: of the new layers' weights.

    Returns:
        A model with the output (N, C), logits.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    pixels = keras.Input((input_size, input_size, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pixels)
    base = build_mobilenet(scaled, weights)  # Keras's, without its last layer
    features = keras.layers.GlobalAveragePooling2D(name="features")(base.output)
    # Each layer takes a seed when it is made, so the order of these lines determines the weights.
    logits_layer = keras.layers.Dense(len(CLASS_NAMES), name="logits")
    dropout_layer = keras.layers.Dropout(dropout, name="dropout")
    logits = logits_layer(dropout_layer(features))
    return keras.Model(pixels, logits, name="mask_classifier")


def unfreeze_classifier(model: keras.Model, first_layer: str = FIRST_TRAINED_LAYER) -> keras.Model:
    """Make the layers from ``first_layer`` on trainable, in place, and return the model.

    Batch norms stay frozen, see ``mobilenet.freeze_lower_blocks``.
    """
    freeze_lower_blocks(model, first_layer)
    return model


def extract_features(model: keras.Model, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Return the features that the frozen base computes, (N, 1280), and show a progress bar.

    Args:
        model: from ``build_classifier``.
        images: (N, S, S, 3) in 0-255.
        batch_size: images per batch.
    """
    base = tf.function(keras.Model(model.input, model.get_layer("features").output))
    features = []
    starts = range(0, len(images), batch_size)
    for start in tqdm(starts, desc="features", unit="batch", leave=False):
        batch = tf.constant(images[start : start + batch_size])
        features.append(base(batch).numpy())
    return np.concatenate(features)


def train_head(
    model: keras.Model,
    features: np.ndarray,
    class_id: np.ndarray,
    weights: np.ndarray,
    epochs: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Train the last layer on cached features.

    This takes seconds, where running the base at each step would take minutes.

    Args:
        model: from ``build_classifier``; its "logits" layer is trained in place.
        features: (N, 1280), from ``extract_features``.
        class_id: (N,).
        weights: (N,) weight of each face in the loss; any scale.
        epochs: passes over the features.
        seed: of the dropout and of the order of the faces.

    Returns:
        The history, a table ``epoch, loss, accuracy``.
    """
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(features.shape[1:])
    dropped = keras.layers.Dropout(0.3, seed=seed)(inputs)
    head = keras.Model(inputs, model.get_layer("logits")(dropped))
    head.compile(
        optimizer=keras.optimizers.Adam(HEAD_LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    fitted = head.fit(
        features,
        class_id,
        sample_weight=weights * len(weights) / weights.sum(),  # a mean of 1
        batch_size=256,
        epochs=epochs,
        verbose=0,
    )
    history = pd.DataFrame({"epoch": range(1, epochs + 1), **fitted.history})
    return history[["epoch", "loss", "accuracy"]]


def compile_fine_tuning(
    model: keras.Model, steps: int, learning_rate: float = 4e-4, warmup_steps: int = 150
) -> keras.Model:
    """Compile a model with AdamW and cross-entropy with label smoothing.

    The learning rate warms up and then decays along a cosine.

    Args:
        model: compiled in place.
        steps: length of the training.
        learning_rate: the highest one, reached at the end of the warm-up.
        warmup_steps: length of the warm-up.
    """
    schedule = warm_up_and_decay(learning_rate, steps, warmup_steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=1e-4),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=LABEL_SMOOTHING
        ),
        metrics=["accuracy"],
    )
    return model


def fine_tune(
    model: keras.Model,
    make_steps: Callable[[int, int], tf.data.Dataset],
    validation: tuple[np.ndarray, np.ndarray],
    run_dir: str | Path,
    epochs: int = 30,
    steps_per_epoch: int = 120,
    learning_rate: float = 4e-4,
    name: str = "fine-tuning",
) -> tuple[keras.Model, pd.DataFrame]:
    """Fine-tune the upper blocks and average the weights of the last epochs.

    A training that was stopped resumes from ``run_dir`` and ends with the same weights, see
    ``loop.train_epochs``.

    Args:
        model: from ``build_classifier``, with a trained head.
        make_steps: takes a first step and a number of steps, and returns batches as
            ``make_face_dataset`` makes them.
        validation: (N, S, S, 3) images and (N, C) one-hot classes.
        run_dir: a folder for this training alone.
        epochs: length of the training.
        steps_per_epoch: batches per epoch.
        learning_rate: the highest one.
        name: of the progress bar.

    Returns:
        The model and the history, ``epoch, loss, accuracy, val_loss, val_accuracy, seconds``.
    """
    steps = epochs * steps_per_epoch
    compile_fine_tuning(
        unfreeze_classifier(model),
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=min(150, steps // 4),
    )
    images, one_hot = validation

    def validate(model: keras.Model) -> dict[str, float]:
        values = model.evaluate(images, one_hot, batch_size=64, verbose=0, return_dict=True)
        return {"val_loss": values["loss"], "val_accuracy": values["accuracy"]}

    def seed_dropout(model: keras.Model, epoch: int) -> None:
        # A checkpoint does not hold the state of the dropout's random generator.
        model.get_layer("dropout").seed_generator.state.assign([0, epoch])

    model, history = train_epochs(
        model,
        make_steps,
        validate,
        run_dir,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        name=name,
        before_epoch=seed_dropout,
    )
    first_averaged = max(1, epochs - AVERAGED_EPOCHS + 1)
    return average_weights(model, run_dir, range(first_averaged, epochs + 1)), history


def average_weights(model: keras.Model, run_dir: str | Path, epochs: range) -> keras.Model:
    """Set a model's weights to the mean of those that ``fine_tune`` wrote after some epochs.

    Args:
        model: gets the weights, in place.
        run_dir: the folder of the training.
        epochs: numbered from 1.
    """
    sums: list[np.ndarray] = []
    for epoch in epochs:
        model.load_weights(Path(run_dir) / f"epoch_{epoch:03d}.weights.h5")
        weights = model.get_weights()
        if sums:
            sums = [total + value for total, value in zip(sums, weights, strict=True)]
        else:
            sums = weights
    model.set_weights([(total / len(epochs)).astype(total.dtype) for total in sums])
    return model


def blend_weights(
    model: keras.Model, before: Sequence[np.ndarray], kept_share: float
) -> keras.Model:
    """Set a model's weights to a mean of those before and after a training.

    A model that was trained further on few photographs so keeps more of what it knew: Wortsman et
    al., "Robust fine-tuning of zero-shot models", 2022 (arXiv 2109.01903).

    Args:
        model: after the training; gets the weights, in place.
        before: its weights before the training, from ``get_weights``.
        kept_share: weight of ``before`` in the mean, 0-1.
    """
    blended = []
    for old, new in zip(before, model.get_weights(), strict=True):
        blended.append((kept_share * old + (1 - kept_share) * new).astype(new.dtype))
    model.set_weights(blended)
    return model


def add_calibration(model: keras.Model, temperature: float, bias: np.ndarray) -> keras.Model:
    """Return a model with calibrated probabilities, the softmax of logits / temperature + bias.

    Args:
        model: with logits (N, C).
        temperature: from ``evaluate.fit_temperature``.
        bias: (C,), added to the scaled logits.
    """
    calibration = keras.layers.Rescaling(1 / temperature, offset=bias.tolist(), name="calibration")
    softmax = keras.layers.Softmax(name="y_prob")
    return keras.Model(model.input, softmax(calibration(model.output)), name="mask_classifier")


def grad_cam(
    model: keras.Model, image: np.ndarray, class_id: int, layer: str = "block_13_expand_relu"
) -> np.ndarray:
    """Return where a model looks for a class: Grad-CAM (Selvaraju et al., 2017).

    Args:
        model: from ``build_classifier``, with or without calibration.
        image: (S, S, 3) in 0-255.
        class_id: the class to explain.
        layer: whose maps are weighted; the default has 7 x 7 cells at 112 pixels.

    Returns:
        (h, w) float32 in 0-1, the size of the layer's maps.
    """
    outputs = [model.get_layer(layer).output, model.get_layer("logits").output]
    maps_and_logits = keras.Model(model.input, outputs)
    with tf.GradientTape() as tape:
        maps, logits = maps_and_logits(tf.constant(image[None], tf.float32))
        score = logits[0, class_id]
    weight = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(maps * weight, axis=-1))[0].numpy()
    return heat / max(float(heat.max()), 1e-9)
