"""Bytes from the web, politely: under a stated name, with pauses and few tries, and never more than can be used."""

from __future__ import annotations

import io
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

MAX_PIXELS = 80_000_000  # 240 MB in memory; no photograph on a web page is larger
BLOCK = 1 << 16
MAX_WAIT = (
    60.0  # seconds that a server's Retry-After is obeyed; who wants more is asked in another run
)
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
# The plugins themselves and not Image.open: which one reads the bytes is then decided by their signature alone, and
# no warning about bombs is sent through Python's warnings, whose settings all threads share.
FORMATS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg", JpegImageFile),
    (re.compile(rb"\x89PNG"), ".png", PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp", WebPImageFile),
)
BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationValueError,
    UnicodeError,
)


class FetchError(OSError):
    """What an address served cannot be used: ``reason`` is a word or two, ``sha256`` its hash where it is known, and
    ``wait`` the seconds after which a server that is busy wants to be asked again."""

    def __init__(self, reason: str, sha256: str = "", wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.sha256, self.wait = reason, sha256, wait


def is_temporary(reason: str) -> bool:
    """Whether what was refused for this reason is worth asking for again."""
    return reason.startswith(TEMPORARY)


def name_agent(contact: str = "") -> str:
    """The User-Agent: the project, its version and where those who are asked may ask back."""
    try:
        name = f"face-mask-detector/{version('face-mask-detector')}"
    except PackageNotFoundError:
        name = "face-mask-detector"
    return f"Mozilla/5.0 (compatible; {'; '.join(filter(None, [name, contact.strip()]))})"


class PoliteSession(requests.Session):
    """A session that waits between two requests to one host, and before it tries again.

    Args:
        contact: an e-mail address or a page where the owner of a server may ask what this is.
        delay: seconds between two requests to one host.
        tries: of one address, when it times out or its server is in trouble.
        wait: seconds before the second try, doubled before each further one; longer, up to ``MAX_WAIT``, where a server
            asks for it (``Retry-After``).
        timeout: seconds without an answer; a whole file may take four times as long.
        max_bytes: of a file.
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
        self.headers["User-Agent"] = name_agent(contact)
        self.delay, self.tries, self.wait, self.timeout, self.max_bytes = (
            delay,
            tries,
            wait,
            timeout,
            max_bytes,
        )
        self.stopped = Event()  # set: nothing more is fetched, and nobody waits any longer
        self._next_turn: dict[str, float] = {}
        self._lock = Lock()

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The content of an address.

        Raises:
            FetchError: after the last try: "HTTP 404" and the like, "timeout", "unreachable", "interrupted", "too
                large", "bad address"; "stopped" when the session is.
        """
        for attempt in range(self.tries):
            try:
                return self._fetch_once(url, headers)
            except FetchError as error:
                if not is_temporary(error.reason) or attempt == self.tries - 1:
                    raise
                asked = min(error.wait, MAX_WAIT)
            self.stopped.wait(max(asked, self.wait * 2**attempt))
        raise FetchError("stopped")

    def _fetch_once(self, url: str, headers: Mapping[str, str] | None) -> bytes:
        try:
            self._take_turn(urlsplit(url).netloc)
            deadline = time.monotonic() + 4 * self.timeout
            with self.get(url, headers=headers, timeout=self.timeout, stream=True) as response:
                if response.status_code != 200:
                    wait = response.headers.get(
                        "Retry-After", ""
                    )  # seconds; the few that send a date are not heard
                    raise FetchError(
                        f"HTTP {response.status_code}",
                        wait=float(wait) if wait.isdecimal() else 0.0,
                    )
                data = bytearray()
                # read1 and not iter_content, which waits for a full block however slowly it drips
                while block := response.raw.read1(BLOCK, decode_content=True):
                    data += block
                    if self.stopped.is_set():
                        raise FetchError("stopped")
                    if len(data) > self.max_bytes:
                        raise FetchError("too large")
                    if time.monotonic() > deadline:
                        raise FetchError("timeout")
                return bytes(data)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise FetchError("timeout") from error
        except BAD_ADDRESS as error:
            raise FetchError("bad address") from error
        except requests.TooManyRedirects as error:
            raise FetchError("too many redirects") from error
        except requests.RequestException as error:
            raise FetchError("unreachable") from error
        except urllib3.exceptions.HTTPError as error:
            raise FetchError("interrupted") from error
        except ValueError as error:  # what urlsplit makes of an address with half an IPv6 host
            raise FetchError("bad address") from error

    def _take_turn(self, host: str) -> None:
        with self._lock:
            turn = max(time.monotonic(), self._next_turn.get(host, 0.0))
            self._next_turn[host] = turn + self.delay
        if self.stopped.wait(max(0.0, turn - time.monotonic())):
            raise FetchError("stopped")


def check_header(data: bytes, min_side: int = 1) -> str:
    """The suffix of an image's true format, from its first bytes: nothing is decoded.

    Raises:
        FetchError: "not an image" (neither JPEG nor PNG nor WebP), "truncated" (its header already cannot be read),
            "decompression bomb" (more than ``MAX_PIXELS``), "too small" (its shorter side is under ``min_side``).
    """
    for signature, suffix, image_file in FORMATS:
        if signature.match(data):
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
