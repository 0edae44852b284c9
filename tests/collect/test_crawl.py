"""The crawl, against a local Bing with faults: each complete image is saved once, with a source."""

import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cut_writes import ENDS, requires_limits, run_cut
from tests.fake_bing import FakeBing, draw_photo
from utils.classes import LabelError
from utils.collect.bing import CrawlError
from utils.collect.crawl import crawl_images, list_phrases, name_folder
from utils.collect.fetch import PoliteSession, make_user_agent
from utils.collect.provenance import read_refused, read_sources
from utils.collect.takedown import remove_source
from utils.images import read_image
from utils.paths import EXAMPLES_DIR, ROOT
from utils.tables import TableError

MISBEHAVING = {
    "html": "not an image",
    "truncated": "truncated",
    "bomb": "decompression bomb",
    "small": "too small",
    "huge": "too large",
    "cut": "interrupted",
    "late": "timeout",
    "404": "HTTP 404",
    "403": "HTTP 403",
    "500": "HTTP 500",
}
WHOLE = ("ok", "png", "webp", "shaky")
SUFFIXES = {".jpg": b"\xff\xd8", ".png": b"\x89PNG", ".webp": b"RIFF"}


def crawl(bing: FakeBing, folder: Path, count: int = 100, phrases: dict | None = None, **options):
    """Crawl all results of all phrases, without pauses."""
    session = PoliteSession("tests", delay=0, tries=2, wait=0.01, timeout=0.5, max_bytes=1_000_000)
    phrases = {"with_mask": list(bing.results)} if phrases is None else phrases
    return crawl_images(phrases, folder, count, session, server=bing.url, **options)


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*")}


def check_folder(folder: Path) -> None:
    """Check that each image has a row, each row an image, and that none is there twice."""
    sources = read_sources(folder)
    assert set(sources.file) == list_files(folder)
    assert sources.file.is_unique
    assert sources.url.is_unique
    assert sources.sha256.is_unique
    for row in sources.itertuples():
        data = (folder / row.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row.sha256
        assert read_image(folder / row.file).shape[1::-1] == (row.width, row.height)
        assert data.startswith(SUFFIXES[Path(row.file).suffix])


FOLDERS = {
    "Maske & Brille #2": "maske-brille-2",
    "口罩 人": "口罩-人",
    "???": "phrase",
    "../a": "a",
    "x" * 99: "x" * 60,
}


@pytest.mark.parametrize(("phrase", "name"), FOLDERS.items())
def test_folder_name_comes_from_the_phrase(phrase, name):
    assert name_folder(phrase) == name


def test_phrases_are_listed_with_their_class():
    assert list_phrases({}) == {} == list_phrases({"with_mask": []})
    phrases = {"mask_weared_incorrect": ["nose  out ", "chin"], "": "a crowd"}
    assert list_phrases(phrases) == {
        "nose out": "mask_worn_incorrectly",
        "chin": "mask_worn_incorrectly",
        "a crowd": "",
    }


@pytest.mark.parametrize(
    "phrases", [{"": [" "]}, {"": ["a", "a "]}, {"with_mask": ["a"], "": ["a"]}]
)
def test_invalid_phrase_is_reported(phrases):
    with pytest.raises(CrawlError, match="is empty or listed twice"):
        list_phrases(phrases)
    with pytest.raises(LabelError, match="'hat' is unknown"):
        list_phrases({"hat": ["a"]})


def test_no_phrases_or_count_zero_request_nothing(tmp_path):
    with FakeBing({"p": ["ok/1.jpg"]}) as bing:
        for phrases, count in (({}, 5), ({"": []}, 5), ({"": ["p"]}, 0)):
            new, problems = crawl(bing, tmp_path, count, phrases)
            assert len(new) == len(problems) == 0
            assert "sha256" in new
        assert not bing.searches


def test_complete_images_are_saved_and_others_refused_with_a_reason(tmp_path):
    results = [
        f"{kind}/{kind}{number}.jpg" for number in range(2) for kind in (*MISBEHAVING, *WHOLE)
    ]
    results += [
        "ok/address.png",
        "ok/address.webp",
        "ok/no-suffix",
        "ok/a.jpg?size=5&x=y",
        "same/1.jpg",
        "same/2.jpg",
    ]
    with FakeBing({"p": results}) as bing:
        new, problems = crawl(bing, tmp_path)
        whole = {bing.address(result) for result in results if result.split("/")[0] in WHOLE}
        reasons = read_refused(tmp_path).set_index("url").reason
        for kind, reason in MISBEHAVING.items():
            assert (
                reasons[
                    [bing.address(f"{kind}/{kind}{number}.jpg") for number in range(2)]
                ].tolist()
                == [reason] * 2
            )
    same = {bing.address(f"same/{number}.jpg") for number in (1, 2)}
    assert set(new.url) - same == whole
    assert len(set(new.url) & same) == 1
    assert reasons[list(same - set(new.url))].tolist() == ["duplicate"]
    assert len(reasons) == 2 * len(MISBEHAVING) + 1
    assert len(problems) == 0
    check_folder(tmp_path)
    assert (tmp_path / new[new.url == bing.address("png/png0.jpg")].file.item()).suffix == ".png"


@pytest.mark.slow
@pytest.mark.parametrize(("delay", "page_delay"), [(0, 0), (0.15, 0), (0, 0.4), (0.3, 0.3)])
def test_no_image_is_dropped_at_any_speed(tmp_path, delay, page_delay):
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(25)]}) as bing:
        bing.delay, bing.page_delay = delay, page_delay
        new, _ = crawl(bing, tmp_path)
        assert set(new.url) == {bing.address(result) for result in bing.results["p"]}
        assert bing.count_images() == 25
    check_folder(tmp_path)


