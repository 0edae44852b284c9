"""A crawl folder that is open for more: it knows what it has and what it refused, so that nothing comes twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from utils.collect.fetch import FetchError, PoliteSession, check_header, is_temporary
from utils.collect.provenance import (
    COLUMNS,
    REFUSED,
    TakenDown,
    keep_part,
    mend_folder,
    read_refused,
    read_sources,
    write_part,
)
from utils.tables import append_rows, now


class CrawlFolder:
    """The folder and its tables, as ``provenance`` describes them. Threads may share it; ``tables.hold_folder`` keeps a
    second program out.

    Attributes:
        path: where it is; made, and mended where a crawl was interrupted.
        count: images by phrase, as ``{phrase: number}``.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the folder.

        Raises:
            TableError: one of its tables cannot be read or written.
        """
        self.path = Path(path)
        mend_folder(self.path)
        sources, refused = read_sources(self.path), read_refused(self.path)
        self.count = sources.phrase.value_counts().to_dict()
        self._taken_down = TakenDown(self.path)
        self._urls = {
            *sources.url,
            *(row.url for row in refused.itertuples() if not is_temporary(row.reason)),
        }
        self._hashes = set(sources.sha256)
        self._last: dict[
            str, int
        ] = {}  # number in each folder below; those of what was taken down are not used again
        for file in [
            *map(Path, sources.file),
            *map(Path, self._taken_down.files),
            *self.path.glob("*/*"),
        ]:
            if file.stem.isdecimal():
                self._last[file.parent.name] = max(
                    self._last.get(file.parent.name, 0), int(file.stem)
                )
        self._lock = Lock()

    def knows(self, url: str) -> bool:
        """Whether an address need not be asked for: its image is here, or was refused for good."""
        return url in self._urls

    def fetch(
        self, session: PoliteSession, row: Mapping[str, str], subfolder: str, min_side: int = 1
    ) -> bool:
        """Fetch an image and keep it, or note why not.

        Args:
            session: fetches it.
            row: what ``sources.csv`` shall have of it: at least ``url, page_url, phrase``.
            subfolder: where to.
            min_side: pixels of the shorter side; smaller images are refused.

        Returns:
            Whether it was kept.
        """
        try:
            if self._taken_down.has(row["url"], row["page_url"]):
                raise FetchError("taken down")
            data = session.fetch(row["url"])
            self.add(data, check_header(data, min_side), subfolder, row)
            return True
        except FetchError as error:
            if error.reason != "stopped":
                self.refuse(row, error)
            return False

    def add(self, data: bytes, suffix: str, subfolder: str, row: Mapping[str, str]) -> None:
        """Keep an image, its bytes as they are, under the next number of a folder below.

        Raises:
            FetchError: "duplicate", "taken down" or "truncated"; nothing is kept.
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
            number = self._last.get(subfolder, 0) + 1
            keep_part(part, self.path, {**row, "file": f"{subfolder}/{number:06d}{suffix}"})
            self._last[subfolder] = number
            self._urls.add(row["url"])
            self.count[row["phrase"]] = self.count.get(row["phrase"], 0) + 1

    def refuse(self, row: Mapping[str, str], error: FetchError) -> None:
        """Note in ``refused.csv`` that an image was refused and why; for good, unless the reason is temporary."""
        with self._lock:
            refusal = {**row, "reason": error.reason, "sha256": error.sha256, "fetched_at": now()}
            append_rows(self.path / REFUSED, [refusal], COLUMNS[REFUSED])
            if not is_temporary(error.reason):
                self._urls.add(row["url"])
