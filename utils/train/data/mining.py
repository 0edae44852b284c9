"""Hard negatives: what a detector takes for a face in training pictures, and learns as background.

A detector is run over its own training pictures. Its boxes that are near no labelled face and near
no face of a teacher are false. Training then shows them more often (Felzenszwalb et al., 2010).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.boxes import as_boxes, box_overlap, clip_boxes, square_boxes
from utils.detect import Detector, find_faces
from utils.images import crop_image, limit_size, read_image
from utils.labels import BOX_COLUMNS
from utils.train.data.negatives import Negatives
from utils.train.data.views import MAX_SIDE

# A box is near a face if its square, widened by this share of its side on each side, touches it.
NEAR = 0.5


def mine_false_faces(
    files: Iterable[str],
    root: str | Path,
    detector: Detector,
    known: pd.DataFrame,
    teacher: Detector | None = None,
    name: str = "mining false faces",
) -> pd.DataFrame:
    """Return what a detector takes for faces in pictures, and what is near no known face.

    Args:
        files: training pictures, paths below ``root``.
        root: the data root.
        detector: with the least confidence of a false face.
        known: a table ``file`` and box columns: labelled faces and regions that may hold faces.
        teacher: another detector, whose faces are known too. It should report doubtful faces.
        name: of the progress bar.

    Returns:
        A table ``file``, the box columns in whole pixels, ``confidence``.
    """
    known_of_file = dict(tuple(known.dropna(subset=BOX_COLUMNS).groupby("file")))
    tables = []
    paths = [Path(root) / file for file in files]
    for path, image, found in find_faces(paths, detector, name):
        file = path.relative_to(root).as_posix()
        faces = as_boxes([])
        if file in known_of_file:
            faces = as_boxes(known_of_file[file][BOX_COLUMNS])
        if teacher is not None and len(found):
            faces = np.concatenate([faces, teacher(image).xyxy])
        surroundings = square_boxes(found.xyxy, NEAR)
        is_near = box_overlap(surroundings, faces).max(axis=1, initial=0) > 0
        false = found[~is_near]
        rows = pd.DataFrame(false.xyxy.round(), columns=BOX_COLUMNS)
        rows.insert(0, "file", file)
        rows["confidence"] = false.confidence.round(3)
        tables.append(rows)
    tables = [table for table in tables if len(table)]
    if tables:
        mined = pd.concat(tables, ignore_index=True)
    else:
        mined = pd.DataFrame(columns=["file", *BOX_COLUMNS, "confidence"])
    # An empty table has no types of its own, and would change those of a table it is added to.
    numbers = [*BOX_COLUMNS, "confidence"]
    return mined.astype({"file": "str", **dict.fromkeys(numbers, float)})


def load_negatives(
    empty_files: Sequence[str],
    root: str | Path,
    mined: pd.DataFrame | None = None,
    fonts: Sequence[str] = (),
) -> Negatives:
    """Read the pictures that views without a face are drawn from.

    Args:
        empty_files: pictures without people, paths below ``root``; they are read whole.
        root: the data root.
        mined: false faces from ``mine_false_faces``. Of a photograph with people only the
            surroundings are read, which show no known face.
        fonts: font files for rendered pages, from ``negatives.find_fonts``.
    """
    images: list[np.ndarray] = []
    spots: list[tuple[int, np.ndarray]] = []
    false_of_file: dict[str, pd.DataFrame] = {}
    if mined is not None:
        false_of_file = dict(tuple(mined.groupby("file")))
    for file in tqdm(empty_files, desc="reading negatives", unit="image", leave=False):
        original = read_image(Path(root) / file)
        image = limit_size(original, MAX_SIDE)
        scale = image.shape[1] / original.shape[1]
        for box in _read_boxes(false_of_file.pop(file, None)):
            spots.append((len(images), box * scale))
        images.append(image)
    for file, rows in false_of_file.items():
        photograph = read_image(Path(root) / file)
        for box in _read_boxes(rows):
            crop, shift = _crop_surroundings(photograph, box)
            spots.append((len(images), box - shift))
            images.append(crop)
    return Negatives(images=images, mined=spots, fonts=fonts)


def _read_boxes(rows: pd.DataFrame | None) -> np.ndarray:
    """Return the boxes (N, 4) of a table; none of no table."""
    return as_boxes([]) if rows is None else as_boxes(rows[BOX_COLUMNS])


def _crop_surroundings(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a box (4,) with its surroundings inside the image, and how far it is moved (4,)."""
    height, width = image.shape[:2]
    (region,) = clip_boxes(square_boxes(box, NEAR), (width, height))
    # Rounded inwards: the surroundings touch no known face, and what is outside of them may.
    region = np.concatenate([np.ceil(region[:2]), np.floor(region[2:])])
    return crop_image(image, region), np.tile(region[:2], 2)
