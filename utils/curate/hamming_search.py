"""Find all pairs of binary hashes within a Hamming distance. The search is exact and fast.

Only hashes that share a key are compared. The keys are made in two steps:

1. Each hash is cut into parts. Two hashes that differ in at most ``limit`` bits differ in only a
   few bits of at least one part, by the pigeonhole principle (Norouzi et al., "Fast Search in
   Hamming Space with Multi-Index Hashing", CVPR 2012).
2. Several keys are made of each part. Each key leaves out about half of the part's bits. Whichever
   few bits differ, at least one key leaves out all of them (R. Pagh, "Locality-Sensitive Hashing
   without False Negatives", SODA 2016).

More hashes need longer keys, so that few unrelated hashes share one. So the number of parts is
chosen for the number of hashes: fewer parts have more bits each, and more keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from utils.program import count_cores

WORD_BITS = 64  # the bits of a part fit in one word
# The largest number of parts. With 256 bits, keys then have about 18 bits.
MOST_PARTS = 7
# A large limit gets more parts, so that this many bits may differ in each: one more doubles the
# number of keys.
MAX_RADIUS = 6
# Entries whose bits are unpacked at once, to bound the memory.
BLOCK = 1 << 16
# Comparisons that are made at once, to bound the memory. One entry with more is compared at once.
CHUNK = 1 << 18
# Fibonacci hashing: 2**64 / golden ratio. The upper bits of a product depend on all bits of a key.
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class _Entries:
    """All hashes of all items, and the distance to search for.

    An entry is one hash of one item. With 5 items and 2 hashes per item there are 10 entries:
    entries 0 to 4 are hash 0 of items 0 to 4, and entries 5 to 9 are hash 1 of items 0 to 4. So
    entry ``e`` belongs to item ``e % count``.

    Attributes:
        columns: (W, V * count) uint64, the words of each entry.
        count: number of items.
        limit: largest Hamming distance, bits.
    """

    columns: np.ndarray
    count: int
    limit: int


def find_close_pairs(hashes: np.ndarray, limit: int) -> np.ndarray:
    """Find all pairs of items i < j where hash 0 of i is within ``limit`` bits of any hash of j.

    An item that shares keys with very many entries is compared with all items instead. So a large
    number of similar hashes costs no more than comparing all pairs.

    Args:
        hashes: (N, V, W) uint64: N items, V hashes per item (for example of an image and of its
            mirror image), W words per hash.
        limit: the largest Hamming distance in bits.

    Returns:
        (P, 2) int64, sorted.
    """
    count, versions, words = hashes.shape
    by_entry = hashes.transpose(1, 0, 2).reshape(versions * count, words)
    entries = _Entries(np.ascontiguousarray(by_entry.T), count, limit)
    parts = _choose_parts(words * WORD_BITS, limit, versions * count)
    max_met = max(1, count // len(parts))

    def search(part: tuple[np.ndarray, int]) -> tuple[np.ndarray, np.ndarray]:
        positions, radius = part
        return _search_part(entries, positions, radius, max_met)

    def compare(item: int) -> np.ndarray:
        return _compare_with_later(entries, item)

    # Threads are enough: NumPy releases Python's global lock while it sorts.
    with ThreadPoolExecutor(count_cores()) as pool:
        results = list(pool.map(search, parts))
        is_crowded = np.any([crowded for _, crowded in results], axis=0)
        found = [pairs for pairs, _ in results]
        found += pool.map(compare, np.flatnonzero(is_crowded).tolist())
    pairs = _drop_repeats(found)
    return np.stack(np.divmod(pairs, max(1, count)), axis=1)


def _choose_parts(bit_count: int, limit: int, entry_count: int) -> list[tuple[np.ndarray, int]]:
    """Return each part's bit positions and its radius, the number of bits that may differ in it."""
    fewest = math.ceil(bit_count / WORD_BITS)
    most = max(fewest, MOST_PARTS, math.ceil((limit + 1) / (MAX_RADIUS + 1)))
    part_count = min(
        range(most, fewest - 1, -1),
        key=lambda part_count: _estimate_cost(bit_count, limit, entry_count, part_count),
    )
    # Neighbouring bits are similar: a random order spreads them over the parts.
    order = np.random.default_rng(0).permutation(bit_count)
    positions = np.array_split(order, part_count)
    return list(zip(positions, _choose_radii(limit, part_count), strict=True))


