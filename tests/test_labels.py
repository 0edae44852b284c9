"""Labels: what is written is read again, what is wrong is named, and corrections do what they say."""

import numpy as np
import pandas as pd
import pytest

from tests.small_data import make_small_data
from utils.classes import LabelError
from utils.images import write_image
from utils.labels import (
    BOX_COLUMNS,
    COLUMNS,
    apply_corrections,
    make_label_table,
    read_class_folders,
    read_labels,
    read_voc,
    read_voc_folder,
    write_voc,
)

PIXEL = np.zeros((1, 1, 3), np.uint8)
FACES = pd.DataFrame(
    {
        "class_name": ["with_mask", "without_mask", "mask_worn_incorrectly"],
        **dict(
            zip(
                BOX_COLUMNS,
                np.array([[0, 0, 30, 20], [5, 6, 7, 8], [10, 0, 30, 11]]).T,
                strict=True,
            )
        ),
    }
)


def write_annotation(path, name="with_mask", box=(1, 2, 9, 9), size=(30, 20), file="a.jpg"):
    """A VOC file with one face, right or wrong, as other tools write them."""
    tags = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    bndbox = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    size = "<size><width>{}</width><height>{}</height><depth>3</depth></size>".format(*size)
    path.parent.mkdir(exist_ok=True)
    text = f"<annotation><filename>{file}</filename>{size}<object><name>{name}</name><bndbox>{bndbox}</bndbox></object>"
    path.write_text(text + "</annotation>")
    return path


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return make_small_data(tmp_path_factory.mktemp("small_data"))


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
    ids=["over the corner", "over the other corner", "with fractions"],
)
def test_a_box_over_the_edge_is_cut_there(tmp_path, box, expected):
    ((_, found),) = read_voc(write_annotation(tmp_path / "a.xml", box=box))[2]
    assert tuple(found) == expected


WRONG = {
    "unknown class": ({"name": "cat"}, "the class 'cat' is unknown"),
    "no class": ({"name": ""}, "the class '' is unknown"),
    "outside": ({"box": (40, 2, 50, 9)}, r"the box .* is outside its image \(30, 20\)"),
    "inside out": ({"box": (9, 9, 1, 2)}, "the box"),
    "no number": ({"box": (1, "two", 9, 9)}, "not a Pascal VOC file"),
    "not a number": ({"box": ("nan", 2, 9, 9)}, "the box"),
    "an empty size": ({"size": ("", 20)}, "not a Pascal VOC file"),
}


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_annotation_is_named_in_a_sentence(tmp_path, change, sentence):
    path = write_annotation(tmp_path / "wrong.xml", **change)
    with pytest.raises(LabelError, match=rf"wrong\.xml.*{sentence}"):
        read_voc(path)


@pytest.mark.parametrize(
    "content", [b"", b"<annotation><size>", b"text", b"\xff\xfe\x00", b"<annotation/>x"], ids=repr
)
def test_what_is_no_xml_is_named_in_a_sentence(tmp_path, content):
    (tmp_path / "wrong.xml").write_bytes(content)
    for path in (tmp_path / "wrong.xml", tmp_path / "nowhere.xml"):
        with pytest.raises(LabelError, match=rf"{path.name} is not a Pascal VOC file"):
            read_voc(path)


def test_a_bad_annotation_spoils_none_of_the_others(tmp_path):
    folder = tmp_path / "scenes"
    for stem in ("a", "b", "c", "d"):
        write_image(folder / f"images/{stem}.jpg", PIXEL)
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
        "converted since",
        "copy beside it",
        "other files beside it",
        "a path of another machine",
        "no name",
    ],
)
def test_an_annotation_finds_its_image(tmp_path, written, files, expected):
    write_annotation(tmp_path / "annotations/a.xml", file=written)
    for file in files:
        (tmp_path / file).touch()
    assert read_voc_folder(tmp_path)[0].file.tolist() == [expected]


def test_class_folders_are_read_with_their_spellings(tmp_path):
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


def test_both_kinds_are_read_together_and_an_unknown_folder_is_reported(tmp_path):
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


def test_a_root_without_labels_is_refused(tmp_path):
    with pytest.raises(LabelError, match="There is no folder .*nowhere"):
        read_labels(tmp_path / "nowhere")
    (tmp_path / "faces/with_mask").mkdir(parents=True)
    with pytest.raises(LabelError, match="holds no labelled images"):
        read_labels(tmp_path)


TABLE = make_label_table(
    [
        {"file": "faces/1.jpg", "source": "faces", "class_name": "with_mask"},
        {
            "file": "scenes/a.jpg",
            "source": "scenes",
            "class_name": "with_mask",
            **dict.fromkeys(BOX_COLUMNS, 5),
        },
        {
            "file": "scenes/a.jpg",
            "source": "scenes",
            "class_name": "without_mask",
            **dict.fromkeys(BOX_COLUMNS, 6),
        },
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
    "a box changed": (
        [("scenes/a.jpg", 5, "no mask")],
        ["with_mask", "without_mask", "without_mask"],
    ),
    "a whole image changed": (
        [("faces/1.jpg", None, "without_mask")],
        ["without_mask", "with_mask", "without_mask"],
    ),
    "a box left out": ([("scenes/a.jpg", 6, None)], ["with_mask", "with_mask"]),
    "a whole image left out": ([("faces/1.jpg", None, None)], ["with_mask", "without_mask"]),
    "twice: the last counts": (
        [("scenes/a.jpg", 5, None), ("scenes/a.jpg", 5, "no_face")],
        ["with_mask", "no_face", "without_mask"],
    ),
    "another data set's": (
        [("elsewhere/9.jpg", 1, None)],
        ["with_mask", "with_mask", "without_mask"],
    ),
}


@pytest.mark.parametrize(("rows", "expected"), CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_corrections_change_and_leave_out(rows, expected):
    corrected = apply_corrections(TABLE, make_corrections(*rows))
    assert corrected.class_name.tolist() == expected
    assert corrected.columns.tolist() == COLUMNS
    assert corrected.index.tolist() == list(range(len(expected)))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("scenes/a.jpg", 9, None), r"No face of scenes/a\.jpg"),
        (("scenes/a.jpg", 5, "cat"), "A correction: .*'cat'"),
    ],
    ids=["unknown box", "unknown class"],
)
def test_a_correction_that_fits_nothing_is_refused(row, sentence):
    with pytest.raises(LabelError, match=sentence):
        apply_corrections(TABLE, make_corrections(("scenes/a.jpg", 6, None), row))


def test_one_box_labelled_twice_is_corrected_twice():
    table = pd.concat([TABLE, TABLE], ignore_index=True)
    corrected = apply_corrections(table, make_corrections(("scenes/a.jpg", 6, "no_face")))
    assert (corrected.class_name == "no_face").tolist() == [False, False, True] * 2
