"""A small labelled data set, drawn in a second or two from the pictures in ``data/examples`` alone.

It has the layout of the real data: class folders of heads (``faces``) and Pascal VOC folders (``scenes``,
``maskedface-net``). Each picture is one or more of the example heads, turned, scaled, lit and laid on a background of
its own, so that pictures are no near-duplicates of each other, but for those in ``NEAR_DUPLICATES``.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from utils.classes import MASK_CLASSES
from utils.formats import read_voc, write_voc
from utils.images import limit_size, read_image, resize_image, write_image
from utils.labels import BOX_COLUMNS
from utils.paths import EXAMPLES_DIR

COUNT, MASKEDFACE_COUNT = 24, 10  # images in each face class and in scenes; in maskedface-net
KAGGLE_SPELLING, KAGGLE_SCENE = "mask_weared_incorrect", 8
MASKED_COPIES = (6, 10, 16)  # numbers in faces/without_mask that are also drawn with a mask
FACE_COPIES = {
    "faces/without_mask/mirror_of_03.jpg": "faces/without_mask/03.jpg",
    "faces/without_mask/smaller_copy_of_08.jpg": "faces/without_mask/08.jpg",
    "faces/with_mask/mirror_of_31.jpg": "faces/with_mask/31.jpg",
    "faces/with_mask/smaller_copy_of_27.jpg": "faces/with_mask/27.jpg",
}
MIRRORED_SCENE = 4
# Each copy and what it is a copy of. A masked copy differs from its original on the mask alone.
NEAR_DUPLICATES = {
    **FACE_COPIES,
    **{
        f"faces/with_mask/masked_copy_of_{n:02}.jpg": f"faces/without_mask/{n:02}.jpg"
        for n in MASKED_COPIES
    },
    f"scenes/images/mirror_of_scene_{MIRRORED_SCENE:02}.jpg": f"scenes/images/scene_{MIRRORED_SCENE:02}.jpg",
}


@dataclass(frozen=True)
class Portrait:
    """One head of an example picture."""

    image: np.ndarray
    box: np.ndarray  # of the face, xyxy
    class_name: str
    matte: np.ndarray  # (H, W) float32, 1 on head and shoulders


def read_portraits() -> dict[str, list[Portrait]]:
    """The heads of the example pictures by class, in the order of ``MASK_CLASSES``.

    The first two with a mask and the first two without one are the same two people.
    """
    portraits = {name: [] for name in MASK_CLASSES}
    for path in sorted((EXAMPLES_DIR / "annotations").glob("*.xml")):
        file, _, faces = read_voc(path)
        image = read_image(EXAMPLES_DIR / file)
        for class_name, box in faces:
            portraits[class_name].append(Portrait(image, box, class_name, draw_matte(image, box)))
    return portraits


def draw_matte(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A soft outline of head, hat and shoulders around a face box: (H, W) float32 from 0 to 1."""
    (x, y), (width, height) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    matte = np.zeros(image.shape[:2], np.float32)
    head = ((x, y - 0.22 * height), (1.7 * width, 1.84 * height), 0)  # middle, axes, angle
    cv2.ellipse(matte, head, 1.0, -1)
    bust = np.array([(-0.5, 0.3), (0.5, 0.3), (0.9, 0.8), (0.9, 2.5), (-0.9, 2.5), (-0.9, 0.8)])
    cv2.fillPoly(matte, [np.round((x, y) + bust * (width, height)).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(matte, (0, 0), 0.06 * width)


def draw_background(resolution_wh: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Coloured clouds, blocks and stripes: (H, W, 3) float32."""
    width, height = resolution_wh
    clouds = rng.uniform(20, 235, (*rng.integers(2, 9, 2), 3)).astype(np.float32)
    image = cv2.resize(clouds, resolution_wh, interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(4, 16)):
        corner, size = (
            rng.uniform(0, 1, 2) * (width, height),
            rng.uniform(0.1, 0.5, 2) * (width, height),
        )
        shape = (
            tuple(map(float, corner)),
            tuple(map(float, size)),
            float(rng.choice([0, 0, rng.uniform(0, 90)])),
        )
        cv2.fillPoly(
            image,
            [cv2.boxPoints(shape).astype(np.int32)],
            rng.uniform(0, 255, 3).tolist(),
            cv2.LINE_AA,
        )
    rows, columns = np.mgrid[0:height, 0:width]
    direction = rng.normal(size=2) * rng.uniform(0.02, 0.5)
    stripes = np.sin(rows * direction[0] + columns * direction[1]) * rng.uniform(0, 35)
    return np.clip(image + stripes[:, :, None], 0, 255).astype(np.float32)


def paste_portrait(
    canvas: np.ndarray,
    portrait: Portrait,
    face: tuple[float, float, float],
    turn: float,
    flip: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a portrait, mirrored or not, on a float canvas: the new canvas and the face's box on it.

    ``face`` is x and y of the face's middle on the canvas and its width, in pixels; ``turn`` is in degrees.
    """
    x, y, width = face
    scale = width / (portrait.box[2] - portrait.box[0])
    resolution_wh = tuple(round(side * scale) for side in portrait.image.shape[1::-1])
    layers = [
        resize_image(layer, resolution_wh)
        for layer in (portrait.image.astype(np.float32), portrait.matte)
    ]
    box = portrait.box * scale
    if flip:
        layers = [layer[:, ::-1] for layer in layers]
        box = np.array([resolution_wh[0] - box[2], box[1], resolution_wh[0] - box[0], box[3]])
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    affine = cv2.getRotationMatrix2D(centre.tolist(), turn, 1.0)
    affine[:, 2] += (x, y) - centre
    image, matte = (cv2.warpAffine(layer, affine, canvas.shape[1::-1]) for layer in layers)
    # A face is an oval: this is the box around the turned oval, not around the turned box.
    extent = np.sqrt((affine[:, :2] ** 2) @ half**2)
    corners = np.clip([(x, y) - extent, (x, y) + extent], 0, canvas.shape[1::-1])
    return canvas + (image - canvas) * matte[:, :, None], corners.round().astype(int).ravel()


def change_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, tint, light from one side, blur and grain: (H, W, 3) uint8."""
    height, width = image.shape[:2]
    slope_y, slope_x = rng.normal(0, (0.12, 0.2))
    ramp = np.add.outer(
        np.linspace(-slope_y, slope_y, height), np.linspace(-slope_x, slope_x, width)
    )
    tint = rng.uniform(0.75, 1.2) * rng.uniform(0.88, 1.12, 3)
    image = (
        255
        * (np.clip(image, 0, 255) / 255) ** rng.uniform(0.75, 1.35)
        * (1 + ramp)[:, :, None]
        * tint
    )
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, 0.9))
    return (
        np.clip(image + rng.normal(0, rng.uniform(0.5, 5), image.shape), 0, 255)
        .round()
        .astype(np.uint8)
    )


def draw_head(
    portrait: Portrait, rng: np.random.Generator, share: tuple[float, float] = (0.34, 0.56)
) -> tuple[np.ndarray, np.ndarray]:
    """One head and some surroundings, the face's width a share of the image's: the image and the face's box."""
    width = int(rng.integers(90, 160))
    height = round(width * rng.uniform(0.8, 1.25))
    # Below the middle, so that a mask changes the lower half alone: groups are found by the upper half too.
    face = (
        width * rng.uniform(0.35, 0.65),
        height * rng.uniform(0.56, 0.66),
        width * rng.uniform(*share),
    )
    canvas = draw_background((width, height), rng)
    canvas, box = paste_portrait(canvas, portrait, face, rng.uniform(-18, 18), rng.random() < 0.5)
    return change_light(canvas, rng), box


def draw_scene(
    portraits: list[Portrait], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """People beside each other, faces of 20-90 pixels: the image and their boxes."""
    width, height = int(rng.integers(280, 340)), int(rng.integers(220, 260))
    canvas, boxes, column = draw_background((width, height), rng), [], width / len(portraits)
    for number, portrait in enumerate(portraits):
        x, y = column * (number + rng.uniform(0.4, 0.6)), height * rng.uniform(0.4, 0.65)
        face = (x, y, rng.uniform(20, min(84, 0.45 * column)))
        canvas, box = paste_portrait(
            canvas, portrait, face, rng.uniform(-12, 12), rng.random() < 0.5
        )
        boxes.append(box)
    return change_light(canvas, rng), boxes


def write_labelled(
    folder: Path, name: str, image: np.ndarray, class_names: list[str], boxes: list[np.ndarray]
) -> None:
    """Write ``images/<name>.jpg`` and its ``annotations/<name>.xml``."""
    write_image(folder / "images" / f"{name}.jpg", image)
    table = pd.DataFrame(np.array(boxes), columns=BOX_COLUMNS).assign(class_name=class_names)
    write_voc(folder / "annotations" / f"{name}.xml", f"{name}.jpg", image.shape[1::-1], table)


def make_small_data(folder: str | Path | None = None, seed: int = 0) -> Path:
    """Write the small data set.

    Args:
        folder: where to; None makes a new temporary folder.
        seed: the same seed gives the same files, byte for byte.

    Returns:
        The folder: ``faces/<class>/*.jpg``, ``scenes/`` and ``maskedface-net/`` with ``images/`` and ``annotations/``.
    """
    root = Path(tempfile.mkdtemp() if folder is None else folder)
    masked, bare, badly_worn = read_portraits().values()

    for number in range(2 * COUNT):  # numbers are unique over both classes
        class_name, heads = ("without_mask", bare) if number < COUNT else ("with_mask", masked)
        person = number % len(heads)
        image, _ = draw_head(heads[person], np.random.default_rng((seed, 0, number)))
        write_image(root / f"faces/{class_name}/{number:02}.jpg", image)
        if number in MASKED_COPIES:
            image, _ = draw_head(masked[person], np.random.default_rng((seed, 0, number)))
            write_image(root / f"faces/with_mask/masked_copy_of_{number:02}.jpg", image)

    everyone = masked + bare + badly_worn
    for number in range(COUNT):
        rng = np.random.default_rng((seed, 1, number))
        people = [everyone[(number + 3 * step) % len(everyone)] for step in range(1 + number % 3)]
        image, boxes = draw_scene(people, rng)
        names = [person.class_name for person in people]
        if number == KAGGLE_SCENE:
            names = [KAGGLE_SPELLING if name == "mask_worn_incorrectly" else name for name in names]
        write_labelled(root / "scenes", f"scene_{number:02}", image, names, boxes)
        if number == MIRRORED_SCENE:
            boxes = [
                (image.shape[1] - box[2], box[1], image.shape[1] - box[0], box[3]) for box in boxes
            ]
            write_labelled(
                root / "scenes", f"mirror_of_scene_{number:02}", image[:, ::-1], names, boxes
            )

    for number in range(MASKEDFACE_COUNT):
        heads, name, suffix = [
            (masked, "with_mask", ""),
            (badly_worn, KAGGLE_SPELLING, "_Mouth_Chin"),
        ][number % 2]
        rng = np.random.default_rng((seed, 2, number))
        image, box = draw_head(heads[number // 2 % len(heads)], rng, share=(0.5, 0.65))
        write_labelled(root / "maskedface-net", f"{number:05}_Mask{suffix}", image, [name], [box])

    for copy, original in FACE_COPIES.items():
        image = read_image(root / original)
        write_image(
            root / copy, image[:, ::-1] if "mirror" in copy else limit_size(image, 80), quality=75
        )
    return root
