"""Replay a recorded crawl: every answer comes from a file, and nothing is requested.

A recording is a folder with ``answers.csv``: for each address (``url``) the ``status`` and the
``file`` of its answer. ``data/sample/crawl`` is one.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from utils.collect.fetch import PoliteSession
from utils.messages import UserError
from utils.tables import read_rows

ANSWERS = "answers.csv"
COLUMNS = ["url", "status", "file"]
SEARCH_PATH = "/images/async"  # of the pages of results, see ``bing.make_address``
SEARCH_PARAMETERS = ("q", "setlang", "first")  # those that choose the recorded page


class RecordingError(UserError, LookupError):
    """An address that was not recorded, or no recording. The message is one sentence."""


def open_recording(folder: str | Path) -> PoliteSession:
    """Return a session that answers from a recording, without pauses.

    Filters and the number of results on a page do not matter: a search is known by its phrase, its
    language and the number of its first result.

    Args:
        folder: the folder with ``answers.csv``.

    Returns:
        The session. It raises RecordingError for an address that was not recorded.

    Raises:
        RecordingError: the folder holds no recording.
        TableError: its table cannot be read.
    """
    session = PoliteSession(delay=0, tries=1)
    session.trust_env = False  # no proxy, no passwords from the user's files
    adapter = RecordedAnswers(folder)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class RecordedAnswers(HTTPAdapter):
    """A transport of requests that answers from a recording; see ``open_recording``."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        if not (self.folder / ANSWERS).is_file():
            raise RecordingError(f"{self.folder} holds no {ANSWERS}: it is not a recorded crawl.")
        table = read_rows(self.folder / ANSWERS, COLUMNS)
        self._answers: dict[str, tuple[int, str]] = {}
        for row in table.itertuples():
            self._answers[shorten_address(row.url)] = (int(row.status), row.file)

    def send(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        """Return the recorded answer to a request.

        Raises:
            RecordingError: the address was not recorded.
        """
        address = str(request.url)
        answer = self._answers.get(shorten_address(address))
        if answer is None:
            raise RecordingError(self._describe_missing(address))
        status, file = answer
        body = io.BytesIO((self.folder / file).read_bytes())
        return self.build_response(
            request, urllib3.HTTPResponse(body, status=status, preload_content=False)
        )

    def _describe_missing(self, address: str) -> str:
        """Return the sentence for an address that was not recorded."""
        searches = set()
        for known in self._answers:
            phrase, language = _read_search(known)
            if phrase:
                searches.add(f"'{phrase}' ({language})")
        phrase, language = _read_search(address)
        what = f"'{phrase}' ({language})" if phrase else address
        return (
            f"{self.folder} has no answer to {what}: "
            f"search for one of {', '.join(sorted(searches))}, or crawl the web itself."
        )


def shorten_address(url: str) -> str:
    """Return an address of a search with its ``SEARCH_PARAMETERS`` only; others unchanged."""
    parts = urlsplit(url)
    if parts.path != SEARCH_PATH:
        return url
    query = parse_qs(parts.query)
    kept = [(name, query.get(name, [""])[0]) for name in SEARCH_PARAMETERS]
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(kept)}"


def _read_search(url: str) -> tuple[str, str]:
    """Return phrase and language of an address of a search; both are empty for others."""
    parts = urlsplit(url)
    if parts.path != SEARCH_PATH:
        return "", ""
    query = parse_qs(parts.query)
    return query.get("q", [""])[0], query.get("setlang", [""])[0]
