"""A local server that answers like Bing and serves its images, with faults for the tests."""

from __future__ import annotations

import html
import io
import json
import struct
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np
from PIL import Image

ERROR_PAGE = b"<html><body><h1>Something went wrong</h1><p>Ref A: 1F2E</p></body></html>"
# Answers that are not a page of results, by name: status and content.
PAGES = {
    "nothing": (200, b""),
    "an empty list": (
        200,
        b"<html><body><div class='dgControl'><ul class='dgControl_list'></ul></div></body></html>",
    ),
    "no results": (
        200,
        b"<html><body><div><h2>There are no results for <b>that</b></h2></div></body></html>",
    ),
    "an empty page": (200, b"<html><head><script>var a = 1;</script></head><body> </body></html>"),
    "error 500": (500, ERROR_PAGE),
    "forbidden": (403, ERROR_PAGE),
    "another form": (
        200,
        b"<html><body><figure data-image='https://a.org/1.jpg'>A photo</figure></body></html>",
    ),
    "other entries": (
        200,
        b"<html><body><ul class='dgControl_list'><li><a m='{&quot;u&quot;: 1}'></a></ul></html>",
    ),
    "a captcha": (200, b"<html><body>One last step: are you a robot?</body></html>"),
}


@cache
def draw_photo(seed: str, side: int = 160, kind: str = "JPEG") -> bytes:
    """Return the bytes of an image file; each seed gives another picture."""
    rng = np.random.default_rng(list(seed.encode()))
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((side * 4 // 3, side), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


@cache
def draw_bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """Return a PNG file of a few kilobytes that decodes to millions of black pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IEND", b"")]
    chunks.insert(1, (b"IDAT", zlib.compress(bytes(((width + 7) // 8 + 1) * height), 1)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def format_page(results: Sequence[Mapping[str, str]]) -> bytes:
    """Return a page of results as Bing writes it.

    Args:
        results: for each result ``murl``, ``purl``, ``t`` and ``turl``: addresses of the image and
            of its page, the title, and the address of the preview.
    """
    entries = []
    for details in results:
        link = f'<a class="iusc" m="{html.escape(json.dumps(details))}"></a>'
        entries.append(f'<li><div class="iuscp"><div class="imgpt">{link}</div></div></li>')
    items = "".join(entries)
    return f'<html><body><ul class="dgControl_list">{items}</ul></body></html>'.encode()


class FakeBing:
    """The server; use it in a ``with`` block.

    Args:
        results: the results for each phrase: files, which are served unchanged, or
            ``kind/name.suffix`` for a drawn picture. Kinds: ``ok``; ``png`` and ``webp`` (true
            formats); ``same`` (always the same picture); ``html``; ``truncated``; ``bomb``;
            ``small``; ``huge`` (too many bytes); ``cut`` (the connection breaks); ``late`` (answers
            after a second); ``drip`` (byte by byte); ``shaky`` (fails the first time); ``busy``
            (the first time, with a Retry-After of a second); or a number, the status to answer.
        page_size: results on a page.
        port: the port to listen on; 0 for any free one.

    Attributes:
        url: the server's address.
        asked: number of requests for each path, without its query.
        searches: query and headers of each search.
        delay: seconds before each image.
        page_delay: seconds before each page.
        pages: by phrase, a name in ``PAGES`` and the number of the first result that it replaces.
        mended: whether all kinds are served as ``ok``.
    """

    def __init__(
        self, results: Mapping[str, Sequence[str | Path]], page_size: int = 10, port: int = 0
    ) -> None:
        self.results = results
        self.page_size = page_size
        self._files: dict[str, Path] = {}
        for listed in results.values():
            self._files.update({path.name: path for path in listed if isinstance(path, Path)})
        self.asked: Counter[str] = Counter()
        self.searches: list[tuple[dict[str, str], dict[str, str]]] = []
        self.delay = 0.0
        self.page_delay = 0.0
        self.pages: dict[str, tuple[str, int]] = {}
        self.mended = False
        self._lock = Lock()
        draw_bomb()  # cached now, because drawing takes longer than the timeout of a test
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                pass  # a killed crawler closes its connections

        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeBing:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def address(self, result: str | Path) -> str:
        """Return the address of a result's image."""
        return (
            f"{self.url}/file/{quote(result.name)}"
            if isinstance(result, Path)
            else f"{self.url}/img/{result}"
        )

    def count_images(self) -> int:
        """Return the number of requests for images."""
        with self._lock:
            return sum(
                number for path, number in self.asked.items() if not path.startswith("/images/")
            )

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        with self._lock:
            self.asked[parts.path] += 1
            times = self.asked[parts.path]
        if parts.path == "/images/async":
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.searches.append((query, dict(request.headers)))
            time.sleep(self.page_delay)
            self._send(request, *self._make_page(query.get("q", ""), int(query["first"])))
        elif parts.path.startswith("/file/"):
            time.sleep(self.delay)
            self._send(
                request, 200, self._files[unquote(parts.path.removeprefix("/file/"))].read_bytes()
            )
        else:
            time.sleep(self.delay)
            _, _, kind, name = parts.path.split("/", 3)
            self._send_image(request, "ok" if self.mended else kind, name, times)

    def _make_page(self, phrase: str, first: int) -> tuple[int, bytes]:
        results = self.results.get(phrase, [])
        name, start = self.pages.get(phrase, ("nothing", len(results) + 1))
        if first >= start:
            return PAGES[name]
        shown = []
        for number, result in enumerate(results[first - 1 : first - 1 + self.page_size], first):
            name = Path(result).stem
            details = {
                "murl": self.address(result),
                "purl": f"https://site{number % 3}.example.org/page/{name}",
                "t": f"\ue000Title\ue001 of {name},\n {number} “é”",
                "turl": f"{self.url}/th/{name}",
            }
            shown.append(details)
        return 200, format_page(shown)

    def _send_image(
        self, request: BaseHTTPRequestHandler, kind: str, name: str, times: int
    ) -> None:
        photo = draw_photo(name)
        if kind.isdecimal():
            return self._send(request, int(kind), ERROR_PAGE)
        if kind == "shaky" and times == 1:
            return self._send(request, 503, ERROR_PAGE)
        if kind == "busy" and times == 1:
            request.send_response(429)
            request.send_header("Retry-After", "1")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        if kind == "late":
            time.sleep(1)
        if kind == "cut":
            return self._send(request, 200, photo[:1000], len(photo))
        if kind == "drip":
            return self._send(request, 200, photo, pause=0.05)
        contents = {
            "png": lambda: draw_photo(name, kind="PNG"),
            "webp": lambda: draw_photo(name, kind="WEBP"),
            "same": lambda: draw_photo("same"),
            "html": lambda: ERROR_PAGE,
            "truncated": lambda: photo[: len(photo) // 2],
            "bomb": draw_bomb,
            "small": lambda: draw_photo(name, side=30),
            "huge": lambda: photo + bytes(2_000_000),
        }
        self._send(request, 200, contents.get(kind, lambda: photo)())

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        length: int | None = None,
        pause: float = 0,
    ) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(data) if length is None else length))
        request.end_headers()
        for start in range(0, len(data), 20) if pause else ():
            request.wfile.write(data[start : start + 20])
            request.wfile.flush()
            time.sleep(pause)
        if not pause:
            request.wfile.write(data)
