"""Writes a recorded crawl: pages of results of an invented Bing, and its drawn images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.fake_bing import ERROR_PAGE, PAGES, format_page
from utils.collect.bing import BING
from utils.collect.recording import ANSWERS, COLUMNS, SEARCH_PATH

SITES = ("photos.example.org", "pictures.example.com", "bilder.example.net")


@dataclass(frozen=True)
class Result:
    """A result of a search: the title of its page, and the answer that its image gets."""

    title: str
    body: bytes
    status: int = 200


WEB_PAGE = Result("A page in place of a picture", ERROR_PAGE)
NOT_FOUND = Result("A picture that is gone", ERROR_PAGE, status=404)


class Recording:
    """A recording that is being written; ``utils.collect.open_recording`` reads it.

    Args:
        folder: where to; it is created.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rows: list[tuple[str, int, str]] = []
        self._files: dict[bytes, str] = {}  # the name of each body
        self._count = 0

    def add_search(self, phrase: str, language: str, results: Sequence[Result]) -> None:
        """Add a search: its page of results, the page after it, and the images."""
        shown = []
        for result in results:
            self._count += 1
            site = SITES[self._count % len(SITES)]
            url = f"https://{site}/images/{self._count:03}.jpg"
            details = {
                "murl": url,
                "purl": f"https://{site}/pages/{self._count:03}",
                "t": result.title,
                "turl": f"{url}?preview",
            }
            shown.append(details)
            self._add(url, result.status, result.body, "image")
        first_page = format_page(shown) if shown else PAGES["no results"][1]
        self._add(format_search(phrase, language, 1), 200, first_page, "page")
        if shown:
            self._add(format_search(phrase, language, 1 + len(shown)), 200, b"", "page")

    def write_table(self) -> None:
        """Write ``answers.csv``."""
        lines = [",".join(COLUMNS)]
        lines += [f"{url},{status},{file}" for url, status, file in self._rows]
        text = "\n".join(lines) + "\n"
        (self.folder / ANSWERS).write_text(text, encoding="utf-8", newline="\n")

    def _add(self, url: str, status: int, body: bytes, kind: str) -> None:
        """Write the body of an answer, unless another answer has the same, and note its row.

        The file's name ends in ``.body`` and not in ``.jpg``, because it holds what a server sent,
        which need not be an image.
        """
        if body not in self._files:
            self._files[body] = f"{kind}_{len(self._files) + 1:02}.body"
            (self.folder / self._files[body]).write_bytes(body)
        self._rows.append((url, status, self._files[body]))


def format_search(phrase: str, language: str, first: int) -> str:
    """Return the address of a page of results, as a recording names it."""
    query = urlencode({"q": phrase, "setlang": language, "first": first})
    return f"{BING}{SEARCH_PATH}?{query}"
