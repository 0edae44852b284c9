"""The command ``python -m utils.collect``, with the subcommands ``data`` and ``rebuild``.

``data`` fetches the public sets that trained the models; ``rebuild`` rebuilds a shared set.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from utils.collect.fetch import PoliteSession
from utils.collect.public_sets import (
    FOLDERS,
    GITHUB,
    MASKEDFACE_PAGE,
    PublicSetError,
    fetch_public_sets,
)
from utils.collect.rebuild import REBUILT_LABELS, read_share_list, rebuild_images, write_labels
from utils.paths import DATA_DIR
from utils.tables import TableError


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; each subcommand sets ``run``, a function from options to exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.collect", description="Collect photographs from the web."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_data(commands)
    _add_rebuild(commands)
    return parser


def _add_data(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand ``data``."""
    data = commands.add_parser(
        "data",
        help="fetch the public sets that trained the models",
        description="Fetch public data sets, check them, and bring them into the layout that the "
        "notebooks read. Finished sets and images are kept, so a second start continues.",
        epilog="Exit status: 0 every set is there, 1 some failed (each is named), "
        "2 an argument or the folder cannot be used.",
    )
    data.add_argument(
        "sets", nargs="*", metavar="SET", help=f"{', '.join(FOLDERS)} (default: all of them)"
    )
    data.add_argument(
        "--folder",
        type=Path,
        default=DATA_DIR / "raw",
        help="where the sets go, a folder each (default: data/raw)",
    )
    data.add_argument(
        "--kaggle-folder",
        type=Path,
        help="a copy of the Kaggle set with images/ and annotations/, instead of fetching it",
    )
    data.add_argument("--server", default=GITHUB, help="of the archives (default: %(default)s)")
    data.set_defaults(run=run_data)


def run_data(options: argparse.Namespace) -> int:
    """Fetch public sets, print what came and what failed, and return the exit status.

    Returns:
        0 if every set is there, 1 if some failed, 2 if a name is unknown or the folder cannot be
        written.
    """
    try:
        failures = fetch_public_sets(
            options.sets,
            options.folder,
            server=options.server,
            kaggle_folder=options.kaggle_folder,
        )
    except (PublicSetError, TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: run the command again to continue.", file=sys.stderr)
        return 1
    if not options.sets:
        print(
            "MaskedFace-Net is not fetched: its pages let no program load it. To add it, download "
            f"it by hand from {MASKEDFACE_PAGE}. The shipped models do not use it."
        )
    return 1 if failures else 0


def _add_rebuild(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand ``rebuild``."""
    rebuild = commands.add_parser(
        "rebuild",
        help="fetch the images of a shared list",
        description="Fetch the images of a shared list of addresses, and check that each is still "
        "the same file. Images that are there are not fetched again, so a second start continues "
        "an interrupted rebuild.",
        epilog="Exit status: 0 all images are there, 1 some are missing (each is named), "
        "2 the list or the folder cannot be used.",
    )
    rebuild.add_argument(
        "list", type=Path, metavar="LIST", help="CSV file with file, url, page_url, sha256, licence"
    )
    rebuild.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where the images go, in subfolders"
    )
    rebuild.add_argument(
        "--contact", default="", help="e-mail or page where site owners can ask who you are"
    )
    rebuild.add_argument(
        "--delay", type=float, default=1.0, help="seconds between requests to one host (default: 1)"
    )
    rebuild.add_argument(
        "--timeout", type=float, default=15.0, help="seconds to wait for an answer (default: 15)"
    )
    rebuild.add_argument(
        "--tries", type=int, default=3, help="tries if an address fails (default: 3)"
    )
    rebuild.set_defaults(run=run_rebuild)


def run_rebuild(options: argparse.Namespace) -> int:
    """Rebuild a set, print what came and what is missing, and return the exit status.

    Returns:
        0 if all images are there, except those that were taken down; 1 if some are missing; 2 if
        the list or the folder cannot be used.
    """
    session = PoliteSession(
        contact=options.contact,
        delay=options.delay,
        tries=max(1, options.tries),
        timeout=options.timeout,
    )
    try:
        table = rebuild_images(read_share_list(options.list), options.folder, session)
        label_count = write_labels(options.list, options.folder)
    except (TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: run the command again to continue.", file=sys.stderr)
        return 1
    is_there = table.outcome.isin(["there", "fetched"])
    missing = table[~is_there & (table.outcome != "taken down")]
    for row in missing.itertuples():
        print(f"{row.file} is missing: {row.outcome} ({row.url}).", file=sys.stderr)
    counts = [f"{number} {outcome}" for outcome, number in table.outcome.value_counts().items()]
    details = ", ".join(counts) or "the list is empty"
    print(f"{is_there.sum()} of {len(table)} images are in {options.folder}: {details}.")
    if label_count:
        print(
            f"Their {label_count} labels are in {options.folder / REBUILT_LABELS},"
            " which notebook 01 reads."
        )
    return 1 if len(missing) else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command with arguments (default: the command line); return the exit status."""
    options = make_parser().parse_args(arguments)
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
