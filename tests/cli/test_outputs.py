"""Outputs: one that cannot be written is named before the work, and no file is replaced."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from utils.cli.outputs import OutputError, check_outputs, check_writable, open_output, open_stdout
from utils.cli.records import write_json


def test_output_that_cannot_be_written_gives_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for output, is_folder in (
        (tmp_path / "file" / "a.json", False),
        (tmp_path / "file" / "out", True),
        (tmp_path, False),
    ):
        with pytest.raises(
            OutputError, match=rf"^{output} cannot be written \(.+\): choose another place\.$"
        ):
            check_writable(output, is_folder)
        if not is_folder:
            with pytest.raises(OutputError, match=r"cannot be written"):
                write_json(output, [])


def test_file_without_write_permission_is_reported(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("")
    check_writable(tmp_path / "a.json")
    # The user root could write to any file.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(OutputError, match=r"a\.json cannot be written \(Permission denied\)"):
        check_writable(tmp_path / "a.json")


def test_check_makes_folders_and_leaves_no_file(tmp_path):
    check_outputs([None, "-", tmp_path / "new" / "a.json"], tmp_path / "newer" / "out", [], [])
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["new", "newer", "newer/out"]


CLASHES = {
    "a source": (
        ["photos/a.jpg"],
        "photos/a.jpg cannot be written (it is photos/a.jpg, which is read)",
    ),
    "a source by another way": (["below/../photos/a.jpg"], "it is photos/a.jpg, which is read"),
    "a copy": (["out/a.jpg"], "out/a.jpg cannot be written (it is the path of an annotated copy)"),
    "each other": (["same", "same"], "same cannot be written (it is the path of another output)"),
}


@pytest.mark.parametrize(("outputs", "sentence"), CLASHES.values(), ids=CLASHES.keys())
def test_no_output_replaces_another_file(tmp_path, monkeypatch, outputs, sentence):
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "below"):
        (tmp_path / folder).mkdir()
    source = Path("photos/a.jpg")
    copy = Path("out/a.jpg")
    source.write_bytes(b"photograph")
    with pytest.raises(OutputError) as error:
        check_outputs(outputs, "out", [source], [copy])
    assert sentence in str(error.value)
    assert source.read_bytes() == b"photograph"
    check_outputs(["fine", "other"], "out", [source], [copy])


def test_closed_standard_output_is_reported(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    check_outputs([None], None, [], [])
    with pytest.raises(OutputError, match=r"^Standard output is closed: name a file\.$"):
        check_outputs(["-"], None, [], [])


@contextmanager
def closed_pipe(monkeypatch):
    """Connect standard output to a pipe that is closed at the other end."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        yield


def test_standard_output_closed_by_its_reader_fails_once(monkeypatch):
    with closed_pipe(monkeypatch):
        with pytest.raises(
            OutputError, match=r"^Standard output cannot be written \(Broken pipe\)"
        ):
            with open_output("-") as file:
                file.write("a")
        with open_stdout() as file:  # goes nowhere, so that the program ends without an error
            file.write("b")
