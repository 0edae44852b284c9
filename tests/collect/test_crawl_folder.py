"""A crawl folder that grows: numbers, nothing twice, and what was refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fake_bing import FakeBing, draw_photo
from utils.collect.crawl_folder import CrawlFolder
from utils.collect.fetch import FetchError, PoliteSession
from utils.collect.provenance import COLUMNS, TAKEN_DOWN, read_refused, read_sources
from utils.tables import append_rows


def make_row(url: str, phrase: str = "p") -> dict[str, str]:
    return {"url": url, "page_url": "", "phrase": phrase}


def test_a_new_folder_knows_nothing(tmp_path):
    folder = CrawlFolder(tmp_path / "new")
    assert folder.count == {} and not folder.knows("u") and len(read_sources(tmp_path / "new")) == 0


def test_numbers_go_on_in_each_folder_and_are_not_used_again(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "000004.jpg").touch()  # somebody put it there
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
def test_the_same_bytes_are_kept_once(tmp_path, again):
    folder = CrawlFolder(tmp_path)
    folder.add(draw_photo("1"), ".jpg", "a", make_row("u"))
    folder = CrawlFolder(tmp_path) if again else folder
    assert folder.knows("u") and not folder.knows("v")
    with pytest.raises(FetchError, match="duplicate"):
        folder.add(draw_photo("1"), ".jpg", "b", make_row("v"))
    assert len(read_sources(tmp_path)) == 1 and len(list(tmp_path.glob("*/*"))) == 1


def test_a_truncated_image_takes_no_number(tmp_path):
    folder = CrawlFolder(tmp_path)
    with pytest.raises(FetchError, match="truncated"):
        folder.add(draw_photo("1")[:-2], ".jpg", "a", make_row("u"))
    folder.add(draw_photo("2"), ".jpg", "a", make_row("v"))
    assert read_sources(tmp_path).file.tolist() == ["a/000001.jpg"]


def test_threads_take_no_number_and_no_image_twice(tmp_path):
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


def test_what_is_refused_for_good_is_known_the_rest_is_asked_for_again(tmp_path):
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
    assert read_refused(tmp_path).reason.tolist() == reasons and set(
        read_refused(tmp_path).phrase
    ) == {"p"}
    for opened in (folder, CrawlFolder(tmp_path)):
        assert [opened.knows(row["url"]) for row in rows] == [True, False, True, True, True]


def test_a_stopped_session_refuses_nothing(tmp_path):
    folder, session = CrawlFolder(tmp_path), PoliteSession()
    session.stopped.set()
    assert not folder.fetch(session, make_row("http://127.0.0.1:9/1.jpg"), "a")
    assert len(read_refused(tmp_path)) == 0
