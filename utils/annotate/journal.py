"""Labels given by hand: a journal of decisions that only grows.

A *journal* (``hand_labels.csv``) has one row a decision, in the order they were made: ``file`` (POSIX path below the
data root), ``x_min, y_min, x_max, y_max`` (pixels; empty where the whole image is the face), ``class_name`` (empty:
skipped, or taken back), ``labeller``, ``way`` and ``labelled_at`` (UTC). The last row of a face and a labeller holds.
An ``undo`` row takes back the decision before it and carries the class that then holds again: nothing is ever deleted.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd

from utils.classes import LabelError, to_class_name
from utils.tables import now

JOURNAL_NAME = "hand_labels.csv"
JOURNAL_COLUMNS = [
    "file",
    "x_min",
    "y_min",
    "x_max",
    "y_max",
    "class_name",
    "labeller",
    "way",
    "labelled_at",
]
HEADER = ",".join(JOURNAL_COLUMNS)
WAYS = ("buttons", "regions", "labelimg", "mend", "undo")
LONGEST_ROW = 2**16  # bytes that are read back to find where the last row begins


class Decision(NamedTuple):
    """One row of the journal. ``box`` is (x_min, y_min, x_max, y_max), or empty where the whole image is the face."""

    file: str
    box: tuple[float, ...]
    class_name: str
    labeller: str
    way: str
    labelled_at: str


def as_box(values: Iterable[object]) -> tuple[float, ...]:
    """A box as journals compare it: at float32, as detectors give it; () for a box that is empty or NaN."""
    values = [value for value in values if value != "" and value == value]
    if len(values) not in (0, 4):
        raise ValueError(f"A box has four numbers, or none, not {values}.")
    return tuple(float(str(np.float32(value))) for value in values)


def _to_decision(row: list[str], place: str) -> Decision:
    try:
        file, *box, class_name, labeller, way, labelled_at = row
        if datetime.fromisoformat(labelled_at).tzinfo is None or len(box) != 4 or way not in WAYS:
            raise ValueError(row)
        return Decision(
            file, as_box(box), class_name and to_class_name(class_name), labeller, way, labelled_at
        )
    except ValueError as error:  # a LabelError is one
        raise LabelError(
            f"{place} is no decision that can be read: mend that line or take it out."
        ) from error


def _cut_off(data: bytes) -> int:
    """How many bytes at the end are a row that a crash cut off; a whole row may lack its line break."""
    last = data[data.rfind(b"\n") + 1 :]
    try:
        _to_decision(next(csv.reader([last.decode("utf-8", "replace")]), []), "The last line")
    except LabelError:
        return len(last)
    return 0


def read_journal(path: str | Path) -> list[Decision]:
    """All decisions of a journal, in order; none where there is no file yet. A row that a crash cut off is passed over.

    Raises:
        LabelError: the file cannot be read, is no journal, or has a bad line; the sentence names it.
    """
    try:
        data = Path(path).read_bytes()
        text = data[: len(data) - _cut_off(data)].decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(
            f"{path} cannot be read ({error}): check the path, and save it as UTF-8."
        ) from error
    rows = csv.reader(io.StringIO(text, newline=""))
    if next(rows, JOURNAL_COLUMNS) != JOURNAL_COLUMNS:
        raise LabelError(f"{path} is no journal of hand labels: its first line must be {HEADER}.")
    return [_to_decision(row, f"{path}, line {rows.line_num},") for row in rows if row]


def _mend_end(journal: BinaryIO) -> int:
    """Make the journal end with a whole row, and return its length in bytes."""
    journal.seek(0)
    if not HEADER.startswith(
        journal.read(len(HEADER) + 3).decode("utf-8-sig", "replace")[: len(HEADER)]
    ):
        raise LabelError(
            f"{journal.name} is no journal of hand labels, and is left as it is: its name is taken."
        )
    size = journal.seek(0, os.SEEK_END)
    journal.seek(max(0, size - LONGEST_ROW))
    tail = journal.read()
    journal.truncate(size - _cut_off(tail))
    if tail and not _cut_off(tail) and not tail.endswith(b"\n"):
        journal.write(b"\n")
    return journal.seek(0, os.SEEK_END)


def record_label(
    path: str | Path,
    file: str | Path,
    box: Iterable[object],
    class_name: str,
    labeller: str,
    way: str,
) -> Decision:
    """Append one decision to a journal, on the disk before this returns; the journal and its folder are made.

    Args:
        path: the journal.
        file: the image, as the faces table has it.
        box: four pixels; empty or NaN where the whole image is the face.
        class_name: empty for a face that is skipped.
        labeller: who decides, a name or initials.
        way: one of ``WAYS``.

    Raises:
        LabelError: the class is unknown, the labeller has no name, or the journal cannot be written.
    """
    path, file = Path(path), file.as_posix() if isinstance(file, Path) else file
    class_name = class_name and to_class_name(class_name, file)
    if (
        not labeller.strip()
        or way not in WAYS
        or any(text.splitlines() != [text] for text in (file, labeller))
    ):
        raise LabelError(
            f"{file} needs a labeller's name and a way of {', '.join(WAYS)}, each of one line."
        )
    decision = Decision(file, as_box(box), class_name, labeller.strip(), way, now())
    rows, cells = io.StringIO(), [f"{value:.10g}" for value in decision.box] or [""] * 4
    csv.writer(rows, lineterminator="\n").writerow([file, *cells, *decision[2:]])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as journal:
            header = "" if _mend_end(journal) else HEADER + "\n"
            journal.write((header + rows.getvalue()).encode())
            journal.flush()
            os.fsync(journal.fileno())
    except OSError as error:
        raise LabelError(
            f"{path} cannot be written ({error.strerror}): the last label is not recorded."
        ) from error
    return decision


def replay(
    decisions: Iterable[Decision],
) -> dict[tuple[str, tuple, str], list[tuple[int, Decision]]]:
    """By (file, box, labeller), the decisions not taken back, each with its number; the last one holds."""
    stacks: dict[tuple[str, tuple, str], list[tuple[int, Decision]]] = {}
    for number, decision in enumerate(decisions):
        stack = stacks.setdefault((decision.file, decision.box, decision.labeller), [])
        if decision.way != "undo":
            stack.append((number, decision))
        elif stack:
            stack.pop()
    return stacks


def read_hand_labels(path: str | Path) -> pd.DataFrame:
    """The present label of each face, by each labeller; a face that was skipped or taken back has none.

    Returns:
        A table ``file, x_min, y_min, x_max, y_max, class_name, labeller, way, labelled_at``, in the order of the
        decisions; without rows where there is no journal yet. ``apply_corrections`` takes it as it is.

    Raises:
        LabelError: the file cannot be read, is no journal, or has a bad line; the sentence names it.
    """
    tops = sorted(stack[-1] for stack in replay(read_journal(path)).values() if stack)
    rows = [(top.file, *(top.box or [np.nan] * 4), *top[2:]) for _, top in tops if top.class_name]
    types = {name: "float64" if name in JOURNAL_COLUMNS[1:5] else "str" for name in JOURNAL_COLUMNS}
    return pd.DataFrame(rows, columns=JOURNAL_COLUMNS).astype(types)
