"""Label tables from a journal: majorities, sources and faces that are left out."""

import numpy as np
import pandas as pd
import pytest

from tests.annotate.faces import FACES, press
from utils.annotate.hand_labels import read_hand_folder, to_label_table
from utils.annotate.journal import HEADER, read_hand_labels, record_label
from utils.annotate.session import LabelSession
from utils.images import write_image
from utils.labels import BOX_COLUMNS, COLUMNS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hand_labels.csv"


# each annotator's key for one face; the majority's class, or the start of the list of votes
VOTES = {
    "one": ({"ann": "1"}, "with_mask", ""),
    "two agree": ({"ann": "1", "bob": "1"}, "with_mask", ""),
    "two disagree": ({"ann": "1", "bob": "2"}, None, "ann: with_mask, bob: without_mask"),
    "two of three": ({"ann": "1", "bob": "2", "eve": "2"}, "without_mask", ""),
    "two of four": ({"ann": "1", "bob": "2", "eve": "2", "kim": "3"}, None, "ann: with_mask"),
    "one skipped": ({"ann": "s", "bob": "2"}, "without_mask", ""),
    "no labels": ({"ann": "s"}, None, ""),
}


@pytest.mark.parametrize(("votes", "class_name", "labels"), VOTES.values(), ids=VOTES.keys())
@pytest.mark.parametrize("position", [0, 3], ids=["box", "whole image"])
def test_the_majority_gives_the_label(path, votes, class_name, labels, position):
    for annotator, key in votes.items():
        press(LabelSession(FACES[position : position + 1], path, annotator), key)
    table, disputed = to_label_table(read_hand_labels(path), FACES)
    assert table.columns.tolist() == COLUMNS
    assert table.class_name.tolist() == [class_name] * (class_name is not None)
    pd.testing.assert_frame_equal(
        table[["file", "source", *BOX_COLUMNS]],
        FACES[position : position + len(table)][["file", "source", *BOX_COLUMNS]].reset_index(
            drop=True
        ),
        check_dtype=False,
    )
    assert len(disputed) == bool(labels)
    assert all(text.startswith(labels) for text in disputed.labels)


def test_read_hand_folder(tmp_path):
    folder = tmp_path / "mine"
    faces = FACES.assign(file="mine/" + FACES.file)
    for name in ("a.jpg", "b.jpg"):  # c.jpg is missing
        write_image(folder / name, np.zeros((20, 20, 3), np.uint8))
    press(LabelSession(faces, folder / "hand_labels.csv", "ann"), "1234")
    press(LabelSession(faces[1:2], folder / "hand_labels.csv", "bob"), "3")
    table, problems = read_hand_folder(folder, tmp_path)
    assert table[["file", "source", "class_name"]].to_numpy().tolist() == [
        ["mine/a.jpg", "mine", "with_mask"],
        ["mine/b.jpg", "mine", "mask_worn_incorrectly"],
    ]
    assert problems.file.tolist() == ["mine/a.jpg", "mine/c.jpg"]
    assert problems.problem.str.contains("disagree|is missing").all()
    faces.to_csv(folder / "faces.csv", index=False)
    assert read_hand_folder(folder, tmp_path)[0].source.tolist() == ["x", "y"]


def test_the_source_of_an_unknown_image_is_its_folder(path):
    for file in ("mine/people/1.jpg", "mine/crowd/2.jpg"):
        record_label(path, file, [1, 1, 9, 9], "with_mask", "ann", "regions")
    faces = pd.DataFrame({"file": ["mine/people/1.jpg"], "source": ["people"]})
    assert to_label_table(read_hand_labels(path), faces)[0].source.tolist() == ["people", "crowd"]


# which faces are kept; the files whose labels count
KEPT = {
    "all": ([True, True, True, True], ["a.jpg", "a.jpg", "b.jpg", "c.jpg"]),
    "one of two in a file": ([False, True, True, True], ["a.jpg", "b.jpg", "c.jpg"]),
    "a whole image": ([True, True, True, False], ["a.jpg", "a.jpg", "b.jpg"]),
    "none": ([False, False, False, False], []),
}


@pytest.mark.parametrize(("kept", "files"), KEPT.values(), ids=KEPT.keys())
def test_labels_of_faces_that_are_left_out_do_not_count(path, kept, files):
    press(LabelSession(FACES, path, "ann"), "1212")
    press(LabelSession(FACES[:1], path, "bob"), "1")
    record_label(path, "b.jpg", [20, 20, 29, 29], "no_face", "ann", "regions")  # drawn by hand
    faces = FACES.assign(kept=kept)
    table, disputed = to_label_table(read_hand_labels(path), faces)
    assert table.file.tolist() == [*files, "b.jpg"]
    assert disputed.empty
    table, _ = to_label_table(read_hand_labels(path), faces.drop(columns="kept"))
    assert len(table) == 5


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), (HEADER + "\n", 0), ("another,table\n1,2\n", 1)]
)
def test_read_hand_folder_without_labels(tmp_path, text, count):
    (tmp_path / "hand_labels.csv").write_text(text)
    table, problems = read_hand_folder(tmp_path)
    assert (len(table), len(problems), table.columns.tolist()) == (0, count, COLUMNS)
