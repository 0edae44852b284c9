"""Figures: the numbers of the tables are read back from the Axes."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from utils import plots
from utils.classes import MASK_CLASSES
from utils.evaluate import calibration
from utils.evaluate import scores as evaluate


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_bars_show_their_counts():
    table = pd.DataFrame({"class_name": ["no_face", "with_mask", "with_mask"], "source": "web"})
    ax = plots.plot_counts(table)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["with_mask", "no_face"]
    assert [text.get_text() for text in ax.texts] == ["2", "1"]


def test_a_confusion_matrix_shows_counts_and_shares_of_each_true_class():
    counts = evaluate.confusion_table([0, 0, 0, 1], [0, 0, 1, 1])
    left, right = plots.plot_confusion(counts, "test")
    assert [text.get_text() for text in left.texts] == [str(n) for n in counts.to_numpy().ravel()]
    assert "66.7%" in [text.get_text() for text in right.texts]
    assert left.get_ylabel() == "true" and left.get_xlabel() == "predicted"


def test_a_history_has_curves_of_train_and_validation():
    history = pd.DataFrame(
        {"epoch": [1, 2], "loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "accuracy": [0.5, 0.9]}
    )
    loss, accuracy = plots.plot_history(history)
    np.testing.assert_allclose(loss.lines[1].get_ydata(), history.val_loss)
    assert len(accuracy.lines) == 1 and accuracy.get_xlabel() == "epoch"
    assert loss.get_legend().get_texts()[0].get_text() == "train"


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 30])
def test_epochs_are_whole_numbers(epochs):
    history = pd.DataFrame({"epoch": range(1, epochs + 1), "loss": np.linspace(1, 0.5, epochs)})
    (ax,) = plots.plot_history(history, train_label="train, augmented")
    assert all(tick == round(tick) for tick in ax.get_xticks())
    assert ax.get_legend().get_texts()[0].get_text() == "train, augmented"


def test_a_gallery_has_a_caption_for_each_image_and_hides_empty_cells():
    images = [np.full((8, 8, 3), value, np.uint8) for value in (0, 100, 200)]
    ax = plots.plot_gallery(images, ["a", "b", "c"], columns=2)
    axes = ax.figure.axes
    assert [each.get_title() for each in axes] == ["a", "b", "c", ""]
    assert not any(each.axison for each in axes)


def test_a_gallery_without_images_is_an_empty_figure():
    assert not plots.plot_gallery([], []).images


def test_long_words_of_captions_are_not_broken():
    ax = plots.plot_gallery([np.zeros((8, 8, 3), np.uint8)], ["mask_worn_incorrectly 97 %"], side=1)
    assert ax.get_title() == "mask_worn_incorrectly\n97 %"


def test_rows_have_their_name_once_and_rows_without_images_are_left_out():
    image = np.zeros((8, 8, 3), np.uint8)
    ax = plots.plot_rows({"with_mask": [image] * 3, "no_face": [], "without_mask": [image]})
    axes = ax.figure.axes
    names = [each.get_title(loc="left") for each in axes]
    assert names == ["with_mask", "", "", "without_mask", "", ""]
    assert [len(each.images) for each in axes] == [1, 1, 1, 1, 0, 0]
    assert not plots.plot_rows({}).images


def test_a_figure_as_png_is_closed():
    png = plots.to_png(plots.plot_gallery([np.zeros((8, 8, 3), np.uint8)], ["a"]))
    assert png.startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_the_legend_of_reliability_names_each_curve():
    y_prob = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    table = calibration.reliability_table(y_prob.argmax(axis=1), y_prob)
    ax = plots.plot_reliability({"raw": table})
    assert "raw" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_each_slice_is_one_row_of_intervals():
    row = {"slice": "scenes", "n": 10, "accuracy": 0.9, "low": 0.6, "high": 0.98}
    table = pd.DataFrame([row | {"recipe": "ours"}, row | {"recipe": "classic", "accuracy": 0.7}])
    ax = plots.plot_intervals(table, hue="recipe")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["scenes (n=10)"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "classic"]


def test_the_chosen_threshold_is_marked():
    table = evaluate.threshold_table([True, False], [0.9, 0.1], np.linspace(0, 1, 5))
    ax = plots.plot_thresholds(table, 0.5)
    assert any("0.50" in text.get_text() for text in ax.get_legend().get_texts())


def test_heat_covers_the_whole_face():
    ax = plots.plot_heat([np.zeros((32, 32, 3), np.uint8)], [np.eye(4)], ["a"])
    below = ax.figure.axes[1]
    assert below.images[1].get_extent() == below.images[0].get_extent()


def test_the_legend_of_sizes_has_count_and_median():
    table = pd.DataFrame({"x_min": [0, 0, 10], "x_max": [8, 16, 74]})
    ax = plots.plot_sizes({"train": table})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "train: 3 faces, median 16 px"
    ]
    assert ax.get_xscale() == "log" and "pixels" in ax.get_xlabel()


def test_a_dot_marks_the_threshold_on_the_curve():
    curve = pd.DataFrame(
        {"confidence": [0.9, 0.6, 0.3], "recall": [0.2, 0.4, 0.6], "precision": [1.0, 0.9, 0.7]}
    )
    ax = plots.plot_precision_recall({"fcos": curve})
    line, dot = ax.lines
    np.testing.assert_allclose(line.get_xydata(), curve[["recall", "precision"]])
    np.testing.assert_allclose(dot.get_xydata(), [[0.4, 0.9]])


def test_a_history_without_accuracy_has_one_plot():
    assert len(plots.plot_history(pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5]}))) == 1


def test_shares_are_stacked_and_people_are_counted():
    shares = {"share_with_mask": [0.5, "", 1.0], "share_without_mask": [0.25, "", 0.0]}
    table = pd.DataFrame(
        {"start_s": [0, 10, 20], "end_s": [10, 20, 25], "people": [4, 0, 1], **shares}
    )
    ax = plots.plot_shares(table.assign(share_mask_worn_incorrectly=[0.25, "", 0.0]))
    tops = np.array([[bar.get_y() + bar.get_height() for bar in bars] for bars in ax.containers])
    np.testing.assert_allclose(tops, [[0.5, 0, 1], [0.75, 0, 1], [1, 0, 1]])
    assert [bar.get_width() for bar in ax.containers[0]] == [10, 10, 5]
    assert [text.get_text() for text in ax.texts] == ["4", "0", "1"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(MASK_CLASSES)


def test_a_figure_of_one_or_more_axes_is_saved_and_stays_open(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 0.5]})
    axes = plots.plot_history(history)
    plots.save_figure(axes, tmp_path / "several.png")
    plots.save_figure(axes[0], tmp_path / "one.png")
    assert (tmp_path / "several.png").read_bytes() == (tmp_path / "one.png").read_bytes()
    assert plt.get_fignums()
