"""Extraction and its tables: crops and rows for all faces, despite interruptions and bad files."""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks, find_blocks
from utils.batch import Batch
from utils.batch.threads import AHEAD
from utils.boxes import Detections, box_iou
from utils.collect import extract
from utils.collect.extract import (
    FACE_COLUMNS,
    SEARCHED,
    SEARCHED_COLUMNS,
    extract_faces,
    list_missed,
    read_faces,
    read_searched,
    set_kept,
    write_faces,
)
from utils.detect import PADDING, crop_faces, load_detector
from utils.formats import read_voc
from utils.images import ImageError, list_images, read_image, write_image
from utils.labels import BOX_COLUMNS
from utils.paths import CROPS, EXAMPLES_DIR, FACES
from utils.tables import TableError, hold_folder, read_rows

RED, GREEN, SMALL = (
    ("with_mask", (10, 20, 50, 70)),
    ("without_mask", (90, 30, 140, 80)),
    ("with_mask", (70, 5, 82, 17)),
)
PHOTOS = {
    "bing/masks/000001.png": [RED, GREEN],
    "bing/masks/000002.png": [],
    "bing/faces/000001.png": [GREEN, SMALL],
    "bing/faces/000001.bmp": [RED],  # another photograph with the same stem
    "bing/faces/000002.png": [SMALL],
    "at the root é.png": [RED],
}
EXPECTED = {
    file: len([block for block in blocks if block != SMALL]) for file, blocks in PHOTOS.items()
}


@pytest.fixture
def root(tmp_path):
    for file, blocks in PHOTOS.items():
        write_image(tmp_path / "data" / file, draw_blocks(*blocks))
    return tmp_path / "data"


@pytest.fixture
def folder(root):
    return root / "faces"


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def count_faces(table: pd.DataFrame) -> dict[str, int]:
    return table.file.value_counts().to_dict()


def test_no_photographs_give_empty_tables_on_disk(tmp_path):
    (tmp_path / "data").mkdir()
    table = extract_faces(tmp_path / "data", find_blocks, tmp_path / "faces")
    assert (len(table), table.columns.tolist()) == (0, FACE_COLUMNS)
    assert (
        len(read_faces(tmp_path / "faces" / FACES)) == len(read_searched(tmp_path / "faces")) == 0
    )
    assert set(read_all(tmp_path / "faces")) == {FACES, SEARCHED, ".lock"}


def test_every_face_has_a_row_and_a_crop(root, folder):
    table = extract_faces(root, find_blocks, folder, min_side=16)
    pd.testing.assert_frame_equal(table, read_faces(folder / FACES))
    assert count_faces(table) == {file: count for file, count in EXPECTED.items() if count}
    assert table.crop.is_unique
    assert table.kept.all()
    assert table.source.tolist() == [(root / file).parent.name for file in table.file]
    for file, rows in table.groupby("file"):
        image = read_image(root / file)
        found = find_blocks(image)
        large = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1) >= 16
        np.testing.assert_array_equal(rows[BOX_COLUMNS], found.xyxy[large])
        np.testing.assert_allclose(rows.confidence, found.confidence[large], atol=1e-4)
        for crop, expected in zip(
            rows.crop, crop_faces(image, found.xyxy[large], PADDING), strict=True
        ):
            written = read_image(folder / crop)
            assert written.shape == expected.shape
            assert np.abs(written.astype(int) - expected).mean() < 4


def test_photographs_without_faces_and_small_faces_are_counted(root, folder):
    extract_faces(root, find_blocks, folder, min_side=16)
    searched = read_searched(folder).set_index("file")
    assert searched.faces.to_dict() == EXPECTED
    assert searched.small[["bing/faces/000001.png", "bing/masks/000002.png"]].tolist() == [1, 0]
    missed = list_missed(folder).set_index("file").small.to_dict()
    assert missed == {"bing/masks/000002.png": 0, "bing/faces/000002.png": 1}
    table = extract_faces(root, find_blocks, folder.with_name("small too"), min_side=1)
    assert len(table) == sum(map(len, PHOTOS.values()))


