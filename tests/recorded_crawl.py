"""Writes a recorded crawl: pages of results of an invented Bing, and its drawn images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from tests.fake_bing import ERROR_PAGE, PAGES, format_page
from utils.collect.bing import BING
from utils.collect.recording import ANSWERS, COLUMNS, SEARCH_PATH

# The labels that two invented annotators, ann and ben, gave to the people in the recorded images.
LABELS = "two_annotators.csv"
OVERLOOKED_EVERY = 9  # ben gave each ninth face no label
DISPUTED_EVERY = 5  # and each fifth another one than ann
OTHER_CLASS = {
    "with_mask": "mask_worn_incorrectly",
    "mask_worn_incorrectly": "with_mask",
    "without_mask": "mask_worn_incorrectly",
}
SITES = ("photos.example.org", "pictures.example.com", "bilder.example.net")


@dataclass(frozen=True)
class Result:
    """A result of a search.

    Attributes:
        title: the title of its page.
        body: the answer that its image gets.
        status: the status of this answer.
        class_names: the classes of the people in the image.
        boxes: the (4,) box of the face of each.
    """

    title: str
    body: bytes
    status: int = 200
    class_names: Sequence[str] = ()
    boxes: Sequence[np.ndarray] = ()


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
        self._faces: list[tuple[str, np.ndarray, str]] = []  # address, box, class
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
            for class_name, box in zip(result.class_names, result.boxes, strict=True):
                self._faces.append((url, box, class_name))
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

    def write_labels(self) -> None:
        """Write ``two_annotators.csv``: address, box, and who gave the face which class.

        ben overlooks some faces, and disagrees with ann about others.
        """
        lines = ["url,x_min,y_min,x_max,y_max,class_name,labeller"]
        for number, (url, box, class_name) in enumerate(self._faces):
            place = f"{url},{','.join(str(round(side)) for side in box)}"
            lines.append(f"{place},{class_name},ann")
            if number % OVERLOOKED_EVERY == 0:
                continue
            is_disputed = number % DISPUTED_EVERY == 0
            other_name = OTHER_CLASS[class_name] if is_disputed else class_name
            lines.append(f"{place},{other_name},ben")
        text = "\n".join(lines) + "\n"
        (self.folder / LABELS).write_text(text, encoding="utf-8", newline="\n")

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
