"""Read a folder of YOLO labels, as programs and people write them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from utils.classes import LabelError, to_class_name
from utils.formats.labelled import (
    REPEATED,
    Labels,
    count_boxes,
    find_split,
    keep_box,
)
from utils.formats.yolo.data_file import (
    CLASS_FILES,
    YAML_FILES,
    expand_place,
    read_yolo_names,
)
from utils.images import ImageError, list_images, read_upright_size
from utils.messages import name_some

OTHER_TEXTS = (*CLASS_FILES, "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt")
EDGE = 1e-3  # by how much a rounded share may lie outside 0-1


def is_yolo_folder(folder: str | Path) -> bool:
    """Return whether a folder holds YOLO labels: text files in ``labels/``, or named classes."""
    folder = Path(folder)
    if (folder / "labels").is_dir() and _list_texts(folder):
        return True
    if not any((folder / name).is_file() for name in (*YAML_FILES, *CLASS_FILES)):
        return False
    return any(_find_text(image) for image in list_images(folder))


def _label_folders(folder: Path) -> list[Path]:
    """Return ``labels/`` and ``*/labels/``."""
    folders = [folder / "labels", *sorted(folder.glob("*/labels"))]
    return [path for path in folders if path.is_dir()]


def read_yolo_folder(folder: str | Path, root: str | Path | None = None) -> Labels:
    """Read a folder of YOLO labels.

    Images without a text file, or with an empty one, have no faces. Lines that are left out are
    counted under their reason.

    Args:
        folder: the folder of ``data.yaml`` or ``classes.txt``.
        root: the data root; ``file`` is relative to it. None means the folder itself.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    labels = Labels()
    here = folder.relative_to(root).as_posix() if folder != root else folder.name
    try:
        names, places = read_yolo_names(folder)
    except LabelError as error:
        labels.add_problem(here, str(error))
        return labels
    images = {path: None for path in list_images(folder)}
    members: dict[str, set[Path]] = {}  # the images of each split
    absolute_root = Path(os.path.abspath(root))
    for split, place in places:
        found = expand_place(place, folder)
        # The place may be absolute where the root is relative, and the other way round.
        absolute = [Path(os.path.abspath(path)) for path in found]
        inside = [
            root / path.relative_to(absolute_root)
            for path in absolute
            if path.is_relative_to(absolute_root)
        ]
        images.update(dict.fromkeys(inside))
        members.setdefault(split, set()).update(inside)
        if found and not inside:
            labels.add_problem(
                here, f"{folder} names {place}, which is outside {root}: move it there."
            )
        elif not found:
            labels.add_problem(here, f"{folder} names {place}, where there are no images.")
    _add_splits(members, images, folder, root, labels)
    listed = set().union(*members.values())
    used: set[Path] = set()
    for image in images:
        text = _find_text(image)
        if text is None:
            if image in listed:
                labels.listed.empty.append(image.relative_to(root).as_posix())
            continue
        if text in used:
            labels.add_problem(
                image.relative_to(root).as_posix(),
                f"{image} has the text file of another image, {text}: rename one of the images.",
            )
            continue
        used.add(text)
        _read_text(text, image, root, folder.name, names, labels)
    for text in _list_texts(folder):
        if text not in used:
            labels.add_problem(
                text.relative_to(root).as_posix(), f"{text} describes an image that is missing."
            )
    return labels


def _add_splits(
    members: dict[str, set[Path]],
    images: Iterable[Path],
    folder: Path,
    root: Path,
    labels: Labels,
) -> None:
    """Add the split of each image.

    Splits with the same images are no division. An image in two splits stays in the first.

    Args:
        members: the images of each split that ``data.yaml`` names.
        images: all images.
        folder: the folder of the data set.
        root: the data root.
        labels: the splits are added to it, and a problem for images in two splits.
    """
    different: dict[str, set[Path]] = {}
    for split, paths in members.items():
        if paths and paths not in different.values():
            different[split] = paths
    splits: dict[str, str] = {}
    if not members:
        for image in images:
            split = find_split(image.relative_to(folder))
            if split:
                splits[image.relative_to(root).as_posix()] = split
    elif len(different) > 1 or different.keys() == members.keys():
        doubles = []
        for split, paths in different.items():
            for path in sorted(paths):
                file = path.relative_to(root).as_posix()
                if splits.setdefault(file, split) != split:
                    doubles.append(file)
        if doubles:
            labels.add_problem(
                folder.name,
                f"{folder} names images in more than one split, which stay in the first of them: "
                f"{name_some(doubles)}.",
            )
    labels.listed.splits.update(splits)


