"""Scores against scikit-learn and counts by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from utils.classes import CLASS_NAMES
from utils.evaluate import scores


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 4, 400)
    y_prob = rng.dirichlet(np.ones(4), 400)
    y_prob[np.arange(400), y_true] += 0.8
    return y_true, y_prob / y_prob.sum(axis=1, keepdims=True)


def test_the_wilson_interval_of_no_trials_is_0_to_1():
    assert scores.wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (5, 10), (10, 10), (98, 100), (3, 2000)])
def test_the_wilson_interval_contains_the_proportion(hits, n):
    low, high = scores.wilson_interval(hits, n)
    assert 0 <= low <= hits / n <= high <= 1


def test_the_coverage_of_the_wilson_interval_is_about_nominal():
    n = 60
    share = 0.9
    coverage = 0.0
    for hits in range(n + 1):
        low, high = scores.wilson_interval(hits, n)
        if low <= share <= high:
            coverage += binom.pmf(hits, n, share)
    assert 0.93 < coverage < 0.98


def test_the_bootstrap_interval_is_wider_if_the_faces_of_a_group_agree():
    right = np.repeat(np.random.default_rng(0).random(40) < 0.8, 10)

    def score(rows):
        return right[rows].mean()

    narrow = scores.bootstrap_interval(score, group=np.arange(400))
    wide = scores.bootstrap_interval(score, group=np.repeat(np.arange(40), 10))
    assert narrow[0] <= right.mean() <= narrow[1]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_confusion_table_counts_every_face(answers):
    y_true, y_prob = answers
    y_pred = y_prob.argmax(axis=1)
    table = scores.confusion_table(y_true, y_pred)
    assert table.to_numpy().sum() == len(y_true)
    assert table.loc["with_mask", "no_face"] == ((y_true == 0) & (y_pred == 3)).sum()


def test_classification_table_agrees_with_scikit_learn(answers):
    y_true, y_prob = answers
    y_pred = y_prob.argmax(axis=1)
    table = scores.classification_table(y_true, y_pred)
    expected = precision_recall_fscore_support(y_true, y_pred)
    for column, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        np.testing.assert_allclose(table.loc[list(CLASS_NAMES), column], values)
    assert table.loc["macro mean", "f1"] == pytest.approx(np.mean(expected[2]))
    assert (table.recall_low <= table.recall).iloc[:4].all()


def test_classification_table_has_no_row_for_a_class_without_faces():
    table = scores.classification_table(np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert list(table.index) == ["with_mask", "without_mask", "macro mean"]


def test_accuracy_table_by_slice_agrees_with_scikit_learn(answers):
    y_true, y_prob = answers
    y_pred = y_prob.argmax(axis=1)
    slices = pd.Series(np.where(np.arange(400) < 100, "small", "large"))
    table = scores.accuracy_table(y_true, y_pred, slices)
    assert table.accuracy["small"] == pytest.approx(accuracy_score(y_true[:100], y_pred[:100]))
    assert table.accuracy["all"] == pytest.approx(accuracy_score(y_true, y_pred))
    assert table.n.tolist() == [300, 100, 400]


def test_majority_baseline_is_the_most_frequent_class_of_train():
    assert scores.majority_baseline(np.array([2, 2, 1]), np.array([0, 1])).tolist() == [2, 2]


def test_worst_mistakes_are_sorted_by_probability(answers):
    y_true, y_prob = answers
    worst = scores.worst_mistakes(y_true, y_prob, 10)
    assert (worst.true != worst.predicted).all()
    assert worst.probability.is_monotonic_decreasing
    wrong = y_prob.argmax(axis=1) != y_true
    assert worst.probability.iloc[0] == y_prob[wrong].max()


def test_no_mistakes_give_an_empty_table():
    assert scores.worst_mistakes(np.array([0]), np.array([[0.9, 0.1, 0, 0]])).empty


def test_threshold_table_gives_both_shares():
    is_no_face = [True, True, False, False]
    probability = [0.9, 0.2, 0.6, 0.1]
    table = scores.threshold_table(is_no_face, probability, np.array([0.5]))
    assert table.iloc[0].to_dict() == {"threshold": 0.5, "faces_lost": 0.5, "mistakes_kept": 0.5}


def test_slice_table_has_sources_and_widths():
    table = pd.DataFrame(
        {
            "source": ["scenes"] * 3 + ["faces"],
            "x_min": [0, 0, 0, np.nan],
            "x_max": [15, 16, 90, np.nan],
        }
    )
    answers = {"ours": np.array([0, 0, 1, 0])}
    by_slice = scores.slice_table(table, np.zeros(4, int), answers).set_index("slice")
    assert by_slice.n.to_dict() == {
        "faces, whole image": 1,
        "scenes": 3,
        "scenes, under 16 px": 1,
        "scenes, 16-32 px": 1,
        "scenes, over 32 px": 1,
    }
    assert by_slice.index.tolist()[2:] == list(scores.WIDTH_LABELS)
    assert by_slice.accuracy["scenes, over 32 px"] == 0


def test_scores_of_compare_table_lie_inside_their_intervals(answers):
    y_true, y_prob = answers
    table = scores.compare_table(y_true, {"ours": y_prob.argmax(axis=1)}, group=np.arange(400))
    row = table.loc["ours"]
    assert row.accuracy_low < row.accuracy < row.accuracy_high
    assert row.macro_f1_low < row.macro_f1 < row.macro_f1_high


def test_compare_sources_scores_each_source_alone():
    y_true = np.array([0, 1, 1, 1, 0, 0])
    y_pred = np.array([0, 1, 0, 1, 0, 2])
    source = np.array(["a", "a", "a", "a", "b", "b"])
    table = scores.compare_sources(y_true, {"ours": y_pred}, np.arange(6), source)
    by_source = table.set_index("source")
    assert by_source.n.to_dict() == {"a": 4, "b": 2}
    assert by_source.accuracy.to_dict() == {"a": 0.75, "b": 0.5}
    assert by_source.bare_recall["a"] == pytest.approx(2 / 3)
    # Source b has one class: one of its two faces is found, and no answer for it is wrong.
    assert by_source.macro_f1["b"] == pytest.approx(2 / 3)


def test_a_source_without_bare_faces_has_no_recall_of_them():
    source = np.array(["a", "a"])
    table = scores.compare_sources(
        np.array([0, 2]), {"ours": np.array([0, 2])}, np.arange(2), source
    )
    assert table[["bare_recall", "bare_recall_low", "bare_recall_high"]].isna().all(axis=None)
