"""Label files: what is written is read back, and errors name the file and the problem."""

import numpy as np
import pandas as pd
import pytest

from tests.formats.annotation import write_annotation
from utils.classes import LabelError
from utils.formats import read_labels, read_voc, read_voc_folder, write_voc
from utils.images import write_image
from utils.labels import BOX_COLUMNS, COLUMNS

PICTURE = np.zeros((20, 30, 3), np.uint8)
FACES = pd.DataFrame(
    [
        ("with_mask", 0, 0, 30, 20),
        ("without_mask", 5, 6, 7, 8),
        ("mask_worn_incorrectly", 10, 0, 30, 11),
    ],
    columns=["class_name", *BOX_COLUMNS],
)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_voc_file_is_read_as_it_was_written(tmp_path, count):
    path = write_voc(tmp_path / "new/Zoë & Œ.xml", "Zoë & Œ <1>.jpg", (30, 20), FACES[:count])
    name, resolution_wh, faces = read_voc(path)
    assert (name, resolution_wh) == ("Zoë & Œ <1>.jpg", (30, 20))
    assert [class_name for class_name, _ in faces] == FACES.class_name[:count].tolist()
    assert [box.tolist() for _, box in faces] == FACES[BOX_COLUMNS][:count].to_numpy().tolist()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-5, -1, 12, 9), (0, 0, 12, 9)),
        ((20, 10, 40, 50), (20, 10, 30, 20)),
        ((1.5, 2, 3.5, 4), (1.5, 2, 3.5, 4)),
    ],
    ids=["over the top left corner", "over the bottom right corner", "fractions of a pixel"],
)
def test_a_box_is_clipped_to_its_image(tmp_path, box, expected):
    ((_, found),) = read_voc(write_annotation(tmp_path / "a.xml", box=box))[2]
    assert tuple(found) == expected


WRONG = {
    "unknown class": ({"name": "cat"}, "the class 'cat' is unknown"),
    "no class": ({"name": ""}, "the class '' is unknown"),
    "outside": ({"box": (40, 2, 50, 9)}, r"the box .* is outside its image \(30, 20\)"),
    "negative size": ({"box": (9, 9, 1, 2)}, "the box"),
    "text in place of a number": ({"box": (1, "two", 9, 9)}, "ymin of the box is 'two'"),
    "NaN": ({"box": ("nan", 2, 9, 9)}, "the box"),
    "no area": ({"box": (9, 2, 9, 9)}, "the box .* has no area"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_an_error_names_the_file_and_the_problem(tmp_path, change, message):
    path = write_annotation(tmp_path / "wrong.xml", **change)
    with pytest.raises(LabelError, match=rf"wrong\.xml.*{message}"):
        read_voc(path)


@pytest.mark.parametrize(
    "content", [b"", b"<annotation><size>", b"text", b"\xff\xfe\x00", b"<annotation/>x"], ids=repr
)
def test_a_file_that_is_not_xml_is_named(tmp_path, content):
    (tmp_path / "wrong.xml").write_bytes(content)
    for path in (tmp_path / "wrong.xml", tmp_path / "nowhere.xml"):
        with pytest.raises(LabelError, match=rf"{path.name} is not a readable Pascal VOC file"):
            read_voc(path)


def test_the_other_files_are_read_when_some_are_wrong(tmp_path):
    folder = tmp_path / "scenes"
    for stem in ("a", "b", "c", "d"):
        write_image(folder / f"images/{stem}.jpg", PICTURE)
        write_annotation(folder / f"annotations/{stem}.xml", file=f"{stem}.jpg")
    write_annotation(folder / "annotations/b.xml", name="cat", file="b.jpg")
    write_annotation(folder / "annotations/c.xml", box=(50, 50, 60, 60), file="c.jpg")
    (folder / "images/d.jpg").unlink()
    table, problems = read_voc_folder(folder, tmp_path)
    assert table.file.tolist() == ["scenes/images/a.jpg"]
    assert table.source.tolist() == ["scenes"]
    assert problems.file.tolist() == ["b.xml", "c.xml", "d.xml"]
    assert "d.jpg, which is not in" in problems.problem[2]


@pytest.mark.parametrize(
    ("written", "files", "expected"),
    [
        ("a.png", ["a.jpg"], "a.jpg"),
        ("a.png", ["a.jpg", "a.png"], "a.png"),
        ("a.jpg", ["a.jpg", "a.png", "a.txt"], "a.jpg"),
        ("C:\\photos\\x.jpg", ["a.jpg"], "a.jpg"),
        ("", ["a.jpg"], "a.jpg"),
    ],
    ids=[
        "image converted since",
        "image and a converted copy",
        "other files with the same stem",
        "path of another computer",
        "no file name",
    ],
)
def test_the_image_of_an_annotation_is_found(tmp_path, written, files, expected):
    write_annotation(tmp_path / "annotations/a.xml", file=written)
    for file in files:
        (tmp_path / file).touch()
    assert read_voc_folder(tmp_path)[0].file.tolist() == [expected]


def test_class_folders_are_read_in_all_spellings(tmp_path):
    names = (
        "With Mask/b/1.png",
        "without_mask/1.jpg",
        ".hidden/1.jpg",
        "2.jpg",
        "without_mask/notes.txt",
    )
    for name in names:
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    table, problems = read_labels(tmp_path)
    assert table.columns.tolist() == COLUMNS
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
        write_image(tmp_path / name, PICTURE)
    write_annotation(tmp_path / "scenes/annotations/a.xml")
    table, problems = read_labels(tmp_path)
    assert table.file.tolist() == ["faces/with_mask/1.jpg", "scenes/images/a.jpg"]
    assert problems.file.tolist() == ["faces/cats"]
    assert "'cats' is unknown" in problems.problem[0]


def test_images_without_labels_are_reported_in_one_row_for_their_folder(tmp_path):
    for grey, name in enumerate(("with_mask/1.jpg", "without_mask/1.jpg")):
        write_image(tmp_path / "faces" / name, PICTURE + np.uint8(200 * grey))
    labelled, _ = read_labels(tmp_path)
    for name in ("pictures/a.jpg", "objects/images/a.jpg", "objects/more/b.jpg"):
        write_image(tmp_path / name, PICTURE)
    (tmp_path / "notes" / "texts").mkdir(parents=True)
    table, problems = read_labels(tmp_path)
    pd.testing.assert_frame_equal(table, labelled)
    assert problems.file.tolist() == ["objects", "pictures"]
    assert "objects holds 2 images without labels" in problems.problem[0]
    assert "(images, more)" in problems.problem[0]
    assert "pictures holds 1 image without labels" in problems.problem[1]


def test_a_root_without_labels_is_an_error(tmp_path):
    with pytest.raises(LabelError, match="There is no folder .*nowhere"):
        read_labels(tmp_path / "nowhere")
    (tmp_path / "faces/with_mask").mkdir(parents=True)
    with pytest.raises(LabelError, match="holds no labelled images"):
        read_labels(tmp_path)
