"""Build, train and export the face detector: one stage, anchor-free, on MobileNetV2 cut at its strides."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf
from keras import layers

from utils.classes import MASK_CLASSES
from utils.train.export import export_onnx
from utils.train.loop import train_epochs

TAPS = {
    4: "block_3_expand_relu",
    8: "block_6_expand_relu",
    16: "block_13_expand_relu",
    32: "block_16_project_BN",
}
FROZEN_UP_TO = "block_5_expand"  # the first layer that learns at first, until neck and heads are worth listening to
CLASS_WEIGHTS = (1.0, 2.0, 4.0)  # what a mistake costs in each class: the rarer, the dearer


def _conv(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_norm")(x))


def _separable(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(
        layers.BatchNormalization(name=f"{name}_depthwise_norm")(x)
    )
    return _conv(x, filters, name)


def build_detector(
    strides: tuple[int, ...] = (8, 16, 32), channels: int = 64, weights: str | None = "imagenet"
) -> keras.Model:
    """MobileNetV2 (Sandler et al., 2018) cut at ``strides``, a top-down neck (FPN: Lin et al., 2017) and
    anchor-free heads (FCOS: Tian et al., 2019).

    Args:
        strides: pixels a cell of each level, of 4, 8, 16, 32, each double the one before.
        channels: width of the neck and heads; half at stride 4.
        weights: "imagenet", from Keras's cache (``KERAS_HOME``) or the network, or None for chance.

    Returns:
        A model of (B, H, W, 3) RGB in 0-255, sides multiples of the coarsest stride, to (B, P, 8): for each point
        three class logits, a face logit, and what softplus turns into distances to left, top, right and bottom in
        strides: whoever decodes does that, for the few points that are faces.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pixels)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*input_shape.*"
        )  # any size takes the weights of 224, as it should
        base = keras.applications.MobileNetV2(
            input_tensor=scaled, include_top=False, weights=weights
        )
    learns = False
    for layer in base.layers:
        learns |= layer.name == FROZEN_UP_TO
        # Batch norms stay frozen: their statistics come from a million photographs, ours from batches of 16.
        layer.trainable = learns and not isinstance(layer, layers.BatchNormalization)
    levels, upper = [], None
    for stride in reversed(strides):
        width = channels if stride > 4 else channels // 2
        level = _conv(base.get_layer(TAPS[stride]).output, width, f"lateral{stride}")
        if upper is not None:
            if upper.shape[-1] != width:
                upper = _conv(upper, width, f"narrow{stride}")
            level = layers.Add(name=f"add{stride}")(
                [level, layers.UpSampling2D(2, name=f"up{stride}")(upper)]
            )
            level = _separable(level, width, f"neck{stride}")
        levels.insert(0, (stride, level))
        upper = level
    outputs = []
    for stride, level in levels:
        width = level.shape[-1]
        for step in ("a", "b"):
            level = _separable(level, width, f"head{stride}{step}")
        rare = keras.initializers.Constant(
            -4.0
        )  # few points are faces: start from there (RetinaNet's prior)
        answer = layers.Conv2D(
            len(MASK_CLASSES) + 1, 1, bias_initializer=rare, name=f"answer{stride}"
        )(level)
        reach = layers.Conv2D(
            4, 1, bias_initializer=keras.initializers.Constant(1.0), name=f"reach{stride}"
        )(level)
        both = layers.Concatenate(name=f"both{stride}")([answer, reach])
        outputs.append(layers.Reshape((-1, both.shape[-1]), name=f"points{stride}")(both))
    output = layers.Concatenate(axis=1, name="points")(outputs) if len(outputs) > 1 else outputs[0]
    return keras.Model(pixels, output, name="face_detector")


def unfreeze(model: keras.Model) -> keras.Model:
    """Let the early blocks learn too, once neck and heads are good; batch norms that were frozen stay so."""
    for layer in model.layers:
        if not isinstance(layer, layers.BatchNormalization):
            layer.trainable = True
    return model


