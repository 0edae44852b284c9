"""Label tables from a journal: one annotator's labels, or the majority of several."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from utils.annotate.journal import JOURNAL_NAME, Box, normalize_box, read_hand_labels
from utils.classes import LabelError
from utils.labels import BOX_COLUMNS, make_label_table
from utils.tables import read_table


def to_label_table(
    hand_labels: pd.DataFrame, faces: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the label table of one annotator, or of the majority of several.

    Args:
        hand_labels: from ``read_hand_labels``.
        faces: the faces table: ``file``, ``source``, and optionally a box and ``kept``. An image
            that is not in it gets its folder as the source. Labels of a face that is not kept do
            not count.

    Returns:
        The label table; and the faces left out because no class has more than half of the votes:
        ``file``, the box and ``labels`` (who gave which label).
    """
    source_of_file = {}
    rejected = set()
    if faces is not None:
        source_of_file = dict(zip(faces.file, faces.source, strict=True))
        rejected = _find_rejected(faces)
    key = ["file", *BOX_COLUMNS]
    rows = []
    disputed = []
    for values, labels in hand_labels.groupby(key, sort=False, dropna=False):
        face = dict(zip(key, values, strict=True))
        if (face["file"], normalize_box(values[1:])) in rejected:
            continue
        shares = labels.class_name.value_counts(normalize=True)
        if shares.iloc[0] > 0.5:
            file = face["file"]
            face["source"] = source_of_file.get(file, Path(file).parent.name)
            face["class_name"] = shares.index[0]
            rows.append(face)
        else:
            votes = [f"{row.labeller}: {row.class_name}" for row in labels.itertuples()]
            face["labels"] = ", ".join(votes)
            disputed.append(face)
    return make_label_table(rows), pd.DataFrame(disputed, columns=[*key, "labels"])


def _find_rejected(faces: pd.DataFrame) -> set[tuple[str, Box]]:
    """Return file and box of the faces that a person left out on the contact sheet."""
    if "kept" not in faces:
        return set()
    rejected = faces[~faces.kept.astype(bool)]
    boxes = rejected[BOX_COLUMNS].to_numpy(float)
    return {(file, normalize_box(box)) for file, box in zip(rejected.file, boxes, strict=True)}


def read_hand_folder(
    folder: str | Path, root: str | Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the labels of a folder with a journal and, optionally, ``faces.csv`` for the sources.

    Args:
        folder: holds ``hand_labels.csv``. Without ``faces.csv``, its name is the source. Labels of
            a face that is not kept in ``faces.csv`` do not count.
        root: the data root that ``file`` is relative to; the folder itself by default.

    Returns:
        The label table; and a table of problems (``file``, ``problem``): faces on which annotators
        disagree, and missing images.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    problems: list[dict[str, str]] = []
    try:
        hand_labels = read_hand_labels(folder / JOURNAL_NAME)
    except LabelError as error:
        problems.append({"file": JOURNAL_NAME, "problem": str(error)})
        return make_label_table([]), pd.DataFrame(problems)

    faces = None
    if (folder / "faces.csv").is_file():
        faces = read_table(folder / "faces.csv", ["file", "source"])
    table, disputed = to_label_table(hand_labels, faces)
    if faces is None:
        table["source"] = folder.name

    for row in disputed.itertuples():
        problem = f"Its annotators disagree ({row.labels}): correct one of the labels."
        problems.append({"file": row.file, "problem": problem})
    missing = [file for file in table.file.unique() if not (root / file).is_file()]
    for file in missing:
        problems.append({"file": file, "problem": f"{root / file} has a label but is missing."})
    found = table[~table.file.isin(missing)].reset_index(drop=True)
    return found, pd.DataFrame(problems, columns=["file", "problem"])
