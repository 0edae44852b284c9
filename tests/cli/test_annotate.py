"""Images one by one: copies, records and problems, and how a run ends."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_blocks
from utils.classes import MASK_CLASSES
from utils.cli.annotate import annotate_images
from utils.cli.report import Report
from utils.draw import blur_faces, draw_detections
from utils.images import read_image, write_image

BOX = (20, 40, 60, 90)


class FakeWindow:
    """A window whose person closes it at the n-th picture."""

    def __init__(self, closed_at: int = 1_000) -> None:
        self.closed_at, self.shown = closed_at, []

    def show(self, image: np.ndarray, wait: bool = False) -> bool:
        self.shown.append((image.copy(), wait))
        return len(self.shown) < self.closed_at


@pytest.fixture
def files(tmp_path):
    """One picture a class of a person's, as PNG so that nothing of them is lost."""
    blocks = {name: draw_blocks((name, BOX)) for name in MASK_CLASSES}
    return [write_image(tmp_path / f"{name}.png", image) for name, image in blocks.items()]


def stop_at(judge, call: int):
    """The same judge, but at the n-th picture a person presses Ctrl-C."""
    calls = iter(range(1, 1_000))

    def judge_until(image):
        if next(calls) == call:
            raise KeyboardInterrupt
        return judge(image)

    return judge_until


def test_no_files_give_an_empty_report(judge, tmp_path):
    report = Report()
    assert annotate_images([], judge, tmp_path, report) == []
    assert (report.records, report.problems, report.exit_code) == ([], [], 0)
    assert report.summary("image", []) == "0 images, 0 faces."


def test_each_image_gives_a_record_and_an_annotated_jpeg(judge, files, tmp_path, capsys):
    report = Report()
    copies = annotate_images(files, judge, tmp_path / "new" / "output", report)
    assert [copy.name for copy in copies] == [f"{name}.jpg" for name in MASK_CLASSES]
    assert [record["file"] for record in report.records] == [file.as_posix() for file in files]
    assert [face["class_name"] for record in report.records for face in record["faces"]] == list(
        MASK_CLASSES
    )
    assert [face["box"] for record in report.records for face in record["faces"]] == [
        list(BOX)
    ] * len(files)
    for file, copy, name in zip(files, copies, MASK_CLASSES, strict=True):
        with Image.open(copy) as image:
            assert (image.format, image.size) == ("JPEG", (160, 120))
        source = draw_blocks((name, BOX))
        written, drawn = (
            image.astype(float)
            for image in (read_image(copy), draw_detections(source, judge(source)))
        )
        assert np.abs(written - drawn).mean() < np.abs(written - source).mean() / 3
        np.testing.assert_array_equal(read_image(file), source)
    assert "3/3" in capsys.readouterr().err


def test_a_single_image_needs_no_progress_bar(judge, files, tmp_path, capsys):
    annotate_images(files[:1], judge, tmp_path / "output", Report())
    assert capsys.readouterr() == ("", "")


def test_a_bad_file_is_told_and_the_others_are_done(judge, files, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no photograph")
    report = Report()
    annotate_images([files[0], tmp_path / "text.jpg", files[1]], judge, tmp_path / "output", report)
    assert [record["file"] for record in report.records] == [file.as_posix() for file in files[:2]]
    assert len(report.problems) == 1 and "text.jpg" in report.problems[0]
    assert report.problems[0] in capsys.readouterr().err
    assert report.exit_code == 1


def test_when_every_file_is_bad_the_run_has_failed(judge, tmp_path):
    report = Report()
    assert (
        annotate_images(
            [tmp_path / "a.jpg", tmp_path / "b.jpg"], judge, tmp_path / "output", report
        )
        == []
    )
    assert (len(report.problems), report.exit_code) == (2, 2)


def test_a_copy_that_cannot_be_written_is_told(judge, files, tmp_path):
    report = Report()
    (tmp_path / "output" / f"{MASK_CLASSES[0]}.jpg").mkdir(parents=True)
    copies = annotate_images(files, judge, tmp_path / "output", report)
    assert len(copies) == len(files) - 1
    assert [
        f"{MASK_CLASSES[0]}.jpg cannot be written" in problem for problem in report.problems
    ] == [True]


def test_ctrl_c_keeps_what_was_done(judge, files, tmp_path):
    report = Report()
    copies = annotate_images(files, stop_at(judge, 3), tmp_path / "output", report)
    assert len(copies) == len(report.records) == 2
    assert report.interrupted and report.exit_code == 1
    assert report.summary("image", copies).endswith("; stopped before the end.")


def test_ctrl_c_before_the_first_leaves_nothing(judge, files, tmp_path):
    report = Report()
    assert annotate_images(files, stop_at(judge, 1), tmp_path / "output", report) == []
    assert (report.records, report.exit_code) == ([], 1)


def test_every_image_is_shown_until_the_window_is_closed_and_all_are_done(judge, files, tmp_path):
    report, window = Report(), FakeWindow(closed_at=2)
    copies = annotate_images(files, judge, tmp_path / "output", report, window)
    assert [wait for _, wait in window.shown] == [True, True]
    assert len(copies) == len(report.records) == len(files)


def test_faces_can_be_made_unrecognisable_in_the_copies(judge, files, tmp_path):
    (copy,) = annotate_images(files[:1], judge, tmp_path / "output", Report(), blur=True)
    image = read_image(files[0])
    found = judge(image)
    expected = draw_detections(blur_faces(image, found.xyxy), found).astype(float)
    assert np.abs(read_image(copy).astype(float) - expected).mean() < 3
