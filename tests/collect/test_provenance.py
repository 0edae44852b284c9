"""The crawl folder: images and rows stay consistent, and no image is saved twice or comes back."""

import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from tests.fake_bing import FakeBing, draw_photo
from utils.collect.fetch import FetchError, PoliteSession
from utils.collect.provenance import (
    COLUMNS,
    SOURCES,
    TAKEN_DOWN,
    CrawlFolder,
    TakenDown,
    covers,
    keep_part,
    mend_folder,
    read_refused,
    read_sources,
    write_part,
)
from utils.csv_lines import append_rows
from utils.tables import TableError, read_rows


def add_image(folder, name: str, **row) -> str:
    """Save a drawn image in a crawl folder and return its sha256."""
    row = {
        "file": f"a/{name}",
        "url": f"https://a.org/{name}",
        "page_url": "https://a.org/",
        "phrase": "p",
    } | row
    part = write_part((folder / row["file"]).parent, draw_photo(name))
    keep_part(part, folder, row)
    return part.stem


def test_new_folder_has_empty_tables(tmp_path):
    assert len(read_sources(tmp_path / "new")) == 0 == len(read_refused(tmp_path / "new"))
    mend_folder(tmp_path / "new")
    for name, columns in COLUMNS.items():
        assert list(read_rows(tmp_path / "new" / name, columns).columns) == columns
    assert list(read_sources(tmp_path / "new").columns) == COLUMNS[SOURCES]


def test_saved_image_has_a_row(tmp_path):
    sha256 = add_image(
        tmp_path, "1.jpg", title="NA", filters=json.dumps({"license": "x", "language": "de"})
    )
    assert (tmp_path / "a/1.jpg").read_bytes() == draw_photo("1.jpg")
    (row,) = read_sources(tmp_path).to_dict("records")
    assert row["sha256"] == sha256
    assert row["title"] == "NA"
    assert json.loads(row["filters"])["language"] == "de"
    assert (row["width"], row["height"]) == (213, 160)
    assert pd.Timestamp(row["fetched_at"]).utcoffset().seconds == 0


def test_truncated_image_is_not_kept(tmp_path):
    part = write_part(tmp_path / "a", draw_photo("1.jpg")[:-2])
    with pytest.raises(FetchError, match="truncated"):
        keep_part(part, tmp_path, {"file": "a/1.jpg"})
    assert list((tmp_path / "a").iterdir()) == []
    assert not (tmp_path / SOURCES).exists()


def test_mending_completes_images_with_a_row_and_deletes_others(tmp_path):
    add_image(tmp_path, "1.jpg")
    sha256 = add_image(tmp_path, "2.jpg")
    (tmp_path / "a/2.jpg").rename(tmp_path / f"a/{sha256}.part")  # has a row but no name yet
    write_part(tmp_path / "a", draw_photo("3.jpg"))  # has no row
    write_part(tmp_path / "a", draw_photo("1.jpg"))  # was saved before
    (tmp_path / "sources.csv.part").write_text("half a tab")
    with open(tmp_path / SOURCES, "a") as file:
        file.write('a/3.jpg,"https://a.or')
    mend_folder(tmp_path)
    assert read_sources(tmp_path).file.tolist() == ["a/1.jpg", "a/2.jpg"]
    assert (tmp_path / "a/2.jpg").read_bytes() == draw_photo("2.jpg")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        ["1.jpg", "2.jpg", *COLUMNS]
    )
    assert (tmp_path / SOURCES).read_bytes().endswith(b"\n")


@pytest.mark.parametrize(
    ("step", "kept"), [("append_rows", 0), ("measure_image_apart", 0), ("Path.replace", 1)]
)
def test_image_and_row_stay_consistent_after_any_interruption(tmp_path, monkeypatch, step, kept):
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"utils.collect.provenance.{step}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add_image(tmp_path, "1.jpg")
    monkeypatch.undo()
    assert not (tmp_path / "a/1.jpg").exists()
    mend_folder(tmp_path)
    assert len(read_sources(tmp_path)) == kept == len(list((tmp_path / "a").iterdir()))


def test_refusals_are_unique_and_leave_out_images_saved_later(tmp_path):
    add_image(tmp_path, "1.jpg")
    reasons = [
        ("https://a.org/1.jpg", "timeout"),
        ("x", "timeout"),
        ("y", "HTTP 404"),
        ("x", "HTTP 404"),
    ]
    append_rows(
        tmp_path / "refused.csv",
        [{"url": u, "reason": r} for u, r in reasons],
        COLUMNS["refused.csv"],
    )
    assert read_refused(tmp_path)[["url", "reason"]].values.tolist() == [
        ["y", "HTTP 404"],
        ["x", "HTTP 404"],
    ]


def test_table_with_other_columns_is_reported_and_nothing_changes(tmp_path):
    (tmp_path / SOURCES).write_text("name\n")
    (tmp_path / "a.part").write_text("")
    with pytest.raises(TableError, match=r"sources\.csv has other columns"):
        mend_folder(tmp_path)
    assert (tmp_path / "a.part").exists()


