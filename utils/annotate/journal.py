"""The journal of labels given by hand: an append-only CSV file with one row per decision.

The columns of a *journal* (``hand_labels.csv``), whose rows are in the order of the decisions:

- ``file``: the image, as a POSIX path relative to the data root.
- ``x_min, y_min, x_max, y_max``: the face's box in pixels; empty if the whole image is the face.
- ``class_name``: empty if the face was skipped or its label was removed.
- ``labeller``: the annotator's name. The code says ``annotator``; the column keeps its name, so
  that older journals stay valid.
- ``way``: how the decision was made, one of ``METHODS``. The code says ``method``.
- ``labelled_at``: the time in UTC, ISO 8601.

The last row for a face and an annotator is in effect. An ``undo`` row cancels the row before it for
the same face and annotator, and holds the class that applies again. Rows are never changed or
deleted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from utils.classes import LabelError, to_class_name
from utils.csv_lines import append_lines, make_safe, now, read_complete_lines, restore
from utils.labels import BOX_COLUMNS
from utils.tables import TableError, hold_file

JOURNAL_NAME = "hand_labels.csv"
JOURNAL_COLUMNS = ["file", *BOX_COLUMNS, "class_name", "labeller", "way", "labelled_at"]
HEADER = ",".join(JOURNAL_COLUMNS)
METHODS = ("buttons", "regions", "labelimg", "mend", "undo")

Box = tuple[float, ...]  # (x_min, y_min, x_max, y_max), or () if the whole image is the face
FaceKey = tuple[str, Box, str]  # file, box, annotator


class JournalEntry(NamedTuple):
    """One row of the journal. The fields have the meaning of the columns, in the same order."""

    file: str
    box: Box
    class_name: str
    annotator: str
    method: str
    labelled_at: str


class NumberedEntry(NamedTuple):
    """A row of the journal and its number, from 0."""

    row: int
    entry: JournalEntry


def normalize_box(values: Iterable[Any]) -> Box:
    """Return a box in the form in which boxes are compared: rounded to float32.

    Detectors give float32, and a journal stores it as text.

    Args:
        values: four numbers or texts; empty texts, NaN or nothing if the whole image is the face.

    Returns:
        Four floats, or () if the whole image is the face.

    Raises:
        ValueError: some of the values are missing.
    """
    given = [value for value in values if value != "" and not pd.isna(value)]
    if len(given) not in (0, 4):
        raise ValueError(f"A box needs four numbers or none, not {given}.")
    return tuple(float(str(np.float32(value))) for value in given)


def _parse_entry(row: list[str], place: str) -> JournalEntry:
    """Return the entry in a CSV row; ``place`` names the row in the error message."""
    try:
        file, x_min, y_min, x_max, y_max, class_name, annotator, method, labelled_at = row
        if datetime.fromisoformat(labelled_at).tzinfo is None:
            raise ValueError("The time has no time zone.")
        if method not in METHODS:
            raise ValueError("The method is unknown.")
        box = normalize_box([x_min, y_min, x_max, y_max])
        if class_name:
            class_name = to_class_name(class_name)
    except ValueError as error:  # a LabelError is a ValueError
        raise LabelError(f"{place} is not a valid journal row: correct or delete it.") from error
    return JournalEntry(restore(file), box, class_name, restore(annotator), method, labelled_at)


def _is_complete_row(line: str) -> bool:
    """Return whether a line without a line break is a whole row, and not one that was cut off."""
    try:
        row = next(csv.reader([line]), [])
        _parse_entry(row, "The last line")
    except (LabelError, csv.Error):
        return False
    return True


def read_journal(path: str | Path) -> list[JournalEntry]:
    """Return all entries of a journal in order; none if there is no file yet.

    A last row that an interruption cut off is left out.

    Raises:
        LabelError: the file cannot be read, is not a journal, or has an invalid row.
    """
    try:
        text = read_complete_lines(path, is_row=_is_complete_row)
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(
            f"{path} cannot be read ({error}): check the path, and save it as UTF-8."
        ) from error
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, JOURNAL_COLUMNS)
    if header != JOURNAL_COLUMNS:
        raise LabelError(
            f"{path} is not a journal of hand labels: its first line must be {HEADER}."
        )
    return [_parse_entry(row, f"{path}, line {rows.line_num},") for row in rows if row]


def record_label(
    path: str | Path,
    file: str | Path,
    box: Iterable[Any],
    class_name: str,
    annotator: str,
    method: str,
) -> JournalEntry:
    """Append one decision to a journal. The row is on the disk when this returns.

    Args:
        path: the journal; it and its folder are created if missing.
        file: the image, as in the faces table.
        box: four values in pixels; empty or NaN if the whole image is the face.
        class_name: empty for a face that is skipped.
        annotator: a name or initials.
        method: how the decision was made, one of ``METHODS``.

    Returns:
        The entry, as ``read_journal`` returns it.

    Raises:
        LabelError: the class or the method is unknown, the annotator has no name, or the journal
            cannot be written.
    """
    if isinstance(file, Path):
        file = file.as_posix()
    if class_name:
        class_name = to_class_name(class_name, file)
    is_one_line = file.splitlines() == [file] and annotator.splitlines() == [annotator]
    if not annotator.strip() or method not in METHODS or not is_one_line:
        raise LabelError(
            f"The label of {file} needs an annotator's name of one line, a file name of one line "
            f"and a method of {', '.join(METHODS)}."
        )
    entry = JournalEntry(
        file=file,
        box=normalize_box(box),
        class_name=class_name,
        annotator=annotator.strip(),
        method=method,
        labelled_at=now(),
    )
    coordinates = [f"{value:.10g}" for value in entry.box] or [""] * 4
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    writer.writerow(
        [
            make_safe(entry.file),
            *coordinates,
            entry.class_name,
            make_safe(entry.annotator),
            entry.method,
            entry.labelled_at,
        ]
    )
    try:
        # Two programs that repair the end of the file at once would delete each other's rows.
        with hold_file(path):
            append_lines(path, line.getvalue(), JOURNAL_COLUMNS, is_row=_is_complete_row, sync=True)
    except TableError as error:
        raise LabelError(f"The label was not recorded: {error}") from error
    return entry


def group_active_entries(
    entries: Iterable[JournalEntry],
) -> dict[FaceKey, list[NumberedEntry]]:
    """Group entries by face and annotator, without those that were undone.

    Args:
        entries: a journal's entries, in order.

    Returns:
        By (file, box, annotator), the entries in order. The last entry of a list is in effect. A
        list is empty if all decisions on the face were undone.
    """
    groups: dict[FaceKey, list[NumberedEntry]] = {}
    for row, entry in enumerate(entries):
        group = groups.setdefault((entry.file, entry.box, entry.annotator), [])
        if entry.method != "undo":
            group.append(NumberedEntry(row, entry))
        elif group:
            group.pop()
    return groups


def read_hand_labels(path: str | Path) -> pd.DataFrame:
    """Return the current label of each face by each annotator.

    A face that was skipped, or whose label was undone, has no row.

    Returns:
        A table with the columns of the journal, in the order of the decisions; empty if there is
        no journal yet. ``apply_corrections`` takes it as it is.

    Raises:
        LabelError: the file cannot be read, is not a journal, or has an invalid row.
    """
    groups = group_active_entries(read_journal(path))
    current = [group[-1] for group in groups.values() if group]
    current.sort(key=lambda numbered: numbered.row)
    rows = []
    for _, entry in current:
        if entry.class_name:
            box = entry.box or [np.nan] * 4
            rows.append(
                [
                    entry.file,
                    *box,
                    entry.class_name,
                    entry.annotator,
                    entry.method,
                    entry.labelled_at,
                ]
            )
    types = {name: "float64" if name in BOX_COLUMNS else "str" for name in JOURNAL_COLUMNS}
    return pd.DataFrame(rows, columns=JOURNAL_COLUMNS).astype(types)
