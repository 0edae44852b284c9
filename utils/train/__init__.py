"""Training and export of the mask classifier and the face detector.

The classifier is built, trained and calibrated by ``build_classifier``, ``train_head``,
``fine_tune`` and ``add_calibration``; the detector by ``build_detector`` and ``train_detector``,
whose loss is ``detection_loss``. ``make_face_dataset`` and ``make_view_dataset`` make their
training batches, and ``Negatives`` draws views without a face. ``export_classifier``,
``export_detector`` and ``quantize_onnx`` write the files that detection loads. The command
``python -m utils.train`` does all of this for a folder of photographs; ``read_runs`` compares runs.

Keras and TensorFlow take seconds to load. Each module is therefore imported when one of its names
is first used (PEP 562), and ``import utils.train`` loads none of them. What TensorFlow logs as it
starts (that there is no GPU, which instructions the processor has) is hidden.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Hide TensorFlow's log up to fatal errors. It must be set before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_EXPORTS = {
    "data.augment": ("augment_face", "color_jitter", "darken", "degrade"),
    "classifier": (
        "add_calibration",
        "average_weights",
        "blend_weights",
        "build_classifier",
        "compile_fine_tuning",
        "extract_features",
        "fine_tune",
        "grad_cam",
        "train_head",
        "unfreeze_classifier",
    ),
    "data.crops": (
        "FaceCrops",
        "draw_negative_crops",
        "join_crops",
        "load_crops",
        "load_inference_faces",
        "make_face_dataset",
        "sample_weights",
    ),
    "detector": (
        "build_detector",
        "compile_detector",
        "detection_loss",
        "take_mean_weights",
        "train_detector",
        "unfreeze_detector",
    ),
    "export": (
        "FIRST_BLOCK",
        "export_classifier",
        "export_detector",
        "export_onnx",
        "quantize_onnx",
        "write_unsure_level",
    ),
    "litert": ("export_litert", "list_litert_operations", "write_litert_settings"),
    "loop": (
        "KeepWeights",
        "StepBar",
        "TrainingStopped",
        "make_batches",
        "make_run_name",
        "save_model",
        "train_epochs",
        "without_autotune",
    ),
    "data.mining": ("load_negatives", "mine_false_faces"),
    "mobilenet": ("build_mobilenet", "choose_start", "copy_weights"),
    "data.negatives": ("Negatives", "cut_negative", "find_fonts", "render_page"),
    "data.pseudo_labels": (
        "align_boxes",
        "find_unlabelled",
        "keep_agreed",
        "measure_offset",
        "move_boxes",
    ),
    "recipes": (
        "RECIPES",
        "RecipeImages",
        "build_recipe",
        "load_whole_images",
        "resize_all",
        "select_whole_images",
        "train_recipe",
    ),
    "runs": ("read_runs", "write_events", "write_settings"),
    "data.targets": ("assign_faces", "encode_targets"),
    "data.teachers": ("Agreement", "CenterFace"),
    "data.views": (
        "Photograph",
        "cut_view",
        "load_photographs",
        "make_mosaic",
        "make_view_dataset",
        "view_weights",
    ),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_MODULE_OF)


@contextmanager
def _hide_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2, also by libraries in C++."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def load_tensorflow() -> None:
    """Import Keras and TensorFlow, and look for GPUs, without the log of both."""
    if "tensorflow" in sys.modules:
        return
    # Some of the log comes before TF_CPP_MIN_LOG_LEVEL is read.
    with _hide_stderr():
        importlib.import_module("keras")
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.list_physical_devices("GPU")
    tensorflow.get_logger().setLevel("ERROR")  # it warns about functions traced anew


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'utils.train' has no attribute '{name}'")
    load_tensorflow()
    module = importlib.import_module(f"utils.train.{_MODULE_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
