"""Bing's pages: their addresses, what is read from them, and when they are said to be of another form."""

import html
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fake_bing import PAGES
from utils.collect.bing import CrawlError, make_address, read_results

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
    with pytest.raises(CrawlError, match=f"page has an unknown form .*{words}"):
        read_results(PAGES[name][1])
    with pytest.raises(CrawlError, match="unknown form"):
        read_results(b'{"images": [{"murl": "https://a.org/1.jpg"}]}')
