"""The faces table of an extraction: read, written, and set right by a person.

``faces.csv`` has one row a face: ``file`` (POSIX path below the data root), ``source`` (the name of the folder that
holds the photograph), ``x_min, y_min, x_max, y_max`` (pixels), ``confidence``, ``crop`` (POSIX path below the table's
folder) and ``kept`` (False once a person has left it out). ``searched.csv`` beside it has one row a photograph that was
searched, so that one without a face is known too. ``utils.collect.extract`` writes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from utils.labels import BOX_COLUMNS
from utils.paths import FACES
from utils.tables import TableError, read_rows, replace_rows

SEARCHED = "searched.csv"
FACE_COLUMNS = ["file", "source", *BOX_COLUMNS, "confidence", "crop", "kept"]
SEARCHED_COLUMNS = ["file", "faces", "small", "problem"]


def read_faces(path: str | Path) -> pd.DataFrame:
    """The faces table with its types; empty where there is no file.

    Raises:
        TableError: the file cannot be read, or a row is not that of a face.
    """
    table = read_rows(path, FACE_COLUMNS)[FACE_COLUMNS]
    try:
        table = table.astype(dict.fromkeys([*BOX_COLUMNS, "confidence"], "float64"))
    except ValueError as error:
        raise TableError(
            f"{path} has a box that is no number ({error}): mend it or move it away."
        ) from error
    kept = table.kept.str.title()  # a spreadsheet writes TRUE
    if wrong := {*kept} - {"True", "False"}:
        raise TableError(f"{path} has '{min(wrong)}' under kept: write True or False there.")
    return table.assign(kept=kept == "True")


def write_faces(path: str | Path, table: pd.DataFrame) -> None:
    """Write a faces table anew, whole or not at all.

    Raises:
        TableError: it cannot be written.
    """
    replace_rows(path, table[FACE_COLUMNS])


def set_kept(path: str | Path, kept: Mapping[str, bool]) -> None:
    """Change which faces are kept, in the file: what a click on a contact sheet does.

    Args:
        path: ``faces.csv``; not while an extraction writes to it.
        kept: for each ``crop`` to change, whether it is kept.

    Raises:
        TableError: there is no such crop, or the file cannot be read or written.
    """
    table = read_faces(path)
    if unknown := {*kept} - {*table.crop}:
        raise TableError(f"{path} has no crop {min(unknown)}: read the table again.")
    write_faces(
        path,
        table.assign(kept=[kept.get(*row) for row in zip(table.crop, table.kept, strict=True)]),
    )


def read_searched(folder: str | Path) -> pd.DataFrame:
    """The photographs that were searched.

    Returns:
        A table ``file, faces`` (how many were cut out), ``small`` (how many were left out for their size) and
        ``problem`` (why it could not be read; empty where it could).

    Raises:
        TableError: the file cannot be read.
    """
    table = read_rows(Path(folder) / SEARCHED, SEARCHED_COLUMNS).drop_duplicates(
        "file", keep="last", ignore_index=True
    )
    counts = table[["faces", "small"]].apply(pd.to_numeric, errors="coerce")
    return table.assign(**counts.fillna(0).astype("int64"))


def list_missed(folder: str | Path) -> pd.DataFrame:
    """Photographs without any face that is kept: what the detector missed is among them, to be marked by hand.

    Returns:
        ``read_searched`` without those that could not be read, with ``left_out`` (how many faces a person left out).
    """
    table, faces = read_searched(folder), read_faces(Path(folder) / FACES)
    left_out = table.file.map(faces.file[~faces.kept].value_counts()).fillna(0).astype("int64")
    missed = (table.problem == "") & ~table.file.isin(faces.file[faces.kept])
    return table.assign(left_out=left_out)[missed].reset_index(drop=True)
