"""Close hashes: the same pairs as each compared with each, whatever the hashes are like."""

import itertools

import numpy as np
import pytest

from utils.curate import hamming_search
from utils.curate.hamming_search import covering_masks, find_close_pairs

RNG = np.random.default_rng(0)


def pack(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits.astype(np.uint8), axis=-1).view(np.uint64)


def compare_each_with_each(hashes: np.ndarray, limit: int) -> list[list[int]]:
    """The pairs by brute force, which is what they mean."""
    distance = (
        np.bitwise_count(hashes[:, None, :1] ^ hashes[None]).sum(axis=3, dtype=int).min(axis=2)
    )
    return np.argwhere(np.triu(distance <= limit, 1)).tolist()


def flip(bits: np.ndarray, count: int) -> np.ndarray:
    """A copy with so many bits changed."""
    copy = bits.copy()
    copy[RNG.choice(bits.size, count, replace=False)] ^= True
    return copy


def make_copies(count: int, most_flips: int) -> np.ndarray:
    """Random hashes with a random mirror, each followed by one whose hash or mirror is 0 to ``most_flips`` bits off."""
    hashes = []
    for number in range(count):
        original, other = RNG.random((2, 2, 256)) < 0.5
        other[number % 2] = flip(original[0], number % (most_flips + 1))
        hashes += [original, other]
    return pack(np.array(hashes))


def make_sparse(count: int, share: float) -> np.ndarray:
    """Hashes of nearly flat pictures: few bits are set, so that many strangers share keys."""
    return pack(RNG.random((count, 2, 256)) < share)


HASHES = {
    "none": np.zeros((0, 2, 4), np.uint64),
    "one": make_copies(1, 0)[:1],
    "copies": make_copies(300, 60),
    "nearly flat": make_sparse(200, 0.1),
    "flatter": make_sparse(200, 0.05),
    "all the same": np.zeros((150, 2, 4), np.uint64),
    "a crowd among strangers": np.concatenate(
        [make_copies(100, 60), make_sparse(150, 0.03), make_copies(50, 60)]
    ),
    "64 bits": np.ascontiguousarray(make_sparse(200, 0.3)[:, :, :1]),
    "one version": make_copies(100, 60)[:, :1],
    "three versions": np.concatenate([make_copies(100, 60), make_copies(100, 60)[:, :1]], axis=1),
}


@pytest.mark.parametrize("limit", [-5, 0, 1, 6, 26, 38, 60, 256])
@pytest.mark.parametrize("hashes", HASHES.values(), ids=HASHES.keys())
def test_pairs_are_those_of_each_compared_with_each(hashes, limit):
    found = find_close_pairs(hashes, limit)
    assert found.shape[1:] == (2,)
    assert found.tolist() == compare_each_with_each(hashes, limit)


def test_the_cases_hold_pairs_at_the_limit_and_just_beyond():
    hashes = HASHES["copies"]
    distance = (
        np.bitwise_count(hashes[:, None, :1] ^ hashes[None]).sum(axis=3, dtype=int).min(axis=2)
    )
    copies = distance[np.arange(0, len(hashes), 2), np.arange(1, len(hashes), 2)]
    assert {0, 26, 27, 38, 39, 60} <= set(copies.tolist())


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_pairs_do_not_depend_on_how_many_are_compared_at_once(count, monkeypatch):
    hashes = HASHES["a crowd among strangers"]
    monkeypatch.setattr(hamming_search, "CHUNK", count)
    assert find_close_pairs(hashes[60:160], 38).tolist() == compare_each_with_each(
        hashes[60:160], 38
    )


@pytest.mark.parametrize(
    ("bits", "radius"), [(37, 2), (36, 3), (16, 4), (9, 5), (3, 1), (1, 0), (5, 0)]
)
def test_whatever_bits_differ_some_mask_leaves_out_all_of_them(bits, radius):
    masks = covering_masks(bits, radius)
    assert masks.shape == (2 ** (radius + 1) - 1, bits)
    for differing in itertools.islice(
        itertools.combinations(range(bits), min(radius, bits)), 20_000
    ):
        assert (~masks[:, differing]).all(axis=1).any()


def test_a_mask_holds_about_half_of_the_bits_and_never_few():
    size = covering_masks(37, 5).sum(axis=1)
    assert size.mean() == pytest.approx(37 / 2, rel=0.05)
    assert size.min() >= 15


def count_comparisons(hashes: np.ndarray, monkeypatch) -> int:
    counts, keep_close = [], hamming_search._keep_close

    def count(first, *rest):
        counts.append(len(first))
        return keep_close(first, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(hamming_search, "_keep_close", count)
        find_close_pairs(hashes, 38)
    return sum(counts)


def test_strangers_are_not_compared(monkeypatch):
    """Else the time would grow with the square of the number of photographs."""
    assert count_comparisons(make_copies(1500, 0)[::2], monkeypatch) < 1500**2 / 100


@pytest.mark.parametrize("name", ["all the same", "flatter", "a crowd among strangers"])
def test_a_crowd_costs_no_more_than_some_times_each_with_each(name, monkeypatch):
    hashes = HASHES[name]
    assert count_comparisons(hashes, monkeypatch) <= 2 * len(hashes) ** 2
