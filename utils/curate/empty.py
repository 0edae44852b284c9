"""Pictures without people: what a detector must be silent on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from utils.curate.prepare import SPLIT_FILE
from utils.images import list_images
from utils.paths import DATA_DIR
from utils.tables import read_table

EMPTY_SOURCES = ("objects",)  # public sets of pictures of things and animals
# Pictures in them that show people, or faces in pictures, on screens and on statues. They were
# found with two detectors at a low confidence and by looking at all pictures.
PEOPLE_FILE = DATA_DIR / "people_in_objects.csv"


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
