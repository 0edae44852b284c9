"""Take down a source: remove its images, their crops and rows, and ban it from coming back."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
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
from utils.csv_lines import append_rows, now
from utils.tables import TableError, hold_folder, read_rows, replace_rows


def remove_source(
    folder: str | Path,
    source: str,
    tables: Iterable[str | Path] = (),
    root: str | Path | None = None,
    dry_run: bool = False,
) -> pd.DataFrame:
    """Remove the images of a source with their crops, annotations and rows, and ban the source.

    ``taken_down.csv`` is written first and ``sources.csv`` last, so that a second call completes an
    interrupted one.

    Args:
        folder: the crawl folder.
        source: the address of an image, a page or a domain (each with everything below it), or a
            ``file`` of ``sources.csv``. An image belongs to a source if its own address or that of
            its page does.
        tables: other CSV files that list the images, such as ``faces.csv``, ``hand_labels.csv`` and
            ``labels.csv``: with a column ``file``, or ``sha256`` as in a share list, and optionally
            ``crop``. Missing files are skipped.
        root: the data root that ``file`` and ``crop`` of these tables start from; by default the
            parent of the crawl folder. A ``crop`` may also start from its table's folder.
        dry_run: change nothing, only return what would be removed.

    Returns:
        A table with a row per removed image: ``file``, ``url``, ``page_url``, ``sha256``, ``crops``
        (number of its crops) and ``rows`` (number of its rows in ``tables``).

    Raises:
        TableError: the source is not an address or file, a table cannot be read or written, or
            another program is using the folder.
    """
    folder = Path(folder)
    source = source.strip()
    root = folder.parent if root is None else Path(root)
    if not any(mark in source for mark in ".:/"):
        raise TableError(
            f"'{source}' is not a source: give an address, a page, a domain,"
            f" or a file of {folder / SOURCES}."
        )
    # A dry run changes nothing, so it needs no lock.
    lock: AbstractContextManager = nullcontext() if dry_run else hold_folder(folder)
    with lock:
        sources = read_sources(folder)
        chosen = _find_images_of_source(folder, sources, source)
        traces = _find_traces(folder, chosen, [Path(path) for path in tables], root.resolve())
        if not dry_run:
            _ban(folder, source, chosen)
            _delete_files(folder, chosen, traces)
            for path, table in traces.tables_without.items():
                replace_rows(path, table)
            remaining = sources[~sources.file.isin(chosen.file)]
            replace_rows(folder / SOURCES, remaining[SOURCE_COLUMNS])
    crop_files = list(traces.crops.values())
    removed = chosen[["file", "url", "page_url", "sha256"]].assign(
        crops=[crop_files.count(file) for file in chosen.file],
        rows=[traces.row_count[file] for file in chosen.file],
    )
    return removed.reset_index(drop=True)


def _find_images_of_source(folder: Path, sources: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the rows of ``sources.csv`` that belong to a source.

    An image also belongs to it if a copy from the source was refused as a duplicate.
    """
    refused = read_refused(folder)
    copies = set(refused.sha256[_is_covered(refused, source)]) - {""}
    is_file = sources.file == source
    is_copy = sources.sha256.isin(copies)
    return sources[is_file | is_copy | _is_covered(sources, source)]


def _is_covered(table: pd.DataFrame, source: str) -> pd.Series:
    """Return for each row whether its address or its page belongs to a source."""
    is_covered = [
        covers(source, url) or covers(source, page_url)
        for url, page_url in zip(table.url, table.page_url, strict=True)
    ]
    return pd.Series(is_covered, table.index, dtype=bool)


@dataclass
class _Traces:
    """What other tables have of the chosen images.

    Attributes:
        row_count: number of their rows, by ``file`` of ``sources.csv``.
        crops: ``file`` of ``sources.csv`` by the path of each crop that exists.
        tables_without: the tables that list them, without their rows, by path.
    """

    row_count: dict[str, int]
    crops: dict[Path, str] = field(default_factory=dict)
    tables_without: dict[Path, pd.DataFrame] = field(default_factory=dict)


def _find_traces(folder: Path, chosen: pd.DataFrame, tables: list[Path], root: Path) -> _Traces:
    """Find the rows and crops of the chosen images in other tables."""
    file_by_path = {(folder / file).resolve(): file for file in chosen.file}
    file_by_hash = dict(zip(chosen.sha256, chosen.file, strict=True))
    traces = _Traces(row_count=dict.fromkeys(chosen.file, 0))
    for path in tables:
        if not path.exists():
            continue
        table = read_rows(path, ["file"])
        if "sha256" in table:
            files = [file_by_hash.get(sha256) for sha256 in table.sha256]
        else:
            files = [file_by_path.get((root / file).resolve()) for file in table.file]
        is_other = [file is None for file in files]
        if not all(is_other):
            traces.tables_without[path] = table[is_other]
        crops = table.crop if "crop" in table else [""] * len(table)
        for file, crop in zip(files, crops, strict=True):
            if file is None:
                continue
            traces.row_count[file] += 1
            if not crop:
                continue
            for crop_path in (root / crop, path.resolve().parent / crop):
                if crop_path.is_file():
                    traces.crops[crop_path.resolve()] = file
    return traces


def _ban(folder: Path, source: str, chosen: pd.DataFrame) -> None:
    """Note a source and its images in ``taken_down.csv``.

    A source without images gets a row too, so that a later crawl does not request it.
    """
    rows = chosen.to_dict("records") or [{}]
    time = now()
    rows = [{**row, "source": source, "taken_down_at": time} for row in rows]
    append_rows(folder / TAKEN_DOWN, rows, COLUMNS[TAKEN_DOWN])


def _delete_files(folder: Path, chosen: pd.DataFrame, traces: _Traces) -> None:
    """Delete the chosen images, their annotations and their crops."""
    for file in chosen.file:
        image = (folder / file).resolve()
        image.unlink(missing_ok=True)
        image.with_suffix(".xml").unlink(missing_ok=True)
        annotation = image.parent / "annotations" / f"{image.stem}.xml"
        annotation.unlink(missing_ok=True)
    for crop in traces.crops:
        crop.unlink(missing_ok=True)
