"""The take-down: a source is removed completely, and nothing else, even after an interruption."""

from pathlib import Path

import pandas as pd
import pytest

from tests.collect.test_provenance import add_image
from utils.collect import takedown
from utils.collect.provenance import COLUMNS, REFUSED, TAKEN_DOWN, TakenDown, read_sources
from utils.collect.rebuild import SHARED_COLUMNS, write_share_list
from utils.collect.takedown import remove_source
from utils.csv_lines import append_rows
from utils.tables import TableError, hold_folder, read_rows

FACE_COLUMNS = ["file", "source", "x_min", "class_name", "crop"]
FACES = {"a/1.jpg": 2, "a/2.jpg": 1, "b/3.jpg": 0, "a/4.jpg": 1}  # faces in each image


@pytest.fixture
def root(tmp_path) -> Path:
    """A data root with a crawl folder, crops, annotations, faces and hand labels."""
    pages = {
        "a/1.jpg": "https://a.org/one",
        "a/2.jpg": "https://www.a.org/two",
        "b/3.jpg": "https://b.org/art/x",
    }
    for file, number in FACES.items():
        row = {"file": file, "url": f"https://img.c.org/{file}", "page_url": pages.get(file, "")}
        add_image(tmp_path / "bing", Path(file).name, **row)
        rows = []
        for face in range(number):
            crop = f"crops/{Path(file).stem}-{face}.jpg"
            (tmp_path / crop).parent.mkdir(exist_ok=True)
            (tmp_path / crop).touch()
            rows.append(
                {
                    "file": f"bing/{file}",
                    "source": "NA",
                    "x_min": "1.50",
                    "class_name": "",
                    "crop": crop,
                }
            )
        append_rows(tmp_path / "faces.csv", rows, FACE_COLUMNS)
        append_rows(tmp_path / "hand_labels.csv", rows + rows, FACE_COLUMNS[:4])
    (tmp_path / "bing/a/1.xml").touch()
    (tmp_path / "bing/a/annotations").mkdir()
    (tmp_path / "bing/a/annotations/2.xml").touch()
    append_rows(tmp_path / "hand_labels.csv", [{"file": "others/1.jpg"}], FACE_COLUMNS[:4])
    return tmp_path


def remove(root: Path, source: str, **options) -> pd.DataFrame:
    return remove_source(
        root / "bing",
        source,
        [root / "faces.csv", root / "hand_labels.csv", root / "no.csv"],
        **options,
    )


def list_files(root: Path) -> set[str]:
    files = [path for path in root.rglob("[!.]*") if path.is_file() and path.suffix != ".csv"]
    return {path.relative_to(root).as_posix() for path in files}


SOURCES = {
    "a domain": ("a.org", ["a/1.jpg", "a/2.jpg"]),
    "a page": ("https://a.org/one", ["a/1.jpg"]),
    "what lies below a page": ("b.org/art/", ["b/3.jpg"]),
    "an image": ("https://img.c.org/a/4.jpg", ["a/4.jpg"]),
    "a file": ("a/4.jpg", ["a/4.jpg"]),
    "the domain of the images": ("c.org", list(FACES)),
    "another": ("d.org", []),
}


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES.keys())
def test_everything_of_a_source_is_removed_and_nothing_else(root, source, expected):
    before = list_files(root)
    foreseen = remove(root, source, dry_run=True)
    assert list_files(root) == before
    assert len(read_sources(root / "bing")) == 4
    removed = remove(root, source)
    pd.testing.assert_frame_equal(removed, foreseen)
    assert removed.file.tolist() == expected
    assert removed.crops.tolist() == [FACES[file] for file in expected]
    assert removed.rows.tolist() == [3 * FACES[file] for file in expected]
    gone = {f"bing/{file}" for file in expected}
    stems = {Path(file).stem for file in expected}
    assert before - list_files(root) == {
        *gone,
        *(file for file in before if file.startswith("crops/") and Path(file).name[0] in stems),
        *(file for file in before if file.endswith(".xml") and Path(file).stem in stems),
    }
    assert read_sources(root / "bing").file.tolist() == [
        file for file in FACES if file not in expected
    ]
    for name, times in (("faces.csv", 1), ("hand_labels.csv", 2)):
        files = read_rows(root / name, ["file"]).file.tolist()
        assert [file for file in files if file != "others/1.jpg"] == [
            f"bing/{file}"
            for file, number in FACES.items()
            if file not in expected
            for _ in range(number * times)
        ]