def _choose_radii(limit: int, part_count: int) -> list[int]:
    """Return the radius of each part.

    The radii plus one add up to limit + 1. If every part had more differing bits than its radius,
    the hashes would differ in at least limit + 1 bits.
    """
    return [(limit + 1 + number) // part_count - 1 for number in range(part_count)]


def _estimate_cost(bit_count: int, limit: int, entry_count: int, part_count: int) -> float:
    """Return the estimated cost of a search per entry, in steps.

    For each key, an entry takes one step to be sorted, and one for each entry that shares the key
    by chance. Both take about the same time.
    """
    cost = 0.0
    for radius in _choose_radii(limit, part_count):
        masks = 2 ** (radius + 1) - 1
        if masks > 0:
            key_bits = bit_count / part_count * 2**radius / masks
            cost += masks * (1 + entry_count / 2**key_bits)
    return cost


@cache
def covering_masks(bits: int, radius: int) -> np.ndarray:
    """Return masks of a part's bits. Any ``radius`` bits are all left out by at least one mask.

    Each bit has a code of ``radius + 1`` binary digits, and each mask has a pattern of as many
    digits. A mask holds the bits whose code has an odd number of ones in common with its pattern.
    For ``radius`` codes, there is always a pattern that is orthogonal to all of them.

    Args:
        bits: number of bits of the part.
        radius: number of bits that may differ.

    Returns:
        (2^(radius + 1) - 1, bits) bool.
    """
    patterns = np.arange(1, 2 ** (radius + 1)) if radius >= 0 else np.zeros(0, int)
    rng = np.random.default_rng(0)
    best = np.zeros((len(patterns), bits), bool)
    best_size = -1
    # All codes are valid. The best ones have the largest smallest mask, because many unrelated
    # hashes share the key of a small mask.
    for _ in range(100):
        codes = np.resize(rng.permutation(patterns), bits)
        masks = np.bitwise_count(patterns[:, None] & codes) % 2 == 1
        smallest = masks.sum(axis=1).min(initial=bits)
        if smallest > best_size:
            best = masks
            best_size = smallest
    return best


def _gather_bits(columns: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the bits of each entry at some positions as one word per entry, (E,) uint64."""
    words = np.empty(columns.shape[1], np.uint64)
    for start in range(0, len(words), BLOCK):
        rows = np.ascontiguousarray(columns[:, start : start + BLOCK].T)
        bits = np.unpackbits(rows.view(np.uint8), axis=1)
        words[start : start + BLOCK] = _as_words(bits[:, positions])
    return words


def _as_words(bits: np.ndarray) -> np.ndarray:
    """Return rows of at most 64 bits as (N,) uint64."""
    padded = np.zeros((len(bits), 64), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view(np.uint64)[:, 0]


def _search_part(
    entries: _Entries, positions: np.ndarray, radius: int, max_met: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find close pairs among the entries that differ in at most ``radius`` bits of one part.

    For each mask, the entries are sorted by their key. Entries with the same key form a run, and
    each entry is compared with those that follow it in its run, its followers. For example, five
    items with one hash each, whose keys are b, a, b, a and c::

        entry      0  1  2  3  4
        key        b  a  b  a  c

        place      0  1  2  3  4     position in the sorted order
        entry      1  3  0  2  4     sorted by key, then by entry
        key        a  a  b  b  c     the runs end at the places 1, 3 and 4
        followers  1  0  1  0  0     so entry 1 is compared with 3, and 0 with 2

    Args:
        entries: all entries.
        positions: (B,) int64: the part's bits.
        radius: number of bits that may differ in the part.
        max_met: an item that meets more followers than this, over all masks, is crowded. A crowded
            item is not compared any further here, because comparing it with all items is cheaper.

    Returns:
        The pairs as from ``_keep_close``, and (count,) bool: which items are crowded.
    """
    words = _gather_bits(entries.columns, positions)
    number = np.arange(len(words), dtype=np.uint64)
    shift = np.uint64(len(words).bit_length())
    low_bits = (np.uint64(1) << shift) - np.uint64(1)
    met = np.zeros(entries.count, np.int64)  # followers of each item so far
    found = [np.zeros(0, np.int64)]
    for mask in _as_words(covering_masks(len(positions), radius)):
        # The upper bits of a word are the hashed key and its lower bits the entry's number: sorting
        # such words is faster than an argsort. Two keys that collide by chance cost one comparison.
        hashed_key = (words & mask) * HASH_FACTOR & ~low_bits
        packed = np.sort(hashed_key | number)
        entry = (packed & low_bits).astype(np.int64)
        key = packed >> shift
        run_ends = np.flatnonzero(np.diff(key, append=~np.uint64(0)))
        if len(run_ends) == len(entry):
            continue  # no two entries have the same key
        # Only hash 0 of an item is compared with others. Hashes 0 have the smallest numbers, so
        # they come first in their run, and every other hash in it follows them.
        place = np.flatnonzero(entry < entries.count)
        run_lengths = np.diff(run_ends, prepend=-1)
        followers = np.repeat(run_ends, run_lengths)[place] - place
        met[entry[place]] += followers
        kept = (followers > 0) & (met[entry[place]] <= max_met)
        found += _compare_followers(entries, entry, place[kept], followers[kept])
    return _drop_repeats(found), met > max_met


def _compare_followers(
    entries: _Entries, entry: np.ndarray, place: np.ndarray, followers: np.ndarray
) -> list[np.ndarray]:
    """Compare the entry at each place with the entries that follow it in its run of equal keys.

    For example, the places 0, 1 and 3 have 2, 1 and 1 followers. Then ``first`` is 0, 0, 1, 3 and
    ``step`` is 1, 2, 1, 1: place 0 is compared with 1 and 2, place 1 with 2, and place 3 with 4.

    Args:
        entries: all entries.
        entry: (E,) int64: entries, sorted by key.
        place: (K,) int64: positions in ``entry``.
        followers: (K,) int64: number of entries to compare with, for each place.

    Returns:
        The close pairs as from ``_keep_close``.
    """
    found = []
    cuts = np.searchsorted(np.cumsum(followers), np.arange(CHUNK, followers.sum(), CHUNK))
    chunks = zip(np.split(place, cuts), np.split(followers, cuts), strict=True)
    for chunk_place, chunk_followers in chunks:
        first = np.repeat(chunk_place, chunk_followers)
        starts = np.cumsum(chunk_followers) - chunk_followers  # of each place's comparisons
        step = np.arange(1, len(first) + 1) - np.repeat(starts, chunk_followers)
        second = entry[first + step]
        first = entry[first]
        is_later = first < second % entries.count  # each pair of items once
        pairs = _keep_close(entries, first[is_later], second[is_later])
        if len(pairs):
            found.append(pairs)
    return found


def _compare_with_later(entries: _Entries, item: int) -> np.ndarray:
    """Compare an item with all items after it, and return the close pairs."""
    starts = range(0, entries.columns.shape[1], entries.count)
    later = [np.arange(start + item + 1, start + entries.count) for start in starts]
    second = np.concatenate(later)
    return _keep_close(entries, np.full(len(second), item), second)


def _keep_close(entries: _Entries, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the pairs of entries within the limit, each as first item * count + second item."""
    distance = np.zeros(len(first), np.uint16)
    for column in entries.columns:
        distance = distance + np.bitwise_count(column[first] ^ column[second])
        close = distance <= entries.limit
        first = first[close]
        second = second[close]
        distance = distance[close]
    return first * entries.count + second % entries.count


def _drop_repeats(pairs: Sequence[np.ndarray]) -> np.ndarray:
    """Return all pairs sorted, each once.

    On millions of integers this takes a tenth of the time of ``np.unique``.
    """
    merged = np.sort(np.concatenate(pairs))
    return merged[np.diff(merged, prepend=-1) > 0]
