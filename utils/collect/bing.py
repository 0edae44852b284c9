"""Bing's image search: the filters, the address of a page of results, and the results on it.

The filters are icrawler's: its Bing feeder knows Bing's codes for sizes, licences, dates and so on,
and follows their changes. Its own parser is not used, because it returns only addresses that end in
``.jpg`` and drops the page and the title of each result, which our record of sources needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from lxml import etree, html

from utils.messages import UserError

BING = "https://www.bing.com"
PAGE_SIZE = 35  # results on a page
MAX_RESULTS = 1000  # Bing repeats itself after that many
# An empty list of results, or the sentence that says so.
NO_RESULTS = (
    "//ul[contains(@class, 'dgControl_list')][not(li)]"
    " | //*[contains(text(), 'There are no results for')]"
)
# Characters from Unicode's private area that Bing puts around the matching words of a title.
HIGHLIGHT_MARKS = re.compile("[\ue000\ue001]")


class CrawlError(UserError, ValueError):
    """A search that cannot be made or continued. Its text is one sentence for the user."""


def format_filters(filters: Mapping[str, str]) -> str:
    """Return Bing's code for filters, such as ``+filterui:photo-photo``.

    Args:
        filters: names and values as in icrawler's ``BingFeeder``.

    Raises:
        CrawlError: a name or a value is unknown; the sentence lists those that exist.
    """
    from icrawler.builtin.bing import BingFeeder  # imported here because it takes 0.1 s

    known = BingFeeder(thread_num=1, signal=None, session=None).get_filter()
    for name, value in filters.items():
        try:
            known.apply({name: value})
        except (KeyError, ValueError, TypeError, AssertionError, AttributeError) as error:
            if name not in known.rules:
                choices = list(known.rules)
            elif name == "size":  # icrawler lists no choices for it
                choices = ["large", ">640x480"]
            else:
                choices = known.rules[name][1]
            raise CrawlError(
                f"Bing cannot filter by {name} '{value}': use one of {', '.join(choices)}."
            ) from error
    return known.apply(dict(filters))


def make_address(server: str, phrase: str, language: str, filters: str = "") -> str:
    """Return the address of a search, without the page: append ``&first=`` and a result's number.

    Args:
        server: ``https://www.bing.com``, or another server that answers in the same way.
        phrase: the search phrase; any characters.
        language: "de-DE" or "de": the language of the results and, with a country, their market.
        filters: the code from ``format_filters``.

    Raises:
        CrawlError: the language is not a language code.
    """
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})*", language):
        raise CrawlError(
            f"The language '{language}' cannot be used: write it like 'en-US' or 'de'."
        )
    query = urlencode({"q": phrase, "count": PAGE_SIZE, "setlang": language, "mkt": language})
    address = f"{server.rstrip('/')}/images/async?{query}"
    if filters:
        # Not encoded: Bing expects the plus signs as they are.
        address += f"&qft={filters}"
    return address


def read_results(page: bytes) -> list[dict[str, str]]:
    """Return the results on a page as ``{"url": ..., "page_url": ..., "title": ...}``.

    Args:
        page: the HTML of a page of results.

    Returns:
        The results in their order; an empty list if the page says that there are none.

    Raises:
        CrawlError: the page has another form.
    """
    try:
        tree = html.document_fromstring(page, html.HTMLParser(encoding="utf-8"))
    except etree.ParserError:  # lxml refuses an empty page, which Bing sends after the last result
        return []
    entries = tree.xpath("//a/@m")
    results = []
    for entry in entries:
        result = _read_entry(entry)
        if result is not None:
            results.append(result)
    if results:
        return results
    etree.strip_elements(tree, "script", "style", with_tail=False)
    words = " ".join(tree.text_content().split())
    is_blank = not words and not tree.xpath("//img")
    if not entries and (is_blank or tree.xpath(NO_RESULTS)):
        return []
    raise CrawlError(
        f"The page has an unknown form ('{words[:60]}'): open the search in a browser to see why."
    )


def _read_entry(entry: str) -> dict[str, str] | None:
    """Return the result in an ``m`` attribute (JSON), or None if it holds something else."""
    try:
        found = json.loads(entry)
        title = HIGHLIGHT_MARKS.sub("", found.get("t") or "")
        return {
            "url": found["murl"].strip(),
            "page_url": found.get("purl") or "",
            "title": " ".join(title.split()),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
