"""Where a run writes: one sentence before the work for whatever cannot be, and nobody's file is replaced."""

import os
import sys
from contextlib import contextmanager

import pytest

from utils.cli.outputs import OutputError, check_outputs, check_writable, open_output, open_stdout
from utils.cli.records import write_json


def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    for target, folder in (
        (tmp_path / "file" / "a.json", False),
        (tmp_path / "file" / "out", True),
        (tmp_path, False),
    ):
        with pytest.raises(
            OutputError, match=rf"^{target} cannot be written \(.+\): choose another place\.$"
        ):
            check_writable(target, folder)
        if not folder:
            with pytest.raises(OutputError, match=r"cannot be written"):
                write_json(target, [])


def test_a_file_that_may_not_be_changed_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("")
    check_writable(tmp_path / "a.json")
    monkeypatch.setattr(
        os, "access", lambda path, mode: mode != os.W_OK
    )  # root may write to anything
    with pytest.raises(OutputError, match=r"a\.json cannot be written \(Permission denied\)"):
        check_writable(tmp_path / "a.json")


def test_trying_a_place_makes_its_folder_and_leaves_nothing_in_it(tmp_path):
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


@pytest.mark.parametrize(("targets", "sentence"), CLASHES.values(), ids=CLASHES.keys())
def test_no_file_is_written_over_another(tmp_path, monkeypatch, targets, sentence):
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "below"):
        (tmp_path / folder).mkdir()
    source, copy = (
        (tmp_path / "photos" / "a.jpg").relative_to(tmp_path),
        (tmp_path / "out" / "a.jpg").relative_to(tmp_path),
    )
    source.write_bytes(b"photograph")
    with pytest.raises(OutputError) as error:
        check_outputs(targets, "out", [source], [copy])
    assert sentence in str(error.value)
    assert source.read_bytes() == b"photograph"
    check_outputs(["fine", "other"], "out", [source], [copy])


def test_closed_standard_output_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    check_outputs([None], None, [], [])
    with pytest.raises(OutputError, match=r"^Standard output is closed: name a file\.$"):
        check_outputs(["-"], None, [], [])


@contextmanager
def closed_pipe(monkeypatch):
    """Standard output into a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        yield


def test_standard_output_that_nobody_reads_is_an_error_once(monkeypatch):
    with closed_pipe(monkeypatch):
        with pytest.raises(
            OutputError, match=r"^Standard output cannot be written \(Broken pipe\)"
        ):
            with open_output("-") as file:
                file.write("a")
        with open_stdout() as file:  # now it goes nowhere, so that the end of the program is quiet
            file.write("b")
