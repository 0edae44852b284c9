"""Recall and precision by the size, class, brightness and blur of faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from utils.boxes import BOX_COLUMNS, clip_boxes
from utils.classes import MASK_CLASSES
from utils.evaluate.boxes import SIZES
from utils.evaluate.scores import wilson_interval
from utils.images import read_image

# Mean luma of a face, 0-255. The greatest is excluded.
BRIGHTNESS: dict[str, tuple[float, float]] = {
    "luma under 64": (0, 64),
    "luma 64-96": (64, 96),
    "luma 96-128": (96, 128),
    "luma 128-160": (128, 160),
    "luma 160 and more": (160, np.inf),
}
FACE_SIDE = 64  # pixels: a face has this size when its blur is measured, so that sizes compare
# Variance of the Laplacian of a face at that size: a blurred one has small steps between pixels
# (J. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000). The limits are
# about the quartiles of the labelled validation faces of the public sets.
BLUR: dict[str, tuple[float, float]] = {
    "sharpness under 30": (0, 30),
    "sharpness 30-130": (30, 130),
    "sharpness 130-470": (130, 470),
    "sharpness 470 and more": (470, np.inf),
}


def measure_face(face: np.ndarray) -> tuple[float, float]:
    """Return the mean luma of a face, 0-255, and the variance of its Laplacian at a fixed size.

    Args:
        face: (H, W, 3) uint8 RGB.
    """
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    is_large = min(grey.shape) >= FACE_SIDE
    method = cv2.INTER_AREA if is_large else cv2.INTER_LINEAR
    scaled = cv2.resize(grey, (FACE_SIDE, FACE_SIDE), interpolation=method)
    return float(grey.mean()), float(cv2.Laplacian(scaled, cv2.CV_64F).var())


def measure_faces(matched: pd.DataFrame, root: str | Path) -> pd.DataFrame:
    """Measure the brightness and the blur of each row of a ``match_faces`` table.

    Args:
        matched: the table. The box of a row is the found one or, for a missed face, the labelled.
        root: the data root.

    Returns:
        The table with ``luma`` and ``sharpness``; NaN where a box has no pixel.
    """
    measured = matched.assign(luma=np.nan, sharpness=np.nan)
    for file, rows in matched.groupby("file"):
        image = read_image(Path(root) / str(file))
        height, width = image.shape[:2]
        boxes = clip_boxes(rows[BOX_COLUMNS].to_numpy(float), (width, height)).round().astype(int)
        for row, (left, top, right, bottom) in zip(rows.index, boxes.tolist(), strict=True):
            if right > left and bottom > top:
                values = measure_face(image[top:bottom, left:right])
                measured.loc[row, ["luma", "sharpness"]] = values
    return measured


def condition_table(measured: pd.DataFrame, min_confidence: float = 0.5) -> pd.DataFrame:
    """Compute recall and precision by size, class, brightness and blur.

    Recall is the share of the labelled faces that are found and whose class is right; precision is
    the share of the found boxes that are such faces. By class, recall is that of the labelled class
    and precision that of the predicted class. If nothing is classified, only the boxes count.

    Args:
        measured: a ``match_faces`` table with ``luma`` and ``sharpness``, see ``measure_faces``.
        min_confidence: found boxes below it are ignored.

    Returns:
        A table ``condition, slice, score, n, value, low, high`` with Wilson's 95 % intervals. The
        value is NaN for n = 0.
    """
    is_face = measured.class_true.notna()
    is_kept = measured.confidence >= min_confidence
    is_right = is_face & is_kept
    is_classified = measured.class_found.notna().any()
    if is_classified:
        is_right &= measured.class_true == measured.class_found

    rows = []
    for condition, slices in _slice_rows(measured, bool(is_classified)).items():
        for name, (is_true, is_predicted) in slices.items():
            counted = {"recall": is_face & is_true, "precision": is_kept & is_predicted}
            for score, is_counted in counted.items():
                n = int(is_counted.sum())
                hits = int((is_right & is_counted).sum())
                low, high = wilson_interval(hits, n)
                row = {"condition": condition, "slice": name, "score": score, "n": n}
                row |= {"value": hits / n if n else np.nan, "low": low, "high": high}
                rows.append(row)
    columns = ["condition", "slice", "score", "n", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _slice_rows(
    measured: pd.DataFrame, is_classified: bool
) -> dict[str, dict[str, tuple[pd.Series, pd.Series]]]:
    """Return the slices of each condition: which rows are in it for recall, and for precision."""
    everything = pd.Series(True, index=measured.index)
    slices: dict[str, dict[str, tuple[pd.Series, pd.Series]]] = {
        "all": {"all": (everything, everything)}
    }
    ranges = {
        "size": ("side", SIZES),
        "brightness": ("luma", BRIGHTNESS),
        "blur": ("sharpness", BLUR),
    }
    for condition, (column, limits) in ranges.items():
        slices[condition] = {}
        for name, (low, high) in limits.items():
            is_in = measured[column].between(low, high, inclusive="left")
            slices[condition][name] = (is_in, is_in)
    predicted = measured.class_found if is_classified else measured.class_true
    slices["class"] = {}
    for name in MASK_CLASSES:
        slices["class"][name] = (measured.class_true == name, predicted == name)
    return slices
