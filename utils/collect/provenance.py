"""The crawl folder: images, and tables that say where each one comes from.

A *crawl folder* holds images in subfolders, and three tables: ``sources.csv`` with a row for each
image, ``refused.csv`` with a row for each refusal, and ``taken_down.csv`` with a row for each image
or source that must not come back.

An image is written as ``<sha256>.part``, then its row is appended, then it gets its name. After an
interruption, ``mend_folder`` completes an image that has its row and deletes one that has none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import pandas as pd

from utils.collect.fetch import FetchError, PoliteSession, check_header, is_temporary
from utils.csv_lines import append_rows, now
from utils.images import ImageError, measure_image_apart
from utils.tables import read_rows

SOURCES = "sources.csv"
REFUSED = "refused.csv"
TAKEN_DOWN = "taken_down.csv"
SOURCE_COLUMNS = [
    "file",
    "url",
    "page_url",
    "title",
    "phrase",
    "class_name",
    "licence",
    "filters",
    "fetched_at",
    "sha256",
    "width",
    "height",
]
COLUMNS = {
    SOURCES: SOURCE_COLUMNS,
    REFUSED: ["url", "page_url", "phrase", "reason", "fetched_at", "sha256"],
    TAKEN_DOWN: ["source", "file", "url", "page_url", "sha256", "taken_down_at"],
}


def read_sources(folder: str | Path) -> pd.DataFrame:
    """Return ``sources.csv`` of a crawl folder, one row per image.

    Returns:
        A table ``file`` (POSIX path below the folder), ``url``, ``page_url``, ``title``,
        ``phrase``, ``class_name`` (the class that the phrase should bring), ``licence`` (the
        licence filter), ``filters`` (all filters and the language, as JSON), ``fetched_at``,
        ``sha256``, ``width`` and ``height`` (pixels of the upright image). Unknown values are
        empty, or 0.

    Raises:
        TableError: the file cannot be read.
    """
    table = read_rows(Path(folder) / SOURCES, SOURCE_COLUMNS)
    for side in ("width", "height"):
        table[side] = pd.to_numeric(table[side], errors="coerce").fillna(0).astype(int)
    return table


def read_refused(folder: str | Path) -> pd.DataFrame:
    """Return what a crawl folder refused: the last reason for each address.

    Returns:
        A table ``url``, ``page_url``, ``phrase``, ``reason``, ``fetched_at``, ``sha256`` (empty if
        no bytes arrived). Addresses whose image was saved later are left out.

    Raises:
        TableError: a file cannot be read.
    """
    table = read_rows(Path(folder) / REFUSED, COLUMNS[REFUSED])
    table = table.drop_duplicates("url", keep="last")
    was_saved = table.url.isin(read_sources(folder).url)
    return table[~was_saved].reset_index(drop=True)


def read_taken_down(folder: str | Path) -> pd.DataFrame:
    """Return the images that were removed from a crawl folder, and the sources that are banned.

    Returns:
        A table ``source``, ``file`` (empty if the folder had no image of the source), ``url``,
        ``page_url``, ``sha256``, ``taken_down_at``; all text.

    Raises:
        TableError: the file cannot be read.
    """
    return read_rows(Path(folder) / TAKEN_DOWN, COLUMNS[TAKEN_DOWN])


def write_part(folder: Path, data: bytes) -> Path:
    """Write an image's bytes as ``<sha256>.part`` into its future folder and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{hashlib.sha256(data).hexdigest()}.part"
    part.write_bytes(data)
    return part


def keep_part(part: Path, folder: Path, row: Mapping[str, str]) -> None:
    """Append an image's row to ``sources.csv``, then give the image its name.

    Args:
        part: the file from ``write_part``.
        folder: the crawl folder.
        row: the image's row; ``sha256``, size and time are added here.

    Raises:
        FetchError: "truncated": the image cannot be decoded to its end; the part is deleted.
    """
    try:
        width, height = measure_image_apart(part)
    except ImageError as error:
        part.unlink()
        raise FetchError("truncated") from error
    measured = {"sha256": part.stem, "width": width, "height": height, "fetched_at": now()}
    append_rows(folder / SOURCES, [{**row, **measured}], SOURCE_COLUMNS)
    part.replace(folder / row["file"])


def mend_folder(folder: str | Path) -> None:
    """Create the missing tables of a crawl folder, and repair what an interruption left.

    An image that has its row gets its name; other partial files are deleted.

    Raises:
        TableError: one of the tables cannot be used.
    """
    folder = Path(folder)
    for name, columns in COLUMNS.items():
        append_rows(folder / name, [], columns)
    sources = read_sources(folder).drop_duplicates("sha256")
    file_by_hash = dict(zip(sources.sha256, sources.file, strict=True))
    for part in folder.rglob("*.part"):
        file = file_by_hash.get(part.stem)
        if file is not None and not (folder / file).exists():
            part.replace(folder / file)
        else:
            part.unlink()


