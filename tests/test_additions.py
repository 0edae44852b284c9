"""Additions: made features, of which it is known whether more of them can help."""

import numpy as np
import pandas as pd
import pytest

from utils.additions import measure_addition
from utils.classes import MASK_CLASSES

CENTRES = np.array([[3.0, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0]])


def make_faces(counts, rng, first_group=0, source="scenes", spread=1.5) -> tuple[pd.DataFrame, np.ndarray]:
    """Faces of each class, features about its centre, each its own group."""
    class_id = np.repeat(np.arange(3), counts)
    names = np.array(MASK_CLASSES)[class_id]
    table = pd.DataFrame({"source": source, "class_name": names, "group": first_group + np.arange(len(class_id))})
    return table, CENTRES[class_id] + rng.normal(0, spread, (len(class_id), 4))


def test_faces_of_a_rare_class_help_it():
    rng = np.random.default_rng(0)
    table, features = make_faces((300, 200, 12), rng)
    added, more = make_faces((0, 0, 300), rng, first_group=10_000, source="synthetic")
    scores = measure_addition(table, features, added, more)
    rare = scores.loc["mask_worn_incorrectly"]
    assert rare.ap["with"] > rare.ap["without"] + 0.02
    assert rare.n.tolist() == [12, 12]
    assert scores.loc["with_mask"].n.tolist() == [300, 300]
    assert ((scores.low <= scores.ap) & (scores.ap <= scores.high)).all()


def test_faces_with_wrong_labels_do_harm():
    rng = np.random.default_rng(1)
    table, features = make_faces((200, 200, 60), rng)
    added, more = make_faces((0, 600, 0), rng, first_group=10_000, source="synthetic")
    scores = measure_addition(table, features, added.assign(class_name="mask_worn_incorrectly"), more)
    assert scores.recall["without_mask", "with"] < scores.recall["without_mask", "without"] - 0.1


@pytest.mark.parametrize("same_group", [True, False])
def test_a_copy_of_a_face_that_is_tested_is_no_help(same_group):
    """Features are noise, and what is added are copies under the right label: only a leak could learn from them."""
    rng = np.random.default_rng(2)
    table, _ = make_faces((60, 60, 60), rng)
    features = rng.normal(size=(len(table), 200))
    added = table.assign(source="synthetic", group=table.group if same_group else table.group + 10_000)
    scores = measure_addition(table, features, added, features + rng.normal(0, 0.01, features.shape))
    leaked = scores.recall.xs("with", level="training").mean()
    assert leaked < 0.5 if same_group else leaked > 0.6


def test_other_sources_and_no_face_are_left_out():
    rng = np.random.default_rng(3)
    table, features = make_faces((50, 50, 50), rng)
    others, noise = make_faces((50, 50, 50), rng, first_group=500, source="maskedface-net")
    background = table.head(20).assign(class_name="no_face", group=np.arange(900, 920))
    whole = pd.concat([table, others, background], ignore_index=True)
    added, more = make_faces((0, 0, 9), rng, first_group=10_000, source="synthetic")
    expected = measure_addition(table, features, added, more)
    everything = np.concatenate([features, noise, rng.normal(size=(20, 4))])
    pd.testing.assert_frame_equal(measure_addition(whole, everything, added, more), expected)
