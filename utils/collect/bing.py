"""One search on Bing: the address of its pages, the results on a page, and how far it has come."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Condition
from urllib.parse import urlencode

from lxml import etree, html

from utils.classes import to_class_name

PAGE_SIZE, MAX_RESULTS = 35, 1000  # behind the thousandth Bing repeats itself
NO_RESULTS = "//ul[contains(@class, 'dgControl_list')][not(li)] | //*[contains(text(), 'There are no results for')]"


class CrawlError(ValueError):
    """A search that cannot be made, or cannot go on. Its text is one sentence for a person."""


def make_address(server: str, phrase: str, language: str, filters: str = "") -> str:
    """Address of a search's pages, to be followed by ``&first=``, the number of a result from 1.

    Args:
        server: ``https://www.bing.com``, or another that answers like it.
        phrase: what to search for, with whatever characters.
        language: "de-DE" or "de": of the results and, with a country, of the market.
        filters: as icrawler writes them, ``+filterui:...``.

    Raises:
        CrawlError: the language is none.
    """
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})*", language):
        raise CrawlError(
            f"The language '{language}' cannot be used: write it like 'en-US' or 'de'."
        )
    query = urlencode({"q": phrase, "count": PAGE_SIZE, "setlang": language, "mkt": language})
    return f"{server.rstrip('/')}/images/async?{query}" + (f"&qft={filters}" if filters else "")


def list_phrases(phrases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Phrases by class as ``{phrase: class_name}``.

    Raises:
        CrawlError: the phrases are not by class, or one is empty or there twice.
        LabelError: a class is unknown; "", for none, is not.
    """
    classes: dict[str, str] = {}
    if not isinstance(phrases, Mapping):
        raise CrawlError(
            "The phrases must be named by class: write them like {'with_mask': ['face mask']}."
        )
    for class_name, texts in phrases.items():
        for phrase in [texts] if isinstance(texts, str) else texts:
            phrase = " ".join(str(phrase).split())
            if not phrase or phrase in classes:
                raise CrawlError(
                    f"The phrase '{phrase}' of {class_name or 'no class'} is empty or there twice."
                )
            classes[phrase] = to_class_name(class_name) if class_name else ""
    return classes


def name_folder(phrase: str) -> str:
    """A folder's name for a phrase, in its own script: "Maske & Brille #2" is ``maske-brille-2``."""
    return re.sub(r"\W+", "-", phrase.casefold())[:60].strip("-") or "phrase"


def read_results(page: bytes) -> list[dict[str, str]]:
    """The results on a page of Bing's, ``url, page_url, title``; none where Bing says that there are none.

    Raises:
        CrawlError: the page is of another form.
    """
    try:
        tree = html.document_fromstring(page, html.HTMLParser(encoding="utf-8"))
    except (
        etree.ParserError
    ):  # what lxml says of an empty page, as it stands behind the last result
        return []
    results, entries = [], tree.xpath("//a/@m")
    for entry in entries:
        with suppress(ValueError, KeyError, TypeError, AttributeError):  # an entry of another kind
            found = json.loads(entry)
            title = " ".join(
                re.sub("[\ue000\ue001]", "", found.get("t") or "").split()
            )  # marks around what matches
            results.append(
                {"url": found["murl"].strip(), "page_url": found.get("purl") or "", "title": title}
            )
    etree.strip_elements(tree, "script", "style", with_tail=False)
    words = " ".join(tree.text_content().split())
    if results or (not entries and (tree.xpath(NO_RESULTS) or not (words or tree.xpath("//img")))):
        return results
    raise CrawlError(f"is a page of an unknown form ('{words[:60]}'): look at it in a browser")


class Search:
    """How far the search for one phrase has come. Threads share it.

    Attributes:
        phrase: what is searched for.
        address: of its pages.
        language: of the results.
        row: what all its images have in common in ``sources.csv``.
        wanted: images that are still to come.
        counts: of "saved", "refused" and "known" results, perhaps with those of other searches.
        found: results on the last page, 0 when there was nothing new.
        problem: a sentence, if there was one.
    """

    def __init__(
        self,
        phrase: str,
        address: str,
        language: str,
        row: dict[str, str],
        wanted: int,
        counts: Counter,
    ) -> None:
        self.phrase, self.address, self.language = phrase, address, language
        self.row, self.wanted, self.counts = row, wanted, counts
        self.found, self.problem = 0, ""
        self._seen: set[str] = set()
        self._active, self._stopped, self._change = 0, False, Condition()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be asked for."""
        return self.wanted <= 0 or self._stopped

    def report(self, problem: str) -> None:
        """Note why no further pages come, the first reason; results that are there are still downloaded."""
        self.problem = self.problem or problem

    def stop(self, problem: str) -> None:
        """Note a problem and end everything."""
        with self._change:
            self.report(problem)
            self._stopped = True
            self._change.notify_all()

    def select(
        self, results: list[dict[str, str]], is_known: Callable[[str], bool]
    ) -> list[dict[str, str]]:
        """Those of a page's results that no page before had and that are not known, as rows of ``sources.csv``."""
        fresh = {row["url"]: {**self.row, **row} for row in results if row["url"] not in self._seen}
        self._seen.update(fresh)
        self.found = len(results) if fresh else 0
        selected = [row for url, row in fresh.items() if not is_known(url)]
        with self._change:
            self.counts["known"] += len(fresh) - len(selected)
        return selected

    def start_one(self) -> bool:
        """Whether one more image is needed; waits while those on their way may be enough."""
        with self._change:
            self._change.wait_for(lambda: self.is_over or self._active < self.wanted)
            self._active += not self.is_over
            return not self.is_over

    def end_one(self, outcome: str) -> None:
        """Count an image that was started: "saved", "refused", or anything else."""
        with self._change:
            self._active -= 1
            self.wanted -= outcome == "saved"
            self.counts[outcome] += 1
            self._change.notify_all()
