"""Fetch the public data sets that trained the models.

The GitHub sets are archives of one commit; ``data/public_sets.csv`` lists their repositories,
commits and digests. kagglehub fetches the Kaggle set. ``convert`` brings all of them into the
project's layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from utils.collect.public_sets.archives import GITHUB, GitHubSet, PublicSetError, download_archive
from utils.collect.public_sets.convert import convert_archive, convert_kaggle_set
from utils.paths import DATA_DIR
from utils.tables import TableError, read_rows, read_table, replace_rows

SETS_FILE = DATA_DIR / "public_sets.csv"
SET_COLUMNS = ["set", "repository", "commit", "files", "digest", "pattern"]
DOWNLOADS = "downloads"  # folder beside the data root that holds archives until they are converted
KAGGLE_SET = "andrewmvd/face-mask-detection/versions/1"
KAGGLE_PAGE = "https://www.kaggle.com/datasets/andrewmvd/face-mask-detection"
MASKEDFACE_PAGE = "https://github.com/cabani/MaskedFace-Net"
# The folders below the data root, in the order of fetching, and the GitHub sets that each combines.
FOLDERS = {
    "scenes": (),  # the Kaggle set
    "faces": ("faces", "classic"),
    "ilc": ("ilc",),
    "wider": ("wider",),
    "objects": ("objects",),
}


def read_public_sets(path: str | Path = SETS_FILE) -> dict[str, GitHubSet]:
    """Read the table of GitHub sets, by name.

    Raises:
        TableError: the file cannot be read, a column is missing, or a number of files is none.
    """
    table = read_table(path, SET_COLUMNS, as_text=True)
    sets = {}
    for row in table.to_dict("records"):
        if not row["files"].isdecimal():
            raise TableError(
                f"{path} has {row['files']!r} as the number of files of {row['set']}: correct it."
            )
        sets[row["set"]] = GitHubSet(
            name=row["set"],
            repository=row["repository"],
            commit=row["commit"],
            count=int(row["files"]),
            digest=row["digest"],
            pattern=row["pattern"],
        )
    return sets


def fetch_kaggle_set() -> Path:
    """Fetch the Kaggle set with kagglehub, which needs no account; return its folder.

    Raises:
        PublicSetError: kagglehub is not installed, or Kaggle cannot be reached.
    """
    try:
        import kagglehub
    except ImportError as error:
        raise PublicSetError(
            "scenes: the package kagglehub is not installed. Run `make data`, which installs it, "
            f"or fetch {KAGGLE_PAGE} by hand and name its folder with --kaggle-folder."
        ) from error
    try:
        return Path(kagglehub.dataset_download(KAGGLE_SET))
    except Exception as error:  # kagglehub raises the errors of several libraries
        raise PublicSetError(
            f"scenes: Kaggle could not be reached ({type(error).__name__}). Run the same command "
            f"again, or fetch {KAGGLE_PAGE} by hand and name its folder with --kaggle-folder."
        ) from error


def fetch_public_sets(
    names: Sequence[str],
    root: str | Path,
    server: str = GITHUB,
    kaggle_folder: str | Path | None = None,
    sets_file: str | Path = SETS_FILE,
    report: Callable[[str], None] = print,
) -> list[str]:
    """Fetch, check and convert public sets; return a sentence for each that failed.

    One set that fails does not stop the others. Finished sets and finished images are kept.

    Args:
        names: of ``FOLDERS``; all of them if empty.
        root: the data root, such as ``data/raw``. Archives go to ``downloads`` beside it, and are
            deleted once they are converted.
        server: of the GitHub archives.
        kaggle_folder: a copy of the Kaggle set that is there already.
        sets_file: the table of GitHub sets.
        report: takes one sentence on each set.

    Raises:
        PublicSetError: a name is unknown.
        TableError: a table of the project cannot be used.
        OSError: a folder cannot be written.
    """
    root = Path(root)
    unknown = [name for name in names if name not in FOLDERS]
    if unknown:
        raise PublicSetError(f"There is no public set '{unknown[0]}': use {', '.join(FOLDERS)}.")
    sets = read_public_sets(sets_file)
    for part in sum((FOLDERS[name] for name in names or FOLDERS), ()):
        if part not in sets:
            raise TableError(f"{sets_file} does not list the set {part}: restore the file.")
    failures = []
    for name in names or FOLDERS:
        left_out = 0
        try:
            if name == "scenes":
                source = Path(kaggle_folder) if kaggle_folder else fetch_kaggle_set()
                left_out += _report_problems(name, convert_kaggle_set(source, root), report)
            for part in FOLDERS[name]:
                table = _fetch_github_set(sets[part], root, server)
                left_out += _report_problems(name, table, report)
        except PublicSetError as error:
            report(str(error))
            failures.append(str(error))
            continue
        count = sum(1 for _ in (root / name).rglob("*.jpg"))
        report(f"{name}: {count} images in {root / name}, {left_out} left out.")
    return failures


def _report_problems(name: str, table: pd.DataFrame, report: Callable[[str], None]) -> int:
    """Report the images that were left out; return how many there are."""
    problems = table.problem[table.problem != ""]
    for problem in problems:
        report(f"{name}: left out: {problem}")
    return len(problems)


def _fetch_github_set(public_set: GitHubSet, root: Path, server: str) -> pd.DataFrame:
    """Fetch and convert one GitHub set, unless all of its images are there already.

    A note beside the archives keeps the result of the conversion, so that a finished set is not
    fetched again.
    """
    downloads = root.parent / DOWNLOADS
    note = downloads / f"{public_set.name}-{public_set.digest[:12]}.csv"
    if note.is_file():
        table = read_rows(note, ["file", "problem"])
        converted = table.file[table.problem == ""]
        if all((root / file).is_file() for file in converted):
            return table
    archive = download_archive(public_set, downloads, server)
    table = convert_archive(public_set, archive, root)
    replace_rows(note, table)
    archive.unlink()
    return table
