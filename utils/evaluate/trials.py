"""A detector, or both models, tried on labelled photographs: its detections, its figures, and faces to look at."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.boxes import Detections
from utils.detect import (
    PADDING,
    Classifier,
    Pipeline,
    classify_faces,
    crop_faces,
    load_classifier,
)
from utils.evaluate.boxes import SIZES, average_precision, count_outcomes, match_faces
from utils.images import read_image
from utils.labels import BOX_COLUMNS


def run_pipeline(files: Iterable[str], root: str | Path, judge: Pipeline) -> dict[str, Detections]:
    """Each file's detections, with a progress bar; ``files`` are paths below ``root``."""
    return {
        file: judge(read_image(Path(root) / file))
        for file in tqdm(list(files), desc="detecting", unit="image")
    }


def crop_rows(rows: pd.DataFrame, root: str | Path, padding: float = 0.6) -> list[np.ndarray]:
    """The faces of a table with ``file`` and boxes, with their surroundings; without a box, the whole image."""
    boxes, faces = rows[BOX_COLUMNS].to_numpy(float), []
    for file, box in zip(rows.file, boxes, strict=True):
        image = read_image(Path(root) / file)
        faces.append(crop_faces(image, [box], padding)[0] if np.isfinite(box).all() else image)
    return faces


def classify_rows(
    rows: pd.DataFrame, root: str | Path, classifier: Classifier | None = None
) -> np.ndarray:
    """What the classifier says of the faces of a table with ``file`` and boxes: (N, C) probabilities.

    Args:
        rows: the faces; a row without a box is the whole image.
        root: the data root.
        classifier: the shipped one by default.
    """
    return classify_faces(classifier or load_classifier(), crop_rows(rows, root, PADDING))


def score_pipeline(judge: Pipeline, labels: pd.DataFrame, root: str | Path) -> dict[str, float]:
    """The figures by which detectors, and who decides the class, are chosen.

    Args:
        judge: gives detections of low confidences too.
        labels: the label table of the photographs to try, boxes only.
        root: the data root.

    Returns:
        ``ap`` of faces; ``f1`` at a confidence of 0.5, of boxes and, where they were judged, of labels; the share of
        right classes among the faces found at 0.5, of all (``right``) and by size; ``ms``, the median time an image.
    """
    found, seconds = {}, []
    for file in tqdm(labels.file.unique(), desc="detecting", unit="image"):
        image = read_image(Path(root) / file)
        started = time.perf_counter()
        found[file] = judge(image)
        seconds.append(time.perf_counter() - started)
    matched = match_faces(found, labels)
    judged = any(detections.y_prob is not None for detections in found.values())
    told = matched if judged else matched.assign(class_found=matched.class_true)
    scores = {"ap": average_precision(matched), "f1": count_outcomes(told, 0.5)["f1"]}
    seen = matched[(matched.confidence >= 0.5) & matched.class_true.notna()]
    right = seen.class_true == seen.class_found
    if judged:
        slices = {
            f"right, {name}": seen.side.between(*bounds, inclusive="left")
            for name, bounds in SIZES.items()
        }
        scores |= {
            "right": right.mean(),
            **{name: right[inside].mean() for name, inside in slices.items()},
        }
    return {**scores, "ms": 1000 * float(np.median(seconds))}
