"""A file appears whole or not at all, and what was there stays until then."""

import os
import stat
from pathlib import Path

import pytest

from utils.atomic import write_atomically, write_bytes


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_empty_file_is_written(tmp_path):
    assert write_bytes(tmp_path / "new" / "a.txt", b"").read_bytes() == b""
    assert names(tmp_path / "new") == ["a.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = write_bytes(tmp_path / "a.txt", b"old")
    with write_atomically(path) as part:
        part.write_bytes(b"new, ")
        assert path.read_bytes() == b"old"
        part.write_bytes(b"new, whole")
        assert part.parent == tmp_path
    assert path.read_bytes() == b"new, whole"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_bytes(tmp_path / "a.txt", b"old")
    with pytest.raises(error), write_atomically(path) as part:
        part.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.txt"]


def test_what_a_killed_run_left_is_replaced(tmp_path):
    with write_atomically(tmp_path / "a.txt") as part:
        part.write_bytes(b"")
    part.write_bytes(b"half, of a run that was killed")
    write_bytes(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"new"


def test_the_temporary_name_ends_with_the_suffix_that_a_writer_needs(tmp_path):
    with write_atomically(tmp_path / "a.keras", suffix=".keras") as part:
        assert part.name.endswith(".keras")
        assert part.name != "a.keras"
        part.write_bytes(b"")
    assert names(tmp_path) == ["a.keras"]


@pytest.mark.parametrize("letter", ["a", "é", "写"])
def test_the_longest_name_can_be_written(tmp_path, letter):
    name = letter * (255 // len(os.fsencode(letter)))
    write_bytes(tmp_path / name, b"whole")
    assert names(tmp_path) == [name]


@pytest.mark.skipif(os.name == "nt", reason="Windows needs a right for links")
def test_a_link_stays_a_link(tmp_path):
    target = write_bytes(tmp_path / "elsewhere" / "a.txt", b"old")
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has one permission alone")
def test_permissions_stay(tmp_path):
    path = write_bytes(tmp_path / "a.txt", b"old")
    path.chmod(0o640)
    write_bytes(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_must_not_be_changed_is_left_alone(tmp_path):
    path = write_bytes(tmp_path / "a.txt", b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError):
        write_bytes(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file")
def test_a_device_is_written_directly():
    write_bytes("/dev/null", b"gone")
    assert not Path("/dev/null").is_file()