def covers(source: str, address: str) -> bool:
    """Return whether an address belongs to a source.

    Args:
        source: a domain, which covers its subdomains (``a.org`` covers ``www.a.org``), or a page,
            which covers the addresses below it.
        address: the address to check.
    """
    host, path = _split_address(source)
    address_host, address_path = _split_address(address)
    if not host or not address_host:
        return False
    if path in ("", "/"):
        return f".{address_host}".endswith(f".{host}")
    if host != address_host:
        return False
    below = re.escape(path.rstrip("/")) + r"($|[/?#])"
    return re.match(below, address_path) is not None


def _split_address(address: str) -> tuple[str, str]:
    """Return the host without ``www.``, and the path with its query; empty for a bad address."""
    if "//" not in address:
        address = f"//{address}"
    try:
        parts = urlsplit(address)
    except ValueError:  # an incomplete IPv6 host
        return "", ""
    host = parts.netloc.lower().removeprefix("www.")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return host, path


class TakenDown:
    """The images and sources that must not come back to a crawl folder.

    Args:
        folder: the crawl folder.

    Attributes:
        files: paths of the removed images below the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        table = read_taken_down(folder)
        self.files = set(table.file)
        self._addresses_and_hashes = {*table.url, *table.sha256} - {""}
        self._sources = set(table.source)

    def has(self, url: str, page_url: str = "", sha256: str = "") -> bool:
        """Return whether an image is among them, by its address, its page or its bytes."""
        if url in self._addresses_and_hashes or sha256 in self._addresses_and_hashes:
            return True
        for source in self._sources:
            if covers(source, url) or covers(source, page_url):
                return True
        return False


class CrawlFolder:
    """A crawl folder that is open for new images; no image enters it twice.

    Threads may share it. Use ``tables.hold_folder`` to keep a second program out.

    Args:
        path: the folder; created if missing, and repaired if a crawl was interrupted.

    Attributes:
        path: the folder.
        count: number of images by phrase.

    Raises:
        TableError: one of its tables cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        mend_folder(self.path)
        sources = read_sources(self.path)
        refused = read_refused(self.path)
        self.count: dict[str, int] = sources.phrase.value_counts().to_dict()
        self._taken_down = TakenDown(self.path)
        self._done_urls = set(sources.url)
        for url, reason in zip(refused.url, refused.reason, strict=True):
            if not is_temporary(reason):
                self._done_urls.add(url)
        self._hashes = set(sources.sha256)
        self._last_number = self._find_last_numbers([*sources.file, *self._taken_down.files])
        self._lock = Lock()

    def _find_last_numbers(self, files: list[str]) -> dict[str, int]:
        """Return the highest number used in each subfolder, by the given files or those on disk."""
        paths = [Path(file) for file in files]
        paths.extend(self.path.glob("*/*"))
        last: dict[str, int] = {}
        for path in paths:
            if path.stem.isdecimal():
                subfolder = path.parent.name
                last[subfolder] = max(last.get(subfolder, 0), int(path.stem))
        return last

    def is_done(self, url: str) -> bool:
        """Return whether an address need not be requested: it was saved, or refused for good."""
        return url in self._done_urls

    def fetch(
        self, session: PoliteSession, row: Mapping[str, str], subfolder: str, min_side: int = 1
    ) -> bool:
        """Fetch an image and save it, or note why it was refused.

        Args:
            session: makes the request.
            row: the image's columns of ``sources.csv``; at least ``url``, ``page_url``, ``phrase``.
            subfolder: the subfolder to save it in.
            min_side: smallest accepted width and height in pixels.

        Returns:
            Whether it was saved.
        """
        try:
            if self._taken_down.has(row["url"], row["page_url"]):
                raise FetchError("taken down")
            data = session.fetch(row["url"])
            suffix = check_header(data, min_side)
            self.add(data, suffix, subfolder, row)
        except FetchError as error:
            if error.reason != "stopped":
                self.refuse(row, error)
            return False
        return True

    def add(self, data: bytes, suffix: str, subfolder: str, row: Mapping[str, str]) -> None:
        """Save an image, its bytes unchanged, under the next number of a subfolder.

        Raises:
            FetchError: "duplicate", "taken down" or "truncated"; nothing is saved.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        with self._lock:
            if self._taken_down.has(row["url"], sha256=sha256):
                raise FetchError("taken down", sha256)
            if sha256 in self._hashes:
                raise FetchError("duplicate", sha256)
            self._hashes.add(sha256)
        part = write_part(self.path / subfolder, data)
        with self._lock:
            number = self._last_number.get(subfolder, 0) + 1
            keep_part(part, self.path, {**row, "file": f"{subfolder}/{number:06d}{suffix}"})
            self._last_number[subfolder] = number
            self._done_urls.add(row["url"])
            self.count[row["phrase"]] = self.count.get(row["phrase"], 0) + 1

    def refuse(self, row: Mapping[str, str], error: FetchError) -> None:
        """Note a refusal in ``refused.csv``; unless its reason is temporary, it is final."""
        with self._lock:
            refusal = {
                **row,
                "reason": error.reason,
                "sha256": error.sha256,
                "fetched_at": now(),
            }
            append_rows(self.path / REFUSED, [refusal], COLUMNS[REFUSED])
            if not is_temporary(error.reason):
                self._done_urls.add(row["url"])
