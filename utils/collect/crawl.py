"""The crawl: search Bing by phrase, save the images and record where each comes from.

The loop is plain: fetch a page of results, submit the downloads of its new images to a thread pool,
and go on to the next page while more images are wanted. The pauses between requests are in
``fetch.PoliteSession``. The search filters are icrawler's (``bing.format_filters``). Its crawler
threads are not used: they drop results when downloads are slow, do not encode phrases, and keep no
sources.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from utils.classes import to_class_name
from utils.collect.bing import (
    BING,
    MAX_RESULTS,
    CrawlError,
    format_filters,
    make_address,
    read_results,
)
from utils.collect.fetch import FetchError, PoliteSession
from utils.collect.provenance import CrawlFolder, read_sources
from utils.tables import hold_folder

DOWNLOAD_THREADS = 4
MAX_FOLDER_NAME = 60  # characters


def crawl_images(
    phrases: Mapping[str, Sequence[str]],
    folder: str | Path,
    count: int,
    session: PoliteSession,
    filters: Mapping[str, str] | None = None,
    language: str = "en-US",
    server: str = BING,
    min_side: int = 100,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Search Bing and save the images, in a subfolder per phrase, with a progress bar.

    A second call continues where the first one stopped. Images that are in the folder, were refused
    for good or were taken down are not requested again; those that timed out are. Ctrl-C ends the
    download threads before it is raised.

    Args:
        phrases: search phrases by the class that they should bring; "" for no class.
        folder: the crawl folder, see ``provenance``.
        count: images wanted for each phrase, including those already there; Bing shows at most
            1000 results.
        session: makes the requests; its arguments set contact, delay and retries.
        filters: Bing's filters as icrawler names them: "license" ("creativecommons",
            "publicdomain", "commercial", ...), "size" ("large", ">640x480", ...), "type" ("photo",
            ...), "people" ("face", "portrait"), "date" ("pastyear", ...), "color", "layout".
        language: language of the phrases and country of the results: "de-DE".
        server: another server that answers like Bing.
        min_side: smallest accepted width and height in pixels.

    Returns:
        The new images, a table as from ``read_sources``, and a table ``phrase``, ``problem`` of the
        searches that ended early. A problem ends the search for its phrase only.

    Raises:
        CrawlError: the phrases, a filter, the count or the language cannot be used.
        LabelError: a class is unknown.
        TableError: a table of the folder cannot be used, or another program is using the folder.
    """
    filters = {
        "license" if name == "licence" else name: value for name, value in (filters or {}).items()
    }
    filter_code = format_filters(filters)
    class_by_phrase = list_phrases(phrases)
    if not isinstance(count, int):
        raise CrawlError(f"The count '{count}' is not a whole number: write it like 300.")
    addresses = {
        phrase: make_address(server, phrase, language, filter_code) for phrase in class_by_phrase
    }
    session.stopped.clear()
    problems = []
    with (
        hold_folder(folder),
        tqdm(total=0, desc=f"crawling {language}", unit="image", leave=False) as bar,
    ):
        crawl_folder = CrawlFolder(folder)
        images_before = len(read_sources(folder))
        missing = {
            phrase: max(0, count - crawl_folder.count.get(phrase, 0)) for phrase in class_by_phrase
        }
        bar.total = sum(missing.values())
        counts = Counter(saved=0, refused=0, known=0)
        with ThreadPoolExecutor(DOWNLOAD_THREADS) as executor:
            try:
                for phrase, class_name in class_by_phrase.items():
                    row = {
                        "phrase": phrase,
                        "class_name": class_name,
                        "licence": filters.get("license", ""),
                        "filters": json.dumps({**filters, "language": language}),
                    }
                    search = _Search(
                        phrase=phrase,
                        address=addresses[phrase],
                        language=language,
                        row=row,
                        wanted=missing[phrase],
                        folder=crawl_folder,
                        session=session,
                        min_side=min_side,
                        executor=executor,
                        counts=counts,
                        bar=bar,
                    )
                    search.run()
                    if search.problem:
                        problems.append({"phrase": phrase, "problem": search.problem})
            except BaseException:
                # An interrupt, for example. Waits and transfers end, so that leaving the executor
                # joins its threads at once.
                session.stopped.set()
                raise
    new_images = read_sources(folder)[images_before:].reset_index(drop=True)
    return new_images, pd.DataFrame(problems, columns=["phrase", "problem"], dtype="str")


