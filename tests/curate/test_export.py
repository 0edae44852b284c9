"""Export: every face once, in the folder of its label, as the classifier sees it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import BLOCK_COLORS, draw_blocks
from utils.classes import CLASS_NAMES, LabelError
from utils.collect import SOURCE_COLUMNS, SOURCES, remove_source
from utils.csv_lines import append_rows
from utils.curate.export import EXPORTED, export_faces, name_face
from utils.curate.split import SIDES
from utils.detect import crop_faces
from utils.formats import read_labels
from utils.images import list_images, read_image, write_image
from utils.labels import BOX_COLUMNS, make_label_table

YES, NO, BADLY, NO_FACE = CLASS_NAMES
BOXES = {YES: (10, 20, 50, 70), NO: (60, 30, 90, 60), BADLY: (100, 40, 150, 100)}


@pytest.fixture
def root(tmp_path):
    """Return a data root: photographs with a block per face, whole images with similar paths."""
    write_image(tmp_path / "raw/bing/マスク/000001.png", draw_blocks(*BOXES.items()))
    write_image(tmp_path / "raw/bing/マスク/000002.png", draw_blocks((YES, BOXES[NO])))
    write_image(tmp_path / "raw/a/b_c.PNG", draw_blocks((YES, (0, 0, 160, 120))))
    write_image(tmp_path / "raw/a_b/c.PNG", draw_blocks((NO, (0, 0, 160, 120))))
    return tmp_path / "raw"


def make_table(*rows):
    """Return a label table from (file, class_name, box, split)."""
    faces = []
    for file, name, box, _ in rows:
        corners = dict(zip(BOX_COLUMNS, box, strict=True))
        faces.append({"file": file, "source": "s", "class_name": name, **corners})
    return make_label_table(faces).assign(split=[row[3] for row in rows])


WHOLE = [np.nan] * 4
FIRST, SECOND = "bing/マスク/000001.png", "bing/マスク/000002.png"
ROWS = [
    *((FIRST, name, box, "train") for name, box in BOXES.items()),
    (SECOND, YES, BOXES[NO], "val"),
    ("a/b_c.PNG", YES, WHOLE, "test"),
    ("a_b/c.PNG", NO, WHOLE, "test"),
]


def list_files(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in list_images(folder)
    }


def test_an_empty_table_gives_an_empty_export(tmp_path):
    exported, problems = export_faces(make_table(), tmp_path, tmp_path / "new/out")
    assert exported.empty and problems.empty and list_files(tmp_path / "new/out") == {}


def test_every_face_is_written_once_in_the_folder_of_its_label(root, tmp_path):
    table = make_table(*ROWS)
    exported, problems = export_faces(table, root, tmp_path / "out")
    assert problems.empty
    assert set(list_files(tmp_path / "out")) == set(exported.crop) and exported.crop.is_unique
    pd.testing.assert_frame_equal(exported.drop(columns="crop"), table)
    for split, rows in table.groupby("split"):
        again, _ = read_labels(tmp_path / "out" / split)
        assert again.class_name.value_counts().to_dict() == rows.class_name.value_counts().to_dict()
    for row in exported.itertuples():
        assert row.crop.startswith(f"{row.split}/{row.class_name}/")
        image = read_image(tmp_path / "out" / row.crop)
        middle = image[len(image) // 2, image.shape[1] // 2].astype(int)
        assert np.abs(middle - BLOCK_COLORS[row.class_name]).max() < 12


def test_a_box_is_cropped_for_the_classifier_and_a_whole_image_is_copied(root, tmp_path):
    exported, _ = export_faces(make_table(*ROWS), root, tmp_path)
    for row in exported.itertuples():
        path, photo = tmp_path / row.crop, root / row.file
        if np.isnan(row.x_min):
            assert path.read_bytes() == photo.read_bytes()
        else:
            (face,) = crop_faces(read_image(photo), [[getattr(row, name) for name in BOX_COLUMNS]])
            written = read_image(path)
            assert written.shape == face.shape
            assert np.abs(written.astype(int) - face).mean() < 5


def test_names_are_unique_and_contain_the_photographs_path():
    files = [
        "a/b_c.jpg",
        "a_b/c.jpg",
        "a/b_c.png",
        "bing/maske & brille/000012.jpg",
        "d/" + "マ" * 200 + "/1.jpg",
    ]
    names = [
        name_face(file, box)
        for file in files
        for box in (WHOLE, (1, 2, 30.4, 40), (1, 2, 30.3, 40))
    ]
    assert len({name.lower() for name in names}) == len(names)
    assert all(len(name.encode()) < 255 and "/" not in name for name in names)
    assert name_face("bing/maske/000012.jpg", (1, 2, 30.4, 40)).startswith(
        "bing_maske_000012_1_2_30_40_"
    )
    assert name_face("a/b.WEBP", WHOLE).endswith(".webp") and name_face(
        "a/b.webp", (1, 2, 3, 4)
    ).endswith(".jpg")


def test_a_second_run_writes_nothing(root, tmp_path):
    first, _ = export_faces(make_table(*ROWS), root, tmp_path / "out")
    before = list_files(tmp_path / "out")
    shutil.rmtree(root)  # the photographs are not needed
    again, problems = export_faces(make_table(*ROWS), root, tmp_path / "out")
    assert list_files(tmp_path / "out") == before and problems.empty
    pd.testing.assert_frame_equal(again, first)


def test_an_interrupted_export_can_be_continued(root, tmp_path, monkeypatch):
    replaced = []
    replace = Path.replace

    def replace_or_stop(part, path):
        if part.suffixes == [".jpg", ".part"]:
            if len(replaced) == 2:
                raise KeyboardInterrupt
            replaced.append(path)
        return replace(part, path)

    monkeypatch.setattr(Path, "replace", replace_or_stop)
    with pytest.raises(KeyboardInterrupt):
        export_faces(make_table(*ROWS), root, tmp_path / "out")
    done = {name: time for name, time in list_files(tmp_path / "out").items() if "/" in name}
    assert len(done) == 2
    for name in done:
        read_image(tmp_path / "out" / name)
    # A removal must find the faces that were written, so the table names all faces already.
    assert len(pd.read_csv(tmp_path / "out" / EXPORTED)) == len(ROWS)
    monkeypatch.undo()
    exported, problems = export_faces(make_table(*ROWS), root, tmp_path / "out")
    after = list_files(tmp_path / "out")
    assert len(exported) == len(ROWS) and problems.empty and done.items() <= after.items()
    assert set(after) == set(exported.crop)


CHANGES = {
    "another class": lambda rows: [(FIRST, NO, BOXES[YES], "train"), *rows[1:]],
    "another split": lambda rows: [(*rows[0][:3], "test"), *rows[1:]],
    "another box": lambda rows: [(FIRST, YES, (11, 20, 50, 70), "train"), *rows[1:]],
    "left out": lambda rows: rows[1:],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_without_a_row_is_reported_and_kept(root, tmp_path, change):
    before, _ = export_faces(make_table(*ROWS), root, tmp_path / "out")
    for _ in range(2):  # reported again, until it is deleted
        exported, problems = export_faces(make_table(*change(ROWS)), root, tmp_path / "out")
        assert problems.file.tolist() == [before.crop[0]]
        assert "delete it" in problems.problem[0]
        assert set(list_files(tmp_path / "out")) == {before.crop[0], *exported.crop}
        known = pd.read_csv(tmp_path / "out" / EXPORTED)  # so that a removal finds it
        assert known.file[known.crop == before.crop[0]].tolist() == [FIRST]
    (tmp_path / "out" / before.crop[0]).unlink()
    assert export_faces(make_table(*change(ROWS)), root, tmp_path / "out")[1].empty
    assert set(pd.read_csv(tmp_path / "out" / EXPORTED).crop) == set(exported.crop)


def test_other_files_in_the_folder_are_ignored(root, tmp_path):
    write_image(tmp_path / "raw/with_mask/other.jpg", draw_blocks())
    write_image(tmp_path / "examples.jpg", draw_blocks())
    (tmp_path / "train/with_mask").mkdir(parents=True)
    (tmp_path / "train/with_mask/notes.txt").touch()
    assert export_faces(make_table(*ROWS), root, tmp_path)[1].empty


def test_an_unreadable_photograph_is_reported_and_the_others_are_exported(root, tmp_path):
    (root / FIRST).write_bytes(b"no picture")
    (root / "a/b_c.PNG").unlink()
    exported, problems = export_faces(make_table(*ROWS), root, tmp_path / "out")
    assert exported.file.tolist() == [SECOND, "a_b/c.PNG"]
    assert problems.file.tolist() == [FIRST, "a/b_c.PNG"]
    assert "is not an image" in problems.problem[0] and "cannot be copied" in problems.problem[1]


def test_a_face_with_two_labels_is_reported_and_left_out(root, tmp_path):
    rows = [(FIRST, NO, BOXES[YES], "train"), ("a/b_c.PNG", YES, WHOLE, "val"), ROWS[1], *ROWS]
    exported, problems = export_faces(make_table(*rows), root, tmp_path / "out")
    assert (
        problems.file.tolist() == [FIRST, "a/b_c.PNG"]
        and problems.problem.str.contains("two labels").all()
    )
    assert sorted(exported.file) == sorted([FIRST, FIRST, SECOND, "a_b/c.PNG"])


WRONG = {
    "no split": (lambda table: table.drop(columns="split"), "needs a split"),
    "a face without split": (
        lambda table: table.assign(split=["train"] * 5 + [None]),
        "needs a split",
    ),
    "an unknown split": (lambda table: table.assign(split="../secret"), "needs a split"),
    "an unknown class": (lambda table: table.assign(class_name="cat"), "'cat' is unknown"),
}


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_table_that_cannot_be_exported_raises(root, tmp_path, change, sentence):
    with pytest.raises(LabelError, match=sentence):
        export_faces(change(make_table(*ROWS)), root, tmp_path / "out")
    assert not any((tmp_path / "out" / split).exists() for split in SIDES)


def test_a_removal_finds_the_exported_faces(root, tmp_path):
    row = {
        "file": "マスク/000001.png",
        "url": "https://a.org/1.png",
        "page_url": "https://a.org/page",
    }
    append_rows(root / "bing" / SOURCES, [row], SOURCE_COLUMNS)
    exported, _ = export_faces(make_table(*ROWS), root, tmp_path / "out")
    remove_source(root / "bing", "a.org", [tmp_path / "out" / EXPORTED])
    assert set(list_files(tmp_path / "out")) == set(exported.crop[exported.file != FIRST])
    assert FIRST not in set(pd.read_csv(tmp_path / "out" / EXPORTED).file)
