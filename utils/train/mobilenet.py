"""MobileNetV2, the base of both networks: its weights, and which of its layers are trained."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

from utils.messages import UserError

# The first layer that trains until everything is unfrozen. The blocks below it detect edges and
# textures, which stay as ImageNet's.
FIRST_TRAINED_LAYER = "block_5_expand"


def build_mobilenet(scaled: keras.KerasTensor, weights: str | Path | None) -> keras.Model:
    """Build MobileNetV2 (Sandler et al., 2018) without its last layer, frozen.

    Args:
        scaled: (N, S, S, 3) RGB in -1 to 1.
        weights: "imagenet", from Keras's cache (``KERAS_HOME``) or the network; the path of a
            trained classifier, such as ``model/mask_classifier.keras``, whose layers are copied; or
            None for random weights.

    Returns:
        A model with the output (N, S / 32, S / 32, 1280).
    """
    with warnings.catch_warnings():
        # The weights were trained at 224 pixels. They work at other sizes, which Keras warns about.
        warnings.filterwarnings("ignore", message=".*input_shape.*")
        base = keras.applications.MobileNetV2(
            input_tensor=scaled,
            include_top=False,
            weights="imagenet" if weights == "imagenet" else None,
        )
    if weights not in ("imagenet", None):
        copy_weights(keras.models.load_model(weights, compile=False), base)
    base.trainable = False
    return base


def freeze_lower_blocks(model: keras.Model, first_layer: str = FIRST_TRAINED_LAYER) -> None:
    """Make the layers from ``first_layer`` on trainable, in place, and freeze those below it.

    Batch norms are frozen everywhere, hence in inference mode: their statistics come from a million
    photographs, and small batches would replace them with worse ones.
    """
    is_upper = False
    for layer in model.layers:
        if layer.name == first_layer:
            is_upper = True
        is_batch_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = is_upper and not is_batch_norm


def choose_start(shipped: str | Path) -> str | Path:
    """Return "imagenet" if Keras can get these weights, else the path of a trained classifier.

    The second case prints one line.

    Args:
        shipped: the trained classifier, such as ``model/mask_classifier.keras``.
    """
    try:
        _load_imagenet()
    except ConnectionError as error:
        print(f"No ImageNet weights ({error}): starting from {Path(shipped).name} instead.")
        return shipped
    return "imagenet"


def require_imagenet() -> None:
    """Check that Keras can get the weights of ImageNet.

    Raises:
        UserError: it cannot, such as without a network.
    """
    try:
        _load_imagenet()
    except ConnectionError as error:
        raise UserError(
            f"Keras cannot get the ImageNet weights ({error}): check the network, or use "
            "--from shipped."
        ) from error


def _load_imagenet() -> None:
    """Load the weights of ImageNet once. Raise ConnectionError with the reason if Keras cannot."""
    try:
        build_mobilenet(keras.Input((96, 96, 3)), "imagenet")
    except Exception as error:  # Keras raises no narrower type
        raise ConnectionError(str(error).split(" on http")[0]) from error


def find_start(start: str, shipped: Path) -> Path | None:
    """Return the model file that ``--from`` names; None for ImageNet's or random weights.

    Args:
        start: "shipped", "imagenet", "none" or the path of a ``.keras`` file.
        shipped: the file of the shipped model.

    Raises:
        UserError: there is no such file, or ImageNet's weights cannot be had.
    """
    if start == "imagenet":
        require_imagenet()
    if start in ("imagenet", "none"):
        return None
    path = shipped if start == "shipped" else Path(start)
    if not path.is_file():
        raise UserError(f"There is no model file {path}: check the path of --from.")
    return path


def copy_weights(source: keras.Model, model: keras.Model) -> int:
    """Copy weights to the layers that have the same name and shapes, in place.

    A network with other levels starts this way from a trained one: what both have in common is
    copied, and the rest stays as it is.

    Args:
        source: from ``build_detector``, trained.
        model: from ``build_detector``.

    Returns:
        The number of layers that were copied.
    """
    trained = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    copied = 0
    for layer in model.layers:
        weights = trained.get(layer.name, [])
        shapes = [array.shape for array in weights]
        if weights and shapes == [variable.shape for variable in layer.weights]:
            layer.set_weights(weights)
            copied += 1
    return copied
