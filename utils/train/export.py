"""Export of Keras models to ONNX files, which hold their own settings, and their 8-bit versions."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import onnx

from utils.atomic import write_atomically, write_bytes
from utils.classes import CLASS_NAMES

# The first convolutions of MobileNetV2, by the prefixes of their layers' names. They are few, but
# the ranges of their channels differ so much that rounding them costs as much accuracy as rounding
# all other layers. Notebook 04 measures both.
FIRST_BLOCK = ("Conv1", "bn_Conv1", "expanded_conv")


def export_classifier(
    model: keras.Model,
    path: str | Path,
    threshold: float,
    split: str = "",
    sources: Sequence[str] | None = None,
    class_names: Sequence[str] = CLASS_NAMES,
) -> Path:
    """Write a classifier as an ONNX file that ``detect.load_classifier`` reads.

    Args:
        model: with calibrated probabilities, from ``add_calibration``.
        path: the file to write.
        threshold: the probability of ``no_face`` from which a box is dropped.
        split: digest of the split that the model was trained on, from
            ``curate.digest_split``.
        sources: folders of the data root that the digest covers; None: those of the first models.
        class_names: the columns of the output, some or all of ``CLASS_NAMES`` in their order.

    Returns:
        The path.
    """
    input_size = model.input_shape[1]
    metadata = {
        "class_names": json.dumps(class_names),
        "input_size": str(input_size),
        "threshold": str(threshold),
        "split": split,
    }
    if sources is not None:
        metadata["sources"] = json.dumps(sorted(sources))
    return export_onnx(model, path, resolution_wh=(input_size, input_size), metadata=metadata)


def export_detector(
    model: keras.Model,
    path: str | Path,
    strides: tuple[int, ...],
    side: int,
    calibration: tuple[float, float] = (1.0, 0.0),
    split: str = "",
    sources: Sequence[str] | None = None,
) -> Path:
    """Write a detector as an ONNX file for images of any size that ``detect.FCOS`` reads.

    Args:
        model: from ``build_detector``, trained.
        path: the file to write.
        strides: of the model's levels, pixels.
        side: pixels; detection resizes an image so that this is its longer side.
        calibration: factor and offset of the face logit, chosen so that 0.5 is the best threshold.
        split: digest of the split that the model was trained on, from
            ``curate.digest_split``.
        sources: folders of the data root that the digest covers; None: those of the first models.

    Returns:
        The path.
    """
    metadata = {
        "strides": json.dumps(strides),
        "side": str(side),
        "calibration": json.dumps(calibration),
        "split": split,
    }
    if sources is not None:
        metadata["sources"] = json.dumps(sorted(sources))
    return export_onnx(model, path, resolution_wh=(None, None), metadata=metadata)


def export_onnx(
    model: keras.Model,
    path: str | Path,
    resolution_wh: tuple[int | None, int | None],
    metadata: Mapping[str, str],
) -> Path:
    """Write a model of images as an ONNX file.

    Args:
        model: takes (N, H, W, 3) float32, with an input named "pixels".
        path: the file to write.
        resolution_wh: width and height of the input; None for any.
        metadata: settings that the file holds.

    Returns:
        The path.
    """
    path = Path(path)
    width, height = resolution_wh
    signature = keras.InputSpec(shape=(None, height, width, 3), dtype="float32", name="pixels")
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path, suffix=".onnx") as part:
        with warnings.catch_warnings():
            # tf2onnx still looks for NumPy's np.object.
            warnings.simplefilter("ignore", FutureWarning)
            model.export(part, format="onnx", input_signature=[signature], verbose=False)
        exported = onnx.load(part)
        onnx.helper.set_model_props(exported, dict(metadata))
        onnx.save(exported, part)
    return path


def quantize_onnx(
    path: str | Path,
    output: str | Path,
    batches: Iterable[np.ndarray],
    keep_float: Sequence[str] = (),
) -> Path:
    """Write the 8-bit version of an ONNX file.

    Weights are rounded channel by channel. The range of the activations is measured on ``batches``.

    Args:
        path: the float file.
        output: the file to write; it gets the metadata of the float file.
        batches: (N, H, W, 3) float32 inputs, of training images only.
        keep_float: prefixes of the names of the Keras layers that stay float, such as
            ``FIRST_BLOCK``.

    Returns:
        The path of the new file.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class BatchReader(CalibrationDataReader):
        """Hands the batches to the quantization one by one."""

        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            if batch is None:
                return None
            return {"pixels": batch}

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        rounded = Path(folder, "rounded.onnx")
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(rounded),
            BatchReader(),
            # QOperator computes in 8 bits from layer to layer; QDQ converts to float in between,
            # which takes time.
            quant_format=QuantFormat.QOperator,
            per_channel=True,
            # x86 multiplies unsigned activations by signed weights fastest. Processors without VNNI
            # add the products up in 16 bits; with weights of 7 bits (reduce_range) the sums do not
            # overflow.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            # Sums stay in floats: in 8 bits they are less exact, and each build of ONNX Runtime
            # rounds them in its own way, so that a browser would answer differently.
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Clip", "Relu"],
            nodes_to_exclude=_find_nodes(onnx.load(prepared), keep_float),
        )
        quantized = onnx.load(rounded)
    metadata = {item.key: item.value for item in onnx.load(path).metadata_props}
    onnx.helper.set_model_props(quantized, metadata)
    return write_bytes(output, quantized.SerializeToString())


def write_unsure_level(paths: Iterable[str | Path], level: float) -> None:
    """Write the level under which an answer is unsure into classifiers; all else in them stays.

    Args:
        paths: files of ``export_classifier`` and their 8-bit versions.
        level: from ``evaluate.choose_unsure_level``.
    """
    for path in paths:
        model = onnx.load(path)
        metadata = {item.key: item.value for item in model.metadata_props}
        metadata["unsure_below"] = str(level)
        onnx.helper.set_model_props(model, metadata)
        write_bytes(path, model.SerializeToString())


def _find_nodes(model: onnx.ModelProto, layers: Sequence[str]) -> list[str]:
    """Return the names of the nodes made from the Keras layers whose names have these prefixes.

    ONNX Runtime's optimizer merges nodes. The layer's name remains in the name of the node, or of
    one of its inputs or outputs.
    """
    found = []
    for node in model.graph.node:
        names = "/".join([node.name, *node.input, *node.output]).split("/")
        if any(name.startswith(tuple(layers)) for name in names):
            found.append(node.name)
    return found
