"""Plots of finished tables. Each function returns the Axes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.ticker import MaxNLocator

from utils.classes import CLASS_COLORS, CLASS_NAMES, MASK_CLASSES

BAR_WIDTH = 0.45  # inches for each bar with a number on it
MAX_NUMBERS = 40  # numbers beside each other that a plot over time has room for


def plot_counts(table: pd.DataFrame, x: str = "class_name", hue: str = "source") -> Axes:
    """Plot the number of rows of each kind in a table, with the count on each bar.

    Args:
        table: has the columns ``x`` and ``hue``.
        x: column with one group of bars for each value.
        hue: column with one colour for each value.
    """
    order = None
    if x == "class_name":
        present = set(table[x])
        order = [name for name in CLASS_NAMES if name in present]
    bar_count = table[x].nunique() * table[hue].nunique()
    _, ax = plt.subplots(figsize=(max(8, BAR_WIDTH * bar_count), 3.5))
    sns.countplot(table, x=x, hue=hue, order=order, ax=ax, palette="muted")
    for bars in ax.containers:
        if isinstance(bars, BarContainer):
            ax.bar_label(bars, fontsize=8)
    ax.set(xlabel="", ylabel="faces")
    ax.margins(y=0.12)
    sns.despine(ax=ax)
    return ax


def plot_confusion(counts: pd.DataFrame, title: str = "") -> np.ndarray:
    """Plot a confusion matrix twice: as counts, and as shares of each true class.

    Args:
        counts: one row for each true class, one column for each predicted class.
        title: of the figure.

    Returns:
        The two Axes.
    """
    true_counts = counts.sum(axis=1).clip(lower=1)  # 1: no division by 0
    shares = counts.div(true_counts, axis=0)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    _plot_matrix(counts, number_format="d", title="counts", ax=axes[0])
    _plot_matrix(shares, number_format=".1%", title="shares of each true class", ax=axes[1])
    axes[1].set_ylabel("")
    figure.suptitle(title)
    figure.tight_layout()
    return axes


def _plot_matrix(values: pd.DataFrame, number_format: str, title: str, ax: Axes) -> None:
    """Plot a matrix as a heat map with its numbers."""
    sns.heatmap(
        values,
        annot=True,
        fmt=number_format,
        cmap="Blues",
        cbar=False,
        vmin=0,
        ax=ax,
        square=False,
    )
    ax.set_title(title, fontsize=10)
    plt.setp(ax.get_xticklabels(), rotation=20, ha="right")
    ax.tick_params(axis="y", rotation=0)


def plot_history(history: pd.DataFrame, title: str = "", train_label: str = "train") -> np.ndarray:
    """Plot learning curves: loss and accuracy by epoch, of train and validation.

    Args:
        history: ``epoch`` and ``loss``; ``accuracy``, ``val_loss`` and ``val_accuracy`` if known.
        title: of the figure.
        train_label: name of the training curve, such as "train, augmented".

    Returns:
        The Axes of the loss and, if the table has it, of the accuracy.
    """
    names = [name for name in ("loss", "accuracy") if name in history]
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 3.4), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        curves = {name: train_label, f"val_{name}": "validation"}
        for column, label in curves.items():
            if column not in history:
                continue
            sns.lineplot(history, x="epoch", y=column, label=label, marker="o", markersize=4, ax=ax)
        ax.set(xlabel="epoch", ylabel=name)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        sns.despine(ax=ax)
    figure.suptitle(title)
    figure.tight_layout()
    return axes[0]


def plot_sizes(tables: dict[str, pd.DataFrame]) -> Axes:
    """Plot the distribution of face widths, with the median in the legend.

    Args:
        tables: label tables by name; one curve for each.
    """
    _, ax = plt.subplots(figsize=(7, 3.2))
    for name, table in tables.items():
        width = (table.x_max - table.x_min).rename("width")
        label = f"{name}: {len(width)} faces, median {width.median():.0f} px"
        sns.ecdfplot(x=width, ax=ax, label=label)
    ticks = [4, 8, 16, 32, 64, 128, 256]  # pixels
    ax.set(xscale="log", xlabel="width of a face, pixels", ylabel="share that is narrower")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.legend()
    sns.despine(ax=ax)
    return ax


def plot_precision_recall(curves: dict[str, pd.DataFrame], min_confidence: float = 0.5) -> Axes:
    """Plot precision-recall curves, with a dot at a confidence threshold.

    Args:
        curves: tables of ``evaluate.precision_recall`` by name, with ``confidence``, ``recall`` and
            ``precision``.
        min_confidence: the threshold.
    """
    _, ax = plt.subplots(figsize=(5.6, 4.4))
    for name, curve in curves.items():
        (line,) = ax.plot(curve.recall, curve.precision, label=name, drawstyle="steps-post")
        at_threshold = curve[curve.confidence >= min_confidence].tail(1)
        ax.plot(at_threshold.recall, at_threshold.precision, "o", color=line.get_color())
    ax.set(
        xlabel="recall: share of the labelled faces found",
        ylabel="precision: share of the boxes that are faces",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title=f"dots: confidence {min_confidence}",
    )
    ax.legend(loc="lower left")
    sns.despine(ax=ax)
    return ax


def plot_reliability(tables: dict[str, pd.DataFrame]) -> Axes:
    """Plot reliability curves. A calibrated model is on the diagonal.

    Args:
        tables: tables of ``evaluate.reliability_table`` by name, with ``probability``,
            ``accuracy``, ``low`` and ``high``.
    """
    _, ax = plt.subplots(figsize=(5, 4.4))
    ax.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfectly calibrated")
    lowest = 1.0
    for name, table in tables.items():
        ax.errorbar(
            x=table.probability,
            y=table.accuracy,
            yerr=_error_bars(table.accuracy, table),
            marker="o",
            capsize=3,
            label=name,
            alpha=0.85,
        )
        lowest = min(lowest, table.probability.min(), table.low.min())
    limits = (lowest - 0.02, 1.01)
    ax.set(
        xlabel="probability of the answer",
        ylabel="share of right answers",
        xlim=limits,
        ylim=limits,
    )
    ax.legend(loc="upper left")
    sns.despine(ax=ax)
    return ax


def _error_bars(value: pd.Series, table: pd.DataFrame) -> np.ndarray:
    """Return the (2, N) lengths of error bars from values to ``low`` and ``high`` of a table."""
    return np.clip([value - table.low, table.high - value], 0, None)


def plot_shares(table: pd.DataFrame) -> Axes:
    """Plot the shares of the classes over time, a bar for each interval, with the number of people.

    Args:
        table: ``start_s``, ``end_s``, ``people`` and ``share_<class>`` of each of
            ``MASK_CLASSES``, as ``PeopleCounter.list_intervals`` of ``utils.video`` returns them.
            Shares of an interval without people are empty.
    """
    _, ax = plt.subplots(figsize=(9, 3))
    width = (table.end_s - table.start_s).clip(lower=1e-3)  # seconds; 0 would be invisible
    bottom = np.zeros(len(table))
    for name in MASK_CLASSES:
        share = pd.to_numeric(table[f"share_{name}"]).fillna(0)
        ax.bar(
            x=table.start_s,
            height=share,
            width=width,
            bottom=bottom,
            align="edge",
            color=np.array(CLASS_COLORS[name]) / 255,
            edgecolor="white",
            label=name,
        )
        bottom += share
    step = 1 + len(table) // MAX_NUMBERS
    for row in table[::step].itertuples():
        middle = (row.start_s + row.end_s) / 2
        ax.annotate(f"{row.people}", (middle, 1.02), ha="center", fontsize=9)
    ax.set(xlabel="seconds; the numbers are people", ylabel="share of people", ylim=(0, 1.12))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(ax=ax)
    return ax


def plot_intervals(table: pd.DataFrame, value: str = "accuracy", hue: str | None = None) -> Axes:
    """Plot values with their confidence intervals, one row for each slice.

    Args:
        table: ``slice`` (index or column), the value, ``low``, ``high``, ``n``.
        value: column to plot.
        hue: column with one colour for each value.
    """
    rows = table.reset_index()
    slices = list(dict.fromkeys(rows.slice))
    kinds = [None] if hue is None else list(dict.fromkeys(rows[hue]))
    _, ax = plt.subplots(figsize=(7.5, 0.7 + 0.3 * len(slices) * len(kinds)))
    for number, kind in enumerate(kinds):
        part = rows if hue is None else rows[rows[hue] == kind]
        shift = 0.25 * (number - (len(kinds) - 1) / 2)  # so that kinds do not hide each other
        ax.errorbar(
            x=part[value],
            y=[slices.index(name) + shift for name in part.slice],
            xerr=_error_bars(part[value], part),
            fmt="o",
            capsize=3,
            label=kind,
        )
    _name_slices(ax, slices, rows.groupby("slice").n.max())
    ax.set(xlabel=f"{value}, 95 % interval")
    if hue is not None:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(kinds), frameon=False)
    sns.despine(ax=ax)
    return ax


def plot_conditions(table: pd.DataFrame) -> Axes:
    """Plot recall and precision of each slice with their intervals.

    Args:
        table: ``slice, score, n, value, low, high``, see ``evaluate.condition_table``.
    """
    scores = list(dict.fromkeys(table.score))
    slices = list(dict.fromkeys(table.slice))
    _, axes = plt.subplots(
        ncols=max(1, len(scores)),
        figsize=(11, 0.9 + 0.3 * len(slices)),
        sharex=True,
        squeeze=False,
    )
    for ax, score in zip(axes[0], scores, strict=False):
        part = table[(table.score == score) & (table.n > 0)].reset_index(drop=True)
        ax.errorbar(
            x=part.value,
            y=[slices.index(name) for name in part.slice],
            xerr=_error_bars(part.value, part),
            fmt="o",
            capsize=3,
        )
        _name_slices(ax, slices, table[table.score == score].set_index("slice").n)
        ax.set(xlabel=f"{score}, 95 % interval")
    sns.despine()
    axes[0, 0].figure.tight_layout()
    return axes[0, 0]


def _name_slices(ax: Axes, slices: list[str], n: pd.Series) -> None:
    """Name a row for each slice, from top to bottom, with its n; a slice that is not in n has 0."""
    ax.set_yticks(range(len(slices)), [f"{name} (n={n.get(name, 0)})" for name in slices])
    ax.set(ylim=(len(slices) - 0.5, -0.5))


def plot_thresholds(table: pd.DataFrame, chosen: float) -> Axes:
    """Plot both errors of a threshold on the probability of ``no_face``.

    Args:
        table: ``threshold``, ``faces_lost``, ``mistakes_kept`` of ``evaluate.threshold_table``.
        chosen: the threshold to mark.
    """
    names = {"faces_lost": "faces dropped", "mistakes_kept": "background kept"}
    ax = _plot_choice(table, x="threshold", names=names, chosen=chosen)
    top = max(0.1, ax.get_ylim()[1])  # lines at 0 need an axis too
    ax.set(xlabel="threshold on the probability of no_face", ylabel="share", ylim=(-0.01, top))
    return ax


def plot_unsure(table: pd.DataFrame, chosen: float) -> Axes:
    """Plot the share of unsure answers and the error of the sure ones by level.

    Args:
        table: ``level, unsure, error`` of ``evaluate.unsure_table``.
        chosen: the level to mark.
    """
    names = {"unsure": "unsure answers", "error": "wrong among the sure"}
    ax = _plot_choice(table, x="level", names=names, chosen=chosen)
    ax.set(xlabel="level of sureness", ylabel="share")
    return ax


def _plot_choice(table: pd.DataFrame, x: str, names: dict[str, str], chosen: float) -> Axes:
    """Plot two columns of a table over a third, and mark a chosen value.

    Args:
        table: the table.
        x: column of the values to choose from.
        names: name of each curve, by column.
        chosen: the value to mark.
    """
    _, ax = plt.subplots(figsize=(6, 3.4))
    for (column, name), style in zip(names.items(), ("-", "--"), strict=True):
        sns.lineplot(table, x=x, y=column, label=name, linestyle=style, ax=ax)
    ax.axvline(chosen, color="0.4", linestyle=":", label=f"chosen: {chosen:.2f}")
    ax.legend()
    sns.despine(ax=ax)
    return ax
