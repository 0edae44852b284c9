"""Where each image is from: the tables beside the images, and the list of addresses that can be shared.

A *crawl folder* holds images in folders of its own, and three tables: ``sources.csv`` has a row for each image,
``refused.csv`` for each refusal, ``taken_down.csv`` for each image or source that must not come back. An image is
written as ``<sha256>.part``, then gets its row, then its name: an interruption leaves both or, once mended, neither.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from utils.collect.fetch import FetchError
from utils.images import ImageError, read_image
from utils.tables import append_rows, now, read_rows, replace_rows

SOURCES, REFUSED, TAKEN_DOWN = "sources.csv", "refused.csv", "taken_down.csv"
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
]
SOURCE_COLUMNS += ["sha256", "width", "height"]
COLUMNS = {
    SOURCES: SOURCE_COLUMNS,
    REFUSED: ["url", "page_url", "phrase", "reason", "fetched_at", "sha256"],
    TAKEN_DOWN: ["source", "file", "url", "page_url", "sha256", "taken_down_at"],
}
SHARED_COLUMNS = ["file", "url", "page_url", "sha256", "licence"]


def read_sources(folder: str | Path) -> pd.DataFrame:
    """``sources.csv`` of a crawl folder, a row an image.

    Returns:
        A table ``file`` (POSIX path below the folder), ``url, page_url, title, phrase, class_name`` (what the phrase
        was meant to bring), ``licence`` (the filter asked for), ``filters`` (JSON of all, and the language),
        ``fetched_at, sha256``, and ``width, height`` (pixels of the upright image); what is not known is empty or 0.

    Raises:
        TableError: the file cannot be read.
    """
    table = read_rows(Path(folder) / SOURCES, SOURCE_COLUMNS)
    sides = ["width", "height"]
    return table.assign(**table[sides].apply(pd.to_numeric, errors="coerce").fillna(0).astype(int))


def read_refused(folder: str | Path) -> pd.DataFrame:
    """What a crawl folder could not keep, for each address the last reason.

    Returns:
        A table ``url, page_url, phrase, reason, fetched_at, sha256`` (where the bytes came), without what came later.

    Raises:
        TableError: the file cannot be read.
    """
    table = read_rows(Path(folder) / REFUSED, COLUMNS[REFUSED]).drop_duplicates("url", keep="last")
    return table[~table.url.isin(read_sources(folder).url)].reset_index(drop=True)


def read_taken_down(folder: str | Path) -> pd.DataFrame:
    """What was taken out of a crawl folder, and sources of which it had nothing, whose ``file`` is empty.

    Returns:
        A table ``source, file, url, page_url, sha256, taken_down_at``, all text.

    Raises:
        TableError: the file cannot be read.
    """
    return read_rows(Path(folder) / TAKEN_DOWN, COLUMNS[TAKEN_DOWN])


def write_part(folder: Path, data: bytes) -> Path:
    """Write an image's bytes as ``<sha256>.part`` in the folder that it will lie in."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{hashlib.sha256(data).hexdigest()}.part"
    part.write_bytes(data)
    return part


def keep_part(part: Path, folder: Path, row: Mapping[str, object]) -> None:
    """Append the image's row to ``sources.csv``, then give the image its name.

    Raises:
        FetchError: "truncated": the image cannot be read to its end.
    """
    try:
        height, width = read_image(part).shape[:2]
    except ImageError as error:
        part.unlink()
        raise FetchError("truncated") from error
    row = {**row, "sha256": part.stem, "width": width, "height": height, "fetched_at": now()}
    append_rows(folder / SOURCES, [row], SOURCE_COLUMNS)
    part.replace(folder / row["file"])


def mend_folder(folder: str | Path) -> None:
    """Finish what an interruption left: an image with a row gets its name, and what was half written goes.

    Raises:
        TableError: one of the tables cannot be used.
    """
    folder = Path(folder)
    for name, columns in COLUMNS.items():
        append_rows(folder / name, [], columns)
    file_of = read_sources(folder).drop_duplicates("sha256").set_index("sha256").file
    for part in folder.rglob("*.part"):
        target = folder / file_of.get(part.stem, part.name)
        if part.stem in file_of and not target.exists():
            part.replace(target)
        else:
            part.unlink()


def covers(source: str, address: str) -> bool:
    """Whether an address lies at a source: below a domain (``a.org`` has ``www.a.org``), or at or below a page."""
    (host, path), (found_host, found_path) = _split(source), _split(address)
    if not host or not found_host:
        return False
    if path in ("", "/"):
        return f".{found_host}".endswith(f".{host}")
    return (
        host == found_host
        and re.match(re.escape(path.rstrip("/")) + r"($|[/?#])", found_path) is not None
    )


def _split(address: str) -> tuple[str, str]:
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
    except ValueError:  # half an IPv6 host
        return "", ""
    return parts.netloc.lower().removeprefix("www."), parts.path + (
        f"?{parts.query}" if parts.query else ""
    )


class TakenDown:
    """What must not come back to a crawl folder: addresses and hashes that were taken down, and whole sources."""

    def __init__(self, folder: str | Path) -> None:
        table = read_taken_down(folder)
        self.files = set(table.file)
        self._known = {*table.url, *table.sha256} - {""}
        self._sources = set(table.source)

    def has(self, url: str, page_url: str = "", sha256: str = "") -> bool:
        """Whether an image is among them, by what is known of it."""
        if {url, sha256} & self._known:
            return True
        return any(
            covers(source, address) for source in self._sources for address in (url, page_url)
        )


def write_share_list(
    folder: str | Path, path: str | Path, labels: pd.DataFrame | None = None
) -> int:
    """Write the addresses and hashes of a crawl folder, which can be shared where its images cannot.

    Args:
        folder: a crawl folder.
        path: the list, a CSV file with ``file, url, page_url, sha256, licence``; ``utils.collect.rebuild`` reads it.
        labels: a label table, whose ``file`` lies below the crawl folder or the folder that holds it. Its other columns
            come along, a row a face, and images without a label are left out.

    Returns:
        The number of images in the list.
    """
    folder = Path(folder)
    shared = read_sources(folder)[SHARED_COLUMNS]
    if labels is not None:
        rest = labels.drop(
            columns=[name for name in SHARED_COLUMNS if name != "file" and name in labels]
        )
        shared = shared.merge(
            rest.assign(file=rest.file.str.removeprefix(f"{folder.name}/")), on="file"
        )
    replace_rows(path, shared)
    return shared.file.nunique()
