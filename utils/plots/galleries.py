"""Plots of images with captions, and figures as files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

# A title as a caption under its image. Its letters are as large as those of the other plots.
CAPTION_STYLE = {"fontsize": 10, "y": 0, "pad": -4, "va": "top"}
CAPTION_LINE = 0.19  # inches, the height of one line of a caption
CAPTION_CHARACTERS = 12  # of a caption on one inch
ROW_GAP = 0.12  # inches between two rows of a gallery
COLUMN_GAP = 0.05  # inches between two images of a named row
MAX_ASPECT = 1.3  # height to width: a higher image does not make its row higher
EMPTY_ASPECT = 0.2  # height to width of a row without images


def plot_gallery(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 6, side: float = 1.8
) -> Axes:
    """Plot images in a grid, with a caption under each.

    Args:
        images: (H, W, 3) uint8 RGB, of any sizes.
        captions: one for each image. Long lines are wrapped between words.
        columns: images in a row.
        side: width of a cell in inches.

    Returns:
        The Axes of the first image.
    """
    wrapped = [_wrap(caption, round(CAPTION_CHARACTERS * side)) for caption in captions]
    heights = []  # inches
    for start in range(0, max(1, len(images)), columns):
        row_images = images[start : start + columns]
        row_captions = wrapped[start : start + columns]
        lines = max((caption.count("\n") + 1 for caption in row_captions), default=1)
        heights.append(side * _row_aspect(row_images) + CAPTION_LINE * lines + ROW_GAP)
    figure, grid = plt.subplots(
        nrows=len(heights),
        ncols=columns,
        figsize=(columns * side, sum(heights)),
        height_ratios=heights,
        squeeze=False,
    )
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, image, caption in zip(grid.flat, images, wrapped, strict=False):
        ax.imshow(image)
        ax.set_anchor("N")
        ax.set_title(caption, **CAPTION_STYLE)
    figure.tight_layout(pad=0.4)
    return grid[0, 0]


def _wrap(caption: str, length: int) -> str:
    """Return a caption whose lines have at most ``length`` characters."""
    lines = []
    for line in caption.splitlines():
        lines.extend(textwrap.wrap(line, length, break_long_words=False, break_on_hyphens=False))
    return "\n".join(lines)


def plot_rows(rows: Mapping[str, Sequence[np.ndarray]], side: float = 1.4) -> Axes:
    """Plot one row of images for each name, with the name above its row.

    Args:
        rows: (H, W, 3) uint8 RGB images of any sizes, by the name of their row, such as a class.
            A row without images is left out.
        side: width of a cell in inches.

    Returns:
        The Axes of the first image.
    """
    filled = {name: list(images) for name, images in rows.items() if len(images)}
    columns = max((len(images) for images in filled.values()), default=1)
    row_heights = [side * _row_aspect(images) for images in filled.values()] or [side]
    above = CAPTION_LINE + ROW_GAP  # inches, for the name
    width = columns * side
    height = sum(row_heights) + above * len(row_heights)
    figure, grid = plt.subplots(
        nrows=len(row_heights), ncols=columns, figsize=(width, height), squeeze=False
    )
    for ax in grid.flat:
        ax.set_axis_off()
    top = height  # inches from the bottom of the figure
    for axes, row_height, (name, images) in zip(grid, row_heights, filled.items(), strict=False):
        top -= above
        axes[0].set_title(name, loc="left", fontsize=CAPTION_STYLE["fontsize"], pad=4)
        for column, (ax, image) in enumerate(zip(axes, images, strict=False)):
            ax.imshow(image)
            ax.set_anchor("NW")
            left = column * side
            bottom = top - row_height
            cell = (left, bottom, side - COLUMN_GAP, row_height - COLUMN_GAP)
            ax.set_position(np.array(cell) / (width, height, width, height))
        top -= row_height
    return grid[0, 0]


def _row_aspect(images: Sequence[np.ndarray]) -> float:
    """Return the height of a row as a share of the width of its cells."""
    aspects = [image.shape[0] / image.shape[1] for image in images]
    return min(max(aspects, default=EMPTY_ASPECT), MAX_ASPECT)


def save_figure(axes: Axes | np.ndarray, path: str | Path) -> None:
    """Write the figure of one or more Axes as an image file; it stays open."""
    first = axes if isinstance(axes, Axes) else axes.flat[0]
    figure = first.get_figure(root=True)
    assert figure is not None  # an Axes that is still drawn on one
    figure.savefig(path, bbox_inches="tight")


def to_png(ax: Axes) -> bytes:
    """Return the figure of an Axes as a PNG image, and close it."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # an Axes that is still drawn on one
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


def plot_heat(
    images: Sequence[np.ndarray], heats: Sequence[np.ndarray], captions: Sequence[str]
) -> Axes:
    """Plot Grad-CAM over faces: bright is where the classifier looked.

    Args:
        images: (H, W, 3) uint8 RGB.
        heats: one (h, w) map for each image; it is stretched over the image.
        captions: one for each image.

    Returns:
        The Axes of the first image.
    """
    side = 1.7  # inches, of each face
    figure, axes = plt.subplots(2, len(images), figsize=(side * len(images), 4.1), squeeze=False)
    for column, (image, heat, caption) in enumerate(zip(images, heats, captions, strict=True)):
        height, width = image.shape[:2]
        extent = (0, width, height, 0)
        above = axes[0, column]
        below = axes[1, column]
        above.imshow(image)
        below.imshow(image, extent=extent)
        below.imshow(heat, cmap="inferno", alpha=0.55, extent=extent, interpolation="bilinear")
        below.set_title(_wrap(caption, round(CAPTION_CHARACTERS * side)), **CAPTION_STYLE)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.tight_layout(pad=0.4)
    return axes[0, 0]
