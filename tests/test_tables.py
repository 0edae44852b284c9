"""Tables that grow: a row is a line, a row that a crash cut off is removed, errors name files."""

import csv
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from utils.csv_lines import append_lines, append_rows
from utils.paths import ROOT
from utils.tables import TableError, hold_folder, read_rows, read_table, replace_rows

COLUMNS = ["file", "title"]
TITLES = {
    "empty": "",
    "characters that CSV quotes": 'a, "b" and c',
    "a word that pandas reads as NaN": "NA",
    "another script": "戴口罩的人 é",
    "spaces": " a ",
}


def test_a_missing_file_is_an_empty_table(tmp_path):
    table = read_rows(tmp_path / "a.csv", COLUMNS)
    assert list(table.columns) == COLUMNS and len(table) == 0 and not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES.keys())
def test_appended_rows_are_read_back(tmp_path, title):
    for file in ("1", "2"):
        append_rows(
            tmp_path / "new" / "a.csv", [{"file": file, "title": title, "other": 1}], COLUMNS
        )
    assert read_rows(tmp_path / "new" / "a.csv", COLUMNS).values.tolist() == [
        ["1", title],
        ["2", title],
    ]


def test_line_breaks_and_lone_surrogates_become_spaces(tmp_path):
    append_rows(tmp_path / "a.csv", [{"file": "1", "title": "a\r\nb\u2028c\ud83dd\0e"}], COLUMNS)
    assert (tmp_path / "a.csv").read_bytes().count(b"\n") == 2
    assert read_rows(tmp_path / "a.csv", COLUMNS).title.tolist() == ["a b c d e"]


def test_a_table_cut_at_any_byte_loses_at_most_its_last_row(tmp_path):
    path = tmp_path / "a.csv"
    rows = [{"file": str(number), "title": f'"{number}", é'} for number in range(3)]
    append_rows(path, rows, COLUMNS)
    data = path.read_bytes()
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        whole = max(0, data[:length].count(b"\n") - 1)
        assert read_rows(path, COLUMNS).to_dict("records") == rows[:whole]
        append_rows(path, [{"file": "new", "title": ""}], COLUMNS)
        assert read_rows(path, COLUMNS).file.tolist() == ["0", "1", "2"][:whole] + ["new"]
    assert whole == 3


def test_a_long_row_that_is_cut_off_is_removed_entirely(tmp_path):
    append_rows(
        tmp_path / "a.csv",
        [{"file": "1", "title": "x" * 9000}, {"file": "2", "title": "y" * 20_000}],
        COLUMNS,
    )
    data = (tmp_path / "a.csv").read_bytes()
    (tmp_path / "a.csv").write_bytes(data[:-5])
    append_rows(tmp_path / "a.csv", [], COLUMNS)
    assert (tmp_path / "a.csv").read_bytes() == data[: data.index(b"y") - 2]


@pytest.mark.parametrize("text", ["name\nx\n", "notes", "file,titles\n"], ids=repr)
def test_another_file_is_named_and_left_alone(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(TableError, match=r"a\.csv has other columns than file, title"):
        append_rows(tmp_path / "a.csv", [{"file": "1"}], COLUMNS)
    assert (tmp_path / "a.csv").read_text() == text


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("name\nx\n")
    with pytest.raises(TableError, match=r"a\.csv has no column file"):
        read_rows(tmp_path / "a.csv", COLUMNS)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (b"", "file,title\nnew,\n"),
        (b"file,ti", "file,title\nnew,\n"),
        (b"file,title", "file,title\nnew,\n"),
        (b"\xef\xbb\xbffile,title\r\n1,a\r\n", "\ufefffile,title\r\n1,a\r\nnew,\n"),
        (b"file,title\n1,whole", "file,title\n1,whole\nnew,\n"),
        (b"file,title\n1", "file,title\nnew,\n"),
    ],
    ids=["empty", "half a header", "header alone", "saved by Excel", "whole last row", "cut row"],
)
def test_the_end_of_a_table_is_repaired_before_lines_are_appended(tmp_path, before, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(before)
    append_lines(path, "new,\n", COLUMNS, is_row=lambda line: line == "1,whole", sync=True)
    assert path.read_bytes().decode() == expected


UNREADABLE = {"not UTF-8": b"file,title\n\xff\xfe,\n", "not CSV": b'file,title\n1,2,3,4\n"\n'}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_table_is_named(tmp_path, data):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(TableError, match=r"a\.csv cannot be read as a table") as error:
        read_rows(tmp_path / "a.csv", COLUMNS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_rows, read_table])
