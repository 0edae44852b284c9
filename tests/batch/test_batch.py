"""Functions that go over many files: the same answers in threads, processes and on a cluster."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.batch.tasks import Square
from tests.conftest import draw_blocks, find_blocks
from utils.batch import Batch, JobError, map_files
from utils.collect import convert_images, extract_faces, find_broken_images, read_searched
from utils.curate import hash_images
from utils.detect import load_pipeline, one_at_a_time
from utils.evaluate import run_pipeline
from utils.images import ImageError, list_images, write_image
from utils.paths import EXAMPLES_DIR

WHERE = [
    pytest.param("this process"),
    pytest.param("two processes", marks=pytest.mark.slow),
    pytest.param("cluster", marks=pytest.mark.slow),
]


@pytest.fixture(params=WHERE)
def batch(request, tmp_path):
    """Where the work is done."""
    if request.param == "cluster":
        return Batch(tmp_path / "batch", scheduler=request.getfixturevalue("cluster"))
    return Batch(tmp_path / "batch", workers=1 if request.param == "this process" else 2)


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A folder of four drawn photographs, the last of which is broken."""
    folder = tmp_path / "photographs"
    for number in range(3):
        box = (20 + 30 * number, 20, 60 + 30 * number, 60)
        write_image(folder / f"{number}.png", draw_blocks(("with_mask", box)))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_outcomes_are_those_of_threads_and_leave_no_file(batch, make_items, tmp_path):
    square = Square(tmp_path / "calls.txt").square
    items = make_items(9)
    Path(items[4][0]).write_text("10001")
    expected = list(map_files(square, items))
    assert [outcome.value for outcome in expected] == [0, 1, 4, 9, None, 25, 36, 49, 64]
    assert expected[4].problem == "0004.txt is too large: write a smaller number."
    assert list(map_files(square, items, batch)) == expected
    assert list((tmp_path / "batch").iterdir()) == []


def test_no_files_have_no_outcomes(batch, tmp_path):
    square = Square(tmp_path / "calls.txt").square
    assert list(map_files(square, [])) == list(map_files(square, [], batch)) == []


def test_an_interrupted_call_goes_on_and_sees_files_that_changed(make_items, tmp_path):
    batch = Batch(tmp_path / "batch", workers=1)
    task = Square(tmp_path / "calls.txt")
    items = make_items(9)
    outcomes = map_files(task.square, items, batch)
    assert [next(outcomes).value for _ in range(6)] == [0, 1, 4, 9, 16, 25]
    outcomes.close()
    before = task.list_calls()
    Path(items[1][0]).write_text("100")
    values = [outcome.value for outcome in map_files(task.square, items, batch)]
    assert values == [0, 10_000, 4, 9, 16, 25, 36, 49, 64]
    again = set(before) & set(task.list_calls()[len(before) :])
    assert again == {"0001.txt"}


def test_work_that_cannot_leave_the_process_is_named(make_items, tmp_path):
    batch = Batch(tmp_path / "batch", workers=2)
    with pytest.raises(JobError, match="cannot be sent to another process .*own detector"):
        list(map_files(lambda file: file, make_items(1), batch))


def test_photographs_are_checked_converted_and_hashed(batch, photographs, tmp_path):
    broken = find_broken_images(photographs)
    assert [Path(file).name for file in broken.file] == ["broken.png"]
    pd.testing.assert_frame_equal(find_broken_images(photographs, batch), broken)

    converted = convert_images(photographs, tmp_path / "threads", 50)
    pd.testing.assert_frame_equal(
        convert_images(photographs, tmp_path / "batch-out", 50, batch=batch), converted
    )
    files = list_images(tmp_path / "threads")
    assert [path.name for path in files] == ["0.jpg", "1.jpg", "2.jpg"]
    for path in files:
        assert path.read_bytes() == (tmp_path / "batch-out" / path.name).read_bytes()

    np.testing.assert_array_equal(hash_images(files, batch), hash_images(files))
    with pytest.raises(ImageError, match="broken.png") as kept:  # as a notebook keeps it
        hash_images([photographs / "broken.png", *files], batch)
    np.testing.assert_array_equal(hash_images(files, batch), hash_images(files))
    assert kept.traceback


def test_outputs_that_are_gone_are_made_again(photographs, make_items, tmp_path):
    """As after an interruption: the results of a job are kept until all outcomes were taken."""
    batch = Batch(tmp_path / "batch", workers=1)
    gone = []

    def is_intact(item: tuple, value: int) -> bool:
        assert item[0] in dict.fromkeys(name for (name,) in items) and value is not None
        return Path(item[0]).name not in gone

    task = Square(tmp_path / "calls.txt")
    items = make_items(9)
    for turn in range(2):
        outcomes = map_files(task.square, items, batch, is_intact)
        for _ in range(8):
            next(outcomes)
        gone.append("0003.txt")
        outcomes.close()
        del turn
    again = task.list_calls()
    assert again.count("0003.txt") == 2 and again.count("0002.txt") == 1


def test_faces_are_extracted(batch, photographs, tmp_path):
    expected = extract_faces(photographs, find_blocks, tmp_path / "threads")
    assert len(expected) == 3
    # A detector that only one thread may call, as OpenCV's are.
    detector = one_at_a_time(find_blocks)
    table = extract_faces(photographs, detector, tmp_path / "faces", batch=batch)
    pd.testing.assert_frame_equal(table, expected)
    searched = read_searched(tmp_path / "faces")
    pd.testing.assert_frame_equal(searched, read_searched(tmp_path / "threads"))
    assert searched.problem.str.contains("broken.png").sum() == 1
    for crop in table.crop:
        assert (tmp_path / "faces" / crop).read_bytes() == (
            tmp_path / "threads" / crop
        ).read_bytes()


def test_a_crop_that_cannot_be_written_ends_the_extraction(batch, photographs, tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "crops").write_text("a file in the place of the folder")
    with pytest.raises(ImageError, match="crops"):
        extract_faces(photographs, find_blocks, tmp_path / "faces", batch=batch)


def test_our_models_judge_the_same(batch, photographs):
    pipeline = load_pipeline()
    files = [path.name for path in sorted(EXAMPLES_DIR.glob("*.jpg"))]
    expected = run_pipeline(files, EXAMPLES_DIR, pipeline, "")
    found = run_pipeline(files, EXAMPLES_DIR, pipeline, "", batch)
    assert list(found) == files and sum(len(faces) for faces in found.values()) > 3
    for file, detections in found.items():
        for name in ("xyxy", "confidence", "y_prob", "is_unsure"):
            ours = getattr(detections, name)
            theirs = getattr(expected[file], name)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    blank = run_pipeline(["0.png"], photographs, pipeline, "", batch)["0.png"]
    assert len(blank) == 0 and blank.y_prob.shape == (0, 4)
