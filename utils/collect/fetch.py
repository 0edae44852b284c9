"""Fetch files politely: under a stated name, with pauses, few retries and limits on time and size.

The crawl waits between requests in one place, ``PoliteSession._wait_for_turn``: two requests to the
same host are at least ``delay`` seconds apart, whichever thread makes them.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from threading import Event, Lock
from urllib.parse import urlsplit

import requests
import urllib3
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from utils.messages import UserError

# 240 MB as RGB in memory; photographs on web pages are smaller.
MAX_PIXELS = 80_000_000
# Bytes read from a connection at once.
BLOCK_BYTES = 1 << 16
# Seconds: the longest Retry-After that is waited for. A later run asks the slower servers again.
MAX_RETRY_AFTER = 60.0
# A download may take this many times the session's timeout.
DOWNLOAD_TIMEOUTS = 4
# Beginnings of the reasons after which a later request may succeed.
TEMPORARY = (
    "timeout",
    "unreachable",
    "interrupted",
    "stopped",
    "HTTP 408",
    "HTTP 425",
    "HTTP 429",
    "HTTP 5",
)
# Signature, suffix and reader of each accepted format. Pillow's format plugins are called directly
# instead of Image.open: only the signature decides which one reads the bytes, and Image.open would
# report large images through Python's warnings filters, which all threads share.
FORMATS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg", JpegImageFile),
    (re.compile(rb"\x89PNG"), ".png", PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp", WebPImageFile),
)
BAD_ADDRESS_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationValueError,
    UnicodeError,
)


class FetchError(UserError, OSError):
    """An address that could not be fetched, or served something unusable.

    Attributes:
        reason: one to three words, such as "timeout" or "HTTP 404".
        sha256: hash of the bytes, where they arrived.
        retry_after: seconds that the server asked to wait before the next request.
    """

    def __init__(self, reason: str, sha256: str = "", retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sha256 = sha256
        self.retry_after = retry_after


def is_temporary(reason: str) -> bool:
    """Return whether a later request may succeed after a failure for this reason."""
    return reason.startswith(TEMPORARY)


def make_user_agent(contact: str = "") -> str:
    """Return the User-Agent header: the project, its version and a contact for site owners."""
    try:
        name = f"face-mask-detector/{version('face-mask-detector')}"
    except PackageNotFoundError:
        name = "face-mask-detector"
    contact = contact.strip()
    details = f"{name}; {contact}" if contact else name
    return f"Mozilla/5.0 (compatible; {details})"


class PoliteSession(requests.Session):
    """A session that waits between two requests to one host, and before it retries.

    Threads may share it.

    Args:
        contact: an e-mail address or page where site owners can ask about the requests.
        delay: seconds between two requests to one host.
        tries: requests for one address if it times out or its server reports a temporary error.
        wait: seconds before the second try, doubled for each further one. If a server asks for a
            longer pause (``Retry-After``), it is kept, up to ``MAX_RETRY_AFTER``.
        timeout: seconds without an answer; a whole file may take four times as long.
        max_bytes: largest accepted file.

    Attributes:
        stopped: an event; once it is set, waits end and nothing more is fetched.
    """

    def __init__(
        self,
        contact: str = "",
        delay: float = 1.0,
        tries: int = 3,
        wait: float = 2.0,
        timeout: float = 15.0,
        max_bytes: int = 40_000_000,
    ) -> None:
        super().__init__()
        self.headers["User-Agent"] = make_user_agent(contact)
        self.delay = delay
        self.tries = tries
        self.wait = wait
        self.timeout = timeout
        self.max_bytes = max_bytes
        self.stopped = Event()
        self._next_turn: dict[str, float] = {}  # by host: earliest time of its next request
        self._lock = Lock()
        # urllib3 warns of every odd header that a server sends, between the lines of progress bars.
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the content of an address, after retries if necessary.

        Raises:
            FetchError: the last try failed. The reason is "HTTP 404" or another status, "timeout",
                "unreachable", "interrupted", "too large", "too many redirects", "bad address", or
                "stopped" if ``stopped`` was set.
        """
        for attempt in range(self.tries):
            try:
                return self._fetch_once(url, headers)
            except FetchError as error:
                is_last = attempt == self.tries - 1
                if is_last or not is_temporary(error.reason):
                    raise
                retry_after = min(error.retry_after, MAX_RETRY_AFTER)
            backoff = self.wait * 2**attempt
            self.stopped.wait(max(retry_after, backoff))
        raise FetchError("stopped")

    def _fetch_once(self, url: str, headers: Mapping[str, str] | None) -> bytes:
        """Wait for the host's turn and request an address once; failures become FetchError."""
        try:
            self._wait_for_turn(urlsplit(url).netloc)
            deadline = time.monotonic() + DOWNLOAD_TIMEOUTS * self.timeout
            with self.get(url, headers=headers, timeout=self.timeout, stream=True) as response:
                if response.status_code != 200:
                    raise FetchError(
                        f"HTTP {response.status_code}", retry_after=_read_retry_after(response)
                    )
                return self._read_body(response, deadline)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise FetchError("timeout") from error
        except BAD_ADDRESS_ERRORS as error:
            raise FetchError("bad address") from error
        except requests.TooManyRedirects as error:
            raise FetchError("too many redirects") from error
        except requests.RequestException as error:
            raise FetchError("unreachable") from error
        except urllib3.exceptions.HTTPError as error:
            raise FetchError("interrupted") from error
        except ValueError as error:  # urlsplit raises it for an incomplete IPv6 host
            raise FetchError("bad address") from error

    def _read_body(self, response: requests.Response, deadline: float) -> bytes:
        """Return a response's body; check the stop event, size and deadline after each block."""
        data = bytearray()
        while True:
            # read1 returns whatever has arrived. iter_content would wait for a full block, however
            # slowly the server sends it.
            block = response.raw.read1(BLOCK_BYTES, decode_content=True)
            if not block:
                return bytes(data)
            data += block
            if self.stopped.is_set():
                raise FetchError("stopped")
            if len(data) > self.max_bytes:
                raise FetchError("too large")
            if time.monotonic() > deadline:
                raise FetchError("timeout")

    def _wait_for_turn(self, host: str) -> None:
        """Wait until ``delay`` seconds have passed since the previous request to this host.

        Raises:
            FetchError: "stopped", at once when the session is stopped.
        """
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_turn.get(host, 0.0))
            self._next_turn[host] = turn + self.delay
        if self.stopped.wait(turn - now):
            raise FetchError("stopped")


def _read_retry_after(response: requests.Response) -> float:
    """Return the seconds of a Retry-After header; 0 without one, or if it is a date (rare)."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0


def check_header(data: bytes, min_side: int = 1) -> str:
    """Return the suffix of an image's true format, read from its header without decoding pixels.

    Args:
        data: the file's bytes.
        min_side: smallest accepted width and height in pixels.

    Raises:
        FetchError: the reason is "not an image" (neither JPEG, PNG nor WebP), "truncated" (its
            header cannot be read), "decompression bomb" (more than ``MAX_PIXELS``) or "too small".
    """
    for signature, suffix, image_file in FORMATS:
        if not signature.match(data):
            continue
        try:
            width, height = image_file(io.BytesIO(data)).size
        except (OSError, ValueError, SyntaxError, RuntimeError) as error:
            raise FetchError("truncated") from error
        if width * height > MAX_PIXELS:
            raise FetchError("decompression bomb")
        if min(width, height) < min_side:
            raise FetchError("too small")
        return suffix
    raise FetchError("not an image")
