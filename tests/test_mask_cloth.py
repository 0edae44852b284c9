"""What masks look like: outlines, names and loops."""

from collections import Counter

import numpy as np
import pytest

from utils.mask_cloth import (
    COLOURS,
    COLOURS_OF,
    EDGES,
    KINDS,
    PATTERNS,
    SIDE,
    choose_mask,
    cloth_height,
    draw_cloth,
    loop_lines,
)

X, Y = np.meshgrid(np.linspace(-1.5, 1.5, 61), np.linspace(0, 2.5, 51))


def test_masks_are_drawn_by_chance_as_often_as_said():
    rng = np.random.default_rng(0)
    masks = [choose_mask(rng) for _ in range(2000)]
    kinds = Counter(mask["kind"] for mask in masks)
    for kind, share in KINDS.items():
        assert kinds[kind] / 2000 == pytest.approx(share, abs=0.05)
    assert {mask["pattern"] for mask in masks} == set(PATTERNS)
    assert all(mask["colour"] in COLOURS_OF[mask["kind"]] for mask in masks)
    assert all(mask["pattern"] == "plain" for mask in masks if mask["kind"] != "cloth")


def test_every_colour_has_a_use_and_every_use_its_colour():
    assert {name for names in COLOURS_OF.values() for name in names} == set(COLOURS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("worn", EDGES)
def test_a_mask_is_one_piece_between_its_edges(kind, worn):
    for seed in range(5):
        cloth = draw_cloth(X, Y, kind, worn, "plain", np.random.default_rng(seed))
        there = cloth.inside > 0
        top, _, bottom, _ = EDGES[worn]
        middle = Y[there[:, 30], 30]
        assert abs(middle[0] - top) < 0.14 and abs(middle[-1] - bottom) < 0.14
        assert not there[:, np.abs(X[0]) > SIDE].any()
        changes = np.diff(there.astype(int), axis=0, prepend=0, append=0) == 1
        assert changes.sum(axis=0).max() == 1  # from its upper to its lower edge without a hole
        assert (cloth.lines >= 0).all() and (cloth.lines <= 0.5).all()
        assert np.isfinite(cloth.relief).all() and np.abs(cloth.relief[there]).max() < 0.2


def test_at_the_chin_it_leaves_the_mouth_free_and_under_the_nose_the_nose():
    for seed in range(20):
        for kind in KINDS:
            points = np.array([-0.42, 0.0, 0.42]), np.array([1.05, 0.63, 1.05])
            chin, nose = (
                draw_cloth(*points, kind, worn, "plain", np.random.default_rng(seed)).inside
                for worn in ("chin", "under_nose")
            )
            assert (chin < -0.1).all()
            assert nose[1] < -0.1 and (nose[[0, 2]] > 0).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_have_a_second_colour_here_and_there(pattern):
    second = draw_cloth(X, Y, "cloth", "well", pattern, np.random.default_rng(1)).second
    assert second.min() == 0 and (second.max() == 0 if pattern == "plain" else 0.1 < second.mean() < 0.7)


@pytest.mark.parametrize("worn", EDGES)
def test_loops_begin_on_the_mask_and_end_at_both_ears(worn):
    for kind in KINDS:
        lines = loop_lines(kind, worn)
        starts, ends = lines[:, 0], lines[:, -1]
        still = np.random.Generator(np.random.PCG64(0))
        assert (draw_cloth(starts[:, 0], starts[:, 1], kind, worn, "plain", still).inside > -0.1).all()
        assert (np.abs(ends[:, 0]) > SIDE).all() and (ends[:, 2] < cloth_height(*starts[:, :2].T, kind, worn)).all()
        np.testing.assert_array_equal(lines[:2] * (-1, 1, 1), lines[2:])


def test_a_cup_stands_out_further_than_cloth_and_a_nose_further_than_cheeks():
    x, y = np.array([0.0, 0.6]), np.array([0.8, 0.8])
    cloth, cup = (cloth_height(x, y, kind, "well") for kind in ("cloth", "respirator"))
    assert cup[0] > cloth[0] > cloth[1] + 0.3
