"""A server on loopback that serves archives as GitHub does, and fails in chosen ways."""

import io
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def make_archive(folder: str, files: Mapping[str, bytes]) -> bytes:
    """A zip archive whose files lie in one folder, as in GitHub's archives."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, content in files.items():
            archive.writestr(f"{folder}/{path}", content)
    return data.getvalue()


class ArchiveServer:
    """Serves ``/OWNER/NAME/archive/COMMIT.zip``; use it in a ``with`` statement.

    Attributes:
        archives: content by path of the address.
        break_after: bytes after which the connection of the first request breaks off, if not None.
        has_ranges: whether a request for the rest of a file gets the rest.
        requests: the path and the Range header of each request.
    """

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.break_after: int | None = None
        self.has_ranges = True
        self.requests: list[tuple[str, str | None]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                range_header = self.headers.get("Range")
                owner.requests.append((self.path, range_header))
                data = owner.archives.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                start = 0
                if range_header and owner.has_ranges:
                    start = int(range_header.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                end = len(data)
                if owner.break_after is not None:
                    end = owner.break_after
                    owner.break_after = None
                self.wfile.write(data[start:end])

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ArchiveServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
