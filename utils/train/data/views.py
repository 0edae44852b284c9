"""Training views of the face detector: parts of photographs at random scales, and mosaics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.boxes import as_boxes, box_area
from utils.classes import MASK_CLASSES
from utils.detect import PAD
from utils.images import limit_size, read_image
from utils.labels import BOX_COLUMNS
from utils.train.data.augment import color_jitter, darken, degrade
from utils.train.data.targets import TARGET_SIZE, encode_targets
from utils.train.loop import make_batches

MAX_SIDE = 640  # pixels: larger photographs are shrunk to it in memory
REFERENCE_SIZE = 320  # pixels: the side of a view for which SCALE_RANGE holds
# Range of a photograph's scale in such a view. In a view of size S it is sqrt(S / REFERENCE_SIZE)
# times that.
SCALE_RANGE = (0.5, 2.4)
MIN_FACE_SIDE = 5.0  # pixels: a smaller face in a view is ignored
MIN_TARGET_SIDE = 7.0  # pixels: the face that a view is drawn around is not made smaller
# Of all views, the share that are mosaics of 1, 2 and 4 cells per side.
MOSAIC_SHARES = {1: 0.5, 2: 0.3, 4: 0.2}
# Of all views, the share that hold no face in any cell, if there are negatives.
EMPTY_SHARE = 0.15
WITHOUT_MASK = MASK_CLASSES.index("without_mask")
WORN_INCORRECTLY = MASK_CLASSES.index("mask_worn_incorrectly")


@dataclass(frozen=True)
class Photograph:
    """A whole training image or a view of one, with its faces.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        xyxy: (N, 4) float32 faces, pixels.
        class_id: (N,) int64.
        ignored: (M, 4) float32 regions in which the loss ignores points without a face.
    """

    image: np.ndarray
    xyxy: np.ndarray
    class_id: np.ndarray
    ignored: np.ndarray


# Takes the side of a view in pixels and a random generator, and returns a view without a face.
DrawNegative = Callable[[int, np.random.Generator], Photograph]


def load_photographs(
    table: pd.DataFrame,
    root: str | Path,
    ignored: pd.DataFrame | None = None,
    name: str = "reading photographs",
) -> list[Photograph]:
    """Read the photographs of a label table, each once, and show a progress bar.

    Args:
        table: a label table; rows without a box and ``no_face`` rows are skipped.
        root: the folder that the ``file`` column is relative to.
        ignored: a table ``file`` and box columns of regions to ignore in training.
        name: of the progress bar.
    """
    faces = table[table.class_name.isin(MASK_CLASSES)].dropna(subset=BOX_COLUMNS)
    ignored_of_file = {}
    if ignored is not None:
        ignored_of_file = dict(tuple(ignored.groupby("file")))
    rows_of_file = faces.groupby("file", sort=False)
    photographs = []
    for file, rows in tqdm(rows_of_file, desc=name, unit="image", leave=False):
        original = read_image(Path(root) / file)
        image = limit_size(original, MAX_SIDE)
        scale = image.shape[1] / original.shape[1]
        regions = as_boxes([])
        if file in ignored_of_file:
            regions = as_boxes(ignored_of_file[file][BOX_COLUMNS]) * scale
        photograph = Photograph(
            image=image,
            xyxy=as_boxes(rows[BOX_COLUMNS]) * scale,
            class_id=rows.class_name.map(MASK_CLASSES.index).to_numpy(np.int64),
            ignored=regions,
        )
        photographs.append(photograph)
    return photographs


def cut_view(photo: Photograph, size: int, rng: np.random.Generator) -> Photograph:
    """Return a square part of a photograph around one of its faces, at a random scale.

    The view is stretched a little, and mirrored half of the time. Outside the photograph it is
    grey. Faces that are too small, or less than half visible, are ignored.

    Args:
        photo: with at least one face.
        size: side of the view, pixels.
        rng: source of the random numbers.
    """
    box = photo.xyxy[int(rng.integers(len(photo.xyxy)))]
    scale = _draw_scale(box, size, rng) * np.exp(rng.uniform(-0.1, 0.1, 2))
    corner = _draw_corner(photo, box, size / scale, rng)
    image, shift = render_view(photo.image, corner, scale, size)
    xyxy = photo.xyxy * np.tile(scale, 2) + np.tile(shift, 2)
    ignored = photo.ignored * np.tile(scale, 2) + np.tile(shift, 2)
    if rng.random() < 0.5:
        image = image[:, ::-1]
        xyxy = _mirror_boxes(xyxy, size)
        ignored = _mirror_boxes(ignored, size)

    visible = np.clip(xyxy, 0, size)
    visible_share = box_area(visible) / np.maximum(box_area(xyxy), 1e-6)
    longer_side = np.max(visible[:, 2:] - visible[:, :2], axis=1)
    kept = (visible_share > 0.5) & (longer_side >= MIN_FACE_SIDE)
    dropped = visible[(visible_share > 0) & ~kept]
    ignored = np.concatenate([dropped, np.clip(ignored, 0, size)])
    return Photograph(
        image=image,
        xyxy=as_boxes(visible[kept]),
        class_id=photo.class_id[kept],
        ignored=as_boxes(ignored[box_area(ignored) > 0]),
    )


def _draw_scale(box: np.ndarray, size: int, rng: np.random.Generator) -> float:
    """Draw the scale of a view so that its face fits in and is not too small to learn."""
    factor = (size / REFERENCE_SIZE) ** 0.5
    side = (box[2:] - box[:2]).max()
    high = SCALE_RANGE[1] * factor
    high = min(high, size / side)  # the face is at most as large as the view
    low = SCALE_RANGE[0] * factor
    low = min(low, size / 4 / side)  # large faces shrink to a quarter of the view
    low = max(low, MIN_TARGET_SIDE / side)
    low = min(low, high)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_corner(
    photo: Photograph, box: np.ndarray, extent: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the top left corner of a view that holds a face, in pixels of the photograph.

    Args:
        photo: the photograph.
        box: (4,) the face.
        extent: (2,) width and height of the view, in pixels of the photograph.
        rng: source of the random numbers.
    """
    height, width = photo.image.shape[:2]
    center = (box[:2] + box[2:]) / 2
    room = np.maximum(0, extent - (box[2:] - box[:2])) / 2
    corner = center + rng.uniform(-1, 1, 2) * room - extent / 2
    if rng.random() < 0.8:  # most views stay inside the photograph if they can
        limit = np.array([width, height]) - extent
        corner = np.clip(corner, np.minimum(0, limit), np.maximum(0, limit))
    return corner


