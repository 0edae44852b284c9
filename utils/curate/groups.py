"""Near-duplicate images, and a split that keeps each group of them on one side.

Images are compared by difference hash (N. Krawetz, "Kind of Like That", 2013) at 256 bits, against the other image and
its mirror. The upper half has a hash of its own: a mask pasted on a portrait changes the lower half alone.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold
from tqdm.auto import tqdm

from utils.curate.hamming import find_close_pairs
from utils.images import read_image

HASH_SIDE = 16
# Where the histogram of distances has its valley on 5,427 web photographs: below are copies, above are strangers.
MAX_DISTANCE_FULL, MAX_DISTANCE_TOP = 38, 26


def difference_hash(grey: np.ndarray) -> np.ndarray:
    """256-bit difference hash of an (H, W) uint8 image, (4,) uint64: is each pixel brighter than its left neighbour?"""
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)


def hash_image(image: np.ndarray) -> np.ndarray:
    """Hashes of an image, its mirror, its upper half and the upper half's mirror: (4, 4) uint64."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    top = grey[: max(1, len(grey) // 2)]
    return np.stack(
        [
            difference_hash(np.ascontiguousarray(view))
            for view in (grey, grey[:, ::-1], top, top[:, ::-1])
        ]
    )


def hash_images(files: Sequence[str | Path]) -> np.ndarray:
    """Hashes (N, 4, 4) of image files in their order, read on all cores, with a progress bar.

    Raises:
        ImageError: a file cannot be read; it is named. ``convert.find_broken_images`` finds all of them beforehand.
    """
    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # threads: OpenCV lets others run while it works
        hashes = list(
            tqdm(pool.map(_hash_file, files), total=len(files), desc="hashing", unit="image")
        )
    return np.array(hashes, np.uint64).reshape(-1, 4, 4)


def _hash_file(file: str | Path) -> np.ndarray:
    return hash_image(read_image(file))


def find_near_duplicates(hashes: np.ndarray, looseness: float = 1.0) -> pd.DataFrame:
    """Pairs of images that look alike: all of them, without comparing each image with each (``utils.curate.hamming``).

    Args:
        hashes: (N, 4, 4), from ``hash_images``.
        looseness: scales both distance limits; above 1 it finds more, and more of it by chance.

    Returns:
        A table ``first, second`` of positions, first < second, sorted. K images all alike are K (K - 1) / 2 rows.
    """
    full = find_close_pairs(hashes[:, :2], int(MAX_DISTANCE_FULL * looseness))
    top = find_close_pairs(hashes[:, 2:], int(MAX_DISTANCE_TOP * looseness))
    pairs = pd.DataFrame(np.concatenate([full, top]), columns=["first", "second"])
    return pairs.drop_duplicates().sort_values(["first", "second"], ignore_index=True)


def group_near_duplicates(pairs: pd.DataFrame, count: int) -> np.ndarray:
    """Number the groups that pairs of near-duplicates join, also through a third image: (count,) int."""
    links = coo_array(
        (np.ones(len(pairs), bool), (pairs["first"], pairs["second"])), shape=(count, count)
    )
    return connected_components(links, directed=False)[1].astype(np.int64)


def split_by_group(table: pd.DataFrame, folds: int = 10, seed: int = 0) -> pd.Series:
    """Split a label table so that no group is on two sides: a fold to test, a fold to val, the rest to train.

    Folds are alike in classes and sources (scikit-learn's ``StratifiedGroupKFold``); where too few faces share both, in
    classes alone. Of few faces the folds are fewer, each then larger; under three groups, all is train.

    Args:
        table: a label table with ``group``.
        folds: 10 gives 80/10/10.
        seed: of the shuffle.

    Returns:
        A series of "train", "val" and "test" with the table's index.
    """
    strata = table.source + " " + table.class_name
    if strata.value_counts().max() < folds:
        strata = table.class_name
    folds = min(folds, strata.value_counts().max() if len(table) else 0, table.group.nunique())
    split = np.full(len(table), "train", object)
    if folds < 3:
        return pd.Series(split, index=table.index, name="split", dtype="str")
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="The least populated class"
        )  # rare faces cannot be in every fold
        parts = [part for _, part in splitter.split(table, strata, table.group)]
    split[parts[0]], split[parts[1]] = "test", "val"
    return pd.Series(split, index=table.index, name="split", dtype="str")


def keep_sides(table: pd.DataFrame, known: pd.DataFrame) -> pd.Series:
    """The sides of a split that was drawn before, so that a corrected label or a new photograph moves none.

    Args:
        table: a label table with ``group``.
        known: ``file, split`` of photographs whose side stands.

    Returns:
        By row, the side of the known photographs of its group; where they are on several, test goes before val, and
        val before train. None where the group has no known photograph.
    """
    sides = {side: rank for rank, side in enumerate(("train", "val", "test"))}
    rank = table.file.map(known.set_index("file").split.map(sides))
    return (
        rank.groupby(table.group).transform("max").map({rank: side for side, rank in sides.items()})
    )


def digest_split(table: pd.DataFrame) -> str:
    """A short name for which photograph is on which side; a model carries it, so that no other split scores it."""
    sides = table.drop_duplicates("file").sort_values("file")
    return hashlib.sha256((sides.file + "," + sides.split).str.cat(sep="\n").encode()).hexdigest()[
        :16
    ]


def measure_leakage(pairs: pd.DataFrame, files: Sequence[str], split: pd.Series) -> float:
    """Share of test images that have a near-duplicate in train.

    Args:
        pairs: ``first, second``, positions in ``files``.
        files: the images.
        split: by file, "train", "val" or "test".
    """
    side = split.reindex(files).to_numpy()
    first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    leaked = np.concatenate([first[(side[first] == "test") & (side[second] == "train")],
                             second[(side[second] == "test") & (side[first] == "train")]])  # fmt: skip
    return len(np.unique(leaked)) / max(1, int((side == "test").sum()))
