"""Report: the summary and the exit code."""

import pytest

from utils.classes import MASK_CLASSES
from utils.cli.report import Report


@pytest.mark.parametrize(
    ("names", "count", "expected"),
    [
        ([], 1, "1 image, 0 faces; annotated copy out/0.jpg."),
        (["with_mask"], 1, "1 image, 1 face: 1 with_mask; annotated copy out/0.jpg."),
        (
            ["without_mask", "with_mask", "with_mask"],
            2,
            "2 images, 3 faces: 2 with_mask, 1 without_mask; annotated copies in out/.",
        ),
    ],
)
def test_summary_of_images(tmp_path, names, count, expected):
    report = Report()
    for number in range(count):
        report.add({"faces": [{"class_name": name} for name in names if not number]})
    copies = [tmp_path.relative_to(tmp_path) / "out" / f"{number}.jpg" for number in range(count)]
    assert report.summary("image", copies) == expected


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ({"with_mask": 0, "without_mask": 0}, "9 frames, 0 people."),
        ({"with_mask": 1, "without_mask": 0}, "9 frames, 1 person: 1 with_mask."),
        ({"with_mask": 1, "without_mask": 2}, "9 frames, 3 people: 1 with_mask, 2 without_mask."),
    ],
)
def test_summary_of_a_video_counts_people(people, expected):
    report = Report(people=dict.fromkeys(MASK_CLASSES, 0) | people)
    for _ in range(9):
        report.add({"faces": [{"class_name": "with_mask"}]})
    assert report.summary("frame", []) == expected


def test_warning_is_printed_and_is_no_problem(capsys):
    report = Report()
    report.warn("The stream broke off.")
    assert capsys.readouterr().err == "The stream broke off.\n"
    assert (report.problems, report.exit_code) == ([], 0)


def test_summary_tells_how_many_faces_are_unsure():
    report = Report()
    faces = [{"class_name": "with_mask", "unsure": unsure} for unsure in (True, False, False)]
    report.add({"faces": faces})
    assert report.summary("image", []) == "1 image, 3 faces: 3 with_mask; 1 of 3 faces unsure."


def test_summary_counts_problems():
    report = Report()
    report.add({"faces": [{"class_name": "with_mask"}]})
    report.fail("b.jpg is no image.")
    assert report.summary("image", []) == ("1 image, 1 face: 1 with_mask; 1 problem, named above.")
