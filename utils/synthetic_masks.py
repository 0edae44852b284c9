"""Masks put on bare faces, worn well and badly: for training only, since photographs of badly worn masks are rare.

A mask of ``mask_cloth`` is seen through the camera of ``face_frame`` and takes its light, its softness and its noise
from the face below it. No picture of a mask is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.boxes import Detections, as_boxes, box_iou, clip_boxes, square_boxes
from utils.classes import LabelError
from utils.face_frame import fit_camera, is_clear, pixel_grid, project, see_surface, unproject
from utils.face_light import estimate_light, estimate_noise, estimate_softness
from utils.images import ImageError, crop_image, read_image, write_image
from utils.labels import BOX_COLUMNS
from utils.mask_cloth import COLOURS, KINDS, PATTERNS, choose_mask, cloth_height, draw_cloth, loop_lines

WORN = {
    "well": "with_mask",
    "under_nose": "mask_worn_incorrectly",
    "chin": "mask_worn_incorrectly",  # on chin and neck, the mouth free
}
SOURCE = "synthetic"
WORN_SHARES = {"well": 0.3, "under_nose": 0.4, "chin": 0.3}
GRAIN = 110  # pixels between the eyes that a mask is drawn with at least, before it is made as small as its face
SHAPE_GRAIN = 30  # and with which its surface is looked for: that is smooth
CONTEXT = 0.5  # about a face, in a written picture: as much as training keeps of any face
MIN_CONFIDENCE = 0.8  # of a detector in a face
MAX_ATTEMPTS = 6  # to find a clear face, for each picture asked for


def _draw_loops(camera: np.ndarray, box: np.ndarray, scale: int, kind: str, worn: str) -> np.ndarray:
    """Loops, (H, W) in 0-1, where the ear that they lead to is seen."""
    layer = np.zeros(((box[3] - box[1]) * scale, (box[2] - box[0]) * scale), np.uint8)
    width = max(1, round(0.028 * scale * float(np.linalg.norm(camera[:, 1]))))
    for line in loop_lines(kind, worn):
        pixels = project(camera, line)
        if (pixels[-1] - pixels[0]) @ camera[:, 0] * np.sign(line[0, 0]) > 0:
            places = np.round(((pixels - box[:2] + 0.5) * scale - 0.5) * 16).astype(np.int32)
            cv2.polylines(layer, [places], False, 255, width, cv2.LINE_AA, shift=4)
    return layer / np.float32(255)


def _render(
    camera: np.ndarray, box: np.ndarray, kind: str, worn: str, colour: str, pattern: str, rng: np.random.Generator
) -> np.ndarray:
    """A mask in white light in a box of pixels: (H, W, 4) float32, RGB times opacity, and opacity in 0-1."""
    eyes = float(np.sqrt(np.linalg.det(camera[:, :2])))
    scale, size_wh = int(np.clip(np.ceil(GRAIN / eyes), 1, 8)), box[2:] - box[:2]
    coarse_wh = np.maximum(1, np.round(size_wh * min(1.0, SHAPE_GRAIN / eyes))).astype(int)
    height = partial(cloth_height, kind=kind, worn=worn)
    seen = cv2.resize(see_surface(camera, pixel_grid(box, coarse_wh), height), (size_wh * scale).tolist())
    cloth = draw_cloth(seen[..., 0], seen[..., 1], kind, worn, pattern, rng)
    opacity = np.clip(cloth.inside * eyes * scale + 0.5, 0, 1)
    down, right = np.gradient(height(seen[..., 0], seen[..., 1]) + cloth.relief)
    slope = np.stack([right, down], axis=2) * scale @ camera[:, :2]  # by x and y of the face frame
    facing = (0.45 * slope[..., 1] + 0.9) / np.sqrt(1 + (slope**2).sum(axis=2))  # light comes from above
    tone = (0.6 + 0.5 * facing) * (1 - cloth.lines) * (1 - 0.12 * np.exp(-np.maximum(cloth.inside, 0) / 0.03))
    first, second = np.array(COLOURS[colour]), np.array(COLOURS[str(rng.choice(list(COLOURS)))])
    rgb = (first + (second - first) * cloth.second[..., None]) * np.clip(tone, 0.2, 1.15)[..., None]
    loops = _draw_loops(camera, box, scale, kind, worn) * (1 - opacity) * rng.choice([0, 0.85], p=[0.15, 0.85])
    loop_rgb = first if first.max() < 80 else np.array([225, 226, 228])
    layers = np.dstack([rgb * opacity[..., None] + loop_rgb * loops[..., None], opacity + loops]).astype(np.float32)
    return cv2.resize(layers, size_wh.tolist(), interpolation=cv2.INTER_AREA)


def add_mask(
    image: np.ndarray,
    landmarks: np.ndarray,
    kind: str = "surgical",
    worn: str = "well",
    colour: str = "light_blue",
    pattern: str = "plain",
    *,
    rng: np.random.Generator,
) -> np.ndarray:
    """Put a mask on a bare face.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) pixels, as ``YuNet.find_landmarks`` gives them; they may lie outside the image.
        kind: one of ``mask_cloth.KINDS``.
        worn: one of ``WORN``.
        colour: one of ``mask_cloth.COLOURS``, in white light.
        pattern: one of ``mask_cloth.PATTERNS``.
        rng: the source of chance for folds, size and noise.

    Returns:
        A new image, changed below the eyes alone.

    Raises:
        ValueError: a name is unknown, or the landmarks are no face seen from the front or a tiny one.
    """
    names = {"kind": (kind, KINDS), "worn": (worn, WORN), "colour": (colour, COLOURS), "pattern": (pattern, PATTERNS)}
    for what, (name, known) in names.items():
        if name not in known:
            raise ValueError(f"There is no {what} '{name}': use one of {', '.join(known)}.")
    camera = fit_camera(landmarks)
    if not (np.isfinite(camera).all() and np.linalg.det(camera[:, :2]) > 4):
        raise ValueError("The landmarks are no face seen from the front, or a tiny one: leave it out.")
    eyes = float(np.sqrt(np.linalg.det(camera[:, :2])))
    reach = project(camera, np.array([[x, y, z] for x in (-1.5, 1.5) for y in (-0.4, 2.2) for z in (-1.2, 0.6)]))
    box = clip_boxes([*np.floor(reach.min(axis=0)), *np.ceil(reach.max(axis=0))], image.shape[1::-1])[0].astype(int)
    masked = image.copy()
    if (box[2:] - box[:2]).min() < 2:
        return masked
    part = image[box[1] : box[3], box[0] : box[2]]
    x, y = np.moveaxis(unproject(camera, pixel_grid(box, box[2:] - box[:2])), 2, 0)
    around = [*np.min(landmarks, axis=0) - 0.3 * eyes, *np.max(landmarks, axis=0) + 0.3 * eyes]
    grey = cv2.cvtColor(crop_image(image, around), cv2.COLOR_RGB2GRAY)
    softness = np.clip(estimate_softness(grey), 0.35, max(0.35, 0.1 * eyes))
    layers = cv2.GaussianBlur(_render(camera, box, kind, worn, colour, pattern, rng), (0, 0), softness)
    layers *= np.clip((y - 0.1) / 0.05, 0, 1)[..., None]  # the eyes stay free
    opacity = layers[..., 3:]
    shadow = cv2.GaussianBlur(opacity, (0, 0), 0.05 * eyes)[..., None] * np.clip((y - 0.15) / 0.1, 0, 1)[..., None]
    rgb = layers[..., :3] * estimate_light(part, (np.abs(x) < 0.75) & (y > 0.1) & (y < 1.5), 0.35 * eyes)
    colourful = min(1.0, float(np.ptp(part.astype(int), axis=2).mean()) / 10)  # a grey picture gets a grey mask
    rgb = rgb * colourful + rgb.mean(axis=2, keepdims=True) * (1 - colourful)
    rgb += opacity * rng.normal(0, estimate_noise(grey), opacity.shape)
    mixed = part * (1 - opacity) * (1 - 0.3 * shadow) + rgb
    masked[box[1] : box[3], box[0] : box[2]] = np.clip(np.round(mixed), 0, 255).astype(np.uint8)
    return masked


def _mask_face(
    file: Path, box: object, find_landmarks: Callable, worn: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """The part of a photograph about one face, with a mask on, and the face's box in it; None where it is unsure."""
    try:
        image = read_image(file)
    except ImageError as error:
        tqdm.write(str(error))
        return None, None
    box = as_boxes(box)
    found, landmarks = find_landmarks(image)
    sure = (box_iou(found.xyxy, box)[:, 0] > 0.5) & (found.confidence >= MIN_CONFIDENCE)
    if sure.sum() != 1 or not is_clear(landmarks[sure][0], image.shape[1::-1]):
        return None, None
    masked = add_mask(image, landmarks[sure][0], worn=worn, rng=rng, **choose_mask(rng))
    view = clip_boxes(square_boxes(box, CONTEXT), image.shape[1::-1]).round()[0]
    return crop_image(masked, view), box[0] - np.tile(view[:2], 2)


