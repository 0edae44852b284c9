"""Serve the built page on this machine, with the headers that threads in a browser need."""

from __future__ import annotations

import gzip
from contextlib import suppress
from functools import lru_cache
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from utils.web.build import PAGE_DIR, WebError

HOST = "127.0.0.1"  # this machine alone
PORT = 8000
# A page that is cross-origin isolated may share memory between threads.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageHandler(SimpleHTTPRequestHandler):
    """Answers requests for files of one folder, compressed."""

    protocol_version = "HTTP/1.1"
    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".onnx": "application/octet-stream",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def do_GET(self) -> None:
        """Answer with a file."""
        path = self._find_file()
        if path is None:
            self.send_error(404)
            return
        tag = f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'
        if self.headers.get("If-None-Match") == tag:  # the browser has this file already
            self.send_response(304)
            self.send_header("ETag", tag)
            self.end_headers()
            return
        data, is_compressed = self._read(path)
        self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if is_compressed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # the browser has left
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        """Answer whether a file is there."""
        self.send_response(200 if self._find_file() else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def end_headers(self) -> None:
        """Add the headers of the page to each answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for each request."""

    def _find_file(self) -> Path | None:
        """Return the requested file, or None if the folder has no such file."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path = path / "index.html"
        return path if path.is_file() else None

    def _read(self, path: Path) -> tuple[bytes, bool]:
        """Return a file's content, compressed if the browser takes that, and whether it is."""
        if "gzip" not in self.headers.get("Accept-Encoding", ""):
            return path.read_bytes(), False
        return _compress(path, path.stat().st_mtime_ns), True


@lru_cache(maxsize=64)
def _compress(path: Path, changed_ns: int) -> bytes:
    """Return a file's content compressed; ``changed_ns`` keeps old content from being returned."""
    return gzip.compress(path.read_bytes(), compresslevel=6)


def make_server(folder: str | Path = PAGE_DIR, port: int = PORT) -> ThreadingHTTPServer:
    """Return a server of a built page on this machine; its caller runs and closes it.

    Args:
        folder: from ``build_page``.
        port: the port to listen on; 0 for any free one.

    Raises:
        WebError: the page is not built, or the port is in use.
    """
    folder = Path(folder)
    if not (folder / "index.html").is_file():
        raise WebError(f"There is no page in {folder}: run `make page` first.")

    def handle(*arguments: object) -> PageHandler:
        return PageHandler(*arguments, directory=str(folder))  # type: ignore[arg-type]

    try:
        return ThreadingHTTPServer((HOST, port), handle)
    except OSError as error:
        raise WebError(
            f"Port {port} cannot be used ({error.strerror}): choose another one with --port."
        ) from error


def serve_page(folder: str | Path = PAGE_DIR, port: int = PORT) -> None:
    """Serve a built page until Ctrl-C.

    Raises:
        WebError: the page is not built, or the port is in use.
    """
    with make_server(folder, port) as server:
        address = f"http://localhost:{server.server_port}/"
        print(f"The page is at {address}. Ctrl-C ends this.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped.")
