"""Training faces of the classifier: crops in memory, sampling weights and augmented batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES, NO_FACE
from utils.detect import PADDING, crop_faces
from utils.images import limit_size, read_image
from utils.labels import BOX_COLUMNS
from utils.train.data.augment import augment_face
from utils.train.data.negatives import Negatives
from utils.train.loop import make_batches

# Padding of training crops on each side, as a share of the box's side. It is more than inference's
# PADDING, so that rotations and shifts show real pixels.
CONTEXT = 0.5
MAX_SIDE = 224  # pixels: larger crops are shrunk to it in memory
# The share of each side of a box's crop that inference sees.
BOX_VISIBLE_SHARE = (1 + 2 * PADDING) / (1 + 2 * CONTEXT)
NEGATIVE_SIDE = 160  # pixels: the side of a drawn crop without a face


@dataclass(frozen=True)
class FaceCrops:
    """Faces in memory, in the order of their label table.

    Attributes:
        images: N (H, W, 3) uint8 RGB, square where the face has a box.
        visible_share: (N,) the share of each side that inference sees; the rest is context for
            augmentation. For a box of 100 pixels, the crop has 200 (``CONTEXT`` on each side), and
            inference sees 140 (``PADDING`` on each side): the share is 0.7.
        class_id: (N,) int64.
    """

    images: list[np.ndarray]
    visible_share: np.ndarray
    class_id: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def _crop_rows(
    table: pd.DataFrame, root: str | Path, padding: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (row number, face) of a label table file by file, so that each file is read once.

    The face of a row without a box is the whole image.
    """
    rows_of_file = table.reset_index(drop=True).groupby("file", sort=False)
    for file, rows in tqdm(rows_of_file, desc="reading faces", unit="image", leave=False):
        image = read_image(Path(root) / file)
        for row, box in zip(rows.index, rows[BOX_COLUMNS].to_numpy(), strict=True):
            if np.isnan(box).any():
                yield row, image
            else:
                yield row, crop_faces(image, box, padding)[0]


def load_crops(table: pd.DataFrame, root: str | Path) -> FaceCrops:
    """Read the faces of a label table with context around them, and show a progress bar.

    Args:
        table: a label table; the face of a row without a box is its whole image.
        root: the folder that the ``file`` column is relative to.
    """
    faces: dict[int, np.ndarray] = {}
    for row, face in _crop_rows(table, root, CONTEXT):
        faces[row] = limit_size(face, MAX_SIDE)
    has_no_box = table[BOX_COLUMNS].isna().any(axis=1)
    return FaceCrops(
        images=[faces[row] for row in range(len(table))],
        visible_share=np.where(has_no_box, 1.0, BOX_VISIBLE_SHARE),
        class_id=table.class_name.map(CLASS_NAMES.index).to_numpy(np.int64),
    )


def draw_negative_crops(
    negatives: Negatives, count: int, side: int = NEGATIVE_SIDE, seed: int = 0
) -> FaceCrops:
    """Draw ``no_face`` crops: parts of pictures without people, and of rendered pages.

    Args:
        negatives: what to draw from.
        count: number of crops.
        side: of the crops, pixels.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    images = []
    for _ in tqdm(range(count), desc="drawing negatives", unit="image", leave=False):
        images.append(negatives(side, rng).image)
    return FaceCrops(
        images=images,
        visible_share=np.full(count, BOX_VISIBLE_SHARE),
        class_id=np.full(count, NO_FACE, np.int64),
    )


def join_crops(first: FaceCrops, second: FaceCrops) -> FaceCrops:
    """Return the faces of both, those of ``first`` before those of ``second``."""
    return FaceCrops(
        images=first.images + second.images,
        visible_share=np.concatenate([first.visible_share, second.visible_share]),
        class_id=np.concatenate([first.class_id, second.class_id]),
    )


def load_inference_faces(table: pd.DataFrame, root: str | Path) -> list[np.ndarray]:
    """Read the faces of a label table exactly as inference crops them, in the table's order.

    Args:
        table: a label table; the face of a row without a box is its whole image.
        root: the folder that the ``file`` column is relative to.
    """
    faces = dict(_crop_rows(table, root, PADDING))
    return [faces[row] for row in range(len(table))]


def sample_weights(
    table: pd.DataFrame, class_share: Mapping[str, float], source_share: Mapping[str, float]
) -> np.ndarray:
    """Return the probability of drawing each face, which balances the classes and the sources.

    Args:
        table: a label table.
        class_share: the share of each class among the drawn faces. Classes that are not named are
            never drawn.
        source_share: the relative share of each source within a class. Sources that are not named
            count 1; a source at 0 is never drawn.

    Returns:
        (N,) probabilities that sum to 1.
    """
    groups = table.groupby(["class_name", "source"]).size().rename("count").reset_index()
    groups["share"] = groups.source.map(lambda source: source_share.get(source, 1.0))
    class_total = groups.groupby("class_name").share.transform("sum")
    class_total = class_total.clip(lower=1e-9)  # a class whose sources are all at 0
    class_weight = groups.class_name.map(lambda name: class_share.get(name, 0.0))
    groups["share"] *= class_weight / class_total
    rows = table.merge(groups, on=["class_name", "source"], how="left")
    weights = (rows["share"] / rows["count"]).to_numpy()
    return weights / weights.sum()


def make_face_dataset(
    crops: FaceCrops,
    weights: np.ndarray,
    input_size: int,
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Return batches of augmented faces and their classes.

    Args:
        crops: the faces to draw from.
        weights: (N,) how often each face is drawn, from ``sample_weights``; any scale.
        input_size: S, pixels.
        batch_size: B.
        first_step: the number of the first batch; face number i of a training depends on
            ``(seed, i)`` alone.
        steps: number of batches.
        seed: of the training.

    Returns:
        A dataset of (B, S, S, 3) float32 in 0-255 and one-hot (B, C).
    """
    cumulative = np.cumsum(weights)
    one_hot = np.eye(len(CLASS_NAMES), dtype=np.float32)

    def draw_face(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        positions = rng.uniform(0, cumulative[-1], 2)
        chosen, other = np.searchsorted(cumulative, positions, side="right")
        view = augment_face(
            crops.images[chosen],
            crops.visible_share[chosen],
            crops.images[other],
            input_size,
            rng,
        )
        return view.astype(np.float32), one_hot[crops.class_id[chosen]]

    return make_batches(
        draw_face,
        shapes=((input_size, input_size, 3), (len(CLASS_NAMES),)),
        batch_size=batch_size,
        first_step=first_step,
        steps=steps,
        seed=seed,
    )