def test_unreadable_photograph_is_reported_and_tried_again(root, folder):
    (root / "bing/masks/text.jpg").write_text("no photograph")
    table = extract_faces(root, find_blocks, folder)
    assert count_faces(table) == {file: count for file, count in EXPECTED.items() if count}
    problems = read_searched(folder).query("problem != ''")
    assert problems.file.tolist() == ["bing/masks/text.jpg"]
    assert "text.jpg is not an image" in problems.problem.iloc[0]
    assert "bing/masks/text.jpg" not in list_missed(folder).file.tolist()
    write_image(root / "bing/masks/text.jpg", draw_blocks(RED))
    assert count_faces(extract_faces(root, find_blocks, folder))["bing/masks/text.jpg"] == 1
    assert (read_searched(folder).problem == "").all()


def test_second_call_adds_new_photographs_and_keeps_decisions(root, folder):
    first = extract_faces(root, find_blocks, folder)
    set_kept(folder / FACES, {first.crop[0]: False})
    before = read_all(folder)

    def never(image):
        raise AssertionError("searched again")

    assert extract_faces(root, never, folder).kept.tolist() == [False] + [True] * (len(first) - 1)
    assert read_all(folder) == before
    write_image(root / "bing/masks/000003.png", draw_blocks(RED))
    table = extract_faces(root, find_blocks, folder)
    assert table.file.tolist() == [*first.file, "bing/masks/000003.png"]
    assert not table.kept[0]


STOPS = ["find the faces", "write a crop", "append the faces", "append the photograph"]


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("stop", STOPS)
def test_result_is_the_same_after_any_interruption(
    root, folder, tmp_path, monkeypatch, stop, number
):
    whole = extract_faces(root, find_blocks, tmp_path / "whole")
    calls, lock = [], threading.Lock()

    def stop_at(function, is_meant=lambda *_: True):
        def call(*arguments):
            if is_meant(*arguments):
                with lock:
                    calls.append(1)
                if len(calls) >= number:
                    raise KeyboardInterrupt
            return function(*arguments)

        return call

    detector = find_blocks
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if stop == "find the faces":
            detector = stop_at(find_blocks)
        elif stop == "write a crop":
            patch.setattr(extract, "write_image", stop_at(write_image))
        else:
            table = FACES if stop == "append the faces" else SEARCHED
            is_meant = lambda path, rows, _: path.name == table and rows  # noqa: E731
            patch.setattr(extract, "append_rows", stop_at(extract.append_rows, is_meant))
        extract_faces(root, detector, folder)
    known = set(read_searched(folder).file)
    pd.testing.assert_frame_equal(extract_faces(root, find_blocks, folder), whole)
    assert known < set(read_searched(folder).file) == set(PHOTOS)
    assert set(read_all(folder)) == set(read_all(tmp_path / "whole"))


WAYS = {
    "below the root": lambda root, file: file,
    "absolute": lambda root, file: root / file,
    "with dots": lambda root, file: root / "bing" / ".." / file,
    "from here": lambda root, file: Path("data") / file,
}


@pytest.mark.parametrize("name", WAYS.values(), ids=WAYS.keys())
def test_files_may_be_named_from_root_or_working_directory(root, folder, monkeypatch, name):
    monkeypatch.chdir(root.parent)
    files = ["bing/masks/000001.png", "bing/faces/000001.bmp"]
    table = extract_faces(
        "data", find_blocks, folder, [name(root, file) for file in [*files, files[0]]]
    )
    assert count_faces(table) == {file: EXPECTED[file] for file in files}


def test_file_outside_the_root_and_missing_root_are_reported(root, folder):
    with pytest.raises(ImageError, match="lies outside of"):
        extract_faces(root, find_blocks, folder, [root.parent / "a.png"])
    with pytest.raises(ImageError, match="There is no folder"):
        extract_faces(root / "nowhere", find_blocks, folder)


def test_tables_may_lie_in_the_root(root):
    first = extract_faces(root, find_blocks, root)
    assert count_faces(first) == {file: count for file, count in EXPECTED.items() if count}
    pd.testing.assert_frame_equal(extract_faces(root, find_blocks, root), first)


def test_unwritable_crop_is_reported(root, folder):
    folder.mkdir()
    (folder / "crops").write_text("in the way")
    with pytest.raises(ImageError, match="cannot be written"):
        extract_faces(root, find_blocks, folder)
    assert len(read_faces(folder / FACES)) == 0