def test_slow_downloads_are_not_requested_beyond_the_count(tmp_path):
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(20)]}) as bing:
        bing.delay = 0.1
        new, problems = crawl(bing, tmp_path, 2)
        assert len(new) == 2
        assert len(problems) == 0
        assert bing.count_images() == 2
        assert len(bing.searches) == 1


def test_refused_images_are_replaced_by_later_results(tmp_path):
    results = ["404/1.jpg", "ok/2.jpg", "html/3.jpg", "ok/4.jpg", "small/5.jpg", "ok/6.jpg"]
    with FakeBing({"p": results}) as bing:
        bing.delay = 0.05
        new, _ = crawl(bing, tmp_path, 3)
    assert set(new.url) == {bing.address(f"ok/{number}.jpg") for number in (2, 4, 6)}
    assert len(read_refused(tmp_path)) == 3


def test_search_ends_when_bing_repeats_a_page(tmp_path):
    with FakeBing({"p": ["ok/1.jpg", "ok/2.jpg"] * 20}) as bing:
        new, problems = crawl(bing, tmp_path)
        assert [query["first"] for query, _ in bing.searches] == ["1", "11"]
    assert len(new) == 2
    assert len(problems) == 0


def test_requests_of_a_crawl_to_one_host_are_a_delay_apart(tmp_path):
    session = PoliteSession("tests", delay=0.1)
    start = time.monotonic()
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(4)]}) as bing:
        new, _ = crawl_images({"": ["p"]}, tmp_path, 4, session, server=bing.url)
    assert len(new) == 4
    assert time.monotonic() - start >= 0.4  # a page and four images


def test_images_keep_their_provenance(tmp_path):
    filters = {
        "licence": "creativecommons",
        "size": ">640x480",
        "type": "photo",
        "people": "face",
        "date": "pastyear",
    }
    with FakeBing({"Leute & Masken #1": ["ok/7.jpg"]}) as bing:
        phrases = {"mask_weared_incorrect": ["Leute & Masken #1"]}
        new, _ = crawl(bing, tmp_path, phrases=phrases, filters=filters, language="de-DE")
        query, headers = bing.searches[0]
    (row,) = new.to_dict("records")
    assert row["file"] == "leute-masken-1/000001.jpg"
    assert row["url"] == bing.address("ok/7.jpg")
    assert row["page_url"] == "https://site1.example.org/page/7"
    assert row["title"] == "Title of 7, 1 “é”"
    assert (row["phrase"], row["class_name"]) == ("Leute & Masken #1", "mask_worn_incorrectly")
    kept = {name: value for name, value in filters.items() if name != "licence"}
    assert json.loads(row["filters"]) == kept | {"license": "creativecommons", "language": "de-DE"}
    assert row["licence"] == "creativecommons"
    assert row["sha256"] == hashlib.sha256(draw_photo("7.jpg")).hexdigest()
    assert (
        query["q"] == "Leute & Masken #1"
        and query["mkt"] == query["setlang"] == headers["Accept-Language"] == "de-DE"
    )
    assert sorted(query["qft"].split()) == [
        "filterui:age-lt525600",
        "filterui:face-face",
        "filterui:imagesize-custom_640_480",
        "filterui:licenseType-Any",
        "filterui:photo-photo",
    ]
    assert headers["User-Agent"] == make_user_agent("tests")


