"""The split: groups stay on one side, the shares are right, and leakage is measured."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from utils.classes import CLASS_NAMES
from utils.curate.split import (
    FIRST_SOURCES,
    LATER_SOURCES,
    SPLIT_FILE,
    digest_split,
    is_split_of,
    keep_sides,
    measure_leakage,
    select_sources,
    split_by_group,
)
from utils.detect import CLASSIFIER_FILE, DETECTOR_FILE, open_session

NO_PAIRS = pd.DataFrame({"first": [], "second": []}, dtype=int)


def make_table(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Return labels whose groups have 1 to 6 members."""
    group = np.repeat(np.arange(count), rng.integers(1, 7, count))
    table = pd.DataFrame(
        {"file": [f"{number}.jpg" for number in range(len(group))], "group": group}
    )
    return table.assign(
        source=rng.choice(["a", "b"], len(table)), class_name=rng.choice(CLASS_NAMES, len(table))
    )


def pair_members(table: pd.DataFrame) -> pd.DataFrame:
    """Return all pairs within groups, as positions."""
    first, second = np.triu_indices(len(table), 1)
    together = table.group.to_numpy()[first] == table.group.to_numpy()[second]
    return pd.DataFrame({"first": first[together], "second": second[together]})


def test_without_images_there_is_no_leakage():
    assert measure_leakage(NO_PAIRS, [], pd.Series([], dtype="str")) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_split_keeps_groups_together_and_has_the_expected_shares(seed):
    table = make_table(np.random.default_rng(seed), 300)
    table.index = table.index[::-1] + 7
    split = split_by_group(table, folds=10, seed=seed)
    assert split.index.equals(table.index)
    assert split.groupby(table.group).nunique().max() == 1
    shares = split.value_counts(normalize=True)
    assert shares[["train", "val", "test"]].tolist() == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    by_class = pd.crosstab(table.class_name, split, normalize="columns")
    assert (
        by_class.sub(table.class_name.value_counts(normalize=True), axis=0).abs().max().max() < 0.06
    )
    assert split_by_group(table, folds=10, seed=seed).equals(split)
    assert not split_by_group(table, folds=10, seed=seed + 1).equals(split)


SIDES = {
    0: set(),
    2: {"train"},
    4: {"train"},
    5: {"train", "val", "test"},
    13: {"train", "val", "test"},
}


@pytest.mark.parametrize(("count", "sides"), SIDES.items())
def test_a_few_faces_from_many_sources_can_be_split(count, sides):
    number = np.arange(count)
    table = pd.DataFrame(
        {"group": number // 2, "source": number.astype(str), "class_name": "with_mask"}
    )
    split = split_by_group(table)
    assert set(split) == sides and split.index.equals(table.index)
    assert (split.groupby(table.group).nunique() == 1).all()
    assert (split == "train").sum() >= count / 3


def test_a_random_split_leaks_and_a_split_by_group_does_not():
    rng = np.random.default_rng(0)
    table = make_table(rng, 200)
    pairs, files = pair_members(table), table.file.tolist()
    by_group = pd.Series(split_by_group(table).to_numpy(), index=files)
    assert measure_leakage(pairs, files, by_group) == 0
    chance = pd.Series(rng.permutation(by_group), index=files)
    group, side = table.group.to_numpy(), chance.to_numpy()
    leaked = [number in group[side == "train"] for number in group[side == "test"]]
    assert measure_leakage(pairs, files, chance) == pytest.approx(np.mean(leaked))
    assert np.mean(leaked) > 0


def test_leakage_counts_a_test_image_once_and_only_against_train():
    pairs = pd.DataFrame({"first": [0, 0, 1, 4], "second": [1, 2, 3, 5]})
    split = pd.Series(["test", "train", "train", "val", "test", "test"], index=list("abcdef"))
    assert measure_leakage(pairs, list("abcdef"), split) == pytest.approx(1 / 3)


def test_a_digest_depends_only_on_the_side_of_each_photograph():
    table = pd.DataFrame(
        {
            "file": ["b.jpg", "a.jpg", "b.jpg"],
            "split": ["test", "train", "test"],
            "group": [1, 2, 1],
        }
    )
    expected = hashlib.sha256(b"a.jpg,train\nb.jpg,test").hexdigest()[:16]
    assert digest_split(table) == expected
    assert digest_split(table[::-1].drop(columns="group")) == expected
    assert digest_split(table.assign(split="train")) != expected


def test_the_digest_of_the_shipped_split_does_not_change():
    """The shipped models store digests: another way to compute them would not match.

    The digest of the first sources also shows that no later source moved a photograph.
    """
    first = select_sources(pd.read_csv(SPLIT_FILE), FIRST_SOURCES)
    assert digest_split(first) == "669589ac2bd07b10"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (FIRST_SOURCES, ["faces/a.jpg", "own/a.jpg"]),
        (["scenes", "ilc"], ["faces/a.jpg", "ilc/a.jpg", "own/a.jpg"]),
        (LATER_SOURCES, ["faces/a.jpg", "ilc/a.jpg", "objects/a.jpg", "own/a.jpg"]),
    ],
)
def test_later_sources_that_a_model_does_not_know_are_not_compared(sources, expected):
    table = pd.DataFrame({"file": ["faces/a.jpg", "ilc/a.jpg", "objects/a.jpg", "own/a.jpg"]})
    assert select_sources(table, sources).file.tolist() == expected
    assert select_sources(table.head(0), sources).empty


def test_a_model_knows_the_split_it_was_trained_on(monkeypatch):
    table = pd.DataFrame({"file": ["a.png", "b.png"], "split": "test"})
    assert not is_split_of(table, DETECTOR_FILE)
    assert not is_split_of(table.head(0), DETECTOR_FILE)
    for model in (CLASSIFIER_FILE, DETECTOR_FILE):
        shipped = open_session(model)[1]["split"]
        monkeypatch.setattr(
            "utils.curate.split.digest_split", lambda table, shipped=shipped: shipped
        )
        assert is_split_of(table, model)


KNOWN = {
    "no photograph is known": ([], [None, None, None]),
    "another group is known": ([("elsewhere.jpg", "test")], [None, None, None]),
    "one of the group is known": ([("a.jpg", "val")], ["val", "val", None]),
    "train and val": ([("a.jpg", "train"), ("b.jpg", "val")], ["val", "val", None]),
    "val and test": ([("a.jpg", "test"), ("b.jpg", "val")], ["test", "test", None]),
    "both groups": ([("b.jpg", "train"), ("c.jpg", "test")], ["train", "train", "test"]),
}


@pytest.mark.parametrize(("known", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_known_photographs_and_their_near_duplicates_keep_their_side(known, expected):
    table = pd.DataFrame({"file": ["a.jpg", "b.jpg", "c.jpg"], "group": [5, 5, 6]}, index=[3, 1, 2])
    sides = keep_sides(table, pd.DataFrame(known, columns=["file", "split"], dtype="str"))
    assert sides.index.equals(table.index)
    assert [None if pd.isna(side) else side for side in sides] == expected