def _list_texts(folder: Path) -> list[Path]:
    """Return the label files in the folders ``labels``."""
    texts = [path for labels in _label_folders(folder) for path in labels.rglob("*.txt")]
    return sorted(path for path in texts if path.name.lower() not in OTHER_TEXTS)


def _find_text(image: Path) -> Path | None:
    """Return the text file of an image, or None."""
    parts = list(image.parts)
    candidates = [image.with_suffix(".txt")]
    for position in range(len(parts) - 1, -1, -1):
        if parts[position] == "images":
            replaced = [*parts[:position], "labels", *parts[position + 1 :]]
            candidates.insert(0, Path(*replaced).with_suffix(".txt"))
            break
    candidates.append(image.parent / "labels" / f"{image.stem}.txt")
    for path in candidates:
        if path.is_file() and path.name.lower() not in OTHER_TEXTS:
            return path
    return None


def _read_text(
    text: Path, image: Path, root: Path, source: str, names: dict[int, str], labels: Labels
) -> None:
    """Add the faces and problems of one text file."""
    file = image.relative_to(root)
    left_out: Counter[str] = Counter()
    try:
        lines = text.read_text(encoding="utf-8-sig").splitlines()
        lines = [line for line in lines if line.strip()]
        if not lines:
            labels.listed.empty.append(file.as_posix())
            return
        upright_wh, _ = read_upright_size(image)
    except (OSError, UnicodeDecodeError) as error:
        labels.add_problem(file.as_posix(), f"{text} cannot be read ({error}): export it again.")
        return
    except ImageError as error:
        labels.add_problem(file.as_posix(), str(error))
        return
    faces = []
    for line in lines:
        try:
            class_name, shares = _read_line(line, names)
            box = keep_box(shares * np.tile(upright_wh, 2), upright_wh)
            faces.append((class_name, box))
        except LabelError as error:
            left_out[str(error)] += 1
    left_out[REPEATED] += labels.add_faces(file.as_posix(), source, faces, text)
    for reason, number in (+left_out).items():
        labels.add_problem(file.as_posix(), f"{text}: {count_boxes(number)} left out: {reason}.")


def _read_line(line: str, names: dict[int, str]) -> tuple[str, np.ndarray]:
    """Return the class and the box of a line, (4,) ``xyxy`` in shares of the image.

    A sixth number is a confidence and is not used.

    Raises:
        LabelError: with a reason.
    """
    try:
        numbers = [float(value) for value in line.split()]
    except ValueError as error:
        raise LabelError("they are not numbers") from error
    if len(numbers) >= 7 and len(numbers) % 2:
        raise LabelError("they are outlines (polygons), not boxes")
    if len(numbers) not in (5, 6):
        raise LabelError(f"they have {len(numbers)} numbers in place of 5")
    name = names.get(int(numbers[0])) if numbers[0].is_integer() else None
    if not name:
        raise LabelError(f"no class has the number {numbers[0]:g}")
    try:
        class_name = to_class_name(name)
    except LabelError as error:
        raise LabelError(f"the class '{name}' is unknown") from error
    x_center, y_center, width, height = numbers[1:5]
    shares = np.array(
        [x_center - width / 2, y_center - height / 2, x_center + width / 2, y_center + height / 2]
    )
    if max(numbers[1:5]) > 1 + EDGE:
        raise LabelError("they are not in shares of the image (0-1)")
    return class_name, shares