def test_pages_are_requested_only_while_images_are_wanted(tmp_path):
    results = [f"{kind}/{number}.jpg" for number in range(40) for kind in ("ok", "404")]
    with FakeBing({"p": results}) as bing:
        new, _ = crawl(bing, tmp_path, 12)
        assert len(new) == 12
        assert bing.count_images() <= 2 * 12 + 1
        assert [query["first"] for query, _ in bing.searches] in (
            ["1", "11", "21"],
            ["1", "11", "21", "31"],
        )
        crawl(bing, tmp_path, 12)
        assert len(bing.searches) <= 4
        assert len(crawl(bing, tmp_path, 15)[0]) == 3
    check_folder(tmp_path)


@pytest.mark.slow
def test_second_crawl_retries_only_temporary_failures(tmp_path):
    results = [f"{kind}/{kind}.jpg" for kind in MISBEHAVING] + ["ok/1.jpg", "ok/2.jpg"]
    with FakeBing({"p": results, "q": ["ok/2.jpg", "ok/3.jpg"]}) as bing:
        new, _ = crawl(bing, tmp_path)
        assert len(new) == 3
        assert new.phrase.tolist().count("q") == 1
        bing.asked.clear()
        assert len(crawl(bing, tmp_path)[0]) == 0
        assert {path for path in bing.asked if path.startswith("/img/")} == {
            f"/img/{kind}/{kind}.jpg" for kind in ("late", "500", "cut")
        }
        bing.mended = True
        new, _ = crawl(bing, tmp_path)
        assert {url.split("/")[4] for url in new.url} == {"late", "500", "cut"}
    check_folder(tmp_path)
    assert len(list_files(tmp_path)) == 6


def test_phrases_may_share_a_folder_and_images(tmp_path):
    with FakeBing({"a & b": ["ok/1.jpg", "ok/2.jpg"], "a # b": ["ok/2.jpg", "ok/3.jpg"]}) as bing:
        new, _ = crawl(bing, tmp_path)
    assert new.file.tolist() == [f"a-b/{number:06d}.jpg" for number in (1, 2, 3)]
    assert new.phrase.tolist() == ["a & b", "a & b", "a # b"]


def test_files_are_saved_byte_for_byte(tmp_path):
    files = sorted(EXAMPLES_DIR.glob("*.jpg"))
    with FakeBing({"p": files}) as bing:
        new, _ = crawl(bing, tmp_path, language="fr")
    kept = {(tmp_path / file).read_bytes() for file in new.file}
    assert kept == {file.read_bytes() for file in files}


PROBLEMS = {
    "nothing": "Bing has no results for 'bad': use other words or fewer filters.",
    "an empty list": "Bing has no results for 'bad': use other words or fewer filters.",
    "error 500": "Bing did not answer to 'bad' (HTTP 500): try again later.",
    "forbidden": "Bing did not answer to 'bad' (HTTP 403): try again later.",
    "another form": (
        "Bing's answer to 'bad' cannot be used. The page has an unknown form ('A photo'):"
        " open the search in a browser to see why."
    ),
}


@pytest.mark.parametrize(("page", "sentence"), PROBLEMS.items())
def test_problem_ends_only_its_own_phrase(tmp_path, page, sentence):
    with FakeBing({"bad": ["ok/1.jpg"], "good": ["ok/2.jpg"]}) as bing:
        bing.pages["bad"] = (page, 1)
        new, problems = crawl(bing, tmp_path)
    assert new.phrase.tolist() == ["good"]
    assert problems.to_dict("records") == [{"phrase": "bad", "problem": sentence}]


