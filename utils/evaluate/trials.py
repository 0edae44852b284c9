"""Trials on labelled images: run a detector or a whole pipeline and score its detections."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.batch import Batch, map_files
from utils.boxes import Detections, as_boxes
from utils.classes import CLASS_NAMES
from utils.detect import (
    PADDING,
    Classifier,
    Pipeline,
    classify_faces,
    crop_faces,
    load_classifier,
)
from utils.evaluate.boxes import SIZES, average_precision, count_outcomes, match_faces
from utils.images import ImageError, read_image
from utils.labels import BOX_COLUMNS

MIN_CONFIDENCE = 0.5  # confidence at which F1 and the share of right classes are computed


def run_pipeline(
    files: Iterable[str],
    root: str | Path,
    pipeline: Pipeline,
    name: str = "detecting",
    batch: Batch | None = None,
) -> dict[str, Detections]:
    """Run a detector or a pipeline on image files, with a progress bar.

    Args:
        files: paths below ``root``.
        root: the data root.
        pipeline: maps an image to its detections.
        name: of the progress bar; an empty name shows none.
        batch: other processes or a cluster that do the work. The pipeline must be picklable then,
            as those of ``utils.detect`` are.

    Returns:
        The detections of each file.

    Raises:
        ImageError: a file cannot be read.
        JobError: the batch cannot be used.
    """
    files = list(files)
    found = {}
    with tqdm(total=len(files), desc=name, unit="image", leave=False, disable=not name) as bar:
        if batch is None:
            for file in files:
                found[file] = pipeline(read_image(Path(root) / file))
                bar.update()
            return found
        items = [(Path(root) / file,) for file in files]
        detect = partial(_list_detections, pipeline=pipeline)
        with closing(map_files(detect, items, batch)) as outcomes:
            for file, outcome in zip(files, outcomes, strict=True):
                if outcome.problem:
                    raise ImageError(outcome.problem)
                found[file] = _read_detections(outcome.value)
                bar.update()
    return found


def _list_detections(file: str | Path, pipeline: Pipeline) -> dict[str, Any]:
    """Return the detections of an image file as JSON can hold them."""
    found = pipeline(read_image(file))
    columns = {}
    for name in ("xyxy", "confidence", "y_prob", "is_unsure"):
        values = getattr(found, name)
        columns[name] = None if values is None else values.tolist()
    return columns


def _read_detections(columns: dict[str, Any]) -> Detections:
    """Return detections from ``_list_detections``."""
    y_prob = columns["y_prob"]
    is_unsure = columns["is_unsure"]
    if y_prob is not None:
        y_prob = np.array(y_prob, np.float32).reshape(-1, len(CLASS_NAMES))
    if is_unsure is not None:
        is_unsure = np.array(is_unsure, bool)
    return Detections(
        xyxy=as_boxes(columns["xyxy"]),
        confidence=np.array(columns["confidence"], np.float32),
        y_prob=y_prob,
        is_unsure=is_unsure,
    )


def crop_rows(rows: pd.DataFrame, root: str | Path, padding: float = 0.6) -> list[np.ndarray]:
    """Crop the faces of a table with their surroundings.

    Args:
        rows: a table with ``file`` and boxes. A row without a box gives the whole image.
        root: the data root.
        padding: added on each side, as a share of the box's longer side.

    Returns:
        N (H, W, 3) uint8 RGB images.
    """
    boxes = rows[BOX_COLUMNS].to_numpy(float)
    faces = []
    for file, box in zip(rows.file, boxes, strict=True):
        image = read_image(Path(root) / file)
        if np.isfinite(box).all():
            (face,) = crop_faces(image, box[None], padding)
        else:
            face = image
        faces.append(face)
    return faces


def classify_rows(
    rows: pd.DataFrame, root: str | Path, classifier: Classifier | None = None
) -> np.ndarray:
    """Compute the class probabilities of the faces of a table.

    Args:
        rows: a table with ``file`` and boxes. For a row without a box, the whole image is used.
        root: the data root.
        classifier: the shipped one by default.

    Returns:
        ``y_prob`` (N, C).
    """
    if classifier is None:
        classifier = load_classifier()
    return classify_faces(classifier, crop_rows(rows, root, PADDING))


def score_pipeline(
    pipeline: Pipeline, labels: pd.DataFrame, root: str | Path, name: str = "detecting"
) -> dict[str, float]:
    """Score a detector or a pipeline on labelled photographs.

    Args:
        pipeline: gives detections, also those of low confidence.
        labels: the label table of the photographs, boxes only.
        root: the data root.
        name: of the progress bar; an empty name shows none.

    Returns:
        The scores by name:

        - ``ap``: average precision of faces.
        - ``f1``: F1 at a confidence of 0.5. If the faces are classified, a face counts as right
          only if its class is right.
        - ``right`` and ``right, <size>``: share of the found faces whose class is right, if faces
          are classified.
        - ``ms``: median time per image, milliseconds.
    """
    found = {}
    seconds = []
    files = labels.file.unique()
    for file in tqdm(files, desc=name, unit="image", leave=False, disable=not name):
        image = read_image(Path(root) / file)
        started = time.perf_counter()
        found[file] = pipeline(image)
        seconds.append(time.perf_counter() - started)

    matched = match_faces(found, labels)
    is_classified = any(detections.y_prob is not None for detections in found.values())
    if not is_classified:
        matched["class_found"] = matched.class_true  # only the boxes count
    scores = {
        "ap": average_precision(matched),
        "f1": count_outcomes(matched, MIN_CONFIDENCE)["f1"],
    }
    if is_classified:
        scores |= _class_accuracy(matched)
    scores["ms"] = 1000 * float(np.median(seconds))
    return scores


def _class_accuracy(matched: pd.DataFrame) -> dict[str, float]:
    """Return the share of the found faces whose class is right, of all and by size."""
    is_found = (matched.confidence >= MIN_CONFIDENCE) & matched.class_true.notna()
    faces = matched[is_found]
    right = faces.class_true == faces.class_found
    shares = {"right": right.mean()}
    for name, (low, high) in SIZES.items():
        is_in = faces.side.between(low, high, inclusive="left")
        shares[f"right, {name}"] = right[is_in].mean()
    return shares
