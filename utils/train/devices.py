"""Training on several devices of this machine, each with a part of every batch.

Keras trains with ``tf.distribute.MirroredStrategy``: each device has a copy of the weights, and the
gradients are summed before each step. So a training is the same as on one device, but for rounding,
the draws of dropout, and gradients that are clipped on each device. Training on several machines
(``MultiWorkerMirroredStrategy``) fails in ``fit`` with Keras 3.15 and is not supported.
"""

from __future__ import annotations

from functools import cache

import keras
import tensorflow as tf

from utils.messages import UserError, format_count


def count_gpus() -> int:
    """Return the number of GPUs that TensorFlow finds, at least 1."""
    return max(1, len(tf.config.list_logical_devices("GPU")))


@cache  # a second strategy in a process ends it
def choose_strategy(devices: int) -> tf.distribute.Strategy:
    """Return how to train on some devices; build and train the model in its ``scope()``.

    GPUs are used if there are enough of them, else logical CPUs.

    Args:
        devices: number of devices, 1 for TensorFlow's own choice.

    Raises:
        UserError: this machine has fewer devices.
    """
    if devices == 1:
        return tf.distribute.get_strategy()
    for kind in ("GPU", "CPU"):
        found = tf.config.list_logical_devices(kind)
        if len(found) >= devices:
            return tf.distribute.MirroredStrategy([device.name for device in found[:devices]])
    gpus = format_count(len(tf.config.list_logical_devices("GPU")), "GPU")
    raise UserError(
        f"--devices {devices} needs {devices} GPUs, and TensorFlow finds {gpus} here: give a "
        "smaller number, or --devices all."
    )


def check_batch(batch_size: int, devices: int) -> None:
    """Check that each device gets the same part of every batch.

    Raises:
        UserError: it does not.
    """
    if batch_size % devices:
        raise UserError(
            f"A batch of {batch_size} cannot be divided among {devices} devices: choose a "
            f"--batch-size that is a multiple of {devices}."
        )


def copy_to_one_device(model: keras.Model) -> keras.Model:
    """Return a model with the same layers and weights, whose weights are on one device."""
    copied = model.__class__.from_config(model.get_config())
    copied.set_weights(model.get_weights())
    return copied
