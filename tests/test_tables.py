"""Tables that grow: a row is a line, a cut row is mended, and what is no such table is named."""

import csv

import pandas as pd
import pytest

from utils.tables import TableError, append_rows, hold_folder, read_rows, replace_rows

COLUMNS = ["file", "title"]
TITLES = {
    "empty": "",
    "what a CSV file quotes": 'a, "b" and c',
    "no number": "NA",
    "another script": "戴口罩的人 é",
    "spaces": " a ",
}


def test_no_file_is_an_empty_table(tmp_path):
    table = read_rows(tmp_path / "a.csv", COLUMNS)
    assert list(table.columns) == COLUMNS and len(table) == 0 and not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES.keys())
def test_what_is_appended_is_read_back(tmp_path, title):
    for file in ("1", "2"):
        append_rows(
            tmp_path / "new" / "a.csv", [{"file": file, "title": title, "other": 1}], COLUMNS
        )
    assert read_rows(tmp_path / "new" / "a.csv", COLUMNS).values.tolist() == [
        ["1", title],
        ["2", title],
    ]


def test_line_breaks_and_half_characters_become_spaces(tmp_path):
    append_rows(tmp_path / "a.csv", [{"file": "1", "title": "a\r\nb\u2028c\ud83dd\0e"}], COLUMNS)
    assert (tmp_path / "a.csv").read_bytes().count(b"\n") == 2
    assert read_rows(tmp_path / "a.csv", COLUMNS).title.tolist() == ["a b c d e"]


def test_a_table_cut_anywhere_loses_its_last_row_at_most(tmp_path):
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


def test_a_long_cut_row_goes_as_a_whole(tmp_path):
    append_rows(
        tmp_path / "a.csv",
        [{"file": "1", "title": "x" * 9000}, {"file": "2", "title": "y" * 20_000}],
        COLUMNS,
    )
    data = (tmp_path / "a.csv").read_bytes()
    (tmp_path / "a.csv").write_bytes(data[:-5])
    append_rows(tmp_path / "a.csv", [], COLUMNS)
    assert (tmp_path / "a.csv").read_bytes() == data[: data.index(b"y") - 2]


def test_what_is_another_table_is_named_and_kept(tmp_path):
    (tmp_path / "a.csv").write_text("name\nx\n")
    with pytest.raises(TableError, match=r"a\.csv has other columns than file, title"):
        append_rows(tmp_path / "a.csv", [{"file": "1"}], COLUMNS)
    with pytest.raises(TableError, match=r"a\.csv has no column file"):
        read_rows(tmp_path / "a.csv", COLUMNS)
    assert (tmp_path / "a.csv").read_text() == "name\nx\n"


UNREADABLE = {"no text": b"file,title\n\xff\xfe,\n", "no table": b'file,title\n1,2,3,4\n"\n'}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_named(tmp_path, data):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(TableError, match=r"a\.csv cannot be read as a table") as error:
        read_rows(tmp_path / "a.csv", COLUMNS)
    assert "\n" not in str(error.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match=r"file/a\.csv cannot be written"):
        append_rows(tmp_path / "file" / "a.csv", [], COLUMNS)
    with pytest.raises(TableError, match=r"file/a\.csv cannot be written"):
        replace_rows(tmp_path / "file" / "a.csv", pd.DataFrame())


def test_a_folder_is_held_by_one_and_free_afterwards(tmp_path):
    for _ in range(2):
        with (
            hold_folder(tmp_path / "new"),
            pytest.raises(TableError, match="Another program is at work in .*new"),
        ):
            with hold_folder(tmp_path / "new"):
                raise AssertionError("held twice")
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="file cannot be written"), hold_folder(tmp_path / "file"):
        raise AssertionError("held a file")


def test_a_replaced_table_is_read_back_and_nothing_is_left_beside(tmp_path):
    append_rows(
        tmp_path / "a.csv", [{"file": "1", "title": title} for title in TITLES.values()], COLUMNS
    )
    table = read_rows(tmp_path / "a.csv", COLUMNS)
    replace_rows(tmp_path / "a.csv", table[1:])
    assert read_rows(tmp_path / "a.csv", COLUMNS).title.tolist() == list(TITLES.values())[1:]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["title", *list(TITLES.values())[1:]]
