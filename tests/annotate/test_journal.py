"""The journal: entries are read back, also after a crash, and are never deleted."""

import math
import subprocess
import sys

import numpy as np
import pytest

from utils.annotate.journal import (
    HEADER,
    JOURNAL_COLUMNS,
    METHODS,
    normalize_box,
    read_hand_labels,
    read_journal,
    record_label,
)
from utils.classes import LabelError
from utils.paths import ROOT
from utils.tables import hold_file

BOX = (1, 2, 30.5, 40)
ROW = "a.jpg,1,2,3,4,with_mask,Zoë,buttons,2026-11-01T10:00:00+00:00"
BOXES = {
    "whole pixels": ((1, 2, 3, 4), (1, 2, 3, 4)),
    "float32": (np.array([0.1, 2, 3, 1234.567], np.float32), (0.1, 2, 3, 1234.567)),
    "text": (["0.1", "2", "3", "4"], (0.1, 2, 3, 4)),
    "none": ((), ()),
    "NaN": ([math.nan] * 4, ()),
    "empty cells": ([""] * 4, ()),
}


@pytest.mark.parametrize(("values", "expected"), BOXES.values(), ids=BOXES.keys())
def test_normalize_box(values, expected):
    assert normalize_box(values) == expected


def test_incomplete_box_is_refused():
    with pytest.raises(ValueError, match="four numbers"):
        normalize_box((1, 2, math.nan, 4))


def test_missing_or_empty_journal(tmp_path):
    assert read_journal(tmp_path / "none.csv") == []
    assert read_hand_labels(tmp_path / "none.csv").columns.tolist() == JOURNAL_COLUMNS
    (tmp_path / "empty.csv").touch()
    assert read_hand_labels(tmp_path / "empty.csv").empty


@pytest.mark.parametrize("file", ["a.jpg", "raw/bing/mask, with comma/Zoë 'x' \"y\".jpg"])
@pytest.mark.parametrize("box", [BOX, ()], ids=["box", "whole image"])
@pytest.mark.parametrize("method", METHODS[:-1])
def test_an_entry_is_read_back_as_written(tmp_path, file, box, method):
    path = tmp_path / "new/hand_labels.csv"
    entry = record_label(path, file, box, "mask_weared_incorrect", " Ann ", method)
    assert read_journal(path) == [entry]
    (row,) = read_hand_labels(path).itertuples(index=False)
    assert (row.file, row.class_name, row.labeller, row.way) == (
        file,
        "mask_worn_incorrectly",
        "Ann",
        method,
    )
    assert normalize_box(row[1:5]) == box


# (annotator, class, method) of each decision; the classes in effect, by annotator
DECISIONS = {
    "one": ([("a", "with_mask", "buttons")], {"a": "with_mask"}),
    "changed": ([("a", "with_mask", "buttons"), ("a", "no_face", "mend")], {"a": "no_face"}),
    "skipped": ([("a", "", "buttons")], {}),
    "skipped after a label": ([("a", "with_mask", "buttons"), ("a", "", "labelimg")], {}),
    "undone": ([("a", "with_mask", "buttons"), ("a", "", "undo")], {}),
    "undone to the first": (
        [("a", "with_mask", "regions"), ("a", "no_face", "mend"), ("a", "with_mask", "undo")],
        {"a": "with_mask"},
    ),
    "two annotators": (
        [("a", "with_mask", "buttons"), ("b", "no_face", "buttons")],
        {"a": "with_mask", "b": "no_face"},
    ),
    "one of two undoes": (
        [("a", "with_mask", "buttons"), ("b", "no_face", "buttons"), ("a", "", "undo")],
        {"b": "no_face"},
    ),
    "more undone than decided": (
        [("a", "", "undo"), ("a", "with_mask", "buttons")],
        {"a": "with_mask"},
    ),
}


@pytest.mark.parametrize(("decisions", "expected"), DECISIONS.values(), ids=DECISIONS.keys())
def test_the_last_decision_is_in_effect(tmp_path, decisions, expected):
    path = tmp_path / "hand_labels.csv"
    for annotator, class_name, method in decisions:
        record_label(path, "a.jpg", BOX, class_name, annotator, method)
    labels = read_hand_labels(path)
    assert dict(zip(labels.labeller, labels.class_name, strict=True)) == expected
    assert len(read_journal(path)) == len(decisions)


def test_a_restored_label_keeps_its_method(tmp_path):
    path = tmp_path / "hand_labels.csv"
    decisions = [("with_mask", "regions"), ("no_face", "mend"), ("with_mask", "undo")]
    for class_name, method in decisions:
        record_label(path, "a.jpg", BOX, class_name, "a", method)
    assert read_hand_labels(path).way.tolist() == ["regions"]