class Busy:
    """A detector that records how many threads call it at the same time."""

    def __init__(self):
        self.inside, self.most = 0, 0

    def __call__(self, image):
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.02)
        self.inside -= 1
        return find_blocks(image)


@pytest.mark.parametrize("is_safe", [False, True])
def test_other_detectors_are_called_by_one_thread_at_a_time(root, folder, monkeypatch, is_safe):
    monkeypatch.setattr("utils.batch.threads.count_cores", lambda: 3)
    if is_safe:
        monkeypatch.setattr(extract, "FCOS", Busy)
    detector = Busy()
    extract_faces(root, detector, folder)
    assert detector.most == 1 if not is_safe else detector.most > 1


def test_only_a_few_photographs_are_in_memory(root, folder, monkeypatch):
    """Count the photographs that are submitted but not yet in the table of a slow disk."""
    submitted, written, most = [], [], []
    search, append = extract._search_photo, extract.append_rows
    for number in range(60):
        shutil.copy(root / "bing/masks/000001.png", root / f"{number}.png")

    def search_photo(*arguments, **options):
        submitted.append(1)
        most.append(len(submitted) - len(written))
        return search(*arguments, **options)

    def append_rows(path, rows, columns):
        append(path, rows, columns)
        if path.name == SEARCHED and rows:
            time.sleep(0.005)
            written.append(1)

    monkeypatch.setattr("utils.batch.threads.count_cores", lambda: 2)
    monkeypatch.setattr(extract, "_search_photo", search_photo)
    monkeypatch.setattr(extract, "append_rows", append_rows)
    extract_faces(root, find_blocks, folder)
    assert len(written) == 60 + len(PHOTOS)
    assert max(most) <= 2 * AHEAD


def test_shipped_detector_finds_annotated_faces_of_the_examples(tmp_path):
    files = [path for path in list_images(EXAMPLES_DIR) if path.parent == EXAMPLES_DIR]
    table = extract_faces(EXAMPLES_DIR, load_detector("fcos"), tmp_path, files)
    annotations = sorted((EXAMPLES_DIR / "annotations").glob("*.xml"))
    assert annotations
    for path in annotations:
        name, _, faces = read_voc(path)
        found = table[table.file == name][BOX_COLUMNS].to_numpy()
        assert (
            not faces
            or box_iou(np.array([box for _, box in faces]), found).max(axis=1).min() >= 0.5
        )


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
def tables(faces, tmp_path):
    write_faces(tmp_path / FACES, faces)
    (tmp_path / SEARCHED).write_text(SEARCHED_ROWS)
    return tmp_path


def test_missing_files_give_empty_typed_tables(tmp_path):
    table = read_faces(tmp_path / FACES)
    assert (len(table), table.columns.tolist()) == (0, FACE_COLUMNS)
    assert table.kept.dtype == bool
    assert table.x_min.dtype == float
    assert list_missed(tmp_path).columns.tolist() == [
        "file",
        "faces",
        "small",
        "problem",
        "left_out",
    ]
    assert len(read_searched(tmp_path)) == len(list_missed(tmp_path)) == 0


def test_written_table_is_read_back(faces, tables):
    pd.testing.assert_frame_equal(read_faces(tables / FACES), faces, check_dtype=False)
    assert {path.name for path in tables.iterdir()} == {FACES, SEARCHED}


def test_set_kept_changes_only_the_given_faces(faces, tables):
    crop, other = faces.crop[:2]
    set_kept(tables / FACES, {crop: False})
    assert read_faces(tables / FACES).kept.tolist() == [False, True, False]
    set_kept(tables / FACES, {crop: True, other: False})
    assert read_faces(tables / FACES).kept.tolist() == [True, False, False]
    pd.testing.assert_frame_equal(
        read_faces(tables / FACES).drop(columns="kept"), faces.drop(columns="kept")
    )


def test_unknown_crop_is_reported_and_nothing_changes(tables):
    before = (tables / FACES).read_bytes()
    with pytest.raises(TableError, match="no crop crops/9.jpg: read the table again"):
        set_kept(tables / FACES, {"crops/9.jpg": False})
    assert (tables / FACES).read_bytes() == before