def test_images_found_before_a_problem_are_saved(tmp_path):
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(15)]}) as bing:
        bing.pages["p"] = ("another form", 11)
        bing.delay = 0.1  # the page comes while downloads are running
        new, problems = crawl(bing, tmp_path)
        assert len(new) == 10
        assert "unknown form" in problems.problem.item()
        bing.pages.clear()
        assert len(crawl(bing, tmp_path)[0]) == 5


def test_unreachable_server_is_a_problem(tmp_path):
    session = PoliteSession("tests", delay=0, tries=1)
    new, problems = crawl_images({"": ["p"]}, tmp_path, 5, session, server="http://127.0.0.1:9")
    assert len(new) == 0
    assert problems.problem.tolist() == [
        "Bing did not answer to 'p' (unreachable): try again later."
    ]


WRONG = {
    "filter": (
        {"filters": {"colour": "red"}},
        "cannot filter by colour 'red': use one of type, color,",
    ),
    "licence": (
        {"filters": {"license": "free"}},
        "cannot filter by license 'free': use one of creativecommons,",
    ),
    "size": ({"filters": {"size": ">5"}}, "cannot filter by size '>5'"),
    "no text": ({"filters": {"size": 5}}, "cannot filter by size '5'"),
    "language": ({"language": "German"}, "language 'German' cannot be used"),
    "phrase": ({"phrases": {"": ["p", "p"]}}, "'p' of no class is empty or listed twice"),
    "no class": ({"phrases": ["p", "q"]}, "phrases must be listed by class"),
    "count": ({"count": "many"}, "The count 'many' is not a whole number"),
}


@pytest.mark.parametrize(("options", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_invalid_arguments_raise_before_any_request(tmp_path, options, sentence):
    with FakeBing({"p": ["ok/1.jpg"]}) as bing, pytest.raises(CrawlError, match=sentence):
        crawl(bing, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
    assert not bing.searches


def test_unwritable_folder_ends_only_its_own_phrase(tmp_path):
    (tmp_path / "p").write_text("a file in place of the phrase's folder")
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(20)], "q": ["ok/x.jpg"]}) as bing:
        new, problems = crawl(bing, tmp_path)
    assert problems.phrase.tolist() == ["p"]
    assert "cannot be saved" in problems.problem.item()
    assert new.phrase.tolist() == ["q"]


@pytest.mark.slow
def test_crawl_prints_only_its_progress_bar(tmp_path, capfd):
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    with FakeBing({"p": [f"{kind}/1{kind}.jpg" for kind in (*WHOLE, *MISBEHAVING)]}) as bing:
        crawl(bing, tmp_path)
    out, err = capfd.readouterr()
    bar = [line for line in err.replace("\r", "\n").splitlines() if line.strip()]
    assert out == ""
    assert bar
    assert all(line.startswith("crawling en-US:") for line in bar)
    assert bar[-1].startswith("crawling en-US: 100%")
    assert "4/4" in bar[-1]
    assert f"saved=4, refused={len(MISBEHAVING)}, known=0" in bar[-1]
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().level == level


def test_removed_images_are_not_requested_again(tmp_path):
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(6)], "q": ["ok/9.jpg"]}) as bing:
        crawl(bing, tmp_path, 5, {"": ["p"]})
        (gone, *_) = removed = remove_source(tmp_path, "site1.example.org").url.tolist()
        assert len(removed) == 2
        bing.results |= {"q": [gone.removeprefix(f"{bing.url}/img/"), "ok/9.jpg"]}
        new, _ = crawl(bing, tmp_path)
    assert set(read_sources(tmp_path).url) & set(removed) == set()
    assert gone not in set(new.url)
    assert bing.asked[gone.removeprefix(bing.url)] == 1
    assert set(read_refused(tmp_path).reason) == {"taken down"}
    check_folder(tmp_path)


