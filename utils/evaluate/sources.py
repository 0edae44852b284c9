"""Scores of a detector source by source, and the false faces on pictures without people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utils.boxes import Detections
from utils.detect import Detector
from utils.evaluate.boxes import average_precision, count_outcomes, match_faces
from utils.evaluate.report import format_interval
from utils.evaluate.scorecard import ANY_SIZE, BOXES, BOXES_AND_LABELS, FACE, MEAN, score_answers
from utils.evaluate.scores import wilson_interval
from utils.evaluate.trials import run_pipeline

ALL_SOURCES = "all"
# Figures of ``compare_systems``: the name in its table, and the score of ``score_answers``.
FACE_AP = "face AP"
MEAN_AP = "mean AP"
F1 = "F1"
MIN_CONFIDENCE = 0.5  # confidence at which F1 is computed and faces are counted


def score_sources(
    found: Mapping[str, Detections],
    labels: pd.DataFrame,
    min_ious: Sequence[float] = (0.5, 0.3),
) -> pd.DataFrame:
    """Score the boxes of a detector on the labelled photographs of each source.

    Labellers draw a face from the brows, the forehead or the hair. At an IoU of 0.3 these habits
    hardly count, at 0.5 they do. Classes are ignored.

    Args:
        found: detections of each file, also those of low confidence.
        labels: the label table of these files, boxes only.
        min_ious: the least IoUs of a found and a labelled box.

    Returns:
        A table by ``source`` with the last row "all": ``n`` labelled faces, and for each IoU ``ap``
        and ``f1`` at a confidence of 0.5, such as ``ap 0.3``.
    """
    source_of_file = labels.drop_duplicates("file").set_index("file").source
    rows: dict[str, dict[str, Any]] = {}
    for source in [*sorted(source_of_file.unique()), ALL_SOURCES]:
        files = source_of_file.index
        if source != ALL_SOURCES:
            files = source_of_file.index[source_of_file == source]
        labels_here = labels[labels.file.isin(files)]
        found_here = {file: found[file] for file in files}
        row: dict[str, Any] = {"n": len(labels_here)}
        for min_iou in min_ious:
            matched = match_faces(found_here, labels_here, min_iou)
            matched = matched.assign(class_found=matched.class_true)  # only the boxes count
            row[f"ap {min_iou}"] = average_precision(matched)
            row[f"f1 {min_iou}"] = count_outcomes(matched, MIN_CONFIDENCE)["f1"]
        rows[source] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("source")


def count_false_faces(
    found: Iterable[Detections], min_confidence: float = MIN_CONFIDENCE
) -> dict[str, float]:
    """Count the faces that a detector finds in pictures without people.

    Args:
        found: the detections of each picture.
        min_confidence: detections below it are ignored.

    Returns:
        ``n`` pictures, the ``share`` of them with a false face, its 95 % interval ``low`` and
        ``high``, the number of false ``faces``, and their number ``per_1000`` pictures. The share
        of no pictures is NaN.
    """
    counts = [int((detections.confidence >= min_confidence).sum()) for detections in found]
    with_face = sum(count > 0 for count in counts)
    low, high = wilson_interval(with_face, len(counts))
    share = with_face / len(counts) if counts else float("nan")
    faces = sum(counts)
    return {
        "n": len(counts),
        "share": share,
        "low": low,
        "high": high,
        "faces": faces,
        "per_1000": 1000 * faces / len(counts) if counts else float("nan"),
    }


def compare_detectors(
    detectors: Mapping[str, Detector],
    labels: pd.DataFrame,
    empty: Mapping[str, Sequence[np.ndarray]],
    root: str | Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score detectors source by source, and count their faces in pictures without people.

    Args:
        detectors: by name; they report detections of low confidence too.
        labels: the label table of photographs with faces, boxes only.
        empty: pictures without people, by kind.
        root: the data root of the photographs.

    Returns:
        The rows of ``score_sources`` and those of ``count_false_faces``, as two tables by
        ``detector``, with the columns ``source`` and ``pictures``.
    """
    by_source = []
    false_faces = []
    for name, detector in detectors.items():
        found = run_pipeline(labels.file.unique(), root, detector, name)
        scores = score_sources(found, labels).reset_index()
        scores.insert(0, "detector", name)
        by_source.append(scores)
        for kind, pictures in empty.items():
            detections = [detector(picture) for picture in pictures]
            counted = count_false_faces(detections)
            false_faces.append({"detector": name, "pictures": kind, **counted})
    columns = ["detector", "pictures", "n", "share", "low", "high", "faces", "per_1000"]
    table = pd.DataFrame(false_faces, columns=columns)
    return pd.concat(by_source).set_index("detector"), table.set_index("detector")


