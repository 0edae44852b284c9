"""Photographs from Bing by search phrase, through icrawler, each with its source; what was refused is counted.

Of icrawler are the threads, the queues between them and Bing's filters. What it loses is mended here: phrases are
encoded, pages are asked for as long as images are wanted, no result is dropped however slow the downloads are, every
type of address is taken, and what Bing says in place of results reaches the reader.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Queue

import pandas as pd
from icrawler import Crawler, Downloader
from icrawler.builtin.bing import BingFeeder, BingParser
from tqdm.auto import tqdm

from utils.collect.bing import (
    MAX_RESULTS,
    CrawlError,
    Search,
    list_phrases,
    make_address,
    name_folder,
    read_results,
)
from utils.collect.crawl_folder import CrawlFolder
from utils.collect.fetch import FetchError, PoliteSession
from utils.collect.provenance import read_sources
from utils.tables import hold_folder

BING = "https://www.bing.com"
THREADS = 4


class _Feeder(BingFeeder):
    def feed(self, search: Search) -> None:
        first = 1
        while first <= MAX_RESULTS and not search.is_over:
            self.out_queue.put(f"{search.address}&first={first}")
            self.out_queue.join()  # until its results were handed on: then it is known whether and where to go on
            if not search.found:
                break
            first += search.found
        self.out_queue.put(None)


class _Parser(BingParser):
    def __init__(self, *args: object, folder: CrawlFolder) -> None:
        super().__init__(*args)
        self.folder = folder

    def worker_exec(self, search: Search) -> None:
        try:
            while (url := self.in_queue.get()) is not None:
                self.read_page(url, search)
        finally:
            for _ in range(THREADS):
                self.out_queue.put(None)

    def read_page(self, url: str, search: Search) -> None:
        search.found = 0
        try:
            results = read_results(
                self.session.fetch(url, headers={"Accept-Language": search.language})
            )
            if not results and url.endswith("&first=1"):
                search.report(
                    f"Bing has no results for '{search.phrase}': use other words or fewer filters."
                )
            for row in search.select(results, self.folder.knows):
                self.out_queue.put(row)
        except FetchError as error:
            search.report(
                f"Bing did not answer to '{search.phrase}' ({error.reason}): try again later."
            )
        except CrawlError as error:
            search.report(f"What Bing answers to '{search.phrase}' {error}.")
        finally:
            self.in_queue.task_done()


class _Downloader(Downloader):
    def __init__(self, *args: object, folder: CrawlFolder, min_side: int) -> None:
        super().__init__(*args)
        self.folder, self.min_side = folder, min_side

    def worker_exec(self, search: Search) -> None:
        subfolder = name_folder(search.phrase)
        while (row := self.in_queue.get()) is not None:
            if not search.start_one():
                continue
            outcome = "failed"
            try:
                outcome = (
                    "saved"
                    if self.folder.fetch(self.session, row, subfolder, self.min_side)
                    else "refused"
                )
            except (
                Exception
            ) as error:  # a full disk, say: if the thread died of it, the others would wait for it
                search.stop(f"The images of '{search.phrase}' cannot be kept: {error}")
            finally:
                search.end_one(outcome)


class _Crawler(Crawler):
    def __init__(self, session: PoliteSession, folder: CrawlFolder, min_side: int) -> None:
        self.session = session
        super().__init__(
            *(_Feeder, _Parser, _Downloader),
            downloader_threads=THREADS,
            storage={"root_dir": str(folder.path)},
            extra_parser_args={"folder": folder},
            extra_downloader_args={"folder": folder, "min_side": min_side},
        )
        # icrawler's own queues take a result for seen also when there was no room for it.
        self.feeder.out_queue = self.parser.in_queue = Queue()
        self.parser.out_queue = self.downloader.in_queue = Queue(THREADS)

    def set_session(self, headers: Mapping[str, str] | None = None) -> None:
        """Keep the polite one."""

    def set_logger(self, log_level: int = logging.WARNING) -> None:
        """Leave logging as it is, which icrawler would set up for the whole program, but for odd headers of servers."""
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def crawl(self, search: Search, bar: tqdm) -> None:
        """Go through one phrase; when that is interrupted, the threads end before the interruption is passed on."""
        pools = (self.feeder, self.parser, self.downloader)
        for pool in pools:
            pool.start(search=search)
        workers = [worker for pool in pools for worker in pool.workers]
        try:
            while alive := [worker for worker in workers if worker.is_alive()]:
                alive[0].join(0.5)
                bar.update(search.counts["saved"] - bar.n)
                bar.set_postfix(search.counts)
        except BaseException:
            search.stop("It was interrupted.")
            self.session.stopped.set()
            for worker in workers:
                worker.join()
            raise


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
    """Search Bing and keep the images, a folder a phrase; called again, it goes on where it stopped.

    What is in the folder, or was refused for good, is not asked for again; what timed out is.

    Args:
        phrases: for each class the phrases that should bring it; "" where a phrase is meant for no class.
        folder: the crawl folder, see ``provenance``.
        count: images wanted of each phrase, those that are there included; Bing shows 1000 at most.
        session: says who asks, and how patiently.
        filters: Bing's, as icrawler names them: "license" ("creativecommons", "publicdomain", "commercial", ...),
            "size" ("large", ">640x480", ...), "type" ("photo", ...), "people" ("face", "portrait"), "date"
            ("pastyear", ...), "color" and "layout".
        language: of the phrases, and of the country whose results are wanted: "de-DE".
        server: another one that answers like Bing.
        min_side: pixels of an image's shorter side; smaller ones are refused.

    Returns:
        What is new, as ``provenance.read_sources`` has it, and a table ``phrase, problem`` of the searches that ended
        with a problem, after which the other phrases went on.

    Raises:
        CrawlError: the phrases, a filter, the count or the language cannot be used.
        LabelError: a class is unknown.
        TableError: the folder's tables cannot be used, or another program is at work there.
    """
    filters = {
        "license" if name == "licence" else name: value for name, value in (filters or {}).items()
    }
    asked = _write_filters(filters)
    shared = {
        "licence": filters.get("license", ""),
        "filters": json.dumps({**filters, "language": language}),
    }
    classes = list_phrases(phrases)
    if not isinstance(count, int):
        raise CrawlError(f"'{count}' is no number of images: write it like 300.")
    addresses = {phrase: make_address(server, phrase, language, asked) for phrase in classes}
    counts, problems = Counter(saved=0, refused=0, known=0), []
    session.stopped.clear()
    with hold_folder(folder), tqdm(total=0, desc="crawling", unit="image") as bar:
        crawl_folder, before = CrawlFolder(folder), len(read_sources(folder))
        missing = {phrase: max(0, count - crawl_folder.count.get(phrase, 0)) for phrase in classes}
        bar.total = sum(missing.values())
        for phrase, class_name in classes.items():
            row = {"phrase": phrase, "class_name": class_name, **shared}
            search = Search(phrase, addresses[phrase], language, row, missing[phrase], counts)
            if not search.is_over:
                _Crawler(session, crawl_folder, min_side).crawl(search, bar)
            bar.total -= search.wanted  # what Bing had not
            problems.append({"phrase": phrase, "problem": search.problem})
    problems = pd.DataFrame(problems, columns=["phrase", "problem"], dtype="str").query(
        "problem != ''"
    )
    return read_sources(folder)[before:].reset_index(drop=True), problems.reset_index(drop=True)


def _write_filters(filters: dict[str, str]) -> str:
    known = BingFeeder.get_filter(None)
    for name, value in filters.items():
        choices = known.rules[name][1] if name in known.rules else None
        try:
            known.apply({name: value})
        except (KeyError, ValueError, TypeError, AssertionError, AttributeError) as error:
            names = ", ".join(choices or (["large", ">640x480"] if name == "size" else known.rules))
            raise CrawlError(
                f"Bing cannot filter by {name} '{value}': use one of {names}."
            ) from error
    return known.apply(filters)
