"""Operating points: the confidence at which mistakes are rare, and the recall that is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from utils.boxes import Detections
from utils.evaluate.scores import wilson_interval

ONE_IN = (100, 1_000, 10_000)  # photographs for one mistake
LOWEST = 0.05  # confidence down to which the detectors of the notebooks look
FALSE_FACE = "false face"
FALSE_ALARM = "masked face called bare"


def operating_points(
    mistakes: np.ndarray,
    hits: np.ndarray,
    photographs: int,
    one_in: Sequence[int] = ONE_IN,
    lowest: float = LOWEST,
) -> pd.DataFrame:
    """Compute the least confidence at which there is at most one mistake in so many photographs.

    Args:
        mistakes: confidence of each mistake.
        hits: confidence of each face that should be found; NaN if it is not found.
        photographs: number of photographs in which the mistakes were looked for.
        one_in: photographs for one mistake.
        lowest: least confidence that was looked at.

    Returns:
        A table by ``one_in``: ``photographs, confidence, mistakes``, the number of faces ``n``,
        their ``recall`` with its bounds ``low`` and ``high``, and ``note``. With fewer photographs
        than ``one_in`` nothing can be said, and the note says so.
    """
    mistakes = np.sort(np.asarray(mistakes, float))[::-1]
    hits = np.asarray(hits, float)
    rows = []
    for count in one_in:
        row: dict = {"one_in": count, "photographs": photographs, "n": len(hits)}
        allowed = photographs // count
        if allowed == 0:
            row["note"] = f"not reachable with {photographs:,} photographs"
            rows.append(row)
            continue
        confidence = lowest
        if len(mistakes) > allowed:
            # The first mistake too many is just below the confidence.
            confidence = max(lowest, float(np.nextafter(mistakes[allowed], 2)))
        found = int((hits >= confidence).sum())
        low, high = wilson_interval(found, len(hits))
        row |= {
            "confidence": confidence,
            "mistakes": int((mistakes >= confidence).sum()),
            "recall": found / len(hits) if len(hits) else np.nan,
            "low": low,
            "high": high,
            "note": "",
        }
        rows.append(row)
    columns = ["one_in", "photographs", "confidence", "mistakes", "n", "recall", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "note"])
    table["mistakes"] = table.mistakes.astype("Int64")
    return table.set_index("one_in")


def find_operating_points(
    matched: pd.DataFrame, photographs: int, empty: Iterable[Detections]
) -> pd.DataFrame:
    """Compute the operating points for both kinds of mistakes.

    A false face is any box on a picture without people; the recall is that of all labelled faces. A
    false alarm is a face ``with_mask`` that is classified as ``without_mask``; the recall is the
    share of the bare faces that are found and classified as bare.

    Args:
        matched: a ``match_faces`` table of labelled photographs, whose detections have classes.
        photographs: number of these photographs.
        empty: the detections of each picture without people.

    Returns:
        The rows of ``operating_points``, with the column ``mistake`` in front.
    """
    pictures = list(empty)
    false = np.concatenate([np.zeros(0), *(found.confidence for found in pictures)])
    faces = matched[matched.class_true.notna()]
    false_faces = operating_points(false, faces.confidence.to_numpy(), len(pictures))

    is_called_bare = matched.class_found == "without_mask"
    alarms = matched[is_called_bare & (matched.class_true == "with_mask")]
    bare = faces[faces.class_true == "without_mask"]
    hits = bare.confidence.where(bare.class_found == "without_mask")
    false_alarms = operating_points(alarms.confidence.to_numpy(), hits.to_numpy(), photographs)

    tables = [false_faces.assign(mistake=FALSE_FACE), false_alarms.assign(mistake=FALSE_ALARM)]
    table = pd.concat(tables).reset_index()
    return table.set_index("mistake")
