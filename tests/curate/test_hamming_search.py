"""Hamming search: it finds the pairs that brute force finds, for all kinds of hashes."""

import itertools

import numpy as np
import pytest

from utils.curate import hamming_search
from utils.curate.hamming_search import covering_masks, find_close_pairs

RNG = np.random.default_rng(0)


def pack(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits.astype(np.uint8), axis=-1).view(np.uint64)


def measure_distance(hashes: np.ndarray) -> np.ndarray:
    """Return the distance of each hash to each other hash and its mirrors, by brute force."""
    differing = np.bitwise_count(hashes[:, None, :1] ^ hashes[None])
    return differing.sum(axis=3, dtype=int).min(axis=2)


def list_pairs(distance: np.ndarray, limit: int) -> list[list[int]]:
    """Return the pairs whose distance is at most the limit."""
    return np.argwhere(np.triu(distance <= limit, 1)).tolist()


def flip(bits: np.ndarray, count: int) -> np.ndarray:
    """Return a copy with this number of bits changed."""
    copy = bits.copy()
    copy[RNG.choice(bits.size, count, replace=False)] ^= True
    return copy


def make_copies(count: int, most_flips: int) -> np.ndarray:
    """Return random hashes with random mirrors, each followed by a copy.

    Hash or mirror of the copy is 0 to ``most_flips`` bits off.
    """
    hashes = []
    for number in range(count):
        original, other = RNG.random((2, 2, 256)) < 0.5
        other[number % 2] = flip(original[0], number % (most_flips + 1))
        hashes += [original, other]
    return pack(np.array(hashes))


def make_sparse(count: int, share: float) -> np.ndarray:
    """Return hashes of nearly flat pictures: few bits are set, so unrelated hashes share keys."""
    return pack(RNG.random((count, 2, 256)) < share)


HASHES = {
    "none": np.zeros((0, 2, 4), np.uint64),
    "one": make_copies(1, 0)[:1],
    "copies": make_copies(300, 60),
    "nearly flat": make_sparse(200, 0.1),
    "flatter": make_sparse(200, 0.05),
    "all the same": np.zeros((150, 2, 4), np.uint64),
    "similar hashes among unrelated ones": np.concatenate(
        [make_copies(100, 60), make_sparse(150, 0.03), make_copies(50, 60)]
    ),
    "64 bits": np.ascontiguousarray(make_sparse(200, 0.3)[:, :, :1]),
    "one version": make_copies(100, 60)[:, :1],
    "three versions": np.concatenate([make_copies(100, 60), make_copies(100, 60)[:, :1]], axis=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("hashes", HASHES.values(), ids=HASHES.keys())
def test_pairs_are_those_of_brute_force(hashes):
    distance = measure_distance(hashes)
    for limit in (-5, 0, 1, 6, 26, 38, 60, 256):
        found = find_close_pairs(hashes, limit)
        assert found.shape[1:] == (2,)
        assert found.tolist() == list_pairs(distance, limit)


def test_the_cases_have_pairs_at_the_limit_and_just_beyond():
    hashes = HASHES["copies"]
    distance = measure_distance(hashes)
    copies = distance[np.arange(0, len(hashes), 2), np.arange(1, len(hashes), 2)]
    assert {0, 26, 27, 38, 39, 60} <= set(copies.tolist())


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_pairs_do_not_depend_on_the_chunk_size(count, monkeypatch):
    hashes = HASHES["similar hashes among unrelated ones"][60:160]
    monkeypatch.setattr(hamming_search, "CHUNK", count)
    assert find_close_pairs(hashes, 38).tolist() == list_pairs(measure_distance(hashes), 38)


@pytest.mark.parametrize("parts", [4, 5, 6])
def test_pairs_do_not_depend_on_the_number_of_parts(parts, monkeypatch):
    """More photographs than a test can search get fewer parts."""
    hashes = HASHES["copies"]
    monkeypatch.setattr(hamming_search, "MOST_PARTS", parts)
    assert find_close_pairs(hashes, 26).tolist() == list_pairs(measure_distance(hashes), 26)


@pytest.mark.parametrize(
    ("bits", "radius"), [(37, 2), (36, 3), (16, 4), (9, 5), (3, 1), (1, 0), (5, 0)]
)
def test_some_mask_leaves_out_any_few_bits(bits, radius):
    masks = covering_masks(bits, radius)
    assert masks.shape == (2 ** (radius + 1) - 1, bits)
    for differing in itertools.islice(
        itertools.combinations(range(bits), min(radius, bits)), 20_000
    ):
        assert (~masks[:, differing]).all(axis=1).any()


def test_masks_hold_about_half_of_the_bits_and_never_few():
    size = covering_masks(37, 5).sum(axis=1)
    assert size.mean() == pytest.approx(37 / 2, rel=0.05)
    assert size.min() >= 15


def count_comparisons(hashes: np.ndarray, monkeypatch) -> int:
    """Return the number of pairs that are compared bit by bit."""
    counts = []
    keep_close = hamming_search._keep_close

    def count(entries, first, second):
        counts.append(len(first))
        return keep_close(entries, first, second)

    with monkeypatch.context() as patch:
        patch.setattr(hamming_search, "_keep_close", count)
        find_close_pairs(hashes, 38)
    return sum(counts)


def test_few_unrelated_hashes_are_compared(monkeypatch):
    """Otherwise the time would grow with the square of the number of photographs."""
    assert count_comparisons(make_copies(1500, 0)[::2], monkeypatch) < 1500**2 / 100


@pytest.mark.parametrize("name", ["all the same", "flatter", "similar hashes among unrelated ones"])
def test_similar_hashes_cost_at_most_twice_the_comparisons_of_brute_force(name, monkeypatch):
    hashes = HASHES[name]
    assert count_comparisons(hashes, monkeypatch) <= 2 * len(hashes) ** 2