@dataclass
class _Search:
    """The search for one phrase and the downloads of its images.

    Attributes:
        phrase: the phrase.
        address: the address of the search, see ``make_address``.
        language: the language to ask for.
        row: the columns of ``sources.csv`` that all images of the phrase share.
        wanted: number of images that are still to be saved.
        folder: saves the images.
        session: makes the requests.
        min_side: smallest accepted width and height in pixels.
        executor: runs the downloads.
        counts: numbers of results by outcome, of all phrases together.
        bar: shows the number of saved images and the counts.
        problem: why the search ended early, as one sentence; empty if it did not.
    """

    phrase: str
    address: str
    language: str
    row: dict[str, str]
    wanted: int
    folder: CrawlFolder
    session: PoliteSession
    min_side: int
    executor: ThreadPoolExecutor
    counts: Counter[str]
    bar: tqdm
    problem: str = ""
    _downloads: set[Future[bool]] = field(default_factory=set)  # submitted and not yet counted
    _can_save: bool = True

    def run(self) -> None:
        """Fetch pages of results and their images until enough are saved or Bing has no more."""
        seen: set[str] = set()
        first = 1
        while first <= MAX_RESULTS:
            self._wait_while_enough_are_running()
            if not self._needs_more():
                break
            results = self._read_page(first)
            if first == 1 and not results:
                self._note_problem(
                    f"Bing has no results for '{self.phrase}': use other words or fewer filters."
                )
            new = {result["url"]: result for result in results if result["url"] not in seen}
            if not new:  # after the last result, a page is empty or repeats the one before
                break
            seen.update(new)
            self._download(new.values())
            first += len(results)
        self._wait_for_downloads(at_most=0)
        self.bar.total -= self.wanted  # those that Bing does not have
        self.bar.set_postfix(self.counts)

    def _read_page(self, first: int) -> list[dict[str, str]]:
        """Return the results from number ``first`` on; after a failure note it and return none."""
        headers = {"Accept-Language": self.language}
        try:
            page = self.session.fetch(f"{self.address}&first={first}", headers)
            return read_results(page)
        except FetchError as error:
            self._note_problem(
                f"Bing did not answer to '{self.phrase}' ({error.reason}): try again later."
            )
        except CrawlError as error:
            self._note_problem(f"Bing's answer to '{self.phrase}' cannot be used. {error}")
        return []

    def _download(self, results: Iterable[Mapping[str, str]]) -> None:
        """Submit the downloads of a page's results, as long as images are wanted."""
        unknown = []
        for result in results:
            if self.folder.is_done(result["url"]):
                self.counts["known"] += 1
            else:
                unknown.append(result)
        subfolder = name_folder(self.phrase)
        for result in unknown:
            self._wait_for_downloads(at_most=DOWNLOAD_THREADS - 1)
            self._wait_while_enough_are_running()
            if not self._needs_more():
                return
            row = {**self.row, **result}
            download = self.executor.submit(
                self.folder.fetch, self.session, row, subfolder, self.min_side
            )
            self._downloads.add(download)

    def _wait_while_enough_are_running(self) -> None:
        """Wait while the running downloads would be enough if all of them succeeded.

        This way no more images are requested than are wanted, and each refused image is replaced.
        """
        while self._downloads and len(self._downloads) >= self.wanted:
            self._wait_for_downloads(at_most=len(self._downloads) - 1)

    def _needs_more(self) -> bool:
        """Return whether images are still wanted and can be saved."""
        return self.wanted > 0 and self._can_save

    def _wait_for_downloads(self, at_most: int) -> None:
        """Wait until at most that many downloads are running, and count those that have ended."""
        while len(self._downloads) > at_most:
            done, self._downloads = wait(self._downloads, return_when=FIRST_COMPLETED)
            for download in done:
                self._count(download)
            self.bar.set_postfix(self.counts)

    def _count(self, download: Future[bool]) -> None:
        """Count a download that has ended."""
        try:
            is_saved = download.result()
        except Exception as error:  # for example a full disk: the next phrase may have more luck
            self.counts["failed"] += 1
            self._can_save = False
            self._note_problem(f"The images of '{self.phrase}' cannot be saved: {error}")
            return
        if is_saved:
            self.counts["saved"] += 1
            self.wanted -= 1
            self.bar.update()
        else:
            self.counts["refused"] += 1

    def _note_problem(self, problem: str) -> None:
        """Keep the first reason why the current phrase's search ends early."""
        if not self.problem:
            self.problem = problem


def list_phrases(phrases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the class name of each phrase, in order, from phrases by class.

    Args:
        phrases: phrases by class name; one phrase may be given without a list.

    Raises:
        CrawlError: the phrases are not by class, or one is empty or listed twice.
        LabelError: a class is unknown; "" (no class) is allowed.
    """
    if not isinstance(phrases, Mapping):
        raise CrawlError(
            "The phrases must be listed by class: write them like {'with_mask': ['face mask']}."
        )
    class_by_phrase: dict[str, str] = {}
    for class_name, texts in phrases.items():
        if isinstance(texts, str):
            texts = [texts]
        for text in texts:
            phrase = " ".join(str(text).split())
            if not phrase or phrase in class_by_phrase:
                raise CrawlError(
                    f"The phrase '{phrase}' of {class_name or 'no class'} is empty or listed twice:"
                    " remove it."
                )
            class_by_phrase[phrase] = to_class_name(class_name) if class_name else ""
    return class_by_phrase


def name_folder(phrase: str) -> str:
    """Return a folder name for a phrase: "Maske & Brille #2" becomes ``maske-brille-2``."""
    name = re.sub(r"\W+", "-", phrase.casefold())
    return name[:MAX_FOLDER_NAME].strip("-") or "phrase"