SCRIPT = """
import signal
import sys
from utils.collect.crawl import crawl_images, list_phrases, name_folder
from utils.collect.fetch import PoliteSession
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore Ctrl-C
session = PoliteSession("tests", delay=0, tries=2, wait=0.01)
try:
    _, problems = crawl_images({"": ["p", "q"]}, sys.argv[2], 100, session, server=sys.argv[1])
    sys.exit(3 if len(problems) else 0)
except KeyboardInterrupt:
    sys.exit(7)
"""


def start_crawl(bing: FakeBing, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, bing.url, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_images(bing: FakeBing, process: subprocess.Popen, number: int) -> None:
    while bing.count_images() < number and process.poll() is None:
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_crawl_continues_without_losses_or_duplicates(tmp_path):
    rng = random.Random(0)
    results = {"p": [f"ok/{number}.jpg" for number in range(40)] + ["404/1.jpg", "truncated/2.jpg"]}
    results |= {
        "q": [f"png/{number}.png" for number in range(30, 60)] + ["same/1.jpg", "same/2.jpg"]
    }
    kept: set[str] = set()
    with FakeBing(results) as bing:
        bing.delay = 0.2  # no crawl ends before it is killed, even on a busy machine
        for _ in range(3):
            process = start_crawl(bing, tmp_path)
            wait_for_images(bing, process, bing.count_images() + rng.randint(1, 14))
            time.sleep(rng.uniform(0, 0.03))
            process.kill()
            process.communicate()
            assert process.returncode != 0
            assert kept <= set(read_sources(tmp_path).sha256)
            kept = set(read_sources(tmp_path).sha256)
        assert 0 < len(kept) < 71
        bing.delay = 0
        crawl(bing, tmp_path)
        contents = {draw_photo(f"{number}.jpg") for number in range(40)} | {draw_photo("same")}
        contents |= {draw_photo(f"{number}.png", kind="PNG") for number in range(30, 60)}
    check_folder(tmp_path)
    assert {(tmp_path / file).read_bytes() for file in list_files(tmp_path)} == contents
    assert kept <= set(read_sources(tmp_path).sha256)
    assert len(list_files(tmp_path)) == len(contents) == 71


@requires_limits
@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [1000, 5000])  # within an image, and within the table of sources
def test_a_crawl_that_stops_within_a_write_continues_without_losses(tmp_path, size, end):
    contents = {draw_photo(f"{number}.jpg") for number in range(30)}
    assert 1000 < min(map(len, contents)) and max(map(len, contents)) < 5000
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(30)], "q": []}) as bing:
        code = SCRIPT.replace("session =", "limit()\nsession =")
        run_cut(code, bing.url, tmp_path, size=size, end=end)
        images = {path.read_bytes() for path in tmp_path.glob("*/*") if path.suffix != ".part"}
        assert images <= contents and len(images) < 30
        read_sources(tmp_path)
        crawl(bing, tmp_path)
    check_folder(tmp_path)
    assert {(tmp_path / file).read_bytes() for file in list_files(tmp_path)} == contents


@pytest.mark.slow
def test_second_program_is_locked_out(tmp_path):
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(30)], "q": []}) as bing:
        bing.delay = 0.5
        process = start_crawl(bing, tmp_path)
        wait_for_images(bing, process, 8)
        with pytest.raises(
            TableError, match="Another program is at work in .*: wait until it is done, or stop it"
        ):
            crawl(bing, tmp_path)
        process.kill()  # this releases the lock too
        process.communicate()
        bing.delay = 0
        crawl(bing, tmp_path)
    check_folder(tmp_path)
    assert len(list_files(tmp_path)) == 30


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a process cannot be sent Ctrl+C elsewhere")
def test_interrupt_ends_threads_and_keeps_saved_images(tmp_path):
    with FakeBing({"p": [f"ok/{number}.jpg" for number in range(40)], "q": []}) as bing:
        bing.delay = 0.5
        process = start_crawl(bing, tmp_path)
        wait_for_images(bing, process, 8)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 7
        assert b"Traceback" not in err
        assert bing.count_images() < 30
    check_folder(tmp_path)
    assert len(read_refused(tmp_path)) == 0 < len(read_sources(tmp_path))
