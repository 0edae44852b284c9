"""Keras models to ONNX files that say themselves what they take, and to 8-bit versions of these."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import onnx

# The first convolutions of MobileNetV2. Their channels differ so much in size that rounding them costs as much as
# rounding all the rest, and they are few: notebook 04 shows both ways.
FIRST_LAYERS = ("Conv1", "bn_Conv1", "expanded_conv")


def export_onnx(
    model: keras.Model,
    path: str | Path,
    resolution_wh: tuple[int | None, int | None],
    metadata: Mapping[str, str],
) -> Path:
    """Write a model of images as ONNX.

    Args:
        model: takes (N, H, W, 3) float32, named "pixels".
        path: the file to write.
        resolution_wh: width and height of its input; None where any will do.
        metadata: what whoever loads it needs to know.
    """
    path = Path(path)
    width, height = resolution_wh
    signature = [keras.InputSpec(shape=(None, height, width, 3), dtype="float32", name="pixels")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # tf2onnx still asks NumPy for np.object
        model.export(path, format="onnx", input_signature=signature, verbose=False)
    exported = onnx.load(path)
    onnx.helper.set_model_props(exported, dict(metadata))
    onnx.save(exported, path)
    return path


def quantize_onnx(
    path: str | Path,
    target: str | Path,
    batches: Iterable[np.ndarray],
    keep_float: Sequence[str] = (),
) -> Path:
    """Write the 8-bit version of an ONNX file: weights per channel, activations by what these images excite.

    Args:
        path: the float file; its metadata is kept.
        target: the file to write.
        batches: (N, H, W, 3) float32 inputs, of training images only.
        keep_float: layers that stay as they are, by how their names in Keras begin.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch}

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Batches(),
            quant_format=QuantFormat.QOperator,  # no way back to float between layers, which would cost what is won
            per_channel=True,
            activation_type=QuantType.QUInt8,  # with 8-bit signed weights: what x86 multiplies fastest ...
            weight_type=QuantType.QInt8,
            reduce_range=True,  # ... of which 7 are used, or processors without VNNI would overflow
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "Clip", "Relu"],
            nodes_to_exclude=_find_nodes(onnx.load(prepared), keep_float),
        )
    quantized = onnx.load(target)
    properties = {item.key: item.value for item in onnx.load(path).metadata_props}
    onnx.helper.set_model_props(quantized, properties)
    onnx.save(quantized, target)
    return Path(target)


def _find_nodes(model: onnx.ModelProto, layers: Sequence[str]) -> list[str]:
    """The nodes that stem from Keras layers whose names begin so: the optimizer keeps these in some name of a node."""
    found = []
    for node in model.graph.node:
        parts = "/".join([node.name, *node.input, *node.output]).split("/")
        if any(part.startswith(layer) for part in parts for layer in layers):
            found.append(node.name)
    return found
