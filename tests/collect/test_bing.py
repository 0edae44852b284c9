"""Bing's search: addresses, filters, results on a page, and pages of unknown form."""

import html
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.fake_bing import PAGES
from utils.collect.bing import CrawlError, format_filters, make_address, read_results

PHRASES = ["a person", "masks & glasses", "#masked 100%", "口罩", "a=b?c/d+e"]


@pytest.mark.parametrize("phrase", PHRASES)
def test_phrase_survives_the_encoding(phrase):
    address = urlsplit(make_address("http://a.org/", phrase, "de-DE", "+filterui:x") + "&first=36")
    assert (address.netloc, address.path, address.fragment) == ("a.org", "/images/async", "")
    query = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert query | {"count": ""} == {
        "q": phrase,
        "count": "",
        "setlang": "de-DE",
        "mkt": "de-DE",
        "qft": " filterui:x",
        "first": "36",
    }


@pytest.mark.parametrize("language", ["", "german", "de_DE", "de&q=x", "DE"])
def test_invalid_language_is_reported(language):
    with pytest.raises(CrawlError, match=f"The language '{language}' cannot be used"):
        make_address("http://a.org", "x", language)


FILTERS = {
    "none": ({}, ""),
    "one": ({"type": "photo"}, "+filterui:photo-photo"),
    "size": ({"size": ">640x480"}, "+filterui:imagesize-custom_640_480"),
    "two": (
        {"license": "commercial", "people": "face"},
        "+filterui:license-L2_L3_L4+filterui:face-face",
    ),
}


@pytest.mark.parametrize(("filters", "code"), FILTERS.values(), ids=FILTERS.keys())
def test_filters_become_the_codes_of_bing(filters, code):
    assert format_filters(filters) == code


def write_page(*entries: object) -> bytes:
    links = "".join(
        f'<li><a class="iusc" m="{html.escape(json.dumps(entry))}"></a></li>' for entry in entries
    )
    return f"<html><body><ul class='dgControl_list'>{links}</ul></body></html>".encode()


def test_results_have_url_page_and_title():
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
    "a captcha": "are you a robot",
    "error 500": "went wrong",
}


@pytest.mark.parametrize("name", EMPTY)
def test_page_without_results_is_not_an_error(name):
    assert read_results(PAGES[name][1]) == []


@pytest.mark.parametrize(("name", "words"), CHANGED.items())
def test_page_of_unknown_form_is_an_error(name, words):
    with pytest.raises(CrawlError, match=f"page has an unknown form .*{words}"):
        read_results(PAGES[name][1])
    with pytest.raises(CrawlError, match="unknown form"):
        read_results(b'{"images": [{"murl": "https://a.org/1.jpg"}]}')
