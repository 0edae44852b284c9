"""A small labelled data set, drawn in about two seconds from the pictures in ``data/examples``.

It has the layout of real data: class folders of heads (``faces``) and Pascal VOC folders
(``scenes``, ``maskedface-net``). Each picture is one or more of the example heads, rotated, scaled,
relit and pasted on a background of its own. So no two pictures are near-duplicates, except those in
``NEAR_DUPLICATES``.
"""

from __future__ import annotations

import argparse
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

COUNT = 24  # images in each face class, and in scenes
MASKEDFACE_COUNT = 10  # images in maskedface-net
KAGGLE_SPELLING = "mask_weared_incorrect"
KAGGLE_SCENE = 8  # number of the scene that has this spelling
MIRRORED_SCENE = 4  # number of the scene that has a mirrored copy
MASKED_COPIES = (6, 10, 16)  # numbers in faces/without_mask that are drawn with a mask too
COPY_SIDE = 80  # pixels, the longer side of a smaller copy

# Each copy and its original. A masked copy differs from its original in the mask alone.
FACE_COPIES = {
    "faces/without_mask/mirror_of_03.jpg": "faces/without_mask/03.jpg",
    "faces/without_mask/smaller_copy_of_08.jpg": "faces/without_mask/08.jpg",
    "faces/with_mask/mirror_of_31.jpg": "faces/with_mask/31.jpg",
    "faces/with_mask/smaller_copy_of_27.jpg": "faces/with_mask/27.jpg",
}
NEAR_DUPLICATES = dict(FACE_COPIES)
for _number in MASKED_COPIES:
    _copy = f"faces/with_mask/masked_copy_of_{_number:02}.jpg"
    NEAR_DUPLICATES[_copy] = f"faces/without_mask/{_number:02}.jpg"
_scene = f"scene_{MIRRORED_SCENE:02}.jpg"
NEAR_DUPLICATES[f"scenes/images/mirror_of_{_scene}"] = f"scenes/images/{_scene}"


@dataclass(frozen=True)
class Portrait:
    """One head of an example picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        box: (4,) xyxy of the face.
        class_name: of the face.
        matte: (H, W) float32, 1 on head and shoulders, 0 elsewhere.
    """

    image: np.ndarray
    box: np.ndarray
    class_name: str
    matte: np.ndarray


def read_portraits() -> dict[str, list[Portrait]]:
    """Return the heads of the example pictures by class, in the order of ``MASK_CLASSES``.

    The first two with a mask and the first two without a mask are the same two people.
    """
    portraits = {name: [] for name in MASK_CLASSES}
    for path in sorted((EXAMPLES_DIR / "annotations").glob("*.xml")):
        file, _, faces = read_voc(path)
        image = read_image(EXAMPLES_DIR / file)
        for class_name, box in faces:
            portrait = Portrait(image, box, class_name, draw_matte(image, box))
            portraits[class_name].append(portrait)
    return portraits


