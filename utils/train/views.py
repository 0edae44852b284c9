"""Photographs with boxes to ``tf.data``: views at many scales and mosaics, with what each point should answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.boxes import as_boxes, box_area
from utils.classes import MASK_CLASSES
from utils.detect import PAD, grid_points
from utils.images import limit_size, read_image
from utils.labels import BOX_COLUMNS
from utils.train.augment import change_light, spoil
from utils.train.loop import draw_batches
from utils.train.targets import assign_faces

MAX_SIDE = 640  # pixels of a photograph that are kept in memory
SCALES = (
    0.5,
    2.4,
)  # of a photograph in a view of its own; in a cell of a mosaic as much smaller as its side's root
CELLS = {1: 0.5, 2: 0.3, 4: 0.2}  # a side of a mosaic, and how many of the views are such mosaics
SMALLEST = 5.0  # pixels: a face smaller than this in a view is neither asked for nor punished
TARGETS = (
    len(MASK_CLASSES) + 6
)  # of each point: its class, is it a face, four distances, does it count


@dataclass(frozen=True)
class Photograph:
    """An image in memory with its faces.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        xyxy: (N, 4) float32 faces, pixels.
        class_id: (N,) int64.
        ignored: (M, 4) float32 boxes about which nothing is known.
    """

    image: np.ndarray
    xyxy: np.ndarray
    class_id: np.ndarray
    ignored: np.ndarray


def load_photographs(
    table: pd.DataFrame, root: str | Path, ignored: pd.DataFrame | None = None
) -> list[Photograph]:
    """Read the photographs of a label table's boxes, each once, with a progress bar.

    Args:
        table: a label table; rows without a box and ``no_face`` rows are passed over.
        root: the data root.
        ignored: ``file`` and boxes that training should leave out of account.
    """
    faces = table[table.class_name.isin(MASK_CLASSES)].dropna(subset=BOX_COLUMNS)
    unknown = {} if ignored is None else dict(tuple(ignored.groupby("file")))
    photographs = []
    for file, rows in tqdm(
        faces.groupby("file", sort=False), desc="reading photographs", unit="image"
    ):
        whole = read_image(Path(root) / file)
        image = limit_size(whole, MAX_SIDE)
        scale = image.shape[1] / whole.shape[1]
        boxes = as_boxes(rows[BOX_COLUMNS]) * scale
        unsure = as_boxes(unknown[file][BOX_COLUMNS]) * scale if file in unknown else as_boxes([])
        class_id = rows.class_name.map(MASK_CLASSES.index).to_numpy(np.int64)
        photographs.append(Photograph(image, boxes, class_id, unsure))
    return photographs


def _choose_scale(photo: Photograph, face: int, size: int, rng: np.random.Generator) -> float:
    """A scale at which the view is about a face that fits into it, be it small or large."""
    low, high = (bound * (size / 320) ** 0.5 for bound in SCALES)
    side = (photo.xyxy[face, 2:] - photo.xyxy[face, :2]).max()
    high = min(high, size / side)  # a face as large as the view, at most
    low = min(
        low, size / 4 / side
    )  # and a quarter of it, at least: portraits become the small faces that crowds lack
    low = min(max(low, 7 / side), high)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def cut_view(photo: Photograph, size: int, rng: np.random.Generator) -> Photograph:
    """A square part of a photograph at a random scale, stretched a little and mirrored half the time.

    Most views are about one of the faces; where the photograph ends, grey begins. Faces cut to less than half, or too
    small to be seen, are ignored.
    """
    height, width = photo.image.shape[:2]
    face = int(rng.integers(len(photo.xyxy)))
    scale = _choose_scale(photo, face, size, rng) * np.exp(rng.uniform(-0.1, 0.1, 2))
    extent = size / scale  # of the view, in pixels of the photograph
    centre = (photo.xyxy[face, :2] + photo.xyxy[face, 2:]) / 2
    side = photo.xyxy[face, 2:] - photo.xyxy[face, :2]
    room = np.maximum(0, extent - side) / 2
    corner = centre + rng.uniform(-1, 1, 2) * room - extent / 2
    limits = np.array([width, height]) - extent  # rather inside the photograph than beside it
    inside = np.clip(corner, np.minimum(0, limits), np.maximum(0, limits))
    corner = np.where(rng.random() < 0.8, inside, corner)
    x_min, y_min = np.clip(np.floor(corner), 0, None).astype(int)
    x_max, y_max = np.minimum(np.ceil(corner + extent), [width, height]).astype(int)
    part = photo.image[y_min:y_max, x_min:x_max]
    view = np.full((size, size, 3), PAD, np.uint8)
    part_wh = np.maximum(1, np.round(np.array([x_max - x_min, y_max - y_min]) * scale)).astype(int)
    part = cv2.resize(
        part,
        part_wh.tolist(),
        interpolation=cv2.INTER_AREA if scale.max() < 1 else cv2.INTER_LINEAR,
    )
    left, top = np.round((np.array([x_min, y_min]) - corner) * scale).astype(int)
    x0, y0, x1, y1 = (
        max(0, left),
        max(0, top),
        min(size, left + part_wh[0]),
        min(size, top + part_wh[1]),
    )
    view[y0:y1, x0:x1] = part[y0 - top : y1 - top, x0 - left : x1 - left]
    shift, factor = np.tile([left - x_min * scale[0], top - y_min * scale[1]], 2), np.tile(scale, 2)
    xyxy, ignored = photo.xyxy * factor + shift, photo.ignored * factor + shift
    if rng.random() < 0.5:
        view = view[:, ::-1]
        xyxy, ignored = (
            np.stack([size - b[:, 2], b[:, 1], size - b[:, 0], b[:, 3]], axis=1)
            for b in (xyxy, ignored)
        )
    seen = np.clip(xyxy, 0, size)
    share = box_area(seen) / np.maximum(box_area(xyxy), 1e-6)
    kept = (share > 0.5) & (np.max(seen[:, 2:] - seen[:, :2], axis=1) >= SMALLEST)
    unsure = np.concatenate([seen[(share > 0) & ~kept], np.clip(ignored, 0, size)])
    return Photograph(
        view, as_boxes(seen[kept]), photo.class_id[kept], as_boxes(unsure[box_area(unsure) > 0])
    )


def make_mosaic(photos: Sequence[Photograph], size: int, rng: np.random.Generator) -> Photograph:
    """Views side by side: smaller faces, more of them, and edges that are no faces (YOLOv4's mosaic, of any square)."""
    cells = round(len(photos) ** 0.5)
    side = size // cells
    image = np.empty((size, size, 3), np.uint8)
    parts = [cut_view(photo, side, rng) for photo in photos]
    corners = [
        np.array([column * side, row * side], np.float32)
        for row in range(cells)
        for column in range(cells)
    ]
    for part, corner in zip(parts, corners, strict=True):
        x, y = corner.astype(int)
        image[y : y + side, x : x + side] = part.image
    xyxy = [part.xyxy + np.tile(corner, 2) for part, corner in zip(parts, corners, strict=True)]
    ignored = [
        part.ignored + np.tile(corner, 2) for part, corner in zip(parts, corners, strict=True)
    ]
    class_id = np.concatenate([part.class_id for part in parts])
    return Photograph(image, np.concatenate(xyxy), class_id, np.concatenate(ignored))


def view_weights(photographs: Sequence[Photograph], share: float, others: int) -> np.ndarray:
    """How often each photograph is drawn: crowds more often than single faces, rare classes more often than common.

    Args:
        photographs: in two parts.
        share: of the views that the first part has.
        others: how many photographs the second part has, which are drawn alike.

    Returns:
        (N,) probabilities that sum to 1.
    """
    first = photographs[: len(photographs) - others]
    weights = [
        len(photo.xyxy) ** 0.5 * (1 + (photo.class_id == 1).any() + 2 * (photo.class_id == 2).any())
        for photo in first
    ]
    share = share if others else 1.0
    return np.concatenate(
        [share * np.array(weights) / sum(weights), np.full(others, (1 - share) / max(1, others))]
    )


def encode_targets(view: Photograph, strides: tuple[int, ...]) -> np.ndarray:
    """What each point should answer, (P, 9): one-hot class (3), is it a face, distances to left, top, right and bottom
    in strides (4), and whether it counts."""
    points, stride_of = grid_points((len(view.image),) * 2, strides)
    face, unsure = assign_faces(view.xyxy, points, stride_of, view.ignored)
    target = np.zeros((len(points), TARGETS), np.float32)
    found = np.flatnonzero(face >= 0)
    box = view.xyxy[face[found]]
    target[found, view.class_id[face[found]]] = 1
    target[found, 3] = 1
    distance = np.concatenate([points[found] - box[:, :2], box[:, 2:] - points[found]], axis=1)
    target[found, 4:8] = distance / stride_of[found, None]
    target[:, 8] = ~unsure
    return target


def make_views(
    photographs: Sequence[Photograph],
    weights: np.ndarray,
    size: int,
    strides: tuple[int, ...],
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches of views: (B, S, S, 3) float32 in 0-255 and targets (B, P, 9).

    View number i of a training is drawn from ``(seed, i)`` alone, so that a training taken up again at ``first_step``
    sees what it would have seen.
    """
    cumulative = np.cumsum(weights)

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        cells = rng.choice(list(CELLS), p=list(CELLS.values()))
        chosen = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], cells**2), side="right")
        view = make_mosaic([photographs[position] for position in chosen], size, rng)
        return spoil(change_light(view.image, rng), rng).astype(np.float32), encode_targets(
            view, strides
        )

    shapes = (size, size, 3), (sum((size // stride) ** 2 for stride in strides), TARGETS)
    return draw_batches(draw, shapes, batch_size, first_step, steps, seed)
