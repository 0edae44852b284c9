"""Write the models as LiteRT files: ``python -m utils.train export --to litert``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from utils import curate
from utils.detect import fit_to_square, open_session, to_input
from utils.images import read_image
from utils.labels import BOX_COLUMNS
from utils.messages import UserError
from utils.paths import MODEL_DIR
from utils.tables import read_table
from utils.train.commands.dataset import LABELS, drop_broken, select_faces
from utils.train.data.crops import load_inference_faces
from utils.train.litert import (
    INT8,
    PRECISIONS,
    export_litert,
    name_outputs,
    split_outputs,
    write_litert_settings,
)

SHIPPED = (MODEL_DIR / "face_detector.keras", MODEL_DIR / "mask_classifier.keras")
PICTURES = 200  # faces, or half as many photographs, on which the ranges of 8 bits are measured
CHOICES = 0  # seed of their choice


def export_models(
    models: Sequence[Path], folder: Path, dataset: Path | None, labels: Path | None
) -> None:
    """Write LiteRT files of models in all precisions, and a JSON file of settings for each.

    Args:
        models: ``.keras`` files, each with its ``.onnx`` file beside it.
        folder: where the files are written.
        dataset: labelled training photographs; None: those of ``data/raw``, else the sample.
        labels: a label table with ``split`` of these photographs, whose train rows are used; None:
            ``data/labels.csv`` without a dataset, else all photographs.

    Raises:
        UserError: a model or its ONNX file is missing, or no model of this project.
    """
    settings = {path: read_settings(path) for path in models}
    table, root = choose_photographs(dataset, labels)
    for path in models:
        model = load_model(path)
        if is_detector(settings[path]):
            side = int(settings[path]["side"])
            model = split_outputs(model, json.loads(settings[path]["strides"]))
            pictures = read_squares(table, root, side)
        else:
            side = int(settings[path]["input_size"])
            model = name_outputs(model)
            faces = table.sample(min(PICTURES, len(table)), random_state=CHOICES)
            pictures = list(to_input(load_inference_faces(faces, root), side))
        for precision in PRECISIONS:
            written = export_litert(
                model,
                folder / f"{path.stem}_{precision}.tflite",
                resolution_wh=(side, side),
                pictures=pictures if precision == INT8 else (),
                precision=precision,
            )
            print(f"Wrote {written} ({written.stat().st_size / 1e6:.1f} MB).")
        print(f"Wrote {write_litert_settings(folder / f'{path.stem}.json', settings[path])}.")


def is_detector(settings: dict[str, str]) -> bool:
    """Return whether the settings of an ONNX file are those of a detector."""
    return "strides" in settings


def read_settings(path: Path) -> dict[str, str]:
    """Return what the ONNX file beside a model holds.

    Raises:
        UserError: there is no such file, or it is not from this project.
    """
    onnx_file = path.with_suffix(".onnx")
    for file in (path, onnx_file):
        if not file.is_file():
            raise UserError(
                f"There is no {file}: --model takes a .keras file of this project with its .onnx "
                "file beside it."
            )
    _, metadata = open_session(onnx_file)
    if "strides" not in metadata and "class_names" not in metadata:
        raise UserError(f"{onnx_file} is no model of this project: choose another file.")
    return metadata


def load_model(path: Path) -> keras.Model:
    """Return a model from a ``.keras`` file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for files that are none of its own
        raise UserError(f"{path} cannot be read as a Keras model: restore or train it.") from error


def choose_photographs(dataset: Path | None, labels: Path | None) -> tuple[pd.DataFrame, Path]:
    """Return a label table of training faces, and its root.

    Args:
        dataset, labels: see ``export_models``.
    """
    root = dataset
    if root is None:
        source = curate.open_data()
        root = source.root
        if labels is None and not source.is_sample and (source.output / LABELS).is_file():
            labels = source.output / LABELS
    if labels is None:
        table, _ = curate.read_data(root)
        table, problems = drop_broken(table, root)
        if len(problems):
            print(
                f"Photographs left out because they cannot be read: {len(problems)}. The first: "
                f"{problems.problem[0]}"
            )
    else:
        if not labels.is_file():
            raise UserError(f"There is no file {labels}: check the path of --labels.")
        table = read_table(labels, ["file", "class_name", "split", *BOX_COLUMNS])
        table = table[table.split == "train"]
    return select_faces(table), root


def read_squares(table: pd.DataFrame, root: Path, side: int) -> list[np.ndarray]:
    """Return photographs as the detector sees them, (S, S, 3) float32.

    Photographs with boxes come first: others show one large face.
    """
    boxed = table.dropna(subset=BOX_COLUMNS)
    files = (boxed if len(boxed) else table).file.drop_duplicates()
    files = files.sample(min(PICTURES // 2, len(files)), random_state=CHOICES)
    return [fit_to_square(read_image(root / file), side)[0] for file in files]
