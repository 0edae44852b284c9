"""The photographs that a notebook runs on.

``open_data`` chooses the data root: ``data/raw``, or the sample that ships. ``read_empty`` lists
the pictures in it that show no people: a detector should find no face in them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from utils.classes import LabelError
from utils.curate.split import SPLIT_FILE
from utils.images import list_images
from utils.paths import DATA_DIR, OUTPUT_DIR, RAW_DIR, SAMPLE_DIR
from utils.tables import read_table

# The environment variable with which ``make notebooks`` and the tests keep their runs short.
USE_SAMPLE = "FACE_MASK_SAMPLE"
HOW_TO_GET_DATA = (
    "fetch the public sets with `make data`, or collect your own with notebook 01 (see README.md)"
)
EMPTY_SOURCES = ("objects",)  # public sets of pictures of things and animals
# Pictures in them that show people, or faces in pictures, on screens and on statues. They were
# found with two detectors at a low confidence and by looking at all pictures.
PEOPLE_FILE = DATA_DIR / "people_in_objects.csv"


@dataclass(frozen=True)
class DataSource:
    """A folder of photographs, and where a run on them writes.

    Attributes:
        root: the data root, see ``formats.read_labels``.
        is_sample: whether it is the sample that ships in ``data/sample``.
        output: where the run writes: ``output/`` for the sample, ``data/`` for other photographs.
    """

    root: Path
    is_sample: bool
    output: Path


def open_data(folder: str | Path | None = None, create: bool = False) -> DataSource:
    """Choose the photographs to run on, and print one line that says which they are.

    Args:
        folder: the data root. None means ``data/raw`` if it holds photographs, else the sample. If
            the environment variable ``FACE_MASK_SAMPLE`` is set, None means the sample.
        create: make a missing folder instead of raising, and accept an empty one; None then means
            ``data/raw`` in any case. Notebook 01 fills it.

    Returns:
        The source. Its paths are relative to the current folder, unless ``folder`` is absolute.

    Raises:
        LabelError: the folder is missing or holds no photographs.
    """
    if folder is None:
        use_raw = create or (not os.environ.get(USE_SAMPLE) and _count_images(RAW_DIR) > 0)
        root = _relative(RAW_DIR if use_raw else SAMPLE_DIR)
    else:
        root = Path(folder)
    is_sample = root.resolve() == SAMPLE_DIR.resolve()
    if create and not is_sample:
        root.mkdir(parents=True, exist_ok=True)
    count = _count_images(root)
    if not root.is_dir():
        raise LabelError(f"There is no folder {root}: {HOW_TO_GET_DATA}.")
    if not count and not create:
        raise LabelError(f"{root} holds no photographs: {HOW_TO_GET_DATA}.")
    name = _name(root)
    if is_sample:
        print(
            f"Photographs: {name}, {count} drawn examples. Figures measured on them mean nothing: "
            "`make data` or notebook 01 gets real photographs."
        )
        return DataSource(root, is_sample=True, output=_relative(OUTPUT_DIR))
    print(f"Photographs: {name} ({count:,} {'file' if count == 1 else 'files'}).")
    return DataSource(root, is_sample=False, output=_relative(DATA_DIR))


def _count_images(folder: Path) -> int:
    return len(list_images(folder)) if folder.is_dir() else 0


def _relative(path: Path) -> Path:
    """Return a path relative to the current folder, as it is written in a notebook."""
    try:
        return Path(os.path.relpath(path))
    except ValueError:  # on another drive of Windows
        return path


def _name(root: Path) -> str:
    """Return how to name a data root: relative to the project if it is in it."""
    path = root.resolve()
    project = DATA_DIR.parent.resolve()
    if path.is_relative_to(project):
        return path.relative_to(project).as_posix()
    return str(root)


def read_empty(
    root: str | Path, sources: tuple[str, ...] = EMPTY_SOURCES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read which pictures of a data root show no people.

    Args:
        root: the data root.
        sources: folders of the root whose pictures show things. Missing ones are skipped.

    Returns:
        A table ``file, source, split``, and a table ``file, why`` of the pictures that are left out
        because ``data/people_in_objects.csv`` names them. A picture that is not in
        ``data/split.csv`` is in train.
    """
    people = read_table(PEOPLE_FILE, ["file", "why"])
    side_of_file = read_table(SPLIT_FILE, ["file", "split"]).set_index("file").split
    rows = []
    for source in sources:
        folder = Path(root) / source
        if not folder.is_dir():
            continue
        for path in list_images(folder):
            rows.append({"file": path.relative_to(root).as_posix(), "source": source})
    table = pd.DataFrame(rows, columns=["file", "source"], dtype="str")
    table["split"] = table.file.map(side_of_file).fillna("train").astype("str")
    shows_people = table.file.isin(people.file)
    left_out = people[people.file.isin(table.file)].reset_index(drop=True)
    return table[~shows_people].reset_index(drop=True), left_out
