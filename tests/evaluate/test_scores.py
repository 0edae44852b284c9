"""Scores against scikit-learn and counts by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from utils.classes import CLASS_NAMES
from utils.evaluate import scores as evaluate


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 4, 400)
    y_prob = rng.dirichlet(np.ones(4), 400)
    y_prob[np.arange(400), y_true] += 0.8
    return y_true, y_prob / y_prob.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (5, 10), (10, 10), (98, 100), (3, 2000)])
def test_wilson_holds_the_share_and_stays_in_bounds(right, n):
    low, high = evaluate.wilson_interval(right, n)
    assert 0 <= low <= right / n <= high <= 1


def test_wilson_of_nothing_says_nothing():
    assert evaluate.wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_covers_the_truth_about_as_often_as_it_says():
    n, share = 60, 0.9
    covered = [
        low <= share <= high for low, high in (evaluate.wilson_interval(k, n) for k in range(n + 1))
    ]
    assert 0.93 < np.sum(binom.pmf(np.arange(n + 1), n, share) * covered) < 0.98


def test_bootstrap_is_wider_when_the_faces_of_a_photograph_agree():
    right = np.repeat(np.random.default_rng(0).random(40) < 0.8, 10)
    narrow = evaluate.bootstrap_interval(lambda rows: right[rows].mean(), np.arange(400))
    wide = evaluate.bootstrap_interval(
        lambda rows: right[rows].mean(), np.repeat(np.arange(40), 10)
    )
    assert narrow[0] <= right.mean() <= narrow[1]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_confusion_table_counts_every_face(answers):
    y_true, y_prob = answers
    y_pred = y_prob.argmax(axis=1)
    table = evaluate.confusion_table(y_true, y_pred)
    assert table.to_numpy().sum() == len(y_true)
    assert table.loc["with_mask", "no_face"] == ((y_true == 0) & (y_pred == 3)).sum()


def test_classification_table_agrees_with_scikit_learn(answers):
    y_true, y_prob = answers
    y_pred = y_prob.argmax(axis=1)
    table = evaluate.classification_table(y_true, y_pred)
    expected = precision_recall_fscore_support(y_true, y_pred)
    for column, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        np.testing.assert_allclose(table.loc[list(CLASS_NAMES), column], values)
    assert table.loc["macro mean", "f1"] == pytest.approx(np.mean(expected[2]))
    assert (table.recall_low <= table.recall).iloc[:4].all()


def test_classification_table_leaves_out_a_class_that_is_not_there():
    table = evaluate.classification_table(np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert list(table.index) == ["with_mask", "without_mask", "macro mean"]


def test_accuracy_table_by_slice_agrees_with_scikit_learn(answers):
    y_true, y_prob = answers
    y_pred = y_prob.argmax(axis=1)
    slices = pd.Series(np.where(np.arange(400) < 100, "small", "large"))
    table = evaluate.accuracy_table(y_true, y_pred, slices)
    assert table.accuracy["small"] == pytest.approx(accuracy_score(y_true[:100], y_pred[:100]))
    assert table.accuracy["all"] == pytest.approx(accuracy_score(y_true, y_pred))
    assert table.n.tolist() == [300, 100, 400]


def test_majority_baseline_is_the_larger_class_of_train():
    assert evaluate.majority_baseline(np.array([2, 2, 1]), np.array([0, 1])).tolist() == [2, 2]


def test_worst_mistakes_are_mistakes_and_the_surest_come_first(answers):
    y_true, y_prob = answers
    worst = evaluate.worst_mistakes(y_true, y_prob, 10)
    assert (worst.true != worst.predicted).all()
    assert worst.probability.is_monotonic_decreasing
    wrong = y_prob.argmax(axis=1) != y_true
    assert worst.probability.iloc[0] == y_prob[wrong].max()


def test_no_mistakes_give_an_empty_table():
    assert evaluate.worst_mistakes(np.array([0]), np.array([[0.9, 0.1, 0, 0]])).empty


def test_threshold_table_counts_both_costs():
    table = evaluate.threshold_table(
        [True, True, False, False], [0.9, 0.2, 0.6, 0.1], np.array([0.5])
    )
    assert table.iloc[0].to_dict() == {"threshold": 0.5, "faces_lost": 0.5, "mistakes_kept": 0.5}


def test_slices_by_source_and_width():
    table = pd.DataFrame(
        {
            "source": ["scenes"] * 3 + ["faces"],
            "x_min": [0, 0, 0, np.nan],
            "x_max": [15, 16, 90, np.nan],
        }
    )
    scores = evaluate.slice_table(
        table, np.zeros(4, int), {"ours": np.array([0, 0, 1, 0])}
    ).set_index("slice")
    assert scores.n.to_dict() == {
        "faces, whole image": 1, "scenes": 3,
        "scenes, under 16 px": 1, "scenes, 16-32 px": 1, "scenes, over 32 px": 1,
    }  # fmt: skip
    assert scores.accuracy["scenes, over 32 px"] == 0


def test_compare_table_has_the_score_inside_its_interval(answers):
    y_true, y_prob = answers
    row = evaluate.compare_table(y_true, {"ours": y_prob.argmax(axis=1)}, np.arange(400)).loc[
        "ours"
    ]
    assert row.accuracy_low < row.accuracy < row.accuracy_high
    assert row.macro_f1_low < row.macro_f1 < row.macro_f1_high
