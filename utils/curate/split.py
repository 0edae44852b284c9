"""The split of a data set into train, val and test.

``split_by_group`` makes a split. It never puts near-duplicates on two sides. ``keep_sides`` keeps
photographs that were split before on their side, ``digest_split`` identifies a split, and
``measure_leakage`` counts test images that have a near-duplicate in train.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from utils.detect import open_session
from utils.paths import DATA_DIR

SPLIT_FILE = DATA_DIR / "split.csv"  # the split that the shipped models were trained on
SIDES = ("train", "val", "test")
# The sources of models whose file does not name them, and those that were added to
# ``data/split.csv`` later.
FIRST_SOURCES = ("faces", "maskedface-net", "scenes")
LATER_SOURCES = ("ilc", "objects", "wider")


def split_by_group(table: pd.DataFrame, folds: int = 10, seed: int = 0) -> pd.Series:
    """Split a label table so that no group is on two sides.

    One fold becomes test, one becomes val, and the rest is train. The folds are balanced by source
    and class with scikit-learn's ``StratifiedGroupKFold``. If no combination of source and class
    has at least ``folds`` rows, they are balanced by class alone.

    Args:
        table: a label table with ``group``.
        folds: the number of folds; 10 gives 80/10/10. Small tables get fewer folds, each a larger
            share. A table that allows fewer than three folds is all train.
        seed: seed of the shuffle.

    Returns:
        A series of "train", "val" and "test" with the table's index.
    """
    strata = table.source + " " + table.class_name
    if strata.value_counts().max() < folds:
        strata = table.class_name
    split = np.full(len(table), "train", dtype=object)
    largest_stratum = strata.value_counts().max() if len(table) else 0
    folds = min(folds, largest_stratum, table.group.nunique())
    if folds >= 3:
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # A stratum with fewer rows than folds cannot be in each fold.
            warnings.filterwarnings("ignore", message="The least populated class")
            parts = [part for _, part in splitter.split(table, strata, table.group)]
        split[parts[0]] = "test"
        split[parts[1]] = "val"
    return pd.Series(split, index=table.index, name="split", dtype="str")


def keep_sides(table: pd.DataFrame, known: pd.DataFrame) -> pd.Series:
    """Return the side that an earlier split gave to each row's group.

    A corrected label or a new photograph then moves no photograph of the earlier split to another
    side.

    Args:
        table: a label table with ``group``.
        known: the earlier split, with ``file`` and ``split``.

    Returns:
        A series of sides with the table's index. If a group has photographs on several sides, test
        comes before val, and val before train. Rows of groups without a known photograph are NaN.
    """
    # Test has the highest rank, so that it wins in a group with photographs on several sides.
    rank_of_side = {side: rank for rank, side in enumerate(SIDES)}
    side_of_rank = dict(enumerate(SIDES))
    rank_of_file = known.set_index("file").split.map(rank_of_side)
    rank = table.file.map(rank_of_file)
    rank_of_group = rank.groupby(table.group).transform("max")
    return rank_of_group.map(side_of_rank)


def digest_split(table: pd.DataFrame) -> str:
    """Return a digest of a split: 16 hexadecimal digits that depend on the side of each photograph.

    A model stores the digest of its split in its metadata. ``is_split_of`` compares the two.

    Args:
        table: a table with ``file`` and ``split``.

    Returns:
        The first 16 digits of the SHA-256 of the lines ``file,split``, sorted by file, one per
        photograph.
    """
    photographs = table.drop_duplicates("file").sort_values("file")
    lines = (photographs.file + "," + photographs.split).str.cat(sep="\n")
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def is_split_of(table: pd.DataFrame, path: str | Path) -> bool:
    """Return whether a model was trained on the split of a label table.

    If so, the model has not seen the table's test photographs. Only the photographs of the sources
    that the model was trained on are compared, because all others are new to it.

    Args:
        table: a label table with ``split``.
        path: the model's ONNX file, which stores the digest of its split and its sources.
    """
    if table.empty:
        return False
    _, metadata = open_session(path)
    sources = json.loads(metadata.get("sources", json.dumps(FIRST_SOURCES)))
    return metadata.get("split") == digest_split(select_sources(table, sources))


def select_sources(table: pd.DataFrame, sources: Sequence[str]) -> pd.DataFrame:
    """Return a table without the photographs of later sources that a model does not know.

    Args:
        table: a table with ``file``, paths below a data root.
        sources: the model's sources, folders in the data root.
    """
    folder = table.file.str.split("/").str[0]
    added = set(LATER_SOURCES) - set(sources)
    return table[~folder.isin(added)]


def measure_leakage(pairs: pd.DataFrame, files: Sequence[str], split: pd.Series) -> float:
    """Return the share of test images that have a near-duplicate in train.

    Args:
        pairs: near-duplicates as ``first`` and ``second``, positions in ``files``.
        files: the images.
        split: the side of each file, indexed by file.
    """
    side = split.reindex(files).to_numpy()
    first = pairs["first"].to_numpy()
    second = pairs["second"].to_numpy()
    leaked_first = first[(side[first] == "test") & (side[second] == "train")]
    leaked_second = second[(side[second] == "test") & (side[first] == "train")]
    leaked = np.union1d(leaked_first, leaked_second)
    tested = int((side == "test").sum())
    return len(leaked) / max(1, tested)