def _iou_and_giou(true: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., 2019) of boxes given as distances from one point."""

    def area(distance: tf.Tensor) -> tf.Tensor:
        return (distance[..., 0] + distance[..., 2]) * (distance[..., 1] + distance[..., 3])

    shared, hull = area(tf.minimum(true, found)), area(tf.maximum(true, found)) + 1e-6
    union = area(true) + area(found) - shared
    iou = shared / (union + 1e-6)
    return iou, iou - (hull - union) / hull


@keras.saving.register_keras_serializable("face_mask")
def detection_loss(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Varifocal loss of "is it a face, and how well does its box lie" (Zhang et al., 2021), weighted cross-entropy of
    its class, GIoU loss of its box.

    Args:
        target: (B, P, 9) from ``mosaics.encode_targets``.
        output: (B, P, 8) of the model.

    Returns:
        The loss of the batch by the number of points that are faces.
    """
    output = tf.cast(output, tf.float32)
    is_face, counts = target[..., 3], target[..., 8]
    faces = tf.maximum(tf.reduce_sum(is_face), 1.0)
    iou, giou = _iou_and_giou(target[..., 4:8], tf.nn.softplus(output[..., 4:]))
    logit, quality = (
        output[..., 3],
        tf.stop_gradient(is_face * iou),
    )  # a face whose box lies badly is half a face
    focal = tf.where(is_face > 0, quality, 0.75 * tf.sigmoid(logit) ** 2)
    focal = focal * counts * tf.nn.sigmoid_cross_entropy_with_logits(quality, logit)
    cost = tf.reduce_sum(target[..., :3] * tf.constant(CLASS_WEIGHTS), axis=-1)
    class_loss = cost * tf.nn.softmax_cross_entropy_with_logits(target[..., :3], output[..., :3])
    box_loss = is_face * (1 - giou)
    return tf.reduce_sum(2 * focal + 0.5 * class_loss + 1.5 * box_loss) / faces


def compile_detector(
    model: keras.Model, steps: int, rate: float = 1.2e-3, warmup: int = 200
) -> keras.Model:
    """AdamW whose rate warms up, then falls along a cosine; a running mean of the weights is kept for the end."""
    warmup = min(warmup, steps // 4)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-6, steps - warmup, warmup_target=rate, warmup_steps=warmup
    )
    momentum = max(0.9, 1 - 10 / steps)  # the mean reaches back over the last tenth of the training
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=1e-4, clipnorm=5.0, use_ema=True, ema_momentum=momentum
    )
    model.compile(optimizer, detection_loss)
    return model


def train_detector(
    model: keras.Model,
    make_steps: Callable[[int, int], tf.data.Dataset],
    validation: tf.data.Dataset,
    run_dir: str | Path,
    epochs: int,
    steps_per_epoch: int = 60,
    rate: float = 1.2e-3,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a detector. Stopped at any moment and called again, it goes on to the same result.

    Args:
        model: from ``build_detector``, or a trained one to train further.
        make_steps: ``(first_step, steps)`` to a dataset, as ``mosaics.make_views`` makes it.
        validation: views of the validation photographs, the same after each epoch.
        run_dir: a folder of this training alone.
        epochs, steps_per_epoch, rate: how long, and the highest learning rate.

    Returns:
        The model with the running mean of its weights, and the history: ``epoch, loss, val_loss, seconds``.
    """
    compile_detector(model, epochs * steps_per_epoch, rate)
    model, history = train_epochs(
        model,
        make_steps,
        lambda model: {"val_loss": model.evaluate(validation, verbose=0)},
        run_dir,
        epochs,
        steps_per_epoch,
        "training the detector",
    )
    return take_mean_weights(model), history


def take_mean_weights(model: keras.Model) -> keras.Model:
    """A model that was just trained, with the running mean of its weights in their place."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def export_detector(
    model: keras.Model,
    path: str | Path,
    strides: tuple[int, ...],
    side: int,
    calibration: tuple[float, float] = (1.0, 0.0),
    split: str = "",
) -> Path:
    """Write a detector as ONNX for pictures of any size, with what ``utils.detect.FCOS`` needs to know.

    Args:
        model: from ``build_detector``, trained.
        path: the file to write.
        strides: of the model.
        side: pixels, to which the longer side of a picture is brought.
        calibration: factor and offset of the face logit, so that 0.5 is the best threshold.
        split: which photographs it was trained on, as ``curate.digest_split`` names it.
    """
    metadata = {
        "strides": json.dumps(strides),
        "side": str(side),
        "calibration": json.dumps(calibration),
    }
    return export_onnx(model, path, (None, None), {**metadata, "split": split})
