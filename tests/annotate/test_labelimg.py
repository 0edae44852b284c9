"""Pascal VOC files for labelImg, the labels recorded from them, and how labelImg is started."""

import os
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2  # its import sets the variables that must not reach labelImg
import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks
from tests.cut_writes import ENDS, check_none_cut, read_whole, requires_limits, run_cut
from utils.annotate import labelimg
from utils.annotate.journal import read_hand_labels, read_journal, record_label
from utils.annotate.labelimg import (
    is_unedited,
    make_environment,
    open_labelimg,
    record_annotations,
    write_annotations,
)
from utils.annotate.labelimg_app import annotation_path
from utils.classes import LabelError
from utils.formats import read_voc, write_voc
from utils.images import ImageError, write_image
from utils.labels import BOX_COLUMNS

BOX = (20.25, 40.5, 60.0, 90.0)
OTHER = (100.0, 10.0, 130.0, 50.0)
ANNOTATOR = "Ada"


def make_faces(*rows: tuple) -> pd.DataFrame:
    """Return a table from (file, box, class_name)."""
    return pd.DataFrame(
        [(file, *box, name) for file, box, name in rows],
        columns=["file", *BOX_COLUMNS, "class_name"],
    )


@pytest.fixture
def root(tmp_path):
    for name in ("one/a.png", "one/b.png", "two/images/a.png"):
        write_image(tmp_path / name, draw_blocks())
    return tmp_path


def save(path, *faces: tuple, at: str | None = None):
    """Save a file as labelImg does: in whole pixels from 1 on, and without our attribute."""
    rows = [(name, *np.maximum(1, np.floor(box)).astype(int)) for name, box in faces]
    write_voc(path, "a.png", (160, 120), pd.DataFrame(rows, columns=["class_name", *BOX_COLUMNS]))
    if at:
        time = pd.Timestamp(at).timestamp()
        os.utime(path, (time, time))
    return path


def read_current(journal) -> dict:
    """Return the current class by (file, box)."""
    labels = read_hand_labels(journal)
    return {
        (row.file, *(getattr(row, name) for name in BOX_COLUMNS)): row.class_name
        for row in labels.itertuples()
    }


def record_counts(root, journal, **options) -> list[int]:
    """Record what was saved; return the number of rows and of problems."""
    return [len(table) for table in record_annotations(root, root, journal, ANNOTATOR, **options)]


def test_annotation_path():
    assert annotation_path("one/a.b.jpg").as_posix() == "one/annotations/a.b.xml"
    assert annotation_path("two/images/a.png").as_posix() == "two/annotations/a.xml"


def test_empty_table_writes_nothing(root):
    assert write_annotations(make_faces(), root) == 0
    assert not list(root.rglob("*.xml"))
    rows, problems = record_annotations(root, root, root / "journal.csv", ANNOTATOR)
    assert (len(rows), len(problems), (root / "journal.csv").exists()) == (0, 0, False)
    assert rows.columns.tolist() == ["file", *BOX_COLUMNS, "class_name", "way"]


def test_boxes_are_clipped_at_the_image(root):
    faces = make_faces(
        ("one/a.png", (-5, 10, 30, 200), "with_mask"), ("two/images/a.png", OTHER, "no_face")
    )
    assert write_annotations(faces, root) == 2
    name, resolution_wh, found = read_voc(root / "one/annotations/a.xml")
    assert (name, resolution_wh) == ("a.png", (160, 120))
    assert [(name, box.tolist()) for name, box in found] == [("with_mask", [0, 10, 30, 120])]
    assert "-5" not in (root / "one/annotations/a.xml").read_text()
    assert [name for name, _ in read_voc(root / "two/annotations/a.xml")[2]] == ["no_face"]
    assert not list(root.rglob("*.part"))


@pytest.mark.parametrize("table", ["no column", "empty", "missing"])
def test_face_without_a_class(root, table):
    faces = make_faces(("one/a.png", BOX, "" if table == "empty" else None))
    write_annotations(faces.drop(columns="class_name") if table == "no column" else faces, root)
    path = root / "one/annotations/a.xml"
    assert [item.text for item in ET.parse(path).iter("name")] == ["face"]
    journal = root / "journal.csv"
    assert record_counts(root, journal) == [0, 0]  # not saved by a person
    save(path, ("face", BOX))
    rows, problems = record_annotations(root, root, journal, ANNOTATOR)
    assert (len(rows), problems.file.tolist()) == (0, ["one/a.png"])
    assert (
        "a.xml, object 1: the class 'face' is unknown; use one of with_mask" in problems.problem[0]
    )


