"""The layers of the toolbox: imports point down only, and the heavy libraries stay in their modules."""

import ast
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parent.parent / "utils"
LAYERS = {
    1: {
        *("boxes", "classes", "images", "live", "paths", "sessions", "targets", "terminal"),  # to run
        *("fetch", "hamming", "markdown", "tables", "datasheet_text"),  # to collect
    },
    2: {
        *("anchors", "crops", "distance", "files", "opencv_detectors"),  # to run
        *("bing", "groups", "hand_labels", "labelimg_app", "labels", "provenance"),  # to collect
        *("evaluate", "plots", "photometry", "training", "export"),  # to train
    },
    3: {
        *("alerts", "census", "draw", "download", "faces", "masks", "records", "report"),  # to run
        *("sources", "tracks", "video_copy", "window"),
        *("agreement", "annotations", "convert", "crawl_folder", "face_table", "inventory", "labelling"),  # to collect
        *("export_faces", "rebuild", "takedown"),
        *("calibration", "dataset", "mosaics", "classifier", "classic", "detector", "evaluate_boxes"),  # to train
    },
    4: {
        *("annotate", "detect", "json_stream"),  # to run
        *("collect", "extract", "labelimg", "missing", "prepare", "regions", "widgets"),  # to collect
        *("pseudo_labels", "trials"),  # to train
    },
    5: {"monitor", "turns", "datasheet"},
    6: {"webcam"},
}
LAYER_OF = {module: layer for layer, modules in LAYERS.items() for module in modules}
ONLY_IN = {
    "tensorflow": {"dataset", "mosaics", "training", "classifier", "classic", "detector"},
    "keras": {"export", "training", "classifier", "classic", "detector"},
    "onnx": {"export"},
    "tf2onnx": {"export"},
    "matplotlib": {"plots"},
    "seaborn": {"plots"},
    "icrawler": {"collect"},
}
MODULES = sorted(path.stem for path in UTILS.rglob("*.py"))


def imported_names(source: str) -> set[str]:
    """Dotted names that a module of utils imports, at its top or inside a function; relative ones made absolute.

    `from utils import boxes` gives `utils` and `utils.boxes`.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ["utils" if node.level else "", node.module]))
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def modules_of_utils(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("utils.")} & set(LAYER_OF)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", set()),
        ("import os, numpy as np", set()),
        ("from utils.boxes import iou", {"boxes"}),
        ("from utils import boxes, faces as f", {"boxes", "faces"}),
        ("import utils.masks", {"masks"}),
        ("from . import detect", {"detect"}),
        ("from .plots import plot_confusion", {"plots"}),
        ("def f():\n    from utils import tracks", {"tracks"}),
    ],
)
def test_every_way_to_import_is_seen(source, expected):
    assert modules_of_utils(imported_names(source)) == expected


def test_every_module_has_its_layer():
    assert set(MODULES) - {"__init__"} <= set(LAYER_OF)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    below = {name for name, layer in LAYER_OF.items() if layer < LAYER_OF.get(module, 0)}  # __init__: none
    imports = imported_names((UTILS / f"{module}.py").read_text(encoding="utf-8"))
    assert modules_of_utils(imports) <= below


@pytest.mark.parametrize("module", MODULES)
def test_heavy_libraries_stay_where_they_belong(module):
    imports = imported_names((UTILS / f"{module}.py").read_text(encoding="utf-8"))
    libraries = {name.split(".")[0] for name in imports}
    assert {library for library in libraries if module not in ONLY_IN.get(library, {module})} == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short(module):
    assert len((UTILS / f"{module}.py").read_text(encoding="utf-8").splitlines()) <= 200
