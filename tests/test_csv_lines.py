"""Cells: what a spreadsheet would run is written as text, and read back as it was."""

import pandas as pd
import pytest

from utils.annotate.journal import read_hand_labels, read_journal, record_label
from utils.cli import write_table
from utils.csv_lines import append_rows, make_safe, restore
from utils.tables import read_rows, read_table, replace_rows

FORMULAS = ["=1+1", "+1 a", "-a.jpg", "@SUM(A1)", "'=a", "''@a", "\ta", "-", "=HYPERLINK(1)"]
PLAIN = ["", "a.jpg", "-1.5", "+3", "1e-5", "'a'", "a=b", "'"]


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN], ids=repr)
def test_a_cell_is_read_back_as_it_was_and_is_no_formula(text):
    cell = make_safe(text)
    assert restore(cell) == text
    assert (cell == text) == (text in PLAIN)
    assert cell.startswith("'") or text in PLAIN


@pytest.mark.parametrize("value", [-1, 2.5, None, True])
def test_other_values_stay(value):
    assert make_safe(value) is value
    assert restore(value) is value


def test_every_table_writes_safe_cells_and_reads_them_back(tmp_path):
    names = ["=a.jpg", "-b/c.jpg", "'=d.jpg", "e.jpg"]
    rows = [{"file": name, "x": -1.5} for name in names]
    paths = [tmp_path / f"{number}.csv" for number in range(3)]
    write_table(paths[0], rows, ["file", "x"])
    append_rows(paths[1], rows, ["file", "x"])
    replace_rows(paths[2], pd.DataFrame(rows))
    for path in paths:
        text = path.read_text()
        assert text == "file,x\n'=a.jpg,-1.5\n'-b/c.jpg,-1.5\n''=d.jpg,-1.5\ne.jpg,-1.5\n"
        assert read_rows(path, ["file"]).file.tolist() == names
        table = read_table(path, ["file", "x"])
        assert table.file.tolist() == names
        assert table.x.tolist() == [-1.5] * 4


def test_a_carriage_return_in_a_name_ends_no_row(tmp_path):
    names = ["a\rb.jpg", "c.jpg", "\r"]
    rows = [{"file": name, "x": number} for number, name in enumerate(names)]
    write_table(tmp_path / "script.csv", rows, ["file", "x"])
    replace_rows(tmp_path / "replaced.csv", pd.DataFrame(rows))
    for name in ("script.csv", "replaced.csv"):
        assert read_rows(tmp_path / name, ["file"]).file.tolist() == names
        table = pd.read_csv(tmp_path / name)
        assert table.file.tolist() == ["a\rb.jpg", "c.jpg", "'\r"]
        assert table.x.tolist() == [0, 1, 2]


def test_a_journal_keeps_the_name_of_its_image_and_annotator(tmp_path):
    path = tmp_path / "hand_labels.csv"
    record_label(path, "=a/b.jpg", (1, 2, 3, 4), "with_mask", annotator="@me", method="buttons")
    assert "'=a/b.jpg,1,2,3,4,with_mask,'@me," in path.read_text()
    assert read_journal(path)[0][:4] == ("=a/b.jpg", (1, 2, 3, 4), "with_mask", "@me")
    assert read_hand_labels(path).file.tolist() == ["=a/b.jpg"]
