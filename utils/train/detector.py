"""The face detector: its network, its loss (``detection_loss``) and its training.

It is an FCOS: one stage, anchor-free. Each point of each level predicts whether a face is centred
there, its class and the distances to the four edges of its box (Tian et al., 2020, arXiv
2006.09214). The base is MobileNetV2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf
from keras import layers

from utils.classes import MASK_CLASSES
from utils.train.data.targets import IS_FACE
from utils.train.loop import train_epochs, warm_up_and_decay
from utils.train.mobilenet import build_mobilenet, freeze_lower_blocks

# The layer of MobileNetV2 whose maps feed the level of each stride.
BASE_OUTPUTS = {
    4: "block_3_expand_relu",
    8: "block_6_expand_relu",
    16: "block_13_expand_relu",
    32: "block_16_project_BN",
}
# Few points are faces: the prior of RetinaNet (Lin et al., 2017, arXiv 1708.02002).
INITIAL_FACE_LOGIT = -4.0
INITIAL_DISTANCE = 1.0  # before softplus; about 1.3 strides

# Of with_mask, without_mask and mask_worn_incorrectly: the rarer the class, the larger.
CLASS_WEIGHTS = (1.0, 2.0, 4.0)
FACE_LOSS_WEIGHT = 2.0
CLASS_LOSS_WEIGHT = 0.5
BOX_LOSS_WEIGHT = 1.5
BACKGROUND_WEIGHT = 0.75  # alpha of the varifocal loss
FOCUS = 2  # gamma of the varifocal loss


def build_detector(
    strides: tuple[int, ...] = (8, 16, 32),
    channels: int = 64,
    weights: str | None = "imagenet",
    synchronized: bool = False,
) -> keras.Model:
    """Build the network: a base, a top-down neck and a head for each level.

    The base is MobileNetV2 (Sandler et al., 2018), the neck an FPN (Lin et al., 2017).

    Args:
        strides: of the levels, pixels; from 4, 8, 16, 32, each twice the one before.
        channels: width of neck and heads; half of it at stride 4.
        weights: "imagenet", from Keras's cache (``KERAS_HOME``) or the network, or None for random
            weights.
        synchronized: whether batch norms compute their means over all devices, see ``devices``.

    Returns:
        A model that takes (B, H, W, 3) RGB in 0-255, with sides that are multiples of the coarsest
        stride, and returns (B, P, 8): for each point of ``detect.grid_points`` three class logits
        (0-2), a face logit (3), and four numbers whose softplus is the distance to the left, top,
        right and bottom edge in strides (4-7). Decoding applies the softplus, because it needs it
        for a few points only.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(pixels)
    base = build_mobilenet(scaled, weights)
    freeze_lower_blocks(base)
    levels = _build_neck(base, strides, channels, synchronized)
    outputs = [_build_head(levels[stride], stride, synchronized) for stride in strides]
    output = outputs[0]
    if len(outputs) > 1:
        output = layers.Concatenate(axis=1, name="points")(outputs)
    return keras.Model(pixels, output, name="face_detector")


def _build_neck(
    base: keras.Model, strides: tuple[int, ...], channels: int, synchronized: bool
) -> dict[int, keras.KerasTensor]:
    """Return the maps of each level, by stride.

    They are those of the base plus the enlarged ones of the next coarser level.
    """
    levels: dict[int, keras.KerasTensor] = {}
    coarser = None
    for stride in reversed(strides):
        width = channels if stride > 4 else channels // 2
        features = base.get_layer(BASE_OUTPUTS[stride]).output
        maps = _conv(features, width, f"lateral{stride}", synchronized)
        if coarser is not None:
            if coarser.shape[-1] != width:
                coarser = _conv(coarser, width, f"narrow{stride}", synchronized)
            enlarged = layers.UpSampling2D(2, name=f"up{stride}")(coarser)
            maps = layers.Add(name=f"add{stride}")([maps, enlarged])
            maps = _separable_conv(maps, width, f"neck{stride}", synchronized)
        levels[stride] = maps
        coarser = maps
    return levels


