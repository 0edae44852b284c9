"""Share a crawl folder as a list of addresses and hashes, and rebuild its images from such a list.

The list is a CSV file that can be shared where the images cannot: ``file``, ``url``, ``page_url``,
``sha256``, ``licence``, and the columns of a label table if there are labels. The command is
``python -m utils.collect rebuild LIST FOLDER``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm.auto import tqdm

from utils.collect.fetch import FetchError, PoliteSession
from utils.collect.provenance import (
    TakenDown,
    keep_part,
    mend_folder,
    read_sources,
    write_part,
)
from utils.tables import TableError, hold_folder, read_rows, replace_rows

REBUILT_LABELS = "labels.csv"
SHARED_COLUMNS = ["file", "url", "page_url", "sha256", "licence"]
# Names that are safe on every system, and suffixes that a crawl writes.
FILE_PATTERN = re.compile(r"[^\x00-\x1f\\:*?\"<>|]+\.(jpg|png|webp)")


def write_share_list(
    folder: str | Path, path: str | Path, labels: pd.DataFrame | None = None
) -> int:
    """Write the addresses and hashes of a crawl folder's images to a list.

    Args:
        folder: the crawl folder.
        path: the list to write.
        labels: a label table whose ``file`` is a path below the crawl folder or its parent. The
            list then has a row per face with the other columns of the table, and leaves out images
            without a label.

    Returns:
        The number of images in the list.
    """
    folder = Path(folder)
    shared = read_sources(folder)[SHARED_COLUMNS]
    if labels is not None:
        label_columns = [name for name in labels if name not in SHARED_COLUMNS]
        labels = labels[["file", *label_columns]]
        labels = labels.assign(file=labels.file.str.removeprefix(f"{folder.name}/"))
        shared = shared.merge(labels, on="file")
    replace_rows(path, shared)
    return shared.file.nunique()


def read_share_list(path: str | Path) -> pd.DataFrame:
    """Return the images of a list that ``write_share_list`` wrote, one row per image.

    Returns:
        A table ``file``, ``url``, ``page_url``, ``sha256``, ``licence``, all text.

    Raises:
        TableError: the list does not exist or cannot be read, or has a row that no crawl writes,
            such as a file outside of the folder.
    """
    if not Path(path).is_file():
        raise TableError(f"There is no list {path}: check the path.")
    table = read_rows(path, SHARED_COLUMNS)[SHARED_COLUMNS]
    table = table.drop_duplicates("file", ignore_index=True)
    for row in table.itertuples():
        column = _find_invalid_column(row.file, row.url, row.sha256)
        if column:
            raise TableError(
                f"{path}: the {column} of '{row.file}' is not valid: get the list again."
            )
    return table


def _find_invalid_column(file: str, url: str, sha256: str) -> str:
    """Return the name of the first invalid value in a row; empty if all are valid."""
    path = PurePosixPath(file)
    if not FILE_PATTERN.fullmatch(file) or path.is_absolute() or ".." in path.parts:
        return "file"
    if not re.match(r"https?://.", url):
        return "url"
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        return "sha256"
    return ""


def rebuild_images(
    shared: pd.DataFrame, folder: str | Path, session: PoliteSession
) -> pd.DataFrame:
    """Fetch the images of a list that a folder lacks; keep only identical files.

    The folder becomes a crawl folder with its ``sources.csv``. After an interruption, a second call
    continues. Shows a progress bar.

    Args:
        shared: the table from ``read_share_list``.
        folder: where the images go; created if missing.
        session: makes the requests.

    Returns:
        A table ``file``, ``url``, ``outcome``. The outcome is "there" (before the call), "fetched",
        "taken down", or why the image is missing: "changed" (the address serves another file now),
        "another file" (a different file has its name), or the reason of a ``FetchError``.

    Raises:
        TableError: a table in the folder cannot be used, or another program is using the folder.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    outcomes = []
    counts: Counter[str] = Counter()
    with hold_folder(folder):
        mend_folder(folder)
        taken_down = TakenDown(folder)
        known_files = set(read_sources(folder).file)
        with tqdm(shared.to_dict("records"), desc="rebuilding", unit="image") as bar:
            for row in bar:
                has_row = row["file"] in known_files
                try:
                    outcome = _rebuild_image(row, folder, session, taken_down, has_row)
                except FetchError as error:
                    outcome = error.reason
                outcomes.append(outcome)
                counts[outcome] += 1
                bar.set_postfix(counts, refresh=False)
    return shared[["file", "url"]].assign(outcome=pd.Series(outcomes, shared.index, dtype="str"))


def _rebuild_image(
    row: dict[str, str],
    folder: Path,
    session: PoliteSession,
    taken_down: TakenDown,
    has_row: bool,
) -> str:
    """Fetch one image unless it is there or was taken down; return the outcome.

    Args:
        row: the image's row of the list.
        folder: the crawl folder.
        session: makes the request.
        taken_down: what must not come back to the folder.
        has_row: whether ``sources.csv`` has the image already.
    """
    path = folder / row["file"]
    if path.exists():
        is_same = hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        return "there" if is_same else "another file"
    if taken_down.has(row["url"], row["page_url"], row["sha256"]):
        return "taken down"
    data = session.fetch(row["url"])
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        return "changed"
    part = write_part(path.parent, data)
    if has_row:  # only the image was lost
        part.replace(path)
    else:
        keep_part(part, folder, row)
    return "fetched"


def write_labels(path: str | Path, folder: str | Path) -> int:
    """Write the labels of a list as ``labels.csv`` into the rebuilt folder.

    Args:
        path: the list.
        folder: the rebuilt folder. The labels' ``file`` begins with its name, so that its parent is
            the data root. Labels of missing images are left out.

    Returns:
        The number of rows. A list without labels writes no file and returns 0.
    """
    folder = Path(folder)
    table = read_rows(path, SHARED_COLUMNS)
    if "class_name" not in table:
        return 0
    files_there = [file for file in table.file if (folder / file).is_file()]
    table = table[table.file.isin(files_there)]
    labels = table.drop(columns=[name for name in SHARED_COLUMNS if name != "file"])
    labels = labels.assign(file=f"{folder.resolve().name}/" + labels.file)
    replace_rows(folder / REBUILT_LABELS, labels)
    return len(labels)
