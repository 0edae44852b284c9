"""Figures: each takes a table or pictures and returns Axes; nothing is computed here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from utils.classes import CLASS_COLORS, CLASS_NAMES, MASK_CLASSES

_BELOW = {"fontsize": 7, "y": 0, "pad": -3, "va": "top"}  # a title as a caption under the picture


def plot_gallery(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 8, side: float = 1.6
) -> Axes:
    """Pictures in a grid of cells ``side`` inches wide, a caption under each; returns the first Axes."""
    captions = [_wrap(caption, round(17 * side)) for caption in captions]
    starts = range(0, max(1, len(images)), columns)
    heights = []  # a row is as high as its highest picture, but for extremes, and its longest caption
    for row in (slice(start, start + columns) for start in starts):
        highest = max([len(image) / image.shape[1] for image in images[row]], default=0.2)
        lines = max([caption.count("\n") + 1 for caption in captions[row]], default=1)
        heights.append(side * min(highest, 1.3) + 0.14 * lines + 0.12)
    size = (columns * side, sum(heights))
    figure, grid = plt.subplots(
        len(heights), columns, figsize=size, height_ratios=heights, squeeze=False
    )
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, image, caption in zip(grid.flat, images, captions, strict=False):
        ax.imshow(image)
        ax.set_anchor("N")
        ax.set_title(caption, **_BELOW)
    figure.tight_layout(pad=0.4)
    return grid[0, 0]


def _wrap(caption: str, length: int) -> str:
    return "\n".join(part for line in caption.splitlines() for part in textwrap.wrap(line, length))


def plot_counts(table: pd.DataFrame, x: str = "class_name", hue: str = "source") -> Axes:
    """How many rows of each kind, the count written on each bar."""
    order = [name for name in CLASS_NAMES if name in set(table[x])] if x == "class_name" else None
    _, ax = plt.subplots(figsize=(8, 3.5))
    sns.countplot(table, x=x, hue=hue, order=order, ax=ax, palette="muted")
    for bars in ax.containers:
        ax.bar_label(bars, fontsize=8)
    ax.set(xlabel="", ylabel="faces")
    ax.margins(y=0.12)
    sns.despine(ax=ax)
    return ax


def plot_confusion(counts: pd.DataFrame, title: str = "") -> np.ndarray:
    """A confusion matrix twice: as counts, and as shares of each true class."""
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    kinds = (counts, "d", "counts"), (shares, ".1%", "shares of each true class")
    for ax, (values, form, name) in zip(axes, kinds, strict=True):
        sns.heatmap(
            values, annot=True, fmt=form, cmap="Blues", cbar=False, vmin=0, ax=ax, square=False
        )
        ax.set_title(name, fontsize=10)
        plt.setp(ax.get_xticklabels(), rotation=20, ha="right")
        ax.tick_params(axis="y", rotation=0)
    axes[1].set_ylabel("")
    figure.suptitle(title)
    figure.tight_layout()
    return axes


def plot_history(history: pd.DataFrame, title: str = "") -> np.ndarray:
    """Learning curves: loss and accuracy by epoch, train and validation, where the table has them."""
    names = [name for name in ("loss", "accuracy") if name in history]
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 3.4), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        for column, label in ((name, "train, augmented"), (f"val_{name}", "validation")):
            if column in history:
                sns.lineplot(
                    history, x="epoch", y=column, label=label, marker="o", markersize=4, ax=ax
                )
        ax.set(xlabel="epoch", ylabel=name)
        sns.despine(ax=ax)
    figure.suptitle(title)
    figure.tight_layout()
    return axes[0]


def plot_sizes(tables: dict[str, pd.DataFrame]) -> Axes:
    """Widths of labelled faces in pixels on a logarithmic axis, a curve a table, its median in the legend."""
    _, ax = plt.subplots(figsize=(7, 3.2))
    for name, table in tables.items():
        width = (table.x_max - table.x_min).rename("width")
        label = f"{name}: {len(width)} faces, median {width.median():.0f} px"
        sns.ecdfplot(x=width, ax=ax, label=label)
    ax.set(xscale="log", xlabel="width of a face, pixels", ylabel="share that is narrower")
    ax.set_xticks([4, 8, 16, 32, 64, 128, 256], ["4", "8", "16", "32", "64", "128", "256"])
    ax.legend()
    sns.despine(ax=ax)
    return ax


def plot_precision_recall(curves: dict[str, pd.DataFrame], min_confidence: float = 0.5) -> Axes:
    """Curves of ``evaluate.precision_recall``, with a dot where ``min_confidence`` cuts each."""
    _, ax = plt.subplots(figsize=(5.6, 4.4))
    for name, curve in curves.items():
        (line,) = ax.plot(curve.recall, curve.precision, label=name, drawstyle="steps-post")
        kept = curve[curve.confidence >= min_confidence].tail(1)
        ax.plot(kept.recall, kept.precision, "o", color=line.get_color())
    ax.set(
        xlabel="recall: share of the labelled faces found",
        ylabel="precision: share of the boxes that are faces",
    )
    ax.set(xlim=(0, 1), ylim=(0, 1.02), title=f"dots: confidence {min_confidence}")
    ax.legend(loc="lower left")
    sns.despine(ax=ax)
    return ax


def plot_reliability(tables: dict[str, pd.DataFrame]) -> Axes:
    """Reliability curves from ``evaluate.reliability_table``: on the diagonal, certainty is earned."""
    _, ax = plt.subplots(figsize=(5, 4.4))
    ax.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="earned exactly")
    for name, table in tables.items():
        bars = np.clip([table.accuracy - table.low, table.high - table.accuracy], 0, None)
        ax.errorbar(
            table.probability, table.accuracy, bars, marker="o", capsize=3, label=name, alpha=0.85
        )
    lowest = min(min(table.probability.min(), table.low.min()) for table in tables.values())
    ax.set(
        xlabel="probability said",
        ylabel="share that was right",
        xlim=(lowest - 0.02, 1.01),
        ylim=(lowest - 0.02, 1.01),
    )
    ax.legend(loc="lower right")
    sns.despine(ax=ax)
    return ax


def plot_shares(table: pd.DataFrame) -> Axes:
    """People over time, a bar an interval (``Census.list_intervals``): the share of each class, and above it how many
    people there were."""
    _, ax = plt.subplots(figsize=(9, 3))
    width = (table.end_s - table.start_s).clip(lower=1e-3)
    floor = np.zeros(len(table))
    for name in MASK_CLASSES:
        share = pd.to_numeric(table[f"share_{name}"]).fillna(0)
        color = np.array(CLASS_COLORS[name]) / 255
        ax.bar(
            table.start_s,
            share,
            width,
            floor,
            align="edge",
            color=color,
            edgecolor="white",
            label=name,
        )
        floor += share
    every = 1 + len(table) // 40  # more numbers than that would lie on one another
    for row in table[::every].itertuples():
        ax.annotate(f"{row.people}", ((row.start_s + row.end_s) / 2, 1.02), ha="center", fontsize=9)
    ax.set(xlabel="seconds; the numbers are people", ylabel="share of people", ylim=(0, 1.12))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(ax=ax)
    return ax


def plot_intervals(table: pd.DataFrame, value: str = "accuracy", hue: str | None = None) -> Axes:
    """Points with intervals, a row a slice: ``slice`` (index or column), the value, ``low``, ``high``, ``n``."""
    rows = table.reset_index()
    slices, kinds = (
        list(dict.fromkeys(rows.slice)),
        [None] if hue is None else list(dict.fromkeys(rows[hue])),
    )
    _, ax = plt.subplots(figsize=(7.5, 0.7 + 0.3 * len(slices) * len(kinds)))
    for shift, kind in enumerate(kinds):
        part = rows if hue is None else rows[rows[hue] == kind]
        y = np.array([slices.index(name) for name in part.slice]) + 0.25 * (
            shift - (len(kinds) - 1) / 2
        )
        errors = np.clip([part[value] - part.low, part.high - part[value]], 0, None)
        ax.errorbar(part[value], y, xerr=errors, fmt="o", capsize=3, label=kind)
    counts = rows.groupby("slice").n.max()
    ax.set_yticks(range(len(slices)), [f"{name} (n={counts[name]})" for name in slices])
    ax.set(xlabel=f"{value}, 95 % interval", ylim=(len(slices) - 0.5, -0.5))
    if hue is not None:
        ax.legend(fontsize=8)
    sns.despine(ax=ax)
    return ax


def plot_thresholds(table: pd.DataFrame, chosen: float) -> Axes:
    """What a threshold of P(no_face) costs on both sides, the chosen one marked."""
    _, ax = plt.subplots(figsize=(6, 3.4))
    sns.lineplot(table, x="threshold", y="faces_lost", label="faces dropped", ax=ax)
    sns.lineplot(table, x="threshold", y="mistakes_kept", label="background kept", ax=ax)
    ax.axvline(chosen, color="0.4", linestyle=":", label=f"chosen: {chosen:.2f}")
    ax.set(xlabel="threshold on the probability of no_face", ylabel="share")
    ax.legend()
    sns.despine(ax=ax)
    return ax


def plot_heat(
    images: Sequence[np.ndarray], heats: Sequence[np.ndarray], captions: Sequence[str]
) -> Axes:
    """Grad-CAM laid over faces: red is where the classifier looked."""
    figure, axes = plt.subplots(2, len(images), figsize=(1.7 * len(images), 3.9), squeeze=False)
    for column, (image, heat, caption) in enumerate(zip(images, heats, captions, strict=True)):
        edges = (0, image.shape[1], image.shape[0], 0)
        axes[0, column].imshow(image)
        axes[1, column].imshow(image, extent=edges)
        axes[1, column].imshow(
            heat, cmap="inferno", alpha=0.55, extent=edges, interpolation="bilinear"
        )
        axes[1, column].set_title(caption, **_BELOW)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.tight_layout(pad=0.4)
    return axes[0, 0]
