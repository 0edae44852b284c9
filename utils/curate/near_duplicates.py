"""Near-duplicate images: their hashes, the pairs that look alike, and the groups that pairs form.

Images are compared by difference hash with 256 bits (N. Krawetz, "Kind of Like That", 2013). Each
image is compared with the other image and with its mirror image. The upper half has a hash of its
own, because a mask pasted on a portrait changes only the lower half.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm.auto import tqdm

from utils.batch import Batch, map_files
from utils.curate.hamming_search import find_close_pairs
from utils.images import ImageError, read_image

HASH_SIDE = 16  # a hash has HASH_SIDE x HASH_SIDE bits
# Largest Hamming distances between near-duplicates, in bits, of whole images and of upper halves.
# In the histogram of the distances between 5,427 web photographs, copies form a low peak and
# unrelated images a high one. The limits lie in the valley between them.
MAX_DISTANCE_FULL = 38
MAX_DISTANCE_TOP = 26


def difference_hash(grey: np.ndarray) -> np.ndarray:
    """Return the 256-bit difference hash of a grey image.

    Each bit says whether a pixel of the image, scaled to 17 x 16, is brighter than its left
    neighbour.

    Args:
        grey: (H, W) uint8.

    Returns:
        (4,) uint64.
    """
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)


def hash_image(image: np.ndarray) -> np.ndarray:
    """Return four hashes of an image: of it, of its upper half, and of the mirror image of each.

    The order is image, mirror image, upper half, mirror image of the upper half.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (4, 4) uint64, one hash per row.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    top = grey[: max(1, len(grey) // 2)]
    views = [grey, grey[:, ::-1], top, top[:, ::-1]]
    return np.stack([difference_hash(np.ascontiguousarray(view)) for view in views])


def _hash_file(file: str | Path) -> list[list[int]]:
    """Return the hashes of one image file."""
    return hash_image(read_image(file)).tolist()


def hash_images(files: Sequence[str | Path], batch: Batch | None = None) -> np.ndarray:
    """Return the hashes of image files, in their order.

    Reads on all cores and shows a progress bar.

    Args:
        files: the images.
        batch: other processes or a cluster that read them.

    Returns:
        (N, 4, 4) uint64, from ``hash_image``.

    Raises:
        ImageError: a file cannot be read. ``collect.find_broken_images`` finds such files
            beforehand.
        JobError: the batch cannot be used.
    """
    hashes = []
    with closing(map_files(_hash_file, [(file,) for file in files], batch)) as outcomes:
        for outcome in tqdm(
            outcomes, "comparing photographs", total=len(files), unit="image", leave=False
        ):
            if outcome.problem:
                raise ImageError(outcome.problem)
            hashes.append(outcome.value)
    return np.array(hashes, dtype=np.uint64).reshape(-1, 4, 4)


def find_near_duplicates(hashes: np.ndarray, looseness: float = 1.0) -> pd.DataFrame:
    """Find all pairs of images that look alike.

    Args:
        hashes: (N, 4, 4) uint64, from ``hash_images``.
        looseness: factor of both distance limits. Above 1, more pairs are found, and more of them
            look alike only by chance.

    Returns:
        A table of positions with ``first`` < ``second``, sorted. K images that all look alike give
        K (K - 1) / 2 rows.
    """
    full = find_close_pairs(hashes[:, :2], int(MAX_DISTANCE_FULL * looseness))
    top = find_close_pairs(hashes[:, 2:], int(MAX_DISTANCE_TOP * looseness))
    pairs = pd.DataFrame(np.concatenate([full, top]), columns=["first", "second"])
    return pairs.drop_duplicates().sort_values(["first", "second"], ignore_index=True)


def group_near_duplicates(pairs: pd.DataFrame, count: int) -> np.ndarray:
    """Return the number of each image's group.

    Images are in one group if a chain of pairs connects them.

    Args:
        pairs: from ``find_near_duplicates``.
        count: the number of images.

    Returns:
        (count,) int64.
    """
    ones = np.ones(len(pairs), dtype=bool)
    links = coo_array((ones, (pairs["first"], pairs["second"])), shape=(count, count))
    _, group = connected_components(links, directed=False)
    return group.astype(np.int64)