def make_masked_faces(
    table: pd.DataFrame,
    root: str | Path,
    folder: str | Path,
    find_landmarks: Callable[[np.ndarray], tuple[Detections, np.ndarray]],
    count: int,
    worn_shares: Mapping[str, float] = WORN_SHARES,
    seed: int = 0,
) -> pd.DataFrame:
    """Write pictures of bare faces with a mask put on them, and their labels: for training, never to measure with.

    A picture is a face and what is about it. Faces that are not clear are passed over; where faces run out, they come
    again with other masks.

    Args:
        table: a label table of the train split, with ``group`` and ``split``; its ``without_mask`` boxes are used.
        root: the data root.
        folder: where the pictures go; not below the root, where notebook 01 would take them for photographs.
        find_landmarks: gives ``Detections`` and (N, 5, 2) landmarks of an image, as ``YuNet.find_landmarks`` does.
        count: pictures to make; fewer come back where few faces are clear.
        worn_shares: how often each way of ``WORN`` is drawn.
        seed: of all that is drawn; the same seed gives the same pictures.

    Returns:
        A label table of ``source`` "synthetic"; ``group`` and ``split`` are those of the photographs below the masks.

    Raises:
        LabelError: the table has no groups or splits, or faces that are not in the train split.
    """
    if not {"group", "split"} <= set(table) or not (table.split == "train").all():
        raise LabelError("Masks are put on training faces alone: give the rows whose split is train, with their group.")
    bare = table[table.class_name == "without_mask"].dropna(subset=BOX_COLUMNS)
    ways, shares = list(worn_shares), np.array(list(worn_shares.values())) / sum(worn_shares.values())
    order, rows = np.random.default_rng(seed).permutation(len(bare)), []
    with tqdm(total=count, desc="putting on masks", unit="image") as bar:
        for attempt in range(MAX_ATTEMPTS * count if len(bare) else 0):
            row, rng = bare.iloc[order[attempt % len(bare)]], np.random.default_rng([seed, attempt])
            worn = str(rng.choice(ways, p=shares))
            image, box = _mask_face(Path(root) / row.file, row[BOX_COLUMNS], find_landmarks, worn, rng)
            if image is None:
                continue
            path = write_image(Path(folder) / f"{len(rows):06d}_{worn}.jpg", image)
            label = {"file": Path(os.path.relpath(path, root)).as_posix(), "source": SOURCE, "class_name": WORN[worn]}
            rows.append({**row, **label, **dict(zip(BOX_COLUMNS, box, strict=True))})
            bar.update()
            if len(rows) == count:
                break
    return pd.DataFrame(rows, columns=table.columns).astype(table.dtypes)
