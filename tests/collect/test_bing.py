"""Bing's pages: their addresses, what is read from them, and when they are said to be of another form."""

import html
import json
from collections import Counter
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fake_bing import PAGES
from utils.classes import LabelError
from utils.collect.bing import (
    CrawlError,
    Search,
    list_phrases,
    make_address,
    name_folder,
    read_results,
)

PHRASES = ["a person", "masks & glasses", "#masked 100%", "口罩", "a=b?c/d+e"]


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_arrives_as_it_is(phrase):
    address = urlsplit(make_address("http://a.org/", phrase, "de-DE", "+filterui:x") + "&first=36")
    assert (address.netloc, address.path, address.fragment) == ("a.org", "/images/async", "")
    query = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert query | {"count": ""} == {
        "q": phrase, "count": "", "setlang": "de-DE", "mkt": "de-DE", "qft": " filterui:x", "first": "36"
    }  # fmt: skip


@pytest.mark.parametrize("language", ["", "german", "de_DE", "de&q=x", "DE"])
def test_a_language_that_is_none_is_said(language):
    with pytest.raises(CrawlError, match=f"The language '{language}' cannot be used"):
        make_address("http://a.org", "x", language)


FOLDERS = {
    "Maske & Brille #2": "maske-brille-2",
    "口罩 人": "口罩-人",
    "???": "phrase",
    "../a": "a",
    "x" * 99: "x" * 60,
}


@pytest.mark.parametrize(("phrase", "name"), FOLDERS.items())
def test_a_folder_is_named_after_its_phrase(phrase, name):
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
def test_a_phrase_that_cannot_be_used_is_named(phrases):
    with pytest.raises(CrawlError, match="is empty or there twice"):
        list_phrases(phrases)
    with pytest.raises(LabelError, match="'hat' is unknown"):
        list_phrases({"hat": ["a"]})


def write_page(*entries: object) -> bytes:
    links = "".join(
        f'<li><a class="iusc" m="{html.escape(json.dumps(entry))}"></a></li>' for entry in entries
    )
    return f"<html><body><ul class='dgControl_list'>{links}</ul></body></html>".encode()


def test_results_are_read_with_their_page_and_title():
    full = {
        "murl": " https://a.org/1.webp?x=1&y=é ",
        "purl": "https://a.org/",
        "t": "\ue000Mask\ue001 & “é”",
    }
    expected = {
        "url": "https://a.org/1.webp?x=1&y=é",
        "page_url": "https://a.org/",
        "title": "Mask & “é”",
    }
    assert read_results(write_page(full)) == [expected]
    bare = {"murl": "https://a.org/2"}
    found = read_results(write_page(full, {"ad": 1}, None, 7, {"murl": None}, bare))
    assert found == [expected, {"url": "https://a.org/2", "page_url": "", "title": ""}]


EMPTY = ["nothing", "an empty list", "no results", "an empty page"]
CHANGED = {
    "another form": "A photo",
    "other entries": "",
    "a riddle": "are you a robot",
    "error 500": "went wrong",
}


@pytest.mark.parametrize("name", EMPTY)
def test_no_results_are_no_error(name):
    assert read_results(PAGES[name][1]) == []


@pytest.mark.parametrize(("name", "words"), CHANGED.items())
def test_a_page_of_another_form_is_not_taken_for_no_results(name, words):
    with pytest.raises(CrawlError, match=f"page of an unknown form .*{words}"):
        read_results(PAGES[name][1])
    with pytest.raises(CrawlError, match="unknown form"):
        read_results(b'{"images": [{"murl": "https://a.org/1.jpg"}]}')


def make_search(wanted: int) -> Search:
    return Search("p", "http://a.org/?q=p", "en", {"phrase": "p"}, wanted, Counter(known=5))


def test_only_what_is_new_is_selected():
    search = make_search(9)
    results = [{"url": str(number)} for number in (1, 2, 2, 3)]
    assert search.select(results, {"3"}.__contains__) == [
        {"phrase": "p", "url": "1"},
        {"phrase": "p", "url": "2"},
    ]
    assert search.found == 4 and search.counts["known"] == 6
    assert search.select(results, set().__contains__) == [] and search.found == 0


def test_no_more_is_started_than_is_wanted_and_a_refusal_makes_room():
    search, started = make_search(2), []
    assert search.start_one() and search.start_one()
    waiting = Thread(target=lambda: started.append(search.start_one()))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive() and not started
    search.end_one("refused")
    waiting.join(5)
    assert started == [True] and not search.is_over
    search.end_one("saved")
    search.end_one("saved")
    assert search.is_over and not search.start_one() and search.counts["saved"] == 2


def test_a_reported_problem_ends_no_download_a_stop_does_and_the_first_reason_stays():
    search, started = make_search(1), []
    search.report("first")
    assert search.start_one()
    waiting = Thread(target=lambda: started.append(search.start_one()))
    waiting.start()
    search.stop("second")
    waiting.join(5)
    assert started == [False] and search.is_over and search.problem == "first"
