"""The faces table: what was written is read, a click changes one face, and what was missed is listed."""

import pandas as pd
import pytest

from utils.collect.face_table import (
    FACE_COLUMNS,
    FACES,
    SEARCHED,
    list_missed,
    read_faces,
    read_searched,
    set_kept,
    write_faces,
)
from utils.tables import TableError

SEARCHED_ROWS = """file,faces,small,problem
a/1.jpg,2,0,
a/2.jpg,1,0,
a/3.jpg,0,4,
a/4.jpg,0,0,"a/4.jpg is cut off, fetch it again."
a/5.jpg,0,0,a/5.jpg is cut off.
a/5.jpg,0,1,
"""


@pytest.fixture
def faces() -> pd.DataFrame:
    files = ["a/1.jpg", "a/1.jpg", "a/2.jpg"]
    rows = [
        (file, "a", 1.5, 2, 30.1, 40, 0.75, f"crops/{n}, é.jpg", n != 2)
        for n, file in enumerate(files)
    ]
    return pd.DataFrame(rows, columns=FACE_COLUMNS).astype({"y_min": float, "y_max": float})


@pytest.fixture
def folder(faces, tmp_path):
    write_faces(tmp_path / FACES, faces)
    (tmp_path / SEARCHED).write_text(SEARCHED_ROWS)
    return tmp_path


def test_no_files_are_empty_tables_with_their_types(tmp_path):
    table = read_faces(tmp_path / FACES)
    assert (len(table), table.columns.tolist()) == (0, FACE_COLUMNS)
    assert table.kept.dtype == bool and table.x_min.dtype == float
    assert list_missed(tmp_path).columns.tolist() == [
        "file",
        "faces",
        "small",
        "problem",
        "left_out",
    ]
    assert len(read_searched(tmp_path)) == len(list_missed(tmp_path)) == 0


def test_what_is_written_is_read_back_and_nothing_else_is_left(faces, folder):
    pd.testing.assert_frame_equal(read_faces(folder / FACES), faces, check_dtype=False)
    assert {path.name for path in folder.iterdir()} == {FACES, SEARCHED}


def test_a_click_changes_one_face_and_a_second_click_changes_it_back(faces, folder):
    crop, other = faces.crop[:2]
    set_kept(folder / FACES, {crop: False})
    assert read_faces(folder / FACES).kept.tolist() == [False, True, False]
    set_kept(folder / FACES, {crop: True, other: False})
    assert read_faces(folder / FACES).kept.tolist() == [True, False, False]
    pd.testing.assert_frame_equal(
        read_faces(folder / FACES).drop(columns="kept"), faces.drop(columns="kept")
    )


def test_a_crop_that_is_not_there_is_named_and_nothing_changes(folder):
    before = (folder / FACES).read_bytes()
    with pytest.raises(TableError, match="no crop crops/9.jpg: read the table again"):
        set_kept(folder / FACES, {"crops/9.jpg": False})
    assert (folder / FACES).read_bytes() == before


def test_a_spreadsheets_way_to_write_true_is_read(folder):
    text = (folder / FACES).read_text()
    (folder / FACES).write_text(text.replace("True", "TRUE").replace("False", "FALSE"))
    assert read_faces(folder / FACES).kept.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("True", "yes", "'Yes' under kept"),
        ("30.1", "wide", "a box that is no number"),
        ("confidence", "score", "no column confidence"),
    ],
)
def test_what_is_no_faces_table_is_named(folder, old, new, sentence):
    path = folder / FACES
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TableError, match=sentence) as raised:
        read_faces(path)
    assert str(path) in str(raised.value)


def test_photographs_without_a_kept_face_are_listed_but_not_those_that_cannot_be_read(folder):
    missed = list_missed(folder).set_index("file")
    assert missed[["small", "left_out"]].to_dict("index") == {
        "a/2.jpg": {"small": 0, "left_out": 1},
        "a/3.jpg": {"small": 4, "left_out": 0},
        "a/5.jpg": {"small": 1, "left_out": 0},
    }
    searched = read_searched(folder)
    assert searched.file.is_unique
    assert searched.problem[searched.file == "a/4.jpg"].tolist() == [
        "a/4.jpg is cut off, fetch it again."
    ]
