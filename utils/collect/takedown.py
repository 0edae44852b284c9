"""The take-down: a source's images, the faces cut from them and what was noted of them leave, and stay away."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import pandas as pd

from utils.collect.provenance import (
    COLUMNS,
    SOURCE_COLUMNS,
    SOURCES,
    TAKEN_DOWN,
    covers,
    read_refused,
    read_sources,
)
from utils.tables import TableError, append_rows, hold_folder, now, read_rows, replace_rows


def remove_source(
    folder: str | Path,
    source: str,
    tables: Iterable[str | Path] = (),
    root: str | Path | None = None,
    dry_run: bool = False,
) -> pd.DataFrame:
    """Remove the images of a source with their crops, their annotations and their rows, and note that they stay away.

    ``taken_down.csv`` is written first and ``sources.csv`` last: interrupted, it is finished by a second call.

    Args:
        folder: a crawl folder.
        source: the address of an image, a page (with all below it), a domain (with all below it), or a ``file`` of
            ``sources.csv``. Addresses are those of the image or of its page.
        tables: ``faces.csv``, ``hand_labels.csv``, ``labels.csv`` and the like, which know the images: CSV files
            with a column ``file``, or with ``sha256`` as a share list has it, and perhaps ``crop``. Those that do not
            exist are passed over.
        root: the data root, which ``file`` and ``crop`` of these tables lie below; the folder that holds the crawl
            folder by default. A crop may also lie below its table.
        dry_run: change nothing, to see what would be removed.

    Returns:
        A table ``file, url, page_url, sha256, crops, rows``, a row a removed image: the number of its crops and of its
        rows in ``tables``.

    Raises:
        TableError: the source is too wide to be meant, a table cannot be read or written, or another program is at
            work in the folder.
    """
    folder, source = Path(folder), source.strip()
    root = (folder.parent if root is None else Path(root)).resolve()
    if not any(mark in source for mark in ".:/"):
        raise TableError(
            f"'{source}' is no source: give an address, a page, a domain, or a file of {folder / SOURCES}."
        )
    with nullcontext() if dry_run else hold_folder(folder):
        return _remove(folder, source, list(map(Path, tables)), root, dry_run)


def _remove(
    folder: Path, source: str, tables: list[Path], root: Path, dry_run: bool
) -> pd.DataFrame:
    sources = read_sources(folder)
    chosen = _choose(folder, sources, source)
    gone = {(folder / file).resolve(): file for file in chosen.file}
    gone_hashes = dict(zip(chosen.sha256, chosen.file, strict=True))
    crops, count = {}, dict.fromkeys(chosen.file, 0)
    rest: dict[Path, pd.DataFrame] = {}
    for path in filter(Path.exists, tables):
        table = read_rows(path, ["file"])
        images = [gone.get((root / file).resolve()) for file in table.file]
        if "sha256" in table:
            images = [gone_hashes.get(sha256) for sha256 in table.sha256]
        if any(images):
            rest[path] = table[[image is None for image in images]]
        for image, crop in zip(images, table.get("crop", [""] * len(table)), strict=True):
            if image is not None:
                count[image] += 1
                crops |= {place / crop: image for place in (root, path.resolve().parent) if crop}
    crops = {path.resolve(): image for path, image in crops.items() if path.is_file()}
    removed = chosen[["file", "url", "page_url", "sha256"]].assign(
        crops=[sum(image == file for image in crops.values()) for file in chosen.file],
        rows=[count[file] for file in chosen.file],
    )
    if not dry_run:
        noted = chosen.to_dict("records") or [
            {}
        ]  # a source that we have nothing of is not asked in future either
        noted = [{**row, "source": source, "taken_down_at": now()} for row in noted]
        append_rows(folder / TAKEN_DOWN, noted, COLUMNS[TAKEN_DOWN])
        for path in gone:
            for file in (
                path,
                path.with_suffix(".xml"),
                path.parent / "annotations" / f"{path.stem}.xml",
            ):
                file.unlink(missing_ok=True)
        for path in crops:
            path.unlink(missing_ok=True)
        for path, table in rest.items():
            replace_rows(path, table)
        replace_rows(folder / SOURCES, sources[~sources.file.isin(chosen.file)][SOURCE_COLUMNS])
    return removed.reset_index(drop=True)


def _choose(folder: Path, sources: pd.DataFrame, source: str) -> pd.DataFrame:
    """The images of a source, also those that were found elsewhere first and refused there as duplicates."""

    def is_meant(table: pd.DataFrame) -> pd.Series:
        pairs = zip(table.url, table.page_url, strict=True)
        return pd.Series(
            [any(covers(source, address) for address in pair) for pair in pairs],
            table.index,
            dtype=bool,
        )

    refused = read_refused(folder)
    copies = set(refused[is_meant(refused)].sha256) - {""}
    return sources[(sources.file == source) | is_meant(sources) | sources.sha256.isin(copies)]