def _build_head(maps: keras.KerasTensor, stride: int, synchronized: bool) -> keras.KerasTensor:
    """Return a level's output, (B, P, 8), for its maps.

    The names of the layers are saved in trained models, and ``copy_weights`` matches layers by
    name, so they must stay as they are.
    """
    width = maps.shape[-1]
    maps = _separable_conv(maps, width, f"head{stride}a", synchronized)
    maps = _separable_conv(maps, width, f"head{stride}b", synchronized)
    logits = layers.Conv2D(
        len(MASK_CLASSES) + 1,
        kernel_size=1,
        bias_initializer=keras.initializers.Constant(INITIAL_FACE_LOGIT),
        name=f"answer{stride}",
    )(maps)
    distances = layers.Conv2D(
        4,
        kernel_size=1,
        bias_initializer=keras.initializers.Constant(INITIAL_DISTANCE),
        name=f"reach{stride}",
    )(maps)
    both = layers.Concatenate(name=f"both{stride}")([logits, distances])
    return layers.Reshape((-1, both.shape[-1]), name=f"points{stride}")(both)


def _conv(x: keras.KerasTensor, filters: int, name: str, synchronized: bool) -> keras.KerasTensor:
    """Add a 1 x 1 convolution with batch norm and ReLU6."""
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(synchronized=synchronized, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _separable_conv(
    x: keras.KerasTensor, filters: int, name: str, synchronized: bool
) -> keras.KerasTensor:
    """Add a 3 x 3 convolution channel by channel, then a 1 x 1 convolution across channels."""
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.BatchNormalization(synchronized=synchronized, name=f"{name}_depthwise_norm")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    return _conv(x, filters, name, synchronized)


def unfreeze_detector(model: keras.Model) -> keras.Model:
    """Make the early blocks trainable too, in place; frozen batch norms stay frozen."""
    for layer in model.layers:
        if not isinstance(layer, layers.BatchNormalization):
            layer.trainable = True
    return model


@keras.saving.register_keras_serializable("face_mask")  # the name in saved .keras files
def detection_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return the loss of a batch: is a point a face, which class, and where is its box.

    The sum is over all points; BCE and CE are binary and categorical cross-entropy::

        loss = sum(2 * face_loss + 0.5 * class_loss + 1.5 * box_loss) / number of face points

        face_loss  = q * BCE(q, p)            at face points
                     0.75 * p**2 * BCE(0, p)  at background points
                     0                        at ignored points
        class_loss = class weight * CE        at face points, else 0
        box_loss   = 1 - GIoU                 at face points, else 0

    p is the predicted probability of a face, and its target q is the IoU of the predicted box with
    the true one. So the best of several boxes gets the highest confidence, and easy background
    hardly counts: the varifocal loss (Zhang et al., 2021, arXiv 2008.13367). GIoU also has a
    gradient where boxes do not overlap (Rezatofighi et al., 2019, arXiv 1902.09630).

    Args:
        y_true: (B, P, 9) from ``encode_targets``.
        y_pred: (B, P, 8) from the model of ``build_detector``.
    """
    y_pred = tf.cast(y_pred, tf.float32)
    class_true = y_true[..., :IS_FACE]
    is_face = y_true[..., IS_FACE]
    not_ignored = y_true[..., 8]
    class_logits = y_pred[..., :IS_FACE]
    face_logit = y_pred[..., IS_FACE]
    distances = tf.nn.softplus(y_pred[..., 4:])
    iou, giou = _iou_and_giou(y_true[..., 4:8], distances)

    quality = tf.stop_gradient(is_face * iou)
    background_weight = BACKGROUND_WEIGHT * tf.sigmoid(face_logit) ** FOCUS
    point_weight = tf.where(is_face > 0, quality, background_weight) * not_ignored
    face_loss = point_weight * tf.nn.sigmoid_cross_entropy_with_logits(quality, face_logit)

    class_weight = tf.reduce_sum(class_true * tf.constant(CLASS_WEIGHTS), axis=-1)
    class_loss = class_weight * tf.nn.softmax_cross_entropy_with_logits(class_true, class_logits)

    box_loss = is_face * (1 - giou)

    point_loss = (
        FACE_LOSS_WEIGHT * face_loss + CLASS_LOSS_WEIGHT * class_loss + BOX_LOSS_WEIGHT * box_loss
    )
    face_points = tf.maximum(_sum_over_devices(tf.reduce_sum(is_face)), 1.0)
    return tf.reduce_sum(point_loss) / face_points


def _sum_over_devices(value: tf.Tensor) -> tf.Tensor:
    """Return the sum of a value over all devices that share a batch, see ``devices``.

    Each device has the loss of its part of the batch, and Keras adds up their gradients. So every
    part is divided by the number of face points of the whole batch.
    """
    device = tf.distribute.get_replica_context()
    if device is None or device.num_replicas_in_sync == 1:
        return value
    return device.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _iou_and_giou(true: tf.Tensor, predicted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return IoU and generalised IoU of boxes around one point, given as distances (..., 4).

    GIoU = IoU - (hull - union) / hull, where the hull is the smallest box around both. Both boxes
    contain the point, so on each side the smaller distance bounds their intersection, and the
    larger one their hull.
    """

    def area(distances: tf.Tensor) -> tf.Tensor:
        width = distances[..., 0] + distances[..., 2]
        height = distances[..., 1] + distances[..., 3]
        return width * height

    intersection = area(tf.minimum(true, predicted))
    hull = area(tf.maximum(true, predicted)) + 1e-6
    union = area(true) + area(predicted) - intersection
    iou = intersection / (union + 1e-6)
    giou = iou - (hull - union) / hull
    return iou, giou


def compile_detector(
    model: keras.Model,
    steps: int,
    learning_rate: float = 1.2e-3,
    warmup_steps: int = 200,
    eager: bool = False,
) -> keras.Model:
    """Compile a model with ``detection_loss`` and AdamW.

    The learning rate warms up and then decays along a cosine. The optimizer keeps a running mean of
    the weights.

    Args:
        model: compiled in place.
        steps: length of the training.
        learning_rate: the highest one, reached at the end of the warm-up.
        warmup_steps: length of the warm-up, a quarter of the training at most.
        eager: run each step as Python code instead of compiling the training first. Compiling takes
            longer than some 20 steps, and makes each later step faster.
    """
    warmup_steps = min(warmup_steps, steps // 4)
    schedule = warm_up_and_decay(learning_rate, steps, warmup_steps)
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=1e-4,
        clipnorm=5.0,
        use_ema=True,
        ema_momentum=max(0.9, 1 - 10 / steps),  # a mean over the last tenth of the training
    )
    model.compile(optimizer=optimizer, loss=detection_loss, run_eagerly=eager)
    return model


def train_detector(
    model: keras.Model,
    make_steps: Callable[[int, int], tf.data.Dataset],
    validation: tf.data.Dataset,
    run_dir: str | Path,
    epochs: int,
    steps_per_epoch: int = 60,
    learning_rate: float = 1.2e-3,
    name: str = "training the detector",
    eager: bool = False,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a detector; its weights at the end are their running mean.

    A training that was stopped resumes from ``run_dir`` and ends with the same weights, see
    ``loop.train_epochs``.

    Args:
        model: from ``build_detector``, or a trained one to train further.
        make_steps: takes a first step and a number of steps, and returns batches as
            ``make_view_dataset`` makes them.
        validation: batches of views of the validation photographs, the same after each epoch.
        run_dir: a folder for this training alone.
        epochs: length of the training.
        steps_per_epoch: batches per epoch.
        learning_rate: the highest one.
        name: of the progress bar.
        eager: for a training of a few steps, see ``compile_detector``.

    Returns:
        The model and the history, ``epoch, loss, val_loss, seconds``.
    """

    def validate(model: keras.Model) -> dict[str, float]:
        return {"val_loss": model.evaluate(validation, verbose=0)}

    compile_detector(
        model, steps=epochs * steps_per_epoch, learning_rate=learning_rate, eager=eager
    )
    model, history = train_epochs(
        model,
        make_steps,
        validate,
        run_dir,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        name=name,
    )
    return take_mean_weights(model), history


def take_mean_weights(model: keras.Model) -> keras.Model:
    """Replace the weights of a model that was just trained by their running mean."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model