def test_kept_written_by_a_spreadsheet_is_read(tables):
    text = (tables / FACES).read_text()
    (tables / FACES).write_text(text.replace("True", "TRUE").replace("False", "FALSE"))
    assert read_faces(tables / FACES).kept.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("True", "yes", "'Yes' in its column kept"),
        ("30.1", "wide", "a box or confidence that is not a number"),
        ("confidence", "score", "no column confidence"),
    ],
)
def test_invalid_faces_table_is_reported(tables, old, new, sentence):
    path = tables / FACES
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TableError, match=sentence) as raised:
        read_faces(path)
    assert str(path) in str(raised.value)


def test_list_missed_has_readable_photographs_without_kept_faces(tables):
    missed = list_missed(tables).set_index("file")
    assert missed[["small", "left_out"]].to_dict("index") == {
        "a/2.jpg": {"small": 0, "left_out": 1},
        "a/3.jpg": {"small": 4, "left_out": 0},
        "a/5.jpg": {"small": 1, "left_out": 0},
    }
    searched = read_searched(tables)
    assert searched.file.is_unique
    assert searched.problem[searched.file == "a/4.jpg"].tolist() == [
        "a/4.jpg is cut off, fetch it again."
    ]


def test_images_of_other_formats_are_in_the_table_of_searched_photographs(tmp_path):
    root = tmp_path / "raw"
    write_image(root / "a.jpg", np.zeros((20, 30, 3), np.uint8))
    for name in ("b.heic", "notes.txt", "._a.jpg"):
        (root / name).touch()
    for _ in range(2):  # the second call repeats no row
        extract_faces(root, lambda image: Detections.empty(), tmp_path / "faces")
        searched = read_searched(tmp_path / "faces")
        assert sorted(searched.file) == ["a.jpg", "b.heic"]
        (problem,) = searched.problem[searched.problem != ""]
        assert "b.heic is passed over. It is a HEIC file" in problem
    assert (tmp_path / "faces/searched.csv").read_text().count("HEIC file") == 1


def test_two_programs_do_not_extract_into_one_folder(root, folder):
    with hold_folder(folder), pytest.raises(TableError, match="Another program is at work in"):
        extract_faces(root, find_blocks, folder)
    assert len(extract_faces(root, find_blocks, folder)) == sum(EXPECTED.values())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["a\nb.png", "a\rb.png", "a\x07b.png", "a\u2028b.png"])
def test_a_name_that_no_row_can_hold_is_named_and_passed_over(tmp_path, name):
    for file in (name, "good.png"):
        write_image(tmp_path / "data" / file, draw_blocks(RED))
    for _ in range(2):
        table = extract_faces(tmp_path / "data", find_blocks, tmp_path / "faces")
        assert table.file.tolist() == ["good.png"]
    searched = read_rows(tmp_path / "faces" / SEARCHED, SEARCHED_COLUMNS)
    problem = searched.set_index("file").problem.to_dict()
    assert len(searched) == 2 and problem.pop("good.png") == ""
    assert list(problem) == [name.encode("unicode_escape").decode()]
    assert "whose name has a line break or a control character" in str(problem)


def test_crops_that_are_gone_after_an_interruption_are_written_again(
    root, folder, tmp_path, monkeypatch
):
    """The results of a batch that are not in the tables yet say that the crops were written."""
    expected = extract_faces(root, find_blocks, tmp_path / "expected")
    batch = Batch(tmp_path / "batch", workers=1)
    append = extract.append_rows

    def interrupt(path: Path, rows: list[dict], columns: list[str]) -> None:
        if rows and path.name == SEARCHED:
            while len(list((folder / CROPS).rglob("*.jpg"))) < len(expected):
                time.sleep(0.01)
            raise KeyboardInterrupt
        append(path, rows, columns)

    monkeypatch.setattr(extract, "append_rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract_faces(root, find_blocks, folder, batch=batch)
    monkeypatch.undo()
    assert list((tmp_path / "batch").rglob("*.jsonl"))
    shutil.rmtree(folder / CROPS)
    pd.testing.assert_frame_equal(extract_faces(root, find_blocks, folder, batch=batch), expected)
    assert all((folder / crop).is_file() for crop in expected.crop)