COVERED = {  # source: addresses that it covers, addresses that it does not cover
    "a.org": (["https://a.org/x", "http://www.a.org", "https://img.a.org/1.jpg", "https://A.org/"],
              ["https://ba.org/", "https://a.org.evil.com/", "https://b.org/a.org", "a/1.jpg"]),
    "https://a.org/": (["https://a.org/x?y"], ["https://b.org/"]),
    "https://a.org/art": (["http://a.org/art", "https://a.org/art/1.jpg", "https://www.a.org/art?p=2"],
                          ["https://a.org/artist", "https://a.org/", "https://img.a.org/art"]),
    "https://a.org/art/": (["https://a.org/art", "https://a.org/art/1.jpg"], ["https://a.org/artist"]),
    "https://a.org/1.jpg?w=5": (["https://a.org/1.jpg?w=5"], ["https://a.org/1.jpg", "https://a.org/1.jpg?w=50"]),
    "127.0.0.1:80": (["http://127.0.0.1:80/x"], ["http://127.0.0.1:8000/x"]),
    "https://": ([], ["https://a.org/", ""]),
    ".org": ([], ["https://a.org/"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "covered", "others"), [(key, *value) for key, value in COVERED.items()]
)
def test_source_covers_addresses_at_and_below_it(source, covered, others):
    assert [address for address in covered if not covers(source, address)] == []
    assert [address for address in others if covers(source, address)] == []


def test_taken_down_images_match_by_address_hash_or_source(tmp_path):
    assert not TakenDown(tmp_path).has("https://a.org/1.jpg")
    rows = [{"source": "b.org", "url": "https://a.org/1.jpg", "sha256": "5" * 64}]
    append_rows(tmp_path / TAKEN_DOWN, rows, COLUMNS[TAKEN_DOWN])
    taken_down = TakenDown(tmp_path)
    assert taken_down.has("https://a.org/1.jpg")
    assert taken_down.has("x", sha256="5" * 64)
    assert taken_down.has("https://c.org/1.jpg", "https://b.org/page")
    assert taken_down.has("https://b.org/2.jpg")
    assert not taken_down.has("https://a.org/2.jpg", "", "6" * 64)


def make_row(url: str, phrase: str = "p") -> dict[str, str]:
    return {"url": url, "page_url": "", "phrase": phrase}


def test_new_folder_has_no_images(tmp_path):
    folder = CrawlFolder(tmp_path / "new")
    assert folder.count == {}
    assert not folder.is_done("u")
    assert len(read_sources(tmp_path / "new")) == 0


def test_numbers_continue_in_each_subfolder_and_are_not_reused(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "000004.jpg").touch()  # a file without a row
    append_rows(tmp_path / TAKEN_DOWN, [{"file": "a/000007.png"}], COLUMNS[TAKEN_DOWN])
    for number, subfolder in enumerate("aabc"):
        folder = CrawlFolder(tmp_path)
        folder.add(draw_photo(str(number)), ".jpg", subfolder, make_row(str(number)))
    assert read_sources(tmp_path).file.tolist() == [
        "a/000008.jpg",
        "a/000009.jpg",
        "b/000005.jpg",
        "c/000001.jpg",
    ]
    assert folder.count == {"p": 3 + 1} == CrawlFolder(tmp_path).count
    assert all((tmp_path / file).is_file() for file in read_sources(tmp_path).file)


@pytest.mark.parametrize("again", [False, True], ids=["at once", "opened again"])
def test_duplicate_bytes_are_refused(tmp_path, again):
    folder = CrawlFolder(tmp_path)
    folder.add(draw_photo("1"), ".jpg", "a", make_row("u"))
    folder = CrawlFolder(tmp_path) if again else folder
    assert folder.is_done("u")
    assert not folder.is_done("v")
    with pytest.raises(FetchError, match="duplicate"):
        folder.add(draw_photo("1"), ".jpg", "b", make_row("v"))
    assert len(read_sources(tmp_path)) == 1
    assert len(list(tmp_path.glob("*/*"))) == 1


def test_truncated_image_takes_no_number(tmp_path):
    folder = CrawlFolder(tmp_path)
    with pytest.raises(FetchError, match="truncated"):
        folder.add(draw_photo("1")[:-2], ".jpg", "a", make_row("u"))
    folder.add(draw_photo("2"), ".jpg", "a", make_row("v"))
    assert read_sources(tmp_path).file.tolist() == ["a/000001.jpg"]


def test_threads_use_no_number_and_save_no_image_twice(tmp_path):
    folder = CrawlFolder(tmp_path)

    def add(number: int) -> bool:
        try:
            folder.add(draw_photo(str(number % 30)), ".jpg", "a", make_row(str(number)))
        except FetchError as error:
            return error.reason != "duplicate"
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, range(60))) == 30
    sources = read_sources(tmp_path)
    assert (
        sources.file.nunique() == sources.sha256.nunique() == len(list(tmp_path.glob("a/*"))) == 30
    )


def test_final_refusals_are_done_and_temporary_ones_are_not(tmp_path):
    results = ["404/1.jpg", "503/2.jpg", "small/3.jpg", "ok/4.jpg"]
    with FakeBing({}) as bing:
        rows = [make_row(bing.address(result)) for result in results]
        rows.append({**make_row("https://b.org/5.jpg"), "page_url": "https://a.org/page"})
        folder = CrawlFolder(tmp_path)
        append_rows(tmp_path / TAKEN_DOWN, [{"source": "a.org"}], COLUMNS[TAKEN_DOWN])
        session = PoliteSession(delay=0, tries=1)
        folder = CrawlFolder(tmp_path)
        assert [folder.fetch(session, row, "a", 100) for row in rows] == [
            False,
            False,
            False,
            True,
            False,
        ]
    reasons = ["HTTP 404", "HTTP 503", "too small", "taken down"]
    assert read_refused(tmp_path).reason.tolist() == reasons
    assert set(read_refused(tmp_path).phrase) == {"p"}
    for opened in (folder, CrawlFolder(tmp_path)):
        assert [opened.is_done(row["url"]) for row in rows] == [True, False, True, True, True]


def test_stopped_session_notes_no_refusal(tmp_path):
    folder, session = CrawlFolder(tmp_path), PoliteSession()
    session.stopped.set()
    assert not folder.fetch(session, make_row("http://127.0.0.1:9/1.jpg"), "a")
    assert len(read_refused(tmp_path)) == 0