def render_view(
    image: np.ndarray, corner: np.ndarray, scale: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a view out of an image and resize it; outside the image it is grey.

    Args:
        image: (H, W, 3) uint8.
        corner: (2,) the view's top left corner, pixels of the image; may lie outside.
        scale: (2,) pixels of the view per pixel of the image.
        size: side of the view, pixels.

    Returns:
        The (S, S, 3) view, and the (2,) shift that brings a scaled point of the image to its place
        in the view.
    """
    height, width = image.shape[:2]
    start = np.clip(np.floor(corner), 0, None).astype(int)
    end = np.minimum(np.ceil(corner + size / scale), [width, height]).astype(int)
    part = image[start[1] : end[1], start[0] : end[0]]
    part_wh = np.maximum(1, np.round((end - start) * scale)).astype(int)
    interpolation = cv2.INTER_AREA if scale.max() < 1 else cv2.INTER_LINEAR
    part = cv2.resize(part, part_wh.tolist(), interpolation=interpolation)

    left, top = np.round((start - corner) * scale).astype(int)
    x_min = max(0, left)
    y_min = max(0, top)
    x_max = min(size, left + part_wh[0])
    y_max = min(size, top + part_wh[1])
    view = np.full((size, size, 3), PAD, np.uint8)
    view[y_min:y_max, x_min:x_max] = part[y_min - top : y_max - top, x_min - left : x_max - left]
    return view, np.array([left, top]) - start * scale


def _mirror_boxes(xyxy: np.ndarray, size: int) -> np.ndarray:
    """Return boxes (N, 4) as they lie in the mirrored view."""
    return np.stack([size - xyxy[:, 2], xyxy[:, 1], size - xyxy[:, 0], xyxy[:, 3]], axis=1)


def make_mosaic(photos: Sequence[Photograph], size: int, rng: np.random.Generator) -> Photograph:
    """Return a square of views of 1, 4, 9, ... photographs (the mosaic of YOLOv4, 2020).

    Mosaics hold more and smaller faces than single views, and edges between cells that the detector
    learns not to take for faces.

    Args:
        photos: one photograph per cell, row by row.
        size: side of the mosaic, pixels.
        rng: source of the random numbers.
    """
    side = size // round(len(photos) ** 0.5)
    return _join_views([cut_view(photo, side, rng) for photo in photos], size)


def _join_views(views: Sequence[Photograph], size: int) -> Photograph:
    """Return 1, 4, 9, ... equally large views as one square of a side in pixels."""
    cells = round(len(views) ** 0.5)
    side = size // cells
    image = np.empty((size, size, 3), np.uint8)
    xyxy = []
    ignored = []
    for position, view in enumerate(views):
        row, column = divmod(position, cells)
        x = column * side
        y = row * side
        image[y : y + side, x : x + side] = view.image
        shift = np.array([x, y, x, y], np.float32)
        xyxy.append(view.xyxy + shift)
        ignored.append(view.ignored + shift)
    return Photograph(
        image=image,
        xyxy=np.concatenate(xyxy),
        class_id=np.concatenate([view.class_id for view in views]),
        ignored=np.concatenate(ignored),
    )


def view_weights(photographs: Sequence[Photograph], share: float, others: int) -> np.ndarray:
    """Return the probability of drawing each photograph: crowds and rare classes come more often.

    Args:
        photographs: a first part, weighted by its faces, then a second part, drawn evenly.
        share: of the views that the first part gets.
        others: number of photographs in the second part; with none the first part gets all views.

    Returns:
        (N,) probabilities that sum to 1.
    """
    weights = []
    for photo in photographs[: len(photographs) - others]:
        has_without_mask = int((photo.class_id == WITHOUT_MASK).any())
        has_worn_incorrectly = int((photo.class_id == WORN_INCORRECTLY).any())
        rarity = 1 + has_without_mask + 2 * has_worn_incorrectly
        weights.append(len(photo.xyxy) ** 0.5 * rarity)
    if others == 0:
        share = 1.0
    first = share * np.array(weights) / sum(weights)
    second = np.full(others, (1 - share) / max(1, others))
    return np.concatenate([first, second])


def _draw_negative_cells(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return which cells of a view hold no face: (count,) bool, true with probability ``share``.

    ``EMPTY_SHARE`` of the views hold none at all, unless ``share`` is smaller.
    """
    empty_share = min(EMPTY_SHARE, share)
    if rng.random() < empty_share:
        return np.ones(count, bool)
    rest = (share - empty_share) / max(1 - empty_share, 1e-9)
    return rng.random(count) < rest


def make_view_dataset(
    photographs: Sequence[Photograph],
    weights: np.ndarray,
    size: int,
    strides: tuple[int, ...],
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int = 0,
    draw_negative: DrawNegative | None = None,
    negative_share: float = 0.0,
) -> tf.data.Dataset:
    """Return batches of augmented views and their targets.

    Args:
        photographs: to draw from.
        weights: (N,) how often each is drawn, from ``view_weights``; any scale.
        size: S, pixels.
        strides: of the detector's levels, pixels.
        batch_size: B.
        first_step: the number of the first batch; view number i of a training depends on
            ``(seed, i)`` alone.
        steps: number of batches.
        seed: of the training.
        draw_negative: takes a size and a random generator and returns a view without a face, such
            as ``Negatives``.
        negative_share: share of the cells that hold no face, 0-1. ``EMPTY_SHARE`` of the views hold
            none in any cell.

    Returns:
        A dataset of (B, S, S, 3) float32 in 0-255 and (B, P, 9) from ``encode_targets``.
    """
    cumulative = np.cumsum(weights)
    cell_counts = list(MOSAIC_SHARES)
    cell_shares = list(MOSAIC_SHARES.values())

    def draw_view(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        cells = rng.choice(cell_counts, p=cell_shares)
        positions = rng.uniform(0, cumulative[-1], cells**2)
        chosen = np.searchsorted(cumulative, positions, side="right")
        chosen_photographs = [photographs[index] for index in chosen]
        if draw_negative is None or negative_share == 0:
            view = make_mosaic(chosen_photographs, size, rng)
        else:
            is_negative = _draw_negative_cells(len(chosen), negative_share, rng)
            parts = []
            for photo, is_empty in zip(chosen_photographs, is_negative, strict=True):
                if is_empty:
                    parts.append(draw_negative(size // cells, rng))
                else:
                    parts.append(cut_view(photo, size // cells, rng))
            view = _join_views(parts, size)
        image = degrade(darken(color_jitter(view.image, rng), rng), rng)
        return image.astype(np.float32), encode_targets(view, strides)

    point_count = sum((size // stride) ** 2 for stride in strides)
    return make_batches(
        draw_view,
        shapes=((size, size, 3), (point_count, TARGET_SIZE)),
        batch_size=batch_size,
        first_step=first_step,
        steps=steps,
        seed=seed,
    )
