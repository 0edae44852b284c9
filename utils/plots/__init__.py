"""Plots for the notebooks. Each function draws images or a finished table, and returns the Axes."""

from utils.plots.charts import (
    plot_conditions,
    plot_confusion,
    plot_counts,
    plot_history,
    plot_intervals,
    plot_precision_recall,
    plot_reliability,
    plot_shares,
    plot_sizes,
    plot_thresholds,
    plot_unsure,
)
from utils.plots.galleries import (
    plot_gallery,
    plot_heat,
    plot_rows,
    save_figure,
    to_png,
)

__all__ = [
    "plot_conditions",
    "plot_confusion",
    "plot_counts",
    "plot_gallery",
    "plot_heat",
    "plot_history",
    "plot_intervals",
    "plot_precision_recall",
    "plot_reliability",
    "plot_rows",
    "plot_shares",
    "plot_sizes",
    "plot_thresholds",
    "plot_unsure",
    "save_figure",
    "to_png",
]