def draw_matte(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return a soft outline of head, hat and shoulders around a face: (H, W) float32 in 0-1."""
    x, y = (box[:2] + box[2:]) / 2
    width, height = box[2:] - box[:2]
    matte = np.zeros(image.shape[:2], np.float32)
    head = ((x, y - 0.22 * height), (1.7 * width, 1.84 * height), 0)  # centre, axes, angle
    cv2.ellipse(matte, head, 1.0, -1)
    # In face widths and heights, from the centre of the face.
    bust = np.array([(-0.5, 0.3), (0.5, 0.3), (0.9, 0.8), (0.9, 2.5), (-0.9, 2.5), (-0.9, 0.8)])
    cv2.fillPoly(matte, [np.round((x, y) + bust * (width, height)).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(matte, (0, 0), 0.06 * width)


def draw_background(resolution_wh: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return coloured clouds, rectangles and stripes: (H, W, 3) float32 in 0-255."""
    width, height = resolution_wh
    clouds = rng.uniform(20, 235, (*rng.integers(2, 9, 2), 3)).astype(np.float32)
    image = cv2.resize(clouds, resolution_wh, interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(4, 16)):
        corner = rng.uniform(0, 1, 2) * (width, height)
        size = rng.uniform(0.1, 0.5, 2) * (width, height)
        angle = float(rng.choice([0, 0, rng.uniform(0, 90)]))
        rectangle = cv2.boxPoints((tuple(map(float, corner)), tuple(map(float, size)), angle))
        color = rng.uniform(0, 255, 3).tolist()
        cv2.fillPoly(image, [rectangle.astype(np.int32)], color, cv2.LINE_AA)
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
    """Paste a portrait on a canvas.

    Args:
        canvas: (H, W, 3) float32; it is not changed.
        portrait: the head.
        face: x and y of the face's centre on the canvas and its width, in pixels.
        turn: rotation in degrees.
        flip: whether to mirror the portrait.

    Returns:
        The new canvas, and the (4,) box of the face on it.
    """
    x, y, width = face
    scale = width / (portrait.box[2] - portrait.box[0])
    height_px, width_px = portrait.image.shape[:2]
    resolution_wh = (round(width_px * scale), round(height_px * scale))
    image = resize_image(portrait.image.astype(np.float32), resolution_wh)
    matte = resize_image(portrait.matte, resolution_wh)
    box = portrait.box * scale
    if flip:
        image = image[:, ::-1]
        matte = matte[:, ::-1]
        box = np.array([resolution_wh[0] - box[2], box[1], resolution_wh[0] - box[0], box[3]])
    centre = (box[:2] + box[2:]) / 2
    half = (box[2:] - box[:2]) / 2
    affine = cv2.getRotationMatrix2D(centre.tolist(), turn, 1.0)
    affine[:, 2] += (x, y) - centre
    canvas_wh = (canvas.shape[1], canvas.shape[0])
    image = cv2.warpAffine(image, affine, canvas_wh)
    matte = cv2.warpAffine(matte, affine, canvas_wh)
    # A face is an oval: this is the box around the rotated oval, not around the rotated box.
    extent = np.sqrt((affine[:, :2] ** 2) @ half**2)
    corners = np.clip([(x, y) - extent, (x, y) + extent], 0, canvas_wh)
    return canvas + (image - canvas) * matte[:, :, None], corners.round().astype(int).ravel()


def relight(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, brightness and tint, light from one side, blur, add noise: (H, W, 3) uint8."""
    height, width = image.shape[:2]
    slope_y, slope_x = rng.normal(0, (0.12, 0.2))
    rows = np.linspace(-slope_y, slope_y, height)
    columns = np.linspace(-slope_x, slope_x, width)
    side_light = (1 + np.add.outer(rows, columns))[:, :, None]
    tint = rng.uniform(0.75, 1.2) * rng.uniform(0.88, 1.12, 3)
    gamma = rng.uniform(0.75, 1.35)
    image = 255 * (np.clip(image, 0, 255) / 255) ** gamma * side_light * tint
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, 0.9))
    noise = rng.normal(0, rng.uniform(0.5, 5), image.shape)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8)


def draw_head(
    portrait: Portrait, rng: np.random.Generator, share: tuple[float, float] = (0.34, 0.56)
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one head with some surroundings.

    Args:
        portrait: the head.
        rng: the random generator.
        share: least and largest width of the face, as a share of the image's width.

    Returns:
        The (H, W, 3) uint8 image and the (4,) box of the face.
    """
    width = int(rng.integers(90, 160))
    height = round(width * rng.uniform(0.8, 1.25))
    # Below the centre, so that a mask changes the lower half alone: near-duplicates are searched by
    # the upper half too.
    x = width * rng.uniform(0.35, 0.65)
    y = height * rng.uniform(0.56, 0.66)
    face_width = width * rng.uniform(*share)
    canvas = draw_background((width, height), rng)
    turn = rng.uniform(-18, 18)
    flip = rng.random() < 0.5
    canvas, box = paste_portrait(canvas, portrait, (x, y, face_width), turn, flip)
    return relight(canvas, rng), box


def draw_scene(
    portraits: list[Portrait], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw people beside each other, with faces of 20-90 pixels.

    Returns:
        The (H, W, 3) uint8 image, and the (4,) box of each face.
    """
    width = int(rng.integers(280, 340))
    height = int(rng.integers(220, 260))
    canvas = draw_background((width, height), rng)
    column = width / len(portraits)
    boxes = []
    for number, portrait in enumerate(portraits):
        x = column * (number + rng.uniform(0.4, 0.6))
        y = height * rng.uniform(0.4, 0.65)
        face_width = rng.uniform(20, min(84, 0.45 * column))
        turn = rng.uniform(-12, 12)
        flip = rng.random() < 0.5
        canvas, box = paste_portrait(canvas, portrait, (x, y, face_width), turn, flip)
        boxes.append(box)
    return relight(canvas, rng), boxes


def write_labelled(
    folder: Path, name: str, image: np.ndarray, class_names: list[str], boxes: list[np.ndarray]
) -> None:
    """Write ``images/<name>.jpg`` and its ``annotations/<name>.xml``."""
    write_image(folder / "images" / f"{name}.jpg", image)
    table = pd.DataFrame(np.array(boxes), columns=BOX_COLUMNS).assign(class_name=class_names)
    resolution_wh = (image.shape[1], image.shape[0])
    write_voc(folder / "annotations" / f"{name}.xml", f"{name}.jpg", resolution_wh, table)


def make_small_data(folder: str | Path | None = None, seed: int = 0) -> Path:
    """Write the small data set.

    Args:
        folder: where to; None makes a new temporary folder.
        seed: the same seed gives the same files, byte for byte.

    Returns:
        The folder: ``faces/<class>/*.jpg``, and ``scenes/`` and ``maskedface-net/`` with
        ``images/`` and ``annotations/``.
    """
    root = Path(tempfile.mkdtemp() if folder is None else folder)
    portraits = read_portraits()
    masked = portraits["with_mask"]
    bare = portraits["without_mask"]
    badly_worn = portraits["mask_worn_incorrectly"]
    _write_faces(root, masked, bare, seed)
    _write_scenes(root / "scenes", masked + bare + badly_worn, seed)
    _write_maskedface(root / "maskedface-net", masked, badly_worn, seed)
    _write_face_copies(root)
    return root


def _write_faces(root: Path, masked: list[Portrait], bare: list[Portrait], seed: int) -> None:
    """Write the class folders of heads. Numbers are unique over both classes."""
    for number in range(2 * COUNT):
        class_name = "without_mask" if number < COUNT else "with_mask"
        heads = bare if number < COUNT else masked
        person = number % len(heads)
        image, _ = draw_head(heads[person], np.random.default_rng((seed, 0, number)))
        write_image(root / f"faces/{class_name}/{number:02}.jpg", image)
        if number in MASKED_COPIES:
            image, _ = draw_head(masked[person], np.random.default_rng((seed, 0, number)))
            write_image(root / f"faces/with_mask/masked_copy_of_{number:02}.jpg", image)


def _write_scenes(folder: Path, everyone: list[Portrait], seed: int) -> None:
    """Write pictures of one to three people."""
    for number in range(COUNT):
        rng = np.random.default_rng((seed, 1, number))
        people = [everyone[(number + 3 * step) % len(everyone)] for step in range(1 + number % 3)]
        image, boxes = draw_scene(people, rng)
        names = [person.class_name for person in people]
        if number == KAGGLE_SCENE:
            names = [KAGGLE_SPELLING if name == "mask_worn_incorrectly" else name for name in names]
        write_labelled(folder, f"scene_{number:02}", image, names, boxes)
        if number == MIRRORED_SCENE:
            width = image.shape[1]
            mirrored = [(width - box[2], box[1], width - box[0], box[3]) for box in boxes]
            name = f"mirror_of_scene_{number:02}"
            write_labelled(folder, name, image[:, ::-1], names, mirrored)


def _write_maskedface(
    folder: Path, masked: list[Portrait], badly_worn: list[Portrait], seed: int
) -> None:
    """Write pictures of one head, named as in MaskedFace-Net."""
    for number in range(MASKEDFACE_COUNT):
        if number % 2 == 0:
            heads = masked
            name = "with_mask"
            suffix = ""
        else:
            heads = badly_worn
            name = KAGGLE_SPELLING
            suffix = "_Mouth_Chin"
        rng = np.random.default_rng((seed, 2, number))
        image, box = draw_head(heads[number // 2 % len(heads)], rng, share=(0.5, 0.65))
        write_labelled(folder, f"{number:05}_Mask{suffix}", image, [name], [box])


def _write_face_copies(root: Path) -> None:
    """Write mirrored and smaller copies of heads."""
    for copy, original in FACE_COPIES.items():
        image = read_image(root / original)
        image = image[:, ::-1] if "mirror" in copy else limit_size(image, COPY_SIDE)
        write_image(root / copy, image, quality=75)


def main() -> None:
    """Write the sample, as ``make sample`` does: ``python -m tests.small_data data/sample``."""
    from tests.sample_data import make_sample  # here, because it imports this module

    parser = argparse.ArgumentParser(description="Draw the sample that the notebooks run on.")
    parser.add_argument("folder", type=Path, help="where to")
    folder = make_sample(parser.parse_args().folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{folder} holds {len(files)} files, {size / 1e6:.2f} MB.")


if __name__ == "__main__":
    main()
