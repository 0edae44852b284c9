"""Pascal VOC as programs and people write it: read, or one problem for each fault."""

import numpy as np
import pytest

from utils.classes import LabelError
from utils.formats import read_voc, read_voc_folder
from utils.images import write_image
from utils.labels import BOX_COLUMNS

GOOD = "<object><name>without_mask</name>{}</object>"
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
SIZE = "<size><width>200</width><height>100</height><depth>3</depth></size>"
FACE = "<object><name>with_mask</name>" + BOX.format(10, 10, 60, 70) + "</object>"
SECOND = "<object><name>without_mask</name>" + BOX.format(100, 10, 150, 50) + "</object>"
FIRST_ROW = ("with_mask", 10, 10, 60, 70)
SECOND_ROW = ("without_mask", 100, 10, 150, 50)


def make(content: str = SIZE + FACE, name: str = "a.jpg") -> str:
    return f"<annotation><folder>x</folder><filename>{name}</filename>{content}</annotation>"


def describe(shape: str) -> str:
    return f"<object><name>with_mask</name>{shape}</object>{SECOND}"


READ = {
    "an encoding that does not exist": b'<?xml version="1.0" encoding="ANSI"?>' + make().encode(),
    "an unknown encoding": b'<?xml version="1.0" encoding="utf8mb4"?>' + make().encode(),
    "gbk": make(name="a.jpg").join(['<?xml version="1.0" encoding="gbk"?>', ""]).encode("gbk"),
    "a byte order mark": b"\xef\xbb\xbf" + make().encode(),
    "utf-16": f'<?xml version="1.0" encoding="utf-16"?>{make()}'.encode("utf-16"),
    "latin-1 without saying so": make(f"<source>Jos\xe9</source>{SIZE}{FACE}").encode("latin-1"),
    "an ampersand that is not escaped": make(f"<source>a & b</source>{SIZE}{FACE}").encode(),
    "Windows line ends": make().replace("><", ">\r\n<").encode(),
    "a namespace": make().replace("<annotation>", '<annotation xmlns="urn:x">').encode(),
    "spaces around texts": make(name=" a.jpg\n").replace("with_mask", " with_mask\n").encode(),
    "a Windows path": make(name="C:\\Users\\me\\a.jpg").encode(),
    "no size": make(FACE).encode(),
    "an empty size": make("<size><width/><height/></size>" + FACE).encode(),
    "a size of zero": make("<size><width>0</width><height>0</height></size>" + FACE).encode(),
    "a size in decimals": make(SIZE.replace("200", "200.0") + FACE).encode(),
    "numbers in decimals": make(SIZE + FACE.replace("70", "7e1")).encode(),
    "a box twice": make(SIZE + FACE + FACE).encode(),
}
PARTS = {
    "swapped corners": (describe(BOX.format(60, 70, 10, 10)), "swapped corners"),
    "a flat box": (describe(BOX.format(60, 70, 60, 90)), "has no area"),
    "a box outside": (describe(BOX.format(300, 10, 350, 50)), "is outside its image"),
    "a decimal comma": (describe(BOX.format("10,5", 10, 60, 70)), "xmin of the box is '10,5'"),
    "a missing number": (describe(BOX.format("", 10, 60, 70)), "xmin of the box is missing"),
    "not a number": (describe(BOX.format("nan", 10, 60, 70)), "has no number"),
    "infinity": (describe(BOX.format(1, 1, "inf", 70)), "has no number"),
    "a polygon": (describe("<polygon><x1>10</x1><y1>10</y1></polygon>"), "is a polygon"),
    "a turned box": (describe("<robndbox><cx>100</cx></robndbox>"), "is a turned box"),
    "no box": (describe(""), "has no box"),
    "no class": (describe(BOX.format(1, 1, 9, 9)).replace("with_mask", "", 1), "has no class"),
    "an unknown class": (describe(BOX.format(1, 1, 9, 9)).replace("with_mask", "cat", 1), "'cat'"),
    "one box in two classes": (
        SECOND + FACE + FACE.replace("with_mask", "without_mask"),
        "has two classes",
    ),
}
UNREADABLE = {
    "empty": (b"", "it is empty"),
    "a web page": (b"<!doctype html><html><body>x</body></html>", "it is a web page"),
    "other XML": (b"<note/>", "begins with <note>"),
    "cut off": (make().encode()[:99], "not a readable Pascal VOC file"),
}


@pytest.fixture
def folder(tmp_path):
    write_image(tmp_path / "images/a.jpg", np.zeros((100, 200, 3), np.uint8))
    (tmp_path / "annotations").mkdir()
    return tmp_path


def read(folder, data: bytes, name: str = "a.xml") -> tuple[list[tuple], list[str]]:
    (folder / "annotations" / name).write_bytes(data)
    table, problems = read_voc_folder(folder)
    assert set(table.file) <= {"images/a.jpg"}
    rows = table[["class_name", *BOX_COLUMNS]].itertuples(index=False)
    return [tuple(row) for row in rows], problems.problem.tolist()


