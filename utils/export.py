"""Keras models to ONNX files that say themselves what they take, and to 8-bit versions of these."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np
import onnx


def export_onnx(
    model: keras.Model, path: str | Path, resolution_wh: tuple[int | None, int | None], metadata: Mapping[str, str]
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


def quantize_onnx(path: str | Path, target: str | Path, batches: Iterable[np.ndarray], last_float: int = 0) -> Path:
    """Write the 8-bit version of an ONNX file: weights per channel, activations by what these images excite.

    Args:
        path: the float file; its metadata is kept.
        target: the file to write.
        batches: (N, H, W, 3) float32 inputs, of training images only.
        last_float: how many convolutions before the output stay in float.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
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
        nodes = [node.name for node in onnx.load(prepared).graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
        quantize_static(
            str(prepared),
            str(target),
            Batches(),
            per_channel=True,
            activation_type=QuantType.QUInt8,  # with 8-bit signed weights: what x86 multiplies fastest
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
            nodes_to_exclude=nodes[len(nodes) - last_float :] if last_float else None,
        )
    quantized = onnx.load(target)
    properties = {item.key: item.value for item in onnx.load(path).metadata_props}
    onnx.helper.set_model_props(quantized, properties)
    onnx.save(quantized, target)
    return Path(target)
