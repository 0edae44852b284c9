"""Rebuild a set of images from a list of addresses and hashes: ``python -m utils.collect.rebuild LIST FOLDER``."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm.auto import tqdm

from utils.collect.fetch import FetchError, PoliteSession
from utils.collect.provenance import (
    SHARED_COLUMNS,
    TakenDown,
    keep_part,
    mend_folder,
    read_sources,
    write_part,
)
from utils.tables import TableError, hold_folder, read_rows, replace_rows

LABELS = "labels.csv"
FILE = re.compile(r"[^\x00-\x1f\\:*?\"<>|]+\.(jpg|png|webp)")


def read_share_list(path: str | Path) -> pd.DataFrame:
    """A list as ``provenance.write_share_list`` writes it, a row an image.

    Returns:
        A table ``file, url, page_url, sha256, licence``, all text.

    Raises:
        TableError: it cannot be read, or has a row that no crawl could have written; the sentence names it.
    """
    if not Path(path).is_file():
        raise TableError(f"There is no list {path}: check the path.")
    table = read_rows(path, SHARED_COLUMNS)[SHARED_COLUMNS].drop_duplicates(
        "file", ignore_index=True
    )
    for row in table.itertuples():
        place = PurePosixPath(row.file)
        wrong = [
            *(
                ["file"]
                if not FILE.fullmatch(row.file) or place.is_absolute() or ".." in place.parts
                else []
            ),
            *(["url"] if not re.match(r"https?://.", row.url) else []),
            *(["sha256"] if not re.fullmatch(r"[0-9a-f]{64}", row.sha256) else []),
        ]
        if wrong:
            raise TableError(f"{path}: the {wrong[0]} of '{row.file}' is none: get the list anew.")
    return table


def rebuild_images(
    shared: pd.DataFrame, folder: str | Path, session: PoliteSession
) -> pd.DataFrame:
    """Fetch what a list has and a folder has not, with a progress bar; only the very same files are kept.

    The folder becomes a crawl folder, with its ``sources.csv``. Called again, it goes on where it stopped.

    Args:
        shared: as ``read_share_list`` gives it.
        folder: where to; made where it is missing.
        session: fetches.

    Returns:
        A table ``file, url, outcome``: "there" (it was), "fetched", "taken down", or why it is missing: "changed" (its
        address serves another file now), "another file" (its place is taken), or a reason of ``fetch.FetchError``.

    Raises:
        TableError: a table in the folder cannot be used, or another program is at work there.
        OSError: the folder cannot be written.
    """
    folder, outcomes, counts = Path(folder), [], Counter()
    with (
        hold_folder(folder),
        tqdm(shared.to_dict("records"), desc="rebuilding", unit="image") as bar,
    ):
        mend_folder(folder)
        taken_down, known = TakenDown(folder), set(read_sources(folder).file)
        for row in bar:
            try:
                outcome = _rebuild_image(row, folder, session, taken_down, row["file"] in known)
            except FetchError as error:
                outcome = error.reason
            outcomes.append(outcome)
            counts[outcome] += 1
            bar.set_postfix(counts, refresh=False)
    return shared[["file", "url"]].assign(outcome=pd.Series(outcomes, shared.index, dtype="str"))


def _rebuild_image(
    row: dict, folder: Path, session: PoliteSession, taken_down: TakenDown, is_known: bool
) -> str:
    target = folder / row["file"]
    if target.exists():
        return (
            "there"
            if hashlib.sha256(target.read_bytes()).hexdigest() == row["sha256"]
            else "another file"
        )
    if taken_down.has(row["url"], row["page_url"], row["sha256"]):
        return "taken down"
    data = session.fetch(row["url"])
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        return "changed"
    part = write_part(target.parent, data)
    if is_known:  # its row is there, and the image alone was lost
        part.replace(target)
    else:
        keep_part(part, folder, row)
    return "fetched"


def write_labels(path: str | Path, folder: str | Path) -> int:
    """Write the labels that a list brought along as ``labels.csv`` in the rebuilt folder, of the images that are there.

    Args:
        path: the list.
        folder: the rebuilt folder; ``file`` of the labels begins with its name, so that the folder above it is the
            data root.

    Returns:
        The number of rows; a list without labels writes none.
    """
    folder, table = Path(folder), read_rows(path, SHARED_COLUMNS)
    if "class_name" not in table:
        return 0
    table = table[[(folder / file).is_file() for file in table.file]]
    labels = table.drop(columns=[name for name in SHARED_COLUMNS if name != "file"])
    replace_rows(folder / LABELS, labels.assign(file=f"{folder.resolve().name}/" + labels.file))
    return len(labels)


def main(arguments: list[str] | None = None) -> int:
    """The command; 0: all images are there (but those taken down), 1: some are missing, 2: list or folder is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.collect.rebuild",
        description="Fetch the images of a shared list of addresses, checking that each is still the same file. "
        "What is there is not fetched again, so that an interrupted rebuild goes on when it is started anew.",
        epilog="Exit status: 0 all images are there, 1 some are missing (each is named), 2 list or folder is wrong.",
    )
    parser.add_argument(
        "list", type=Path, metavar="LIST", help="CSV file with file, url, page_url, sha256, licence"
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where the images go, in folders of their own"
    )
    parser.add_argument(
        "--contact", default="", help="e-mail or page where the servers' owners may ask who you are"
    )
    parser.add_argument(
        "--delay", type=float, default=1.0, help="seconds between requests to one host (default: 1)"
    )
    parser.add_argument(
        "--timeout", type=float, default=15.0, help="seconds to wait for an answer (default: 15)"
    )
    parser.add_argument(
        "--tries", type=int, default=3, help="of an address in trouble (default: 3)"
    )
    options = parser.parse_args(arguments)
    session = PoliteSession(
        options.contact, options.delay, max(1, options.tries), timeout=options.timeout
    )
    try:
        table = rebuild_images(read_share_list(options.list), options.folder, session)
        labels = write_labels(options.list, options.folder)
    except (TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: start it again to go on.", file=sys.stderr)
        return 1
    is_there = table.outcome.isin(["there", "fetched"])
    missing = table[~is_there & (table.outcome != "taken down")]
    for row in missing.itertuples():
        print(f"{row.file} is missing: {row.outcome} ({row.url}).", file=sys.stderr)
    counts = ", ".join(
        f"{number} {outcome}" for outcome, number in table.outcome.value_counts().items()
    )
    print(
        f"{is_there.sum()} of {len(table)} images are in {options.folder}: {counts or 'the list is empty'}."
    )
    if labels:
        print(f"Their {labels} labels are in {options.folder / LABELS}, which notebook 01 reads.")
    return 1 if len(missing) else 0


if __name__ == "__main__":
    sys.exit(main())
