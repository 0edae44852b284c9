"""All pairs of binary hashes within a Hamming distance: exact, and without comparing each with each.

Two ideas in turn. A hash is cut into parts: where two differ in at most ``limit`` bits, they differ in few bits of some
part (pigeonhole: Norouzi et al., "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012). And of a part,
keys are made that each leave out about half of its bits, so that whatever few bits differ, some key leaves out all of
them (R. Pagh, "Locality-Sensitive Hashing without False Negatives", SODA 2016). Only hashes that share a key are
compared, and the number of keys does not depend on how many hashes there are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

PARTS = 7  # of 256 bits this gives keys of about 18, which few strangers among 100,000 photographs share
MAX_RADIUS = 6  # bits that may differ in a part: one more doubles its keys, so that a large limit takes more parts
CHUNK = (
    1 << 18
)  # comparisons at a time, or those of one item: memory does not grow with their number
ODD = np.uint64(
    0x9E3779B97F4A7C15
)  # 2**64 / golden ratio: the upper bits of a product depend on all bits of a key


def find_close_pairs(hashes: np.ndarray, limit: int) -> np.ndarray:
    """Find the pairs of items i < j where hash 0 of i is within ``limit`` bits of any hash of j.

    An item that shares keys with more others than there are is compared with all of them instead, so that a crowd of
    like hashes costs no more than comparing each with each.

    Args:
        hashes: (N, V, W) uint64, V hashes an item, such as of an image and of its mirror.
        limit: the largest Hamming distance.

    Returns:
        (P, 2) int64, sorted.
    """
    count, versions, words = hashes.shape
    entries = hashes.transpose(1, 0, 2).reshape(
        versions * count, words
    )  # entry e is of item e % count
    columns = np.ascontiguousarray(entries.T)
    bits = np.unpackbits(np.ascontiguousarray(entries).view(np.uint8), axis=1)
    order = np.random.default_rng(0).permutation(
        bits.shape[1]
    )  # neighbouring bits are alike: each part gets some
    parts = max(PARTS, -(-(limit + 1) // (MAX_RADIUS + 1)))
    jobs = []
    for number, chosen in enumerate(np.array_split(order, parts)):
        radius = (
            limit + 1 + number
        ) // parts - 1  # limit + 1 faults cannot be spread without one part at its radius
        jobs.append((bits[:, chosen], radius, limit, columns, count, max(1, count // parts)))
    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # threads: NumPy lets others run while it sorts
        found, crowds = zip(*pool.map(_search_part, *zip(*jobs, strict=True)), strict=True)
        crowd = np.flatnonzero(np.any(crowds, axis=0))
        found += tuple(
            pool.map(lambda item: _compare_with_later(item, limit, columns, count), crowd)
        )
    pairs = _drop_repeats(found)
    return np.stack(np.divmod(pairs, max(1, count)), axis=1)


@cache
def covering_masks(bits: int, radius: int) -> np.ndarray:
    """Subsets of bits such that any ``radius`` bits are missing together from one: (2^(radius + 1) - 1, bits) bool.

    Each bit has a code of radius + 1 binary digits, and each mask a pattern of as many: it holds the bits whose code
    shares an odd number of ones with the pattern. To fewer codes than digits, some pattern is orthogonal.
    """
    patterns = np.arange(1, 2 ** (radius + 1)) if radius >= 0 else np.zeros(0, int)
    rng = np.random.default_rng(0)
    # Any codes will do. Those are best whose smallest mask is large: strangers share the key of a small one.
    choices = [np.resize(rng.permutation(patterns), bits) for _ in range(100)]
    masks = [np.bitwise_count(patterns[:, None] & codes) % 2 == 1 for codes in choices]
    return max(masks, key=lambda mask: mask.sum(axis=1).min(initial=bits))


def _as_words(bits: np.ndarray) -> np.ndarray:
    """Rows of at most 64 bits as (N,) uint64."""
    padded = np.zeros((len(bits), 64), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view(np.uint64)[:, 0]


def _search_part(
    bits: np.ndarray, radius: int, limit: int, columns: np.ndarray, count: int, patience: int
) -> tuple[np.ndarray, np.ndarray]:
    """Close pairs among the entries that agree in one part but for ``radius`` bits, and who met too many others."""
    words, number = _as_words(bits), np.arange(len(bits), dtype=np.uint64)
    shift = np.uint64(len(bits).bit_length())
    low = (np.uint64(1) << shift) - np.uint64(1)
    met, found = np.zeros(count, np.int64), [np.zeros(0, np.int64)]
    for mask in _as_words(covering_masks(bits.shape[1], radius)):
        # Key and number in one word: sorted faster than by an argsort, and a collision by chance costs a comparison.
        packed = np.sort(((words & mask) * ODD & ~low) | number)
        entry = (packed & low).astype(np.int64)
        ends = np.flatnonzero(
            np.diff(packed >> shift, append=~np.uint64(0))
        )  # the last of each run of equal keys
        if len(ends) == len(entry):
            continue
        place = np.flatnonzero(
            entry < count
        )  # hash 0 of an item, which in its run comes before the others
        followers = np.repeat(ends, np.diff(ends, prepend=-1))[place] - place
        met[entry[place]] += followers
        kept = (followers > 0) & (met[entry[place]] <= patience)
        found += _compare_followers(entry, place[kept], followers[kept], limit, columns, count)
    return _drop_repeats(found), met > patience


def _compare_followers(
    entry: np.ndarray,
    place: np.ndarray,
    followers: np.ndarray,
    limit: int,
    columns: np.ndarray,
    count: int,
) -> list[np.ndarray]:
    """Close pairs of the entry at each place and so many that follow it."""
    ends, found = np.cumsum(followers), []
    cuts = np.searchsorted(ends, np.arange(CHUNK, followers.sum(), CHUNK))
    for own, more in zip(np.split(place, cuts), np.split(followers, cuts), strict=True):
        first = np.repeat(own, more)
        step = np.arange(1, len(first) + 1) - np.repeat(np.cumsum(more) - more, more)
        first, second = entry[first], entry[first + step]
        ahead = first < second % count
        found.append(_keep_close(first[ahead], second[ahead], limit, columns, count))
    return [pairs for pairs in found if len(pairs)]


def _compare_with_later(item: int, limit: int, columns: np.ndarray, count: int) -> np.ndarray:
    """Close pairs of an item and all items after it."""
    second = np.concatenate(
        [np.arange(item + 1 + start, start + count) for start in range(0, columns.shape[1], count)]
    )
    return _keep_close(np.full(len(second), item), second, limit, columns, count)


def _keep_close(
    first: np.ndarray, second: np.ndarray, limit: int, columns: np.ndarray, count: int
) -> np.ndarray:
    """Those pairs of entries that are within the limit, each as first * count + the second's item."""
    distance = np.zeros(len(first), np.uint16)
    for column in columns:
        distance = distance + np.bitwise_count(column[first] ^ column[second])
        close = distance <= limit
        first, second, distance = first[close], second[close], distance[close]
    return first * count + second % count


def _drop_repeats(pairs: Sequence[np.ndarray]) -> np.ndarray:
    """All pairs sorted, each once; ``np.unique`` takes ten times as long over millions of whole numbers."""
    merged = np.sort(np.concatenate(pairs))
    return merged[np.diff(merged, prepend=-1) > 0]
