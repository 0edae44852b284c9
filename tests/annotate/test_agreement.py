"""Agreement: kappa against references, undefined cases, and the order of doubtful labels."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from utils.annotate.agreement import (
    PAIR_COLUMNS,
    compare_annotators,
    find_disputes,
    rank_by_model_disagreement,
)
from utils.annotate.journal import JOURNAL_COLUMNS, read_hand_labels, record_label
from utils.classes import CLASS_NAMES, LabelError
from utils.evaluate import bootstrap_interval
from utils.labels import BOX_COLUMNS, make_label_table

YES, NO, BADLY, NO_FACE = CLASS_NAMES
BOX = (10, 10, 30, 40)


def make_labels(*rows):
    """Return hand labels from (file, box, class_name, annotator)."""
    table = [
        (file, *(box or [np.nan] * 4), name, who, "buttons", "2026-01-01T00:00:00+00:00")
        for file, box, name, who in rows
    ]
    return pd.DataFrame(table, columns=JOURNAL_COLUMNS)


def label_all(**labels_of):
    """Return hand labels of faces 0, 1, ..., given as a list per annotator; None is no label."""
    rows = [
        (f"{n}.jpg", BOX, name, who)
        for who, names in labels_of.items()
        for n, name in enumerate(names)
        if name
    ]
    return make_labels(*rows)


# The fifty grant proposals of https://en.wikipedia.org/wiki/Cohen%27s_kappa:
# p_o = 0.7, p_e = 0.5, kappa = 0.4.
GRANTS = [(YES, YES)] * 20 + [(YES, NO)] * 5 + [(NO, YES)] * 10 + [(NO, NO)] * 15


def test_kappa_of_fifty_grant_proposals():
    first, second = zip(*GRANTS, strict=True)
    table = compare_annotators(label_all(B=second, A=first))
    (row,) = table.itertuples(index=False)
    assert (row.first, row.second, row.n) == ("A", "B", 50)
    assert (row.agreement, row.kappa) == pytest.approx((0.7, 0.4))
    # The large-sample standard error of kappa (Cohen, 1960):
    # sqrt(p_o (1 - p_o) / (n (1 - p_e)^2)) = 0.1296.
    error = np.sqrt(0.7 * 0.3 / (50 * 0.5**2))
    assert (row.low, row.high) == pytest.approx((0.4 - 1.96 * error, 0.4 + 1.96 * error), abs=0.06)
    pd.testing.assert_frame_equal(table, compare_annotators(label_all(B=second, A=first)))


def test_the_interval_is_a_bootstrap_over_faces():
    first, second = (np.array(labels) for labels in zip(*GRANTS, strict=True))
    (row,) = compare_annotators(label_all(A=first, B=second)).itertuples(index=False)
    expected = bootstrap_interval(
        lambda rows: cohen_kappa_score(first[rows], second[rows]), np.arange(50), rounds=200
    )
    assert (row.low, row.high) == pytest.approx(expected, abs=0.08)


def test_each_pair_is_compared_on_its_common_faces():
    rng = np.random.default_rng(0)
    truth = rng.choice(CLASS_NAMES, 60)
    labels = {
        who: [
            None if rng.random() < 0.3 else rng.choice(CLASS_NAMES) if rng.random() < 0.4 else name
            for name in truth
        ]
        for who in ("Zoë", "अमृता", "Ann | Ben")
    }
    table = compare_annotators(label_all(**labels))
    assert len(table) == 3 and table.columns.tolist() == PAIR_COLUMNS
    for row in table.itertuples():
        common = [
            pair for pair in zip(labels[row.first], labels[row.second], strict=True) if all(pair)
        ]
        assert row.n == len(common) < 60
        assert row.agreement == pytest.approx(sum(a == b for a, b in common) / len(common))
        assert row.kappa == pytest.approx(cohen_kappa_score(*zip(*common, strict=True)))
        assert row.low < row.kappa < row.high


NAN = pytest.approx(np.nan, nan_ok=True)
SPECIAL_CASES = {
    "no labels": ({}, None),
    "one annotator": ({"A": [YES, NO]}, None),
    "one class": ({"A": [YES] * 3, "B": [YES] * 3}, (3, 1.0, NAN)),
    "no common faces": ({"A": [YES, None], "B": [None, NO]}, (0, NAN, NAN)),
    "one face, two labels": ({"A": [YES], "B": [NO]}, (1, 0.0, pytest.approx(0.0))),
    "always equal": ({"A": [YES, NO], "B": [YES, NO]}, (2, 1.0, pytest.approx(1.0))),
    "never equal": ({"A": [YES, NO], "B": [NO, YES]}, (2, 0.0, pytest.approx(-1.0))),
    "one annotator with one class": (
        {"A": [YES, YES], "B": [YES, NO]},
        (2, 0.5, pytest.approx(0.0)),
    ),
}


@pytest.mark.parametrize(("labels", "expected"), SPECIAL_CASES.values(), ids=SPECIAL_CASES.keys())
def test_special_cases_of_kappa(labels, expected):
    table = compare_annotators(label_all(**labels))
    assert table.columns.tolist() == PAIR_COLUMNS and len(table) == (expected is not None)
    for row in table.itertuples():
        assert (row.n, row.agreement, row.kappa) == expected
        assert np.isnan([row.low, row.high]).all() == np.isnan(row.kappa)


def test_an_annotator_without_labels_is_listed():
    table = compare_annotators(
        make_labels(("0.jpg", BOX, YES, "A"), ("0.jpg", BOX, "", "B"), ("1.jpg", None, None, "C"))
    )
    assert [tuple(row) for row in table[["first", "second"]].to_numpy()] == [
        ("A", "B"),
        ("A", "C"),
        ("B", "C"),
    ]
    assert table.n.tolist() == [0, 0, 0] and table.kappa.isna().all()


SAME_FACE = {
    "the same box": ((BOX, BOX), 1),
    "the whole image": ((None, None), 1),
    "drawn slightly differently": ((BOX, (12, 9, 31, 42)), 1),
    "side by side": ((BOX, (30, 10, 50, 40)), 0),
    "half of the box": ((BOX, (10, 10, 30, 22)), 0),
    "box and whole image": ((BOX, None), 0),
}


@pytest.mark.parametrize(("boxes", "n"), SAME_FACE.values(), ids=SAME_FACE.keys())
def test_which_boxes_are_the_same_face(boxes, n):
    labels = make_labels(
        ("0.jpg", boxes[0], YES, "A"), ("0.jpg", boxes[1], NO, "B"), ("1.jpg", boxes[0], YES, "B")
    )
    assert compare_annotators(labels).n.tolist() == [n]
    assert len(find_disputes(labels)) == n


def test_a_corrected_label_counts_once():
    labels = make_labels(
        ("0.jpg", BOX, NO, "A"), ("0.jpg", BOX, YES, "B"), ("0.jpg", BOX, YES, "A")
    )
    assert compare_annotators(labels)[["n", "agreement"]].to_numpy().tolist() == [[1, 1.0]]
    assert find_disputes(labels).empty


def test_disputes_are_sorted_by_agreement():
    labels = label_all(
        A=[YES, YES, NO, YES, None], B=[YES, YES, BADLY, NO, YES], C=[YES, NO, YES, None, None]
    )
    disputes = find_disputes(
        labels.sample(frac=1, random_state=1).sort_values("labeller", kind="stable")
    )
    assert disputes.file.tolist() == ["2.jpg", "3.jpg", "1.jpg"]
    assert disputes.agreement.tolist() == pytest.approx([1 / 3, 1 / 2, 2 / 3])
    assert disputes.labels[0] == f"A: {NO}, B: {BADLY}, C: {YES}"
    assert (disputes[BOX_COLUMNS].to_numpy() == BOX).all()
    assert find_disputes(label_all()).columns.tolist() == disputes.columns.tolist()


def test_agreement_from_a_journal(tmp_path):
    for who, name in [("A", YES), ("B", NO)]:
        record_label(tmp_path / "journal.csv", "a.jpg", BOX, name, who, "buttons")
        record_label(tmp_path / "journal.csv", "b.jpg", (), YES, who, "buttons")
    labels = read_hand_labels(tmp_path / "journal.csv")
    assert compare_annotators(labels)[["n", "agreement"]].to_numpy().tolist() == [[2, 0.5]]
    assert find_disputes(labels).file.tolist() == ["a.jpg"]
    assert compare_annotators(read_hand_labels(tmp_path / "nowhere.csv")).empty


def test_the_least_probable_label_comes_first():
    names = [YES, NO, BADLY, NO_FACE, YES]
    table = make_label_table(
        [{"file": f"{n}.jpg", "class_name": name} for n, name in enumerate(names)]
    )
    table.index = [7, 7, 3, 0, 9]
    y_prob = np.array(
        [[0.9, 0.1, 0, 0], [0.6, 0.3, 0.1, 0], [0.2, 0.7, 0.1, 0], [0, 0, 0, 1], [0.9, 0, 0.1, 0]]
    )
    ranked = rank_by_model_disagreement(table, y_prob)
    assert ranked.file.tolist() == ["2.jpg", "1.jpg", "0.jpg", "4.jpg", "3.jpg"]
    assert ranked.probability.tolist() == [0.1, 0.3, 0.9, 0.9, 1]
    assert ranked.suggested.tolist() == [NO, YES, YES, YES, NO_FACE]
    assert ranked.suggested_probability.tolist() == y_prob[ranked.position].max(axis=1).tolist()
    assert (
        rank_by_model_disagreement(table[:0], y_prob[:0]).columns.tolist()
        == ranked.columns.tolist()
    )


@pytest.mark.parametrize("shape", list(product([1, 3], [3, 4]))[:3], ids=str)
def test_probabilities_of_the_wrong_shape_are_refused(shape):
    table = make_label_table([{"file": f"{n}.jpg", "class_name": YES} for n in range(3)])
    with pytest.raises(ValueError, match="one row per face"):
        rank_by_model_disagreement(table, np.zeros(shape))


@pytest.mark.parametrize("name", ["cat", "", None], ids=repr)
def test_an_unknown_class_is_reported(name):
    table = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "class_name": [YES, name]})
    with pytest.raises(LabelError, match="b.jpg: the class"):
        rank_by_model_disagreement(table, np.zeros((2, 4)))
