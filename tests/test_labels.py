"""The label table: corrections change the rows that they name."""

import pandas as pd
import pytest

from utils.classes import LabelError
from utils.labels import (
    BOX_COLUMNS,
    COLUMNS,
    apply_corrections,
    make_label_table,
)


def make_row(file: str, class_name: str, box_value: float | None = None) -> dict:
    """Return a label row whose four coordinates are all one value; None means the whole image."""
    row = {"file": file, "source": file.split("/")[0], "class_name": class_name}
    return row | dict.fromkeys(BOX_COLUMNS, box_value)


TABLE = make_label_table(
    [
        make_row("faces/1.jpg", "with_mask"),
        make_row("scenes/a.jpg", "with_mask", 5),
        make_row("scenes/a.jpg", "without_mask", 6),
    ]
)


def make_corrections(*rows) -> pd.DataFrame:
    table = [
        {"file": file, **dict.fromkeys(BOX_COLUMNS, value), "class_name": name}
        for file, value, name in rows
    ]
    return pd.DataFrame(table, columns=["file", *BOX_COLUMNS, "class_name", "why"])


CORRECTIONS = {
    "none": ([], ["with_mask", "with_mask", "without_mask"]),
    "change a box": (
        [("scenes/a.jpg", 5, "no mask")],
        ["with_mask", "without_mask", "without_mask"],
    ),
    "change a whole image": (
        [("faces/1.jpg", None, "without_mask")],
        ["without_mask", "with_mask", "without_mask"],
    ),
    "remove a box": ([("scenes/a.jpg", 6, None)], ["with_mask", "with_mask"]),
    "remove a whole image": ([("faces/1.jpg", None, None)], ["with_mask", "without_mask"]),
    "two corrections of one face: the last counts": (
        [("scenes/a.jpg", 5, None), ("scenes/a.jpg", 5, "no_face")],
        ["with_mask", "no_face", "without_mask"],
    ),
    "a file of another data set": (
        [("elsewhere/9.jpg", 1, None)],
        ["with_mask", "with_mask", "without_mask"],
    ),
}


@pytest.mark.parametrize(("rows", "expected"), CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_corrections_change_and_remove_rows(rows, expected):
    corrected = apply_corrections(TABLE, make_corrections(*rows))
    assert corrected.class_name.tolist() == expected
    assert corrected.columns.tolist() == COLUMNS
    assert corrected.index.tolist() == list(range(len(expected)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("scenes/a.jpg", 9, None), r"No face of scenes/a\.jpg"),
        (("scenes/a.jpg", 5, "cat"), "A correction: .*'cat'"),
    ],
    ids=["unknown box", "unknown class"],
)
def test_a_correction_that_matches_no_face_is_an_error(row, message):
    with pytest.raises(LabelError, match=message):
        apply_corrections(TABLE, make_corrections(("scenes/a.jpg", 6, None), row))


def test_a_box_that_is_in_the_table_twice_is_corrected_twice():
    table = pd.concat([TABLE, TABLE], ignore_index=True)
    corrected = apply_corrections(table, make_corrections(("scenes/a.jpg", 6, "no_face")))
    assert (corrected.class_name == "no_face").tolist() == [False, False, True] * 2
