"""The data file of a YOLO data set: the names of the classes, and where the images are.

It is ``data.yaml``, or ``classes.txt`` with a name a line, in the order of the numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from utils.classes import LabelError
from utils.formats.labelled import SPLITS
from utils.images import list_images

DATA_FILE = "data.yaml"
YAML_FILES = (DATA_FILE, "data.yml", "dataset.yaml", "dataset.yml")
CLASS_FILES = ("classes.txt", "obj.names")


def name_split_folders(splits: Collection[str]) -> dict[str, str]:
    """Return the folder of images of each split, for ``data.yaml``.

    Ultralytics needs both train and val. If one of them is missing, it gets the folder of another
    split.

    Args:
        splits: those of the images; "" is none.
    """
    used = [split for split in SPLITS if split in splits]
    if not used:
        return {"train": "images", "val": "images"}
    folders = {split: f"images/{split}" for split in used}
    for split in ("train", "val"):
        folders.setdefault(split, f"images/{used[0]}")
    return folders


def read_yolo_names(folder: Path) -> tuple[dict[int, str], list[tuple[str, str]]]:
    """Return the class names by id, and the splits and places that ``data.yaml`` names.

    Raises:
        LabelError: no file names the classes, or it cannot be read.
    """
    for name in YAML_FILES:
        if (folder / name).is_file():
            return _read_yaml(folder / name)
    for name in CLASS_FILES:
        for path in (folder / name, folder / "labels" / name):
            if path.is_file():
                lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
                return {number: line.strip() for number, line in enumerate(lines)}, []
    raise LabelError(
        f"{folder} holds YOLO labels, but no {DATA_FILE} or classes.txt that names their classes: "
        "add one, with a name a line in the order of the numbers."
    )


def _read_yaml(path: Path) -> tuple[dict[int, str], list[tuple[str, str]]]:
    """Return the class names by id, and splits and places of images, of a ``data.yaml``."""
    import yaml  # the script does not need it

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict) or "names" not in content:
            raise TypeError("names is missing")
        names = content["names"]
        if isinstance(names, dict):
            if not all(str(key).isdecimal() for key in names):
                raise TypeError("the keys of names are not numbers")
            classes = {int(key): str(name) for key, name in names.items()}
        elif isinstance(names, list):
            classes = {number: str(name) for number, name in enumerate(names)}
        else:
            raise TypeError("names is neither a list nor a table")
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise LabelError(
            f"{path} cannot be read as a YOLO data file ({detail}): it needs names, a list of the "
            "classes."
        ) from error
    base = str(content.get("path") or "")
    places = []
    for split in SPLITS:
        values: Any = content.get(split)
        for value in values if isinstance(values, list) else [values]:
            if value:
                name = "val" if split == "valid" else split
                places.append((name, str(PurePosixPath(base) / str(value))))
    return classes, places


def expand_place(place: str, folder: Path) -> list[Path]:
    """Return the images of a place that ``data.yaml`` names: a folder, or a list of files."""
    written = PurePosixPath(place)
    candidates = [folder / place]
    if written.is_absolute() or ".." in written.parts:
        # Roboflow writes ../train/images for train/images. Of a path of another computer, only the
        # end is right.
        parts = [part for part in written.parts if part not in ("..", "/")]
        candidates += [folder.joinpath(*parts[start:]) for start in range(len(parts))]
    for path in candidates:
        if path.is_dir():
            return list_images(path)
        if path.is_file() and path.suffix == ".txt":
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            files = [path.parent / line.strip() for line in lines if line.strip()]
            return [file for file in files if file.is_file()]
    return []