def compare_systems(
    found: Mapping[str, Mapping[str, Detections]],
    labels: pd.DataFrame,
    min_ious: Sequence[float] = (0.5, 0.3),
    rounds: int = 300,
) -> pd.DataFrame:
    """Score systems source by source, with 95 % intervals over groups.

    A system is a detector, alone or with a classifier.

    Args:
        found: for each system the detections of each file, also those of low confidence.
        labels: the label table of these files, boxes only. Near-duplicates share a ``group``, which
            the bootstrap resamples as a whole; without this column, a photograph is a group.
        min_ious: the least IoUs of a found and a labelled box.
        rounds: bootstrap samples.

    Returns:
        A table ``source, system, score, iou, n, value, low, high``. The scores are ``face AP``;
        ``mean AP`` of the three classes, and ``F1`` at a confidence of 0.5, for which a face counts
        if its class is right. Without classes there is no mean, and F1 is that of the boxes.
    """
    of_file = labels.drop_duplicates("file").set_index("file")
    group = of_file["group"].to_dict() if "group" in labels else None
    rows: list[dict[str, Any]] = []
    for source in [*sorted(of_file.source.unique()), ALL_SOURCES]:
        is_here = of_file.source == source
        files = of_file.index if source == ALL_SOURCES else of_file.index[is_here]
        labels_here = labels[labels.file.isin(files)]
        for system, answers in found.items():
            scores = score_answers(
                {file: answers[file] for file in files},
                labels_here,
                min_confidence=MIN_CONFIDENCE,
                min_ious=min_ious,
                sizes=[ANY_SIZE],
                group=group,
                rounds=rounds,
            ).set_index(["score", "what", "iou"])
            is_classified = ("ap", MEAN, min_ious[0]) in scores.index
            wanted = {FACE_AP: ("ap", FACE), MEAN_AP: ("ap", MEAN), F1: ("f1", BOXES_AND_LABELS)}
            if not is_classified:
                wanted = {FACE_AP: ("ap", FACE), F1: ("f1", BOXES)}
            for name, key in wanted.items():
                for min_iou in min_ious:
                    row = scores.loc[(*key, min_iou), ["n", "value", "low", "high"]]
                    place = {"source": source, "system": system, "score": name, "iou": min_iou}
                    rows.append(place | row.to_dict())
    columns = ["source", "system", "score", "iou", "n", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def spread_systems(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the table of ``compare_systems`` with a row for each source and system.

    A cell is text, such as ``0.784 (0.751-0.812)``: the figure and its interval.
    """
    texts = [format_interval(row.value, row.low, row.high) for row in scores.itertuples()]
    names = [f"{row.score} at {row.iou:g}" for row in scores.itertuples()]
    table = scores.assign(text=texts, figure=names)
    key = ["source", "system"]
    n = table.groupby(key, sort=False).n.first().astype(int)
    wide = table.pivot(index=key, columns="figure", values="text")
    wide = wide.loc[n.index, list(dict.fromkeys(names))]
    wide.insert(0, "n", n)
    return wide.reset_index("system")