def test_rows_without_a_box_and_missing_images_are_skipped(root, capsys):
    whole = make_faces(("one/a.png", [np.nan] * 4, "with_mask"))
    gone = make_faces(("one/gone.png", BOX, "with_mask"), ("one/b.png", BOX, "with_mask"))
    assert write_annotations(pd.concat([whole, gone]), root) == 1
    assert [path.name for path in root.rglob("*.xml")] == ["b.xml"]
    assert "gone.png cannot be read" in capsys.readouterr().out


def test_a_file_that_a_person_saved_is_not_overwritten(root):
    path = root / "one/annotations/a.xml"
    write_annotations(make_faces(("one/a.png", BOX, "")), root)
    assert is_unedited(path)
    assert write_annotations(make_faces(("one/a.png", BOX, "with_mask")), root) == 1
    assert [name for name, _ in read_voc(path)[2]] == ["with_mask"]
    for edited in (
        path.read_text().replace("with_mask", "without_mask"),
        "<annotation/>",
        "no XML",
    ):
        path.write_text(edited)
        assert not is_unedited(path)
        assert write_annotations(make_faces(("one/a.png", BOX, "with_mask")), root) == 0
        assert path.read_text() == edited


def test_saved_boxes_are_recorded_once_with_exact_coordinates(root):
    journal = root / "journal.csv"
    known = make_faces(("one/a.png", BOX, ""), ("one/b.png", OTHER, ""))
    write_annotations(known, root)
    save(root / "one/annotations/a.xml", ("With Mask", BOX), ("without_mask", (0, 0, 9, 9)))
    rows, problems = record_annotations(root / "one", root, journal, ANNOTATOR, known)
    assert len(problems) == 0
    assert rows.file.tolist() == ["one/a.png"] * 2
    assert rows[BOX_COLUMNS].to_numpy().tolist() == [[*BOX], [1, 1, 9, 9]]
    assert rows.class_name.tolist() == ["with_mask", "without_mask"]
    entries = read_journal(journal)
    assert {(entry.annotator, entry.method) for entry in entries} == {(ANNOTATOR, "labelimg")}
    before = journal.read_bytes()
    assert record_counts(root, journal, known=known) == [0, 0]
    assert journal.read_bytes() == before


CHANGES = {
    "class": ([("without_mask", BOX)], {BOX: "without_mask"}),
    "rounded": ([("with_mask", (20, 41, 61, 90))], {BOX: "with_mask"}),
    "moved": ([("with_mask", (23, 41, 63, 90))], {(23, 41, 63, 90): "with_mask"}),
    "deleted": ([], {}),
    "added": ([("with_mask", BOX), ("with_mask", OTHER)], {BOX: "with_mask", OTHER: "with_mask"}),
}


