"""ONNX graphs of the web page: the shipped networks, with the steps around them in the graph.

The page runs what these graphs hold, so that JavaScript repeats little of ``utils.detect``: it
resizes images, chooses passes and runs three graphs.

- detect: a resized image to the boxes of one pass (``decode_faces`` and ``FCOS._detect_in_tile``).
- merge: the boxes of all passes to one set, and the square to cut out around each face
  (``_merge_passes`` and ``crop_faces``).
- classify: face crops to class probabilities (``blend_probabilities`` and ``measure_sureness``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import compose, inliner

from utils.classes import CLASS_NAMES
from utils.detect import CLASSIFIER_FILE, DETECTOR_FILE, FCOS, face_detector, load_classifier
from utils.web.float_operators import use_float_operators
from utils.web.steps import merge_passes, script_decoder, script_judge

IR_VERSION = 8  # that of the shipped networks


def build_detect_graph(
    path: str | Path = DETECTOR_FILE, float_operators: bool = True
) -> onnx.ModelProto:
    """Return the graph of one pass: a resized and padded image to boxes in the whole image.

    Args:
        path: model file of the detector, in 8 bits.
        float_operators: whether the network computes with float operators, see
            ``use_float_operators``.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: the model file is damaged, or its network does not have three strides.
    """
    detector = FCOS(path=path)
    if len(detector.strides) != 3:
        raise ValueError(f"The page needs a detector with three strides, not {detector.strides}.")
    decode = script_decoder(detector.strides, detector.calibration)
    return _append(_load_network(path, float_operators), decode.to_model_proto())


def build_merge_graph() -> onnx.ModelProto:
    """Return the graph that merges the boxes of all passes."""
    return _finish(merge_passes.to_model_proto())


def build_classify_graph(
    path: str | Path = CLASSIFIER_FILE, float_operators: bool = True
) -> onnx.ModelProto:
    """Return the graph from face crops and the detector's opinion to answers.

    Args:
        path: model file of the classifier, in 8 bits.
        float_operators: as in ``build_detect_graph``.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: the model file is damaged, or it does not know all classes.
    """
    classifier = load_classifier(path)
    if classifier.class_names != CLASS_NAMES:
        raise ValueError(f"The page needs a classifier with the classes {CLASS_NAMES}.")
    judge = script_judge(classifier.threshold, classifier.unsure_below)
    # Clipping first makes the classifier faster in browsers, and the detector slower.
    network = _load_network(path, float_operators, clip_first=True)
    return _append(network, judge.to_model_proto())


def read_settings(
    detector_path: str | Path = DETECTOR_FILE, classifier_path: str | Path = CLASSIFIER_FILE
) -> dict[str, Any]:
    """Return the numbers with which JavaScript chooses passes, by their names in ``utils.detect``.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: a model file is damaged.
    """
    detector = FCOS(path=detector_path)
    names = (
        "PAD",
        "MAX_ENLARGEMENT",
        "COARSE_SCALE",
        "LARGE",
        "HINT",
        "SMALL",
        "TILED_BELOW",
        "MAX_SIDE",
        "TILE_OVERLAP",
        "TINY",
        "TILE_ODDS",
        "CROWD",
        "CROWD_ENLARGEMENT",
        "FACE_CONFIDENCE",
    )
    settings: dict[str, Any] = {name: getattr(face_detector, name) for name in names}
    settings["side"] = detector.side
    settings["coarsest_stride"] = detector.strides[-1]
    settings["input_size"] = load_classifier(classifier_path).input_size
    settings["class_names"] = list(CLASS_NAMES)
    return settings


def write_models(folder: str | Path) -> list[Path]:
    """Write the three graphs and the settings into a folder, and return the files.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: a model file is damaged.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {
        "detect.onnx": build_detect_graph(),
        "merge.onnx": build_merge_graph(),
        "classify.onnx": build_classify_graph(),
    }
    files = []
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString())
        files.append(folder / name)
    settings = folder / "settings.json"
    settings.write_text(json.dumps(read_settings(), indent=2) + "\n")
    return [*files, settings]


def _load_network(
    path: str | Path, float_operators: bool, clip_first: bool = False
) -> onnx.ModelProto:
    """Return the network of a model file."""
    network = onnx.load(path)
    return use_float_operators(network, clip_first) if float_operators else network


def _append(network: onnx.ModelProto, steps: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network followed by steps.

    Args:
        network: the first part, with one output.
        steps: the second part. Its first input is the network's output; its other inputs are
            inputs of the whole.
    """
    (output,) = network.graph.output
    link = (output.name, steps.graph.input[0].name)
    model = compose.merge_models(network, _finish(steps), io_map=[link])
    return _finish(model)


def _finish(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with all functions inlined, and with only the versions that it needs."""
    model = inliner.inline_local_functions(model)
    versions = {known.domain: known.version for known in model.opset_import}
    used = {node.domain for node in model.graph.node} | {""}
    del model.opset_import[:]
    for domain in sorted(used):
        model.opset_import.append(onnx.helper.make_opsetid(domain, versions[domain]))
    model.ir_version = IR_VERSION
    return model
