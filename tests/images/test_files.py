"""Files: which images an argument names, and where annotated copies go."""

import random
import re
from pathlib import Path

import pytest

from utils.images.files import find_images, name_copies, names_folder, natural_key

NAMES = ["a/2.jpg", "a/10.JPG", "a/b/1.png", "a/b/c d/é.webp", "a/notes.txt", "x[1].jpg"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGUMENTS = {
    "nothing": ([], []),
    "a file": (["a/2.jpg"], ["a/2.jpg"]),
    "a file without an image suffix": (["a/notes.txt"], ["a/notes.txt"]),
    "a file whose name looks like a glob": (["x[1].jpg"], ["x[1].jpg"]),
    "files keep their order": (["a/10.JPG", "a/2.jpg"], ["a/10.JPG", "a/2.jpg"]),
    "a folder in natural order": (["a"], ["a/2.jpg", "a/10.JPG", "a/b/1.png", "a/b/c d/é.webp"]),
    "a glob": (["a/*.[jJ]*"], ["a/2.jpg", "a/10.JPG"]),
    "a glob skips other files": (["a/[1n]*"], ["a/10.JPG"]),
    "a glob of folders": (["*/b"], ["a/b/1.png", "a/b/c d/é.webp"]),
    "a recursive glob": (["**/*.png"], ["a/b/1.png"]),
    "the same file twice": (
        ["a/b", "a/b/1.png", "./a/b/../b/1.png", "a/2.jpg"],
        ["a/b/1.png", "a/b/c d/é.webp", "a/2.jpg"],
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_an_argument_names_its_files(folder, arguments, expected):
    assert find_images(arguments) == ([Path(name) for name in expected], [])


OUTPUTS = {
    "the folder itself": (["a"], "a", True),
    "a file in it": (["a/b/1.png", "a/2.jpg"], "a", True),
    "a glob in it": (["a/*.jpg"], "./a/b/..", True),
    "a recursive glob": (["**/*.jpg"], ".", True),
    "a folder above": (["a"], "a/b", False),
    "a folder below": (["a/b"], "a", False),
    "a glob in a folder below": (["a/b/*"], "a", False),
    "another folder": (["a"], "output", False),
    "nothing": ([], "a", False),
}


@pytest.mark.parametrize(("arguments", "output", "expected"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_arguments_that_name_the_copies_too(folder, arguments, output, expected):
    assert names_folder(arguments, output) == expected
    if not expected and arguments:
        before, _ = find_images(arguments, output)
        Path(output).mkdir(exist_ok=True)
        for copy in name_copies(before, output):
            copy.touch()
        assert find_images(arguments, output)[0] == before


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("holiday [2020]/a.jpg", "x/holiday [2020]/b.jpg", "holiday 2/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for pattern, expected in {
        "holiday [2020]/*.jpg": ["holiday [2020]/a.jpg"],
        "holiday [2020]/**/*.jpg": ["holiday [2020]/a.jpg"],
        str(tmp_path / "holiday [2020]" / "*"): [str(tmp_path / "holiday [2020]" / "a.jpg")],
        "*/holiday [2020]/*.jpg": ["x/holiday [2020]/b.jpg"],
        "**/holiday*": ["holiday 2/c.jpg", "holiday [2020]/a.jpg", "x/holiday [2020]/b.jpg"],
        "holiday [0-9]/*": ["holiday 2/c.jpg"],
    }.items():
        assert find_images([pattern]) == ([Path(name) for name in expected], [])


def test_a_pattern_does_not_follow_links_that_lead_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    for name in ("loop", "another"):
        (tmp_path / name).symlink_to(tmp_path)
    assert find_images(["**/*.jpg"]) == ([Path("a.jpg")], [])


def test_files_that_are_passed_over_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.heic", "film.mp4", "notes.txt", "font.ttf", "._a.jpg", "LICENSE"):
        (tmp_path / name).touch()
    for name in (".hidden", "Thumbs.db", "a.jpg.xmp", "a.AAE"):
        (tmp_path / name).touch()
    expected = ["b.heic", "film.mp4", "font.ttf", "notes.txt"]
    for argument in (".", "*", "**", "[a-z]*"):
        told = []
        assert find_images([argument], on_passed_over=told.append) == ([Path("a.jpg")], [])
        names = [item.file.name for item in told if item.file.name != "LICENSE"]
        assert sorted(names) == expected
        assert len(told) - len(names) == (argument != "[a-z]*")
    (tmp_path / "a.jpg").unlink()
    files, (problem,) = find_images(["."])
    assert files == []
    assert problem == (
        ". holds no images that can be read. b.heic is passed over. It is a HEIC file, which "
        "cannot be read: save it as JPEG or PNG."
    )


def test_a_folder_of_other_files_names_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.ttf", "b.TTF", "c.pdf", "below/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    _, (problem,) = find_images(["."])
    assert problem.startswith(". holds no images (.jpg, ")
    assert problem.endswith(
        "check the path. 4 files are passed over (a.ttf, b.TTF, below/d, c.pdf). "
        "None is an image: 2 .ttf, 1 without a suffix, 1 .pdf."
    )


WRONG = {
    "missing": ("nope.jpg", "There is no file or folder nope.jpg: check the path."),
    "empty": ("empty", r"empty holds no images \(\.jpg, .*\): check the path."),
    "a glob in a missing folder": ("more/**/*.png", "There is no folder more: check the path."),
    "no match": ("a/*.gif", r"a/\*\.gif holds no images"),
}


@pytest.mark.parametrize(("argument", "message"), WRONG.values(), ids=WRONG.keys())
def test_an_argument_without_images_is_reported_and_the_others_are_found(folder, argument, message):
    files, problems = find_images(["a/2.jpg", argument, "a/b"])
    assert files == [Path("a/2.jpg"), Path("a/b/1.png"), Path("a/b/c d/é.webp")]
    assert [bool(re.match(message, problem)) for problem in problems] == [True]


@pytest.mark.parametrize("arguments", [["."], ["a"], ["**/*.*"], ["a/**"]], ids=str)
def test_copies_of_an_earlier_run_are_skipped(folder, arguments):
    before, _ = find_images(arguments, "a/output")
    (folder / "a/output").mkdir()
    (folder / "a/output/2.jpg").touch()
    assert before and find_images(arguments, "a/output") == (before, [])


@pytest.mark.parametrize("argument", ["output", "output/2.jpg", "output/*.jpg", "output/below"])
def test_copies_that_an_argument_names_are_found(folder, argument):
    (folder / "output/below").mkdir(parents=True)
    (folder / "output/2.jpg").touch()
    (folder / "output/below/3.jpg").touch()
    files, problems = find_images([argument], "output")
    assert files and not problems


def test_numbers_are_sorted_by_value():
    numbered = [Path(f"face {number}.jpg") for number in (0, 1, 2, 9, 10, 11, 99, 100)]
    assert sorted(random.Random(0).sample(numbered, len(numbered)), key=natural_key) == numbered
    mixed = [Path(name) for name in ("1/b", "b", "a1", "a", "1", "a10b2", "a10b10", "²")]
    assert sorted(sorted(mixed, key=natural_key, reverse=True), key=natural_key) == sorted(
        mixed, key=natural_key
    )


COPIES = {
    "no files": ([], []),
    "the stem is kept": (["x.jpg", "photo é.final.png"], ["x.jpg", "photo é.final.jpg"]),
    "two folders": (["a/x.jpg", "b/x.jpg"], ["x.jpg", "x_2.jpg"]),
    "two suffixes": (["x.jpg", "x.png"], ["x.jpg", "x_2.jpg"]),
    "names that differ in case alone": (["a/X.jpg", "a/x.jpg"], ["X.jpg", "x_2.jpg"]),
    "a number that is already taken": (
        ["a/x.jpg", "x_2.jpg", "b/x.jpg"],
        ["x.jpg", "x_2.jpg", "x_3.jpg"],
    ),
    "a number that is taken later": (
        ["a/x.jpg", "b/x.jpg", "x_2.jpg"],
        ["x.jpg", "x_2.jpg", "x_2_2.jpg"],
    ),
}


@pytest.mark.parametrize(("files", "expected"), COPIES.values(), ids=COPIES.keys())
def test_copies_have_different_names(tmp_path, files, expected):
    assert name_copies([Path(file) for file in files], tmp_path) == [
        tmp_path / name for name in expected
    ]


def test_a_copy_beside_its_source_replaces_no_file(tmp_path):
    for name in ("x.jpg", "y.jpg", "y.png"):
        (tmp_path / name).touch()
    copies = name_copies([tmp_path / "x.jpg", tmp_path / "y.png"], tmp_path)
    assert [copy.name for copy in copies] == ["x_2.jpg", "y_2.jpg"]
    assert not any(copy.exists() for copy in copies)


def test_a_second_run_replaces_the_copies_of_the_first(tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output/x.jpg").touch()
    assert name_copies([tmp_path / "x.jpg"], tmp_path / "output") == [tmp_path / "output/x.jpg"]


MISPLACED = {
    "a video": ("film.MP4", "film.MP4 is a video: name it with --video."),
    "a folder of videos": (
        "films",
        "films holds no images but 2 videos: name one at a time with --video.",
    ),
    "an address": (
        "rtsp://a:secret@host/b?pwd=secret",
        "rtsp://host/b?pwd=*** is an address: name a stream with --video, or download a picture "
        "and name its file.",
    ),
    "a camera": ("/dev/video97", "/dev/video97 is a camera: name it with --video."),
    "an address without its scheme": (
        "a:secret@host/b.jpg",
        "There is no file or folder host/b.jpg: check the path.",
    ),
}


@pytest.mark.parametrize(("argument", "sentence"), MISPLACED.values(), ids=MISPLACED.keys())
def test_what_is_no_image_is_named_with_the_right_flag(tmp_path, monkeypatch, argument, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    for name in ("film.MP4", "films/a.webm", "films/b.mov"):
        (tmp_path / name).touch()
    assert find_images([argument]) == ([], [sentence])
