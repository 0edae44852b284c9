"""The share list and the rebuild from it: identical files, and a message for each missing one."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.collect.test_provenance import add_image
from tests.fake_bing import FakeBing, draw_photo
from utils.collect.__main__ import main
from utils.collect.provenance import COLUMNS, TAKEN_DOWN, read_sources
from utils.collect.rebuild import SHARED_COLUMNS, read_share_list, write_share_list
from utils.collect.takedown import remove_source
from utils.csv_lines import append_rows
from utils.paths import ROOT
from utils.tables import TableError, hold_folder, read_rows, replace_rows

NAMES = ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
FAST = ["--delay", "0", "--tries", "1", "--timeout", "2"]


@pytest.fixture(scope="module")
def bing():
    with FakeBing({}) as fake:
        yield fake


@pytest.fixture
def shared(bing, tmp_path) -> Path:
    """The share list of a crawl folder with four images in two subfolders."""
    bing.asked.clear()
    for name in NAMES:
        url = bing.address(f"ok/{name}")
        add_image(
            tmp_path / "bing",
            name,
            file=f"{'a' if name < '3' else 'b'}/{name}",
            url=url,
            page_url="https://a.org/",
        )
    labels = pd.DataFrame(
        {"file": [f"a/{name}" for name in ("1.jpg", "1.jpg", "2.jpg")], "class_name": "with_mask"}
    )
    write_share_list(tmp_path / "bing", tmp_path / "labelled.csv", labels)
    write_share_list(tmp_path / "bing", tmp_path / "list.csv")
    return tmp_path / "list.csv"


def change(path: Path, **columns: str) -> Path:
    """Change values in the second row of a list."""
    table = read_rows(path, SHARED_COLUMNS)
    for name, value in columns.items():
        table.loc[1, name] = value
    replace_rows(path, table)
    return path


def rebuild(path: Path, *options: str) -> int:
    return main(["rebuild", str(path), str(path.parent / "new"), *FAST, *options])


def read_images(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*")}


def test_share_list_has_only_the_shared_columns(tmp_path):
    folder = tmp_path / "bing"
    assert write_share_list(folder, tmp_path / "list.csv") == 0
    hashes = [
        add_image(folder, f"{number}.jpg", licence="any", title="secret") for number in range(3)
    ]
    assert write_share_list(folder, tmp_path / "list.csv") == 3
    table = read_rows(tmp_path / "list.csv", SHARED_COLUMNS)
    assert list(table.columns) == SHARED_COLUMNS
    assert table.sha256.tolist() == hashes
    assert set(table.licence) == {"any"}


@pytest.mark.parametrize(
    "prefix", ["", "bing/"], ids=["below the crawl folder", "below the data root"]
)
def test_share_list_with_labels_has_a_row_per_face(tmp_path, prefix):
    hashes = [add_image(tmp_path / "bing", f"{number}.jpg") for number in range(3)]
    files = [f"{prefix}a/2.jpg", f"{prefix}a/0.jpg", f"{prefix}a/2.jpg", "elsewhere/9.jpg"]
    labels = pd.DataFrame({"file": files, "class_name": list("wxyz"), "x_min": [1.5, None, 3, 4]})
    assert write_share_list(tmp_path / "bing", tmp_path / "list.csv", labels) == 2
    table = read_rows(tmp_path / "list.csv", [*SHARED_COLUMNS, "class_name", "x_min"])
    rows = sorted(table[["file", "sha256", "class_name", "x_min"]].values.tolist())
    two = hashes[2]
    assert rows == [
        ["a/0.jpg", hashes[0], "x", ""],
        ["a/2.jpg", two, "w", "1.5"],
        ["a/2.jpg", two, "y", "3.0"],
    ]


def test_empty_list_succeeds(tmp_path, capsys):
    append_rows(tmp_path / "list.csv", [], SHARED_COLUMNS)
    assert rebuild(tmp_path / "list.csv") == 0
    assert "0 of 0 images" in capsys.readouterr().out


def test_rebuild_fetches_identical_images_once_with_sources(shared, bing, capsys):
    for outcome in ("4 fetched", "4 there"):
        assert rebuild(shared) == 0
        assert (
            f"4 of 4 images are in {shared.parent / 'new'}: {outcome}." in capsys.readouterr().out
        )
    assert bing.count_images() == 4
    assert read_images(shared.parent / "new") == read_images(shared.parent / "bing")
    columns = ["file", "url", "page_url", "sha256", "licence", "width", "height"]
    old, new = (read_sources(shared.parent / name)[columns] for name in ("bing", "new"))
    pd.testing.assert_frame_equal(old, new)


def test_list_with_labels_fetches_each_image_once(shared, bing):
    assert rebuild(shared.with_name("labelled.csv")) == 0
    assert set(read_images(shared.parent / "new")) == {"a/1.jpg", "a/2.jpg"}
    assert bing.count_images() == 2


MISSING = {
    "changed": {"url": "ok/other.jpg"},
    "HTTP 404": {"url": "404/2.jpg"},
    "interrupted": {"url": "cut/2.jpg"},
}


@pytest.mark.parametrize(("reason", "cells"), MISSING.items())
def test_missing_images_are_named_and_others_fetched(shared, bing, capsys, reason, cells):
    change(shared, url=bing.address(cells["url"]))
    assert rebuild(shared) == 1
    out, err = capsys.readouterr()
    assert f"a/2.jpg is missing: {reason} ({bing.address(cells['url'])})." in err.splitlines()
    assert "3 of 4 images" in out
    assert set(read_images(shared.parent / "new")) == {"a/1.jpg", "b/3.jpg", "b/4.jpg"}
    assert len(read_sources(shared.parent / "new")) == 3
    change(shared, url=bing.address("ok/2.jpg"))
    assert rebuild(shared) == 0


def test_different_file_is_not_overwritten(shared, capsys):
    (shared.parent / "new/a").mkdir(parents=True)
    (shared.parent / "new/a/2.jpg").write_text("mine")
    assert rebuild(shared) == 1
    assert "a/2.jpg is missing: another file (" in capsys.readouterr().err
    assert (shared.parent / "new/a/2.jpg").read_text() == "mine"


def test_interrupted_rebuild_continues(shared, bing):
    folder = shared.parent / "new"
    add_image(folder, "1.jpg", url=bing.address("ok/1.jpg"))
    (folder / "a/1.jpg").rename(
        folder / f"a/{read_sources(folder).sha256[0]}.part"
    )  # killed before the image got its name
    (folder / "a" / f"{'0' * 64}.part").write_bytes(
        draw_photo("2.jpg")[:99]
    )  # killed while the image was written
    assert rebuild(shared) == 0
    assert read_images(folder) == read_images(shared.parent / "bing")
    assert bing.count_images() == 3


def test_lost_image_is_fetched_again_and_has_one_row(shared):
    assert rebuild(shared) == 0
    (shared.parent / "new/a/2.jpg").unlink()
    assert rebuild(shared) == 0
    assert len(read_sources(shared.parent / "new")) == 4 == len(read_images(shared.parent / "new"))


def test_taken_down_images_are_not_fetched(shared, bing, capsys):
    assert rebuild(shared) == 0
    remove_source(shared.parent / "new", "a/2.jpg")
    bing.asked.clear()
    assert rebuild(shared) == 0
    assert bing.count_images() == 0
    assert "3 of 4 images" in (out := capsys.readouterr().out)
    assert "3 there, 1 taken down" in out
    assert "a/2.jpg" not in read_images(shared.parent / "new")
    append_rows(shared.parent / "other" / TAKEN_DOWN, [{"source": "a.org"}], COLUMNS[TAKEN_DOWN])
    assert main(["rebuild", str(shared), str(shared.parent / "other"), *FAST]) == 0
    assert read_images(shared.parent / "other") == {}


def test_labels_are_written_for_existing_images(shared, bing, capsys):
    labelled = shared.with_name("labelled.csv")
    assert rebuild(labelled) == 0
    assert "Their 3 labels are in" in capsys.readouterr().out
    labels = read_rows(labelled.parent / "new/labels.csv", ["file", "class_name"])
    assert labels.file.tolist() == ["new/a/1.jpg", "new/a/1.jpg", "new/a/2.jpg"]
    assert labels.columns.tolist() == ["file", "class_name"]
    assert set(labels.class_name) == {"with_mask"}
    (labelled.parent / "new/a/1.jpg").unlink()
    replace_rows(
        labelled, read_rows(labelled, SHARED_COLUMNS).assign(url=bing.address("404/1.jpg"))
    )
    assert rebuild(labelled) == 1
    labels = read_rows(labelled.parent / "new/labels.csv", ["file", "class_name"])
    assert labels.file.tolist() == ["new/a/2.jpg"]


def test_list_without_labels_writes_no_labels(shared, capsys):
    assert rebuild(shared) == 0
    assert "Their" not in capsys.readouterr().out
    assert not (shared.parent / "new/labels.csv").exists()


WRONG = {
    "above the folder": {"file": "../2.jpg"},
    "deep above the folder": {"file": "a/../../2.jpg"},
    "absolute": {"file": "/elsewhere/2.jpg"},
    "absolute on Windows": {"file": "C:/2.jpg"},
    "above on Windows": {"file": "..\\2.jpg"},
    "no image": {"file": "a/2.sh"},
    "no file": {"file": ""},
    "a file of this machine": {"url": "file:///etc/passwd"},
    "no address": {"url": ""},
    "no hash": {"sha256": ""},
    "half a hash": {"sha256": "ab12"},
}


@pytest.mark.parametrize("cells", WRONG.values(), ids=WRONG.keys())
def test_unsafe_list_is_refused_before_any_request(shared, bing, capsys, cells):
    change(shared, **cells)
    assert rebuild(shared) == 2
    ((name, _),) = cells.items()
    assert f"list.csv: the {name} of " in capsys.readouterr().err
    assert bing.count_images() == 0
    assert not (shared.parent / "new").exists()


def test_missing_or_wrong_list_is_reported(tmp_path, capsys):
    assert rebuild(tmp_path / "list.csv") == 2
    assert capsys.readouterr().err == f"There is no list {tmp_path / 'list.csv'}: check the path.\n"
    (tmp_path / "list.csv").write_text("name\nx\n")
    assert rebuild(tmp_path / "list.csv") == 2
    with pytest.raises(TableError, match="has no column file"):
        read_share_list(tmp_path / "list.csv")


def test_unwritable_folder_is_reported(shared, capsys):
    (shared.parent / "new").write_text("")
    assert rebuild(shared) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_locked_folder_is_left_alone(shared, bing, capsys):
    with hold_folder(shared.parent / "new"):
        assert rebuild(shared) == 2
    assert "Another program is at work in" in capsys.readouterr().err
    assert bing.count_images() == 0
    assert rebuild(shared) == 0


@pytest.mark.slow
def test_command_runs_and_has_help(shared):
    command = [sys.executable, "-m", "utils.collect", "rebuild"]
    arguments = [str(shared), str(shared.parent / "new"), *FAST]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "4 of 4 images" in done.stdout
    assert "rebuilding: 100%" in done.stderr
    shown = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0
    assert "Exit status: 0 all" in " ".join(shown.stdout.split())