def test_cells_beyond_the_header_are_an_error_and_shift_no_column(tmp_path, read):
    (tmp_path / "a.csv").write_text("file,title\na.jpg,A,\nb.jpg,B,\n")
    with pytest.raises(TableError, match=r"a\.csv cannot be read .*more cells than its header"):
        read(tmp_path / "a.csv", COLUMNS)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match=r"file/a\.csv cannot be written"):
        append_rows(tmp_path / "file" / "a.csv", [], COLUMNS)
    with pytest.raises(TableError, match=r"file/a\.csv cannot be written"):
        replace_rows(tmp_path / "file" / "a.csv", pd.DataFrame())


def test_a_folder_is_locked_once_and_free_afterwards(tmp_path):
    for _ in range(2):
        with (
            hold_folder(tmp_path / "new"),
            pytest.raises(TableError, match="Another program is at work in .*new"),
        ):
            with hold_folder(tmp_path / "new"):
                raise AssertionError("locked twice")
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="file cannot be written"), hold_folder(tmp_path / "file"):
        raise AssertionError("locked a file")


def test_a_replaced_table_is_read_back_and_no_other_file_is_left(tmp_path):
    append_rows(
        tmp_path / "a.csv", [{"file": "1", "title": title} for title in TITLES.values()], COLUMNS
    )
    table = read_rows(tmp_path / "a.csv", COLUMNS)
    replace_rows(tmp_path / "a.csv", table[1:])
    assert read_rows(tmp_path / "a.csv", COLUMNS).title.tolist() == list(TITLES.values())[1:]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["title", *list(TITLES.values())[1:]]


def test_a_lock_ends_with_a_killed_process(tmp_path):
    code = (
        "import sys, time\n"
        "from utils.tables import hold_folder\n"
        "with hold_folder(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(TableError, match="Another program is at work"),
            hold_folder(tmp_path),
        ):
            raise AssertionError("locked twice")
        process.kill()
        process.wait()
    with hold_folder(tmp_path):
        pass


LABELS = pd.DataFrame(
    {"file": ["s/José.jpg", "s/b.jpg"], "x_min": [10.5, np.nan], "class_name": ["with_mask"] * 2}
)
SPREADSHEETS = {
    "as we write it": LABELS.to_csv(index=False).encode(),
    "a byte order mark": LABELS.to_csv(index=False).encode("utf-8-sig"),
    "semicolons": LABELS.to_csv(index=False, sep=";").encode("cp1252"),
    "decimal commas": LABELS.to_csv(index=False, sep=";", decimal=",").encode("cp1252"),
    "a line that names the separator": b"sep=;\r\n" + LABELS.to_csv(index=False, sep=";").encode(),
    "utf-16 without a byte order mark": LABELS.to_csv(index=False).encode("utf-16-le"),
    "utf-16, big end first": LABELS.to_csv(index=False).encode("utf-16-be"),
    "tabs in utf-16": LABELS.to_csv(index=False, sep="\t", decimal=",").encode("utf-16"),
    "Windows line ends": LABELS.to_csv(index=False, lineterminator="\r\n").encode("cp1252"),
}


@pytest.mark.parametrize("data", SPREADSHEETS.values(), ids=SPREADSHEETS.keys())
def test_a_table_is_read_as_a_spreadsheet_saves_it(tmp_path, data):
    (tmp_path / "labels.csv").write_bytes(data)
    table = read_table(tmp_path / "labels.csv", ["file", "x_min"])
    pd.testing.assert_frame_equal(table, LABELS, check_dtype=False)
    assert table.x_min.dtype == float


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04\0\0\n1,2,3\n", b"file\n1,2\n1,2,3,4\n"], ids=repr
)
def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path, data):
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(TableError, match=r"labels\.csv (cannot be read as a table|has no column)"):
        read_table(tmp_path / "labels.csv", ["file", "x_min"])