def test_a_crash_at_any_byte_loses_no_complete_row(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)  # it is called hundreds of times
    path = tmp_path / "hand_labels.csv"
    for name in ("é.jpg", "b.jpg"):
        record_label(path, name, BOX, "with_mask", "Zoë", "buttons")
    data = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for size in range(len(data)):
        path.write_bytes(data[:size])
        # A row that lacks only its line break is complete.
        complete = sum(end <= size + 1 for end in ends[1:])
        entries = read_journal(path)
        # More rows are possible, because a time that is cut off can be a valid time ("+00").
        assert len(entries) >= complete
        assert {entry.class_name for entry in entries} <= {"with_mask"}
        record_label(path, "c.jpg", BOX, "no_face", "Zoë", "buttons")
        assert read_journal(path)[:-1] == entries
        assert read_journal(path)[-1].file == "c.jpg"


FILES = {
    "no line break at the end": (f"{HEADER}\n{ROW}", 1),
    "as a spreadsheet saves it": (f"\ufeff{HEADER}\r\n{ROW}\r\n", 1),
    "empty lines": (f"{HEADER}\n\n{ROW}\n\n", 1),
    "header alone": (HEADER + "\n", 0),
    "header cut off": (HEADER[:20], 0),
}


@pytest.mark.parametrize(("text", "count"), FILES.values(), ids=FILES.keys())
def test_a_journal_saved_by_another_program_is_read_and_continued(tmp_path, text, count):
    path = tmp_path / "hand_labels.csv"
    path.write_bytes(text.encode())
    assert len(read_journal(path)) == count
    record_label(path, "b.jpg", BOX, "no_face", "Zoë", "buttons")
    assert [entry.file for entry in read_journal(path)] == ["a.jpg"] * count + ["b.jpg"]


WRONG_FILES = {
    "another table": ("file,box\na,1\n", "not a journal of hand labels"),
    "another table of one line": ("file and box", "not a journal of hand labels"),
    "unknown class": (f"{HEADER}\n{ROW.replace('with_mask', 'cat')}\n", "line 2,"),
    "incomplete row in the middle": (f"{HEADER}\n{ROW}\na.jpg,1,2\n{ROW}\n", "line 3,"),
    "invalid box": (f"{HEADER}\n{ROW.replace('1,2,3,4', '1,2,3,x')}\n", "line 2,"),
    "not UTF-8": (f"{HEADER}\n{ROW}\n".encode("latin-1"), "save it as UTF-8"),
}


@pytest.mark.parametrize(("content", "message"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_an_invalid_journal_is_reported(tmp_path, content, message):
    path = tmp_path / "hand_labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if message == "not a journal of hand labels":
        with pytest.raises(LabelError, match="not recorded: .* has other columns"):
            record_label(path, "a.jpg", BOX, "with_mask", "a", "buttons")
        assert path.read_text() == content
        path.write_text(content + "\n")
    with pytest.raises(LabelError, match=message) as error:
        read_journal(path)
    assert str(path) in str(error.value)


WRONG_DECISIONS = {
    "class": ({"class_name": "cat"}, "unknown"),
    "no annotator": ({"annotator": " "}, "needs an annotator"),
    "method": ({"method": "guess"}, "a method of"),
    "two lines": ({"file": "a\nb.jpg"}, "one line"),
}


@pytest.mark.parametrize(
    ("change", "message"), WRONG_DECISIONS.values(), ids=WRONG_DECISIONS.keys()
)
def test_an_invalid_decision_is_refused(tmp_path, change, message):
    right = {
        "file": "a.jpg",
        "box": BOX,
        "class_name": "with_mask",
        "annotator": "a",
        "method": "buttons",
    }
    with pytest.raises(LabelError, match=message):
        record_label(tmp_path / "hand_labels.csv", **right | change)
    assert not (tmp_path / "hand_labels.csv").exists()


def test_a_journal_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(LabelError, match="cannot be written"):
        record_label(tmp_path, "a.jpg", BOX, "with_mask", "a", "buttons")


LABEL_MANY = """
import sys
from utils.annotate.journal import record_label
for number in range(200):
    record_label(sys.argv[1], f"{number}.jpg", (), "with_mask", sys.argv[2], "buttons")
"""


@pytest.mark.slow
def test_two_programs_that_label_at_once_lose_nothing(tmp_path):
    path = tmp_path / "hand_labels.csv"
    names = ("Ann", "Bob", "Cem")
    programs = [
        subprocess.Popen([sys.executable, "-c", LABEL_MANY, path, name], cwd=ROOT) for name in names
    ]
    assert [program.wait(timeout=120) for program in programs] == [0, 0, 0]
    entries = read_journal(path)
    for name in names:
        files = [entry.file for entry in entries if entry.annotator == name]
        assert files == [f"{number}.jpg" for number in range(200)]


def test_a_journal_that_is_locked_for_long_is_told(tmp_path, monkeypatch):
    path = tmp_path / "hand_labels.csv"
    monkeypatch.setattr("utils.tables.WAIT_S", 0.1)
    with hold_file(path), pytest.raises(LabelError, match=r"hand_labels\.csv .* try again"):
        record_label(path, "a.jpg", (), "with_mask", "Ann", "buttons")
    assert read_journal(path) == []
