"""Write YOLO: a text file for each image, ``classes.txt`` and ``data.yaml``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from utils.atomic import write_bytes
from utils.formats.labelled import LabelledImage, list_classes
from utils.formats.yolo.data_file import DATA_FILE, name_split_folders

DIGITS = 6  # after the point; 0.01 pixel in an image of 10,000


def write_yolo(folder: str | Path, images: Iterable[LabelledImage]) -> list[Path]:
    """Write labels as ``labels/NAME.txt``, ``classes.txt`` and, last, ``data.yaml``.

    Args:
        folder: the folder; ``data.yaml`` names ``images/`` in it as the place of the images, or
            ``images/train`` and so on if they have splits.
        images: the labels. An image without faces gets an empty file.

    Returns:
        The files.
    """
    folder = Path(folder)
    images = list(images)
    class_names = list_classes(images)
    paths = []
    for image in images:
        width, height = image.resolution_wh
        lines = []
        for name, box in zip(image.class_names, image.xyxy, strict=True):
            x_min, y_min, x_max, y_max = (float(value) for value in box)
            shares = (
                (x_min + x_max) / 2 / width,
                (y_min + y_max) / 2 / height,
                (x_max - x_min) / width,
                (y_max - y_min) / height,
            )
            numbers = " ".join(f"{share:.{DIGITS}f}" for share in shares)
            lines.append(f"{class_names.index(name)} {numbers}\n")
        path = folder / name_yolo(image.file)
        paths.append(write_bytes(path, "".join(lines).encode()))
    class_lines = "".join(f"{name}\n" for name in class_names)
    paths.append(write_bytes(folder / "classes.txt", class_lines.encode()))
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(class_names))
    folders = name_split_folders({image.split for image in images})
    places = "".join(f"{split}: {place}\n" for split, place in folders.items())
    text = f"{places}nc: {len(class_names)}\nnames:\n{names}"
    paths.append(write_bytes(folder / DATA_FILE, text.encode()))
    return paths


def name_yolo(file: str) -> str:
    """Return the path of the text file of an image, relative to the folder."""
    return (PurePosixPath("labels") / file).with_suffix(".txt").as_posix()
