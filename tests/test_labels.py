"""The label table: both folder layouts are read, and corrections change the rows they name."""

import numpy as np
import pandas as pd
import pytest

from tests.voc import write_annotation
from utils.classes import LabelError
from utils.images import write_image
from utils.labels import (
    BOX_COLUMNS,
    COLUMNS,
    apply_corrections,
    make_label_table,
    read_class_folders,
    read_labels,
)

PIXEL = np.zeros((1, 1, 3), np.uint8)


def test_class_folders_are_read_in_all_spellings(tmp_path):
    assert read_class_folders(tmp_path).columns.tolist() == COLUMNS
    for name in (
        "With Mask/b/1.png",
        "without_mask/1.jpg",
        ".hidden/1.jpg",
        "2.jpg",
        "without_mask/notes.txt",
    ):
        (tmp_path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / name).touch()
    table = read_class_folders(tmp_path / "faces", tmp_path)
    assert table.file.tolist() == ["faces/With Mask/b/1.png", "faces/without_mask/1.jpg"]
    assert table.class_name.tolist() == ["with_mask", "without_mask"]
    assert table[BOX_COLUMNS].isna().all(axis=None)


def test_class_folders_and_voc_are_read_together_and_an_unknown_folder_is_reported(tmp_path):
    for name in (
        "faces/cats/1.jpg",
        "faces/with_mask/1.jpg",
        "scenes/images/a.jpg",
        ".cache/x/1.jpg",
    ):
        write_image(tmp_path / name, PIXEL)
    write_annotation(tmp_path / "scenes/annotations/a.xml")
    table, problems = read_labels(tmp_path)
    assert table.file.tolist() == ["faces/with_mask/1.jpg", "scenes/images/a.jpg"]
    assert problems.file.tolist() == ["faces/cats"]
    assert "'cats' is unknown" in problems.problem[0]


def test_images_without_labels_are_reported_in_one_row_for_their_folder(tmp_path):
    for name in ("with_mask/1.jpg", "without_mask/1.jpg"):
        write_image(tmp_path / "faces" / name, PIXEL)
    labelled, _ = read_labels(tmp_path)
    for name in ("pictures/a.jpg", "objects/images/a.jpg", "objects/more/b.jpg"):
        write_image(tmp_path / name, PIXEL)
    (tmp_path / "notes" / "texts").mkdir(parents=True)
    table, problems = read_labels(tmp_path)
    pd.testing.assert_frame_equal(table, labelled)
    assert problems.file.tolist() == ["objects"]
    assert "objects holds 2 images without labels" in problems.problem[0]
    assert "(images, more)" in problems.problem[0]


def test_a_root_without_labels_is_an_error(tmp_path):
    with pytest.raises(LabelError, match="There is no folder .*nowhere"):
        read_labels(tmp_path / "nowhere")
    (tmp_path / "faces/with_mask").mkdir(parents=True)
    with pytest.raises(LabelError, match="holds no labelled images"):
        read_labels(tmp_path)


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
