"""Label table to ``tf.data``: crops in memory, augmentation, balanced sampling."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES
from utils.detect import PADDING, crop_faces
from utils.images import limit_size, read_image
from utils.labels import BOX_COLUMNS
from utils.train.augment import change_light, spoil
from utils.train.loop import draw_batches

CONTEXT = 0.5  # padding of the crops in memory: a face turned or shifted shows what was beside it, not a made-up edge
MAX_SIDE = 224  # pixels a side that are kept in memory


@dataclass(frozen=True)
class Crops:
    """Faces in memory, in the order of their label table.

    Attributes:
        images: N (H, W, 3) uint8 RGB, square where the face has a box.
        view: (N,) the share of each side that inference would see; the rest is context to turn and shift in.
        class_id: (N,) int64.
    """

    images: list[np.ndarray]
    view: np.ndarray
    class_id: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def _cut_faces(
    table: pd.DataFrame, root: str | Path, padding: float
) -> Iterator[tuple[int, np.ndarray]]:
    """(row, face) of a label table, file by file, so that each is read once; a row without a box is its whole image."""
    rows_of_file = table.reset_index(drop=True).groupby("file", sort=False)
    for file, rows in tqdm(rows_of_file, desc="reading faces", unit="image"):
        image = read_image(Path(root) / file)
        for row, box in zip(rows.index, rows[BOX_COLUMNS].to_numpy(), strict=True):
            yield row, image if np.isnan(box).any() else crop_faces(image, box, padding)[0]


def load_crops(table: pd.DataFrame, root: str | Path) -> Crops:
    """Read the faces of a label table with their context, each image once, with a progress bar."""
    images: list[np.ndarray | None] = [None] * len(table)
    for row, face in _cut_faces(table, root, CONTEXT):
        images[row] = limit_size(face, MAX_SIDE)
    view = np.where(
        table[BOX_COLUMNS].isna().any(axis=1), 1.0, (1 + 2 * PADDING) / (1 + 2 * CONTEXT)
    )
    return Crops(images, view, table.class_name.map(CLASS_NAMES.index).to_numpy(np.int64))


def load_inference_faces(table: pd.DataFrame, root: str | Path) -> list[np.ndarray]:
    """The faces of a label table exactly as inference cuts them out; a row without a box is its whole image."""
    faces: list[np.ndarray | None] = [None] * len(table)
    for row, face in _cut_faces(table, root, PADDING):
        faces[row] = face
    return faces


def name_run(table: pd.DataFrame, *settings: object) -> str:
    """A name for the trainings on a label table with these settings: another table or setting gets another name.

    A checkpoint is then never taken up with other data, whose test faces it might have learned.
    """
    return hashlib.sha256((table.to_csv(index=False) + repr(settings)).encode()).hexdigest()[:10]


def sample_weights(
    table: pd.DataFrame, class_share: Mapping[str, float], source_share: Mapping[str, float]
) -> np.ndarray:
    """How often each face is drawn, so that neither the larger class nor the larger source rules.

    Args:
        table: a label table.
        class_share: each class's part of what is drawn; a class not named is left out.
        source_share: each source's part within a class; sources not named count 1, a source at 0 is left out.

    Returns:
        (N,) probabilities that sum to 1.
    """
    cell = table.groupby(["class_name", "source"]).size().rename("count").reset_index()
    cell["share"] = cell.source.map(lambda name: source_share.get(name, 1.0))
    total = (
        cell.groupby("class_name").share.transform("sum").clip(lower=1e-9)
    )  # a class may have no source left
    cell["share"] *= cell.class_name.map(lambda name: class_share.get(name, 0.0)) / total
    weights = (
        table.merge(cell, on=["class_name", "source"], how="left").eval("share / count").to_numpy()
    )
    return weights / weights.sum()


def _shrink(image: np.ndarray, view: float, rng: np.random.Generator) -> np.ndarray:
    """Make a face as small as the ones at the back of a scene, 10 to 48 pixels; enlarging it again loses detail."""
    scale = np.exp(rng.uniform(np.log(10), np.log(48))) / (max(image.shape[:2]) * view)
    return limit_size(image, max(4, round(max(image.shape[:2]) * scale))) if scale < 1 else image


def _warp(image: np.ndarray, view: float, input_size: int, rng: np.random.Generator) -> np.ndarray:
    """Turn, zoom, shift, shear, stretch and mirror, in one interpolation."""
    height, width = image.shape[:2]
    seen = np.array([width, height], float) * view
    if rng.random() < 0.5:
        seen[:] = seen.max()  # keep the proportions of a whole image rather than stretch it
    seen *= rng.uniform(0.8, 1.15) * np.exp(rng.uniform(-0.1, 0.1, 2))
    angle, shear = np.deg2rad(rng.uniform(-20, 20)), rng.uniform(-0.12, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [
        [1, shear],
        [0, 1],
    ]
    linear = np.diag(input_size / seen) @ turn
    if rng.random() < 0.5:
        linear[0] *= -1
    centre = np.array([width / 2, height / 2]) + rng.uniform(-0.1, 0.1, 2) * seen
    matrix = np.column_stack([linear, input_size / 2 - linear @ centre])
    return cv2.warpAffine(
        image,
        matrix,
        (input_size, input_size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _hide_part(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay a piece of another picture over a part: hats, hair, hands, other heads."""
    size = len(image)
    width, height = rng.integers(size // 10, size // 3, 2)
    x, y = rng.integers(0, size - width), rng.integers(0, size - height)
    image = image.copy()
    image[y : y + height, x : x + width] = cv2.resize(
        other, (int(width), int(height)), interpolation=cv2.INTER_AREA
    )
    return image


def augment(
    image: np.ndarray, view: float, other: np.ndarray, input_size: int, rng: np.random.Generator
) -> np.ndarray:
    """One training view of a face, (S, S, 3) uint8: what other photographs of it could look like.

    Args:
        image: a crop with context.
        view: the share of its sides that inference would see.
        other: any crop, to hide a part behind.
        input_size: S, pixels.
        rng: the source of chance; the same state gives the same view.
    """
    if rng.random() < 0.5:
        image = _shrink(image, view, rng)
    image = _warp(image, view, input_size, rng)
    if rng.random() < 0.15:
        image = _hide_part(image, other, rng)
    return spoil(change_light(image, rng), rng)


def make_dataset(
    crops: Crops,
    weights: np.ndarray,
    input_size: int,
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches of augmented faces: (B, S, S, 3) float32 in 0-255 and one-hot (B, C).

    Face number i of a training is drawn from ``(seed, i)`` alone, so that a training taken up again at ``first_step``
    sees what it would have seen.
    """
    cumulative = np.cumsum(weights)

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        chosen, other = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], 2), side="right")
        image = augment(
            crops.images[chosen], crops.view[chosen], crops.images[other], input_size, rng
        )
        return image.astype(np.float32), np.eye(len(CLASS_NAMES), dtype=np.float32)[
            crops.class_id[chosen]
        ]

    shapes = (input_size, input_size, 3), (len(CLASS_NAMES),)
    return draw_batches(draw, shapes, batch_size, first_step, steps, seed)