@pytest.mark.parametrize("data", READ.values(), ids=READ.keys())
def test_what_is_clear_is_read(folder, data):
    rows, problems = read(folder, data)
    assert rows == [FIRST_ROW]
    assert ["written twice" in problem for problem in problems] == [True] * (
        data.count(b"<obj") - 1
    )


def test_an_upper_case_suffix_is_read(folder):
    assert read(folder, make().encode(), "a.XML") == ([FIRST_ROW], [])


@pytest.mark.parametrize(("content", "message"), PARTS.values(), ids=PARTS.keys())
def test_a_wrong_object_is_one_problem_and_the_others_stay(folder, content, message):
    rows, (problem,) = read(folder, make(SIZE + content).encode())
    assert rows == [SECOND_ROW]
    assert "annotations/a.xml" in problem and message in problem
    with pytest.raises(LabelError, match="a.xml"):
        read_voc(folder / "annotations/a.xml")


@pytest.mark.parametrize(("data", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_cannot_be_read_is_one_problem(folder, data, message):
    rows, (problem,) = read(folder, data)
    assert rows == []
    assert "annotations/a.xml" in problem and message in problem


def test_annotations_without_a_face_are_named(folder):
    rows, (problem,) = read(folder, make(SIZE).encode())
    assert rows == []
    assert "annotations without a face, which are left out: a.xml" in problem


def write(folder, **names: str) -> None:
    """Write ``STEM.xml`` for each stem, with the file name given."""
    for number, (stem, name) in enumerate(names.items()):
        box = BOX.format(10 + number, 10, 60, 70)
        content = f"{SIZE}<object><name>with_mask</name>{box}</object>"
        (folder / "annotations" / f"{stem}.xml").write_text(make(content, name))


def read_places(folder) -> tuple[dict[str, float], list[str]]:
    """Return the x_min of the face of each image, and the problems."""
    table, problems = read_voc_folder(folder)
    assert not table.file.duplicated().any()
    return dict(zip(table.file, table.x_min, strict=True)), problems.problem.tolist()


def test_a_stale_file_name_moves_no_label_to_another_photograph(folder):
    write_image(folder / "images/b.jpg", np.zeros((100, 200, 3), np.uint8))
    write(folder, a="b.jpg", b="c.jpg")
    places, problems = read_places(folder)
    assert places == {"images/a.jpg": 10, "images/b.jpg": 11}
    assert "a.xml names b.jpg, but has the name of a.jpg" in problems[0]
    assert "b.xml names c.jpg, but has the name of b.jpg" in problems[1]


def test_two_annotations_never_get_one_photograph(folder):
    write(folder, a="a.jpg", z="a.jpg")
    places, (problem,) = read_places(folder)
    assert places == {"images/a.jpg": 10}
    assert "z.xml names a.jpg, which" in problem and "a.xml describes too" in problem
    (folder / "annotations/a.xml").unlink()
    assert read_places(folder) == ({"images/a.jpg": 11}, [])
    write(folder, y="a.jpg", z="a.jpg")
    places, problems = read_places(folder)
    assert places == {}
    assert ["describes too: it is left out" in problem for problem in problems] == [True, True]


def test_an_annotation_that_fits_two_photographs_is_left_out(folder):
    write_image(folder / "images/a.png", np.zeros((100, 200, 3), np.uint8))
    write(folder, a="")
    places, (problem,) = read_places(folder)
    assert places == {} and "may describe images/a.jpg, images/a.png" in problem
    write(folder, a="a.png")
    assert read_places(folder) == ({"images/a.png": 10}, [])


SIZES = {
    "a turned photograph": ((200, 100), None, "is for (100, 200) pixels"),
    "another photograph": ((150, 120), None, "is for (100, 200) pixels"),
    "half as large": ((50, 100), [5, 5, 30, 35], "its boxes are scaled"),
    "larger, and rounded": ((301, 601), [30.1, 30.05, 180.6, 210.35], "its boxes are scaled"),
    "the same": ((100, 200), [10, 10, 60, 70], None),
}


@pytest.mark.parametrize(("size_wh", "box", "message"), SIZES.values(), ids=SIZES.keys())
def test_boxes_are_scaled_or_refused_if_the_photograph_has_another_size(
    tmp_path, size_wh, box, message
):
    width, height = size_wh
    write_image(tmp_path / "a.jpg", np.zeros((height, width, 3), np.uint8))
    text = make(SIZE.replace("100", "_").replace("200", "100").replace("_", "200") + FACE)
    (tmp_path / "a.xml").write_text(text)
    table, problems = read_voc_folder(tmp_path)
    expected = [] if box is None else [box]
    np.testing.assert_allclose(table[BOX_COLUMNS].to_numpy(), np.reshape(expected, (-1, 4)), 1e-5)
    assert [message in problem for problem in problems.problem] == ([True] if message else [])