def test_share_list_loses_rows_with_removed_hashes(root):
    assert write_share_list(root / "bing", root / "bing/share_list.csv") == 4
    before = read_rows(root / "bing/share_list.csv", SHARED_COLUMNS)
    removed = remove_source(root / "bing", "a.org", [root / "bing/share_list.csv"])
    assert removed.rows.tolist() == [1, 1]
    assert (
        read_rows(root / "bing/share_list.csv", SHARED_COLUMNS).values.tolist()
        == before[2:].values.tolist()
    )


def test_remaining_rows_are_unchanged(root):
    before = (root / "faces.csv").read_text().splitlines()
    remove(root, "https://a.org/one")
    assert (root / "faces.csv").read_text().splitlines() == [
        line for line in before if "1.jpg" not in line.split(",")[0]
    ]


def test_removed_images_are_noted_and_banned(root):
    sha256 = read_sources(root / "bing").sha256[0]
    remove(root, "a.org")
    noted = read_rows(root / "bing" / TAKEN_DOWN, COLUMNS[TAKEN_DOWN])
    assert noted[["source", "file"]].values.tolist() == [["a.org", "a/1.jpg"], ["a.org", "a/2.jpg"]]
    assert pd.to_datetime(noted.taken_down_at).notna().all()
    taken_down = TakenDown(root / "bing")
    assert taken_down.has("x", sha256=sha256)
    assert taken_down.has("https://img.c.org/a/2.jpg")
    assert taken_down.has("x", "https://a.org/new")
    assert not taken_down.has("https://img.c.org/a/4.jpg", "")


def test_source_without_images_is_banned_too(root):
    assert len(remove(root, "d.org")) == 0
    assert TakenDown(root / "bing").has("https://d.org/1.jpg")
    assert not TakenDown(root / "bing").has("https://e.org/1.jpg")


def test_image_with_a_copy_from_the_source_is_removed(root):
    sha256 = read_sources(root / "bing").sha256[3]
    row = {"url": "https://owner.org/4.jpg", "reason": "duplicate", "sha256": sha256}
    append_rows(root / "bing" / REFUSED, [row], COLUMNS[REFUSED])
    assert remove(root, "owner.org").file.tolist() == ["a/4.jpg"]


@pytest.mark.parametrize("source", ["", " ", "org", "photo"])
def test_source_that_is_not_an_address_or_file_is_refused(root, source):
    with pytest.raises(TableError, match="is not a source"):
        remove(root, source)
    assert len(read_sources(root / "bing")) == 4
    assert not (root / "bing" / TAKEN_DOWN).exists()


def test_nothing_is_removed_while_another_program_uses_the_folder(root):
    with hold_folder(root / "bing"), pytest.raises(TableError, match="Another program is at work"):
        remove(root, "a.org")
    assert len(read_sources(root / "bing")) == 4
    assert not (root / "bing" / TAKEN_DOWN).exists()


@pytest.mark.parametrize("writes", range(3))
def test_second_call_completes_an_interrupted_removal(root, monkeypatch, writes):
    written = []

    def replace_rows(path, table):
        if len(written) == writes:
            raise KeyboardInterrupt
        written.append(path)
        original(path, table)

    original = takedown.replace_rows
    monkeypatch.setattr(takedown, "replace_rows", replace_rows)
    with pytest.raises(KeyboardInterrupt):
        remove(root, "a.org")
    assert TakenDown(root / "bing").has("https://img.c.org/a/1.jpg")
    monkeypatch.undo()
    assert remove(root, "a.org").file.tolist() == ["a/1.jpg", "a/2.jpg"]
    assert read_sources(root / "bing").file.tolist() == ["b/3.jpg", "a/4.jpg"]
    assert set(read_rows(root / "faces.csv", ["file"]).file) == {"bing/a/4.jpg"}
    assert list_files(root) == {"bing/b/3.jpg", "bing/a/4.jpg", "crops/4-0.jpg"}


def test_crops_may_lie_below_their_table_and_root_may_be_given(tmp_path):
    add_image(tmp_path / "raw/bing", "1.jpg")
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/1.png").touch()
    append_rows(
        tmp_path / "faces/faces.csv",
        [{"file": "raw/bing/a/1.jpg", "crop": "1.png"}],
        ["file", "crop"],
    )
    removed = remove_source(
        tmp_path / "raw/bing", "a.org", [tmp_path / "faces/faces.csv"], root=tmp_path
    )
    assert removed[["crops", "rows"]].values.tolist() == [[1, 1]]
    assert not (tmp_path / "faces/1.png").exists()
