"""Both models as LiteRT files (``.tflite``), for phones and small computers.

The files have a fixed input, one picture, and built-in operations only, so that a runtime without
TensorFlow's own (Flex) runs them. The settings that an ONNX file holds are in a JSON file beside
them.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from utils.atomic import write_bytes

FLOAT16 = "float16"
INT8 = "int8"
PRECISIONS = (FLOAT16, INT8)
HIDDEN_LOGGERS = ("absl", "tensorflow")


def export_litert(
    model: keras.Model,
    path: str | Path,
    resolution_wh: tuple[int, int],
    pictures: Iterable[np.ndarray] = (),
    precision: str = FLOAT16,
) -> Path:
    """Write a model as a LiteRT file for one picture of a fixed size.

    Input and output are float32 in any precision.

    Args:
        model: takes (N, H, W, 3) float32 in 0-255 and returns outputs by name.
        path: the file to write.
        resolution_wh: width and height of the input, pixels.
        pictures: (H, W, 3) training pictures, on which the ranges for ``int8`` are measured.
        precision: ``float16`` (weights of half the size; computed in floats where the processor
            has no half floats) or ``int8`` (weights and activations).

    Returns:
        The path.

    Raises:
        ValueError: the precision is unknown, or there are no pictures for 8 bits.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"'{precision}' is no precision: use one of {', '.join(PRECISIONS)}.")
    pictures = list(pictures)
    if precision == INT8 and not pictures:
        raise ValueError("8 bits need pictures to measure ranges on: give some of training.")
    width, height = resolution_wh
    pixels = keras.Input(batch_shape=(1, height, width, 3), name="pixels")
    fixed = keras.Model(pixels, model(pixels))
    # from_concrete_functions would write a file without weights, and no error.
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == INT8:

        def draw_pictures() -> Iterator[list[np.ndarray]]:
            for picture in pictures:
                yield [picture[None].astype(np.float32)]

        converter.representative_dataset = draw_pictures
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    else:
        converter.target_spec.supported_types = [tf.float16]
    with _quiet():
        content = converter.convert()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return write_bytes(path, content)


def name_outputs(model: keras.Model) -> keras.Model:
    """Return a classifier whose output has the name ``y_prob``."""
    return keras.Model(model.input, {"y_prob": model.output})


def split_outputs(model: keras.Model, strides: Sequence[int]) -> keras.Model:
    """Return a detector with two outputs, ``logits`` and ``distances``, (N, P, 4) each.

    An output in 8 bits has one range. With one for both, the logits would be too coarse.

    Args:
        model: from ``build_detector``.
        strides: of its levels, pixels.
    """
    outputs = {}
    for name, layer in (("logits", "answer"), ("distances", "reach")):
        levels = []
        for stride in strides:
            maps = model.get_layer(f"{layer}{stride}").output
            levels.append(keras.layers.Reshape((-1, maps.shape[-1]))(maps))
        outputs[name] = levels[0]
        if len(levels) > 1:
            outputs[name] = keras.layers.Concatenate(axis=1)(levels)
    return keras.Model(model.input, outputs)


def write_litert_settings(path: str | Path, settings: dict[str, str]) -> Path:
    """Write what an ONNX file holds beside its network as JSON, and return the path.

    Args:
        path: the JSON file.
        settings: names and values, each the text of a JSON value where it is one.
    """
    values = {}
    for name, text in settings.items():
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return write_bytes(path, (json.dumps(values, indent=2) + "\n").encode())


def list_litert_operations(path: str | Path) -> set[str]:
    """Return the names of the operations of a LiteRT file, such as ``CONV_2D``."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path),
        # Without XNNPACK, whose operations would replace those of the file.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    return {operation["op_name"] for operation in interpreter._get_ops_details()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the converter prints, logs and warns about."""
    loggers = [logging.getLogger(name) for name in HIDDEN_LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