@pytest.mark.parametrize(("faces", "expected"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(
    "when", ["2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"], ids=["before", "after"]
)
def test_the_later_decision_is_in_effect(root, faces, expected, when):
    """The annotation is saved before or after a label was given by the buttons."""
    journal = root / "journal.csv"
    record_label(journal, "one/a.png", BOX, "with_mask", ANNOTATOR, "buttons")
    save(root / "one/annotations/a.xml", *faces, at=when)
    record_annotations(root, root, journal, ANNOTATOR)
    if when < "2026":
        expected = {**expected, BOX: "with_mask"}
    assert read_current(journal) == {("one/a.png", *box): name for box, name in expected.items()}


def test_labels_of_another_annotator_are_kept(root):
    journal = root / "journal.csv"
    record_label(journal, "one/a.png", BOX, "with_mask", "Grace", "buttons")
    save(root / "one/annotations/a.xml", at="2100-01-01T00:00:00Z")
    record_annotations(root, root, journal, ANNOTATOR)
    assert read_current(journal) == {("one/a.png", *BOX): "with_mask"}


def test_a_bad_annotation_does_not_stop_the_others(root):
    save(root / "one/annotations/a.xml", ("cat", BOX))
    (root / "one/annotations/b.xml").write_text("<annotation>")
    save(root / "two/annotations/a.xml", ("with_mask", BOX))
    rows, problems = record_annotations(root, root, root / "journal.csv", ANNOTATOR)
    assert rows.file.tolist() == ["two/images/a.png"]
    assert problems.file.tolist() == ["one/a.png", "one/b.png"]
    assert "the class 'cat' is unknown" in problems.problem[0]


def test_images_with_the_same_annotation_file_are_refused(root):
    write_image(root / "one/a.jpg", draw_blocks())
    with pytest.raises(LabelError, match=r"a\.\w+ and a\.\w+ would share"):
        record_annotations(root, root, root / "journal.csv", ANNOTATOR)


def remove_folder(root: Path) -> None:
    root.rename(root.parent / "moved")


def remove_images(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.unlink()


def add_same_stem(root: Path) -> None:
    (root / "one/a.JPG").touch()


WRONG_FOLDERS = {
    "missing": (remove_folder, ImageError, "There is no folder"),
    "no images": (remove_images, ImageError, "photos holds no images"),
    "same stem": (add_same_stem, LabelError, r"a\.(JPG|png) and a\.(JPG|png) would share"),
}


@pytest.mark.parametrize(
    ("change", "error", "message"), WRONG_FOLDERS.values(), ids=WRONG_FOLDERS.keys()
)
def test_folder_errors(tmp_path, change, error, message):
    photos = tmp_path / "photos"
    for name in ("one/a.png", "one/b.png", "two/images/a.png"):
        write_image(photos / name, draw_blocks())
    change(photos)
    with pytest.raises(error, match=message):
        open_labelimg(photos)


def test_missing_display_or_program(root, monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setattr(labelimg, "has_display", lambda: False)
    with pytest.raises(RuntimeError, match="labelImg needs a display"):
        open_labelimg(root)
    monkeypatch.setattr(labelimg.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="labelImg is not installed"):
        open_labelimg(root)


@pytest.mark.parametrize("platform", [None, "offscreen", "xcb"])
def test_environment_without_the_variables_of_opencv(monkeypatch, platform):
    assert cv2.__version__
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", "of cv2")
    monkeypatch.setenv("QT_QPA_FONTDIR", "of cv2")
    if platform:
        monkeypatch.setenv("QT_QPA_PLATFORM", platform)
    left_out = {"QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"}
    assert make_environment() == {
        name: value for name, value in os.environ.items() if name not in left_out
    }


SESSION = """
import pandas as pd
from utils.annotate.labelimg import record_annotations, write_annotations
root, journal, faces = sys.argv[1:]
limit()
write_annotations(pd.read_csv(faces), root)
record_annotations(root, root, journal, "Ada")
"""


@requires_limits
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("has_old", [False, True])
def test_annotations_that_stop_within_a_write_are_old_or_absent(root, has_old, end):
    faces = make_faces(("one/a.png", BOX, "with_mask"), ("one/b.png", OTHER, "with_mask"))
    if has_old:
        write_annotations(faces, root)
    old = read_whole(root)
    faces.assign(class_name="without_mask").to_csv(root / "faces.csv")
    run_cut(SESSION, root, root / "journal.csv", root / "faces.csv", size=150, end=end)
    (root / "faces.csv").unlink()
    assert check_none_cut(root, old) == len(old)


@requires_limits
@pytest.mark.parametrize("end", ENDS)
def test_labels_whose_recording_stops_within_a_row_are_recorded_by_the_next_call(root, end):
    boxes = [(10 * number + 1, 5, 10 * number + 9, 20) for number in range(12)]
    for name in ("a", "b"):
        save(root / f"one/annotations/{name}.xml", *[("with_mask", box) for box in boxes])
    record_annotations(root, root, root / "whole.csv", ANNOTATOR)
    whole = read_current(root / "whole.csv")
    assert len(whole) == 24
    make_faces().to_csv(root / "faces.csv")
    journal = root / "journal.csv"
    run_cut(SESSION, root, journal, root / "faces.csv", size=700, end=end)
    kept = read_current(journal)
    assert 0 < len(kept) < 24 and kept.items() <= whole.items()
    recorded, _ = record_annotations(root, root, journal, ANNOTATOR)
    assert len(recorded) == 24 - len(kept)
    assert read_current(journal) == whole
