"""Read a folder of COCO files, as programs write them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from utils.classes import LabelError, to_class_name
from utils.formats.find import find_image, index_images
from utils.formats.labelled import (
    REPEATED,
    SPLITS,
    Labels,
    count_boxes,
    find_split,
    keep_box,
)
from utils.images import ImageError, read_upright_size

FOLDERS = (".", "annotations", *SPLITS)  # where its files are
SAME_SHAPE = 0.01  # relative difference of two aspect ratios that are taken for the same


def find_coco_files(folder: str | Path) -> list[Path]:
    """Return the COCO files of a folder: in it, in ``annotations/``, or in a folder for a split."""
    paths: list[Path] = []
    for name in FOLDERS:
        paths += (Path(folder) / name).glob("*.json")
    return sorted(path for path in paths if not path.name.startswith(".") and _is_coco(path))


def _is_coco(path: Path) -> bool:
    """Return whether a JSON file is COCO, or has a name of COCO and cannot be read."""
    try:
        content = load_json(path)
    except LabelError:
        name = path.name.lower()
        return "coco" in name or name.startswith("instances") or path.parent.name == "annotations"
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    )


def load_json(path: Path) -> Any:
    """Return the content of a JSON file. Raise LabelError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise LabelError(
            f"{path} is not a readable JSON file ({error}): export it again."
        ) from error


def read_coco_folder(folder: str | Path, root: str | Path | None = None) -> Labels:
    """Read all COCO files of a folder.

    An image is looked for beside its JSON file, in the folder, and in ``images/``; then by its name
    alone. Each annotation that is left out is counted under its reason, one problem for each reason
    and file.

    Args:
        folder: the folder with the JSON files and the images.
        root: the data root; ``file`` is relative to it. None means the folder itself.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    reader = _FolderReader(folder, root)
    for path in find_coco_files(folder):
        try:
            reader.read_file(path)
        except LabelError as error:
            reader.labels.add_problem(path.relative_to(root).as_posix(), str(error))
    return reader.labels


class _FolderReader:
    """Reads the COCO files of a folder one after another.

    Args:
        folder: the folder of the data set.
        root: the data root.

    Attributes:
        labels: the faces and problems so far.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.labels = Labels()
        self._folder = folder
        self._root = root
        self._index = index_images(folder)
        self._label_file_of_image: dict[Path, Path] = {}

    def read_file(self, path: Path) -> None:
        """Add the faces and problems of one COCO file.

        Raises:
            LabelError: it cannot be read, or does not have the form of COCO.
        """
        content = load_json(path)
        if not isinstance(content, dict):
            raise LabelError(f"{path} is not a COCO file: export it again.")
        names: dict[str, str] = {}
        for category in _dicts(content.get("categories") or [], "categories", path):
            names[_key(category.get("id"))] = str(category.get("name", ""))
        annotations_of_image: dict[str, list[dict]] = {}
        for annotation in _dicts(content["annotations"], "annotations", path):
            image_id = _key(annotation.get("image_id"))
            annotations_of_image.setdefault(image_id, []).append(annotation)

        left_out: Counter[str] = Counter()
        for entry in _dicts(content["images"], "images", path):
            annotations = annotations_of_image.pop(_key(entry.get("id")), [])
            left_out.update(self._read_image(path, entry, annotations, names))
        for annotations in annotations_of_image.values():
            left_out["its image is not listed"] += len(annotations)
        this_file = path.relative_to(self._root).as_posix()
        for reason, number in (+left_out).items():
            problem = f"{path}: {count_boxes(number)} left out: {reason}."
            self.labels.add_problem(this_file, problem)

    def _read_image(
        self, path: Path, entry: dict, annotations: list[dict], names: dict[str, str]
    ) -> Counter[str]:
        """Add the faces of one image; return how many annotations are left out, by reason.

        Args:
            path: the COCO file.
            entry: the image in it.
            annotations: those of the image.
            names: the class name of each category id.
        """
        left_out: Counter[str] = Counter()
        name = str(entry.get("file_name", "")).replace("\\", "/")
        try:
            image = self._claim_image(path, name, bool(annotations))
            upright_wh, is_turned = read_upright_size(image)
            scale = _scale(entry, image, path, upright_wh, is_turned)
        except (LabelError, ImageError) as error:
            problem = str(error)
            if annotations:
                problem += f" {count_boxes(len(annotations))} left out."
            self.labels.add_problem(name or path.relative_to(self._root).as_posix(), problem)
            return left_out
        file = image.relative_to(self._root).as_posix()
        if not annotations:
            self.labels.listed.empty.append(file)
        split = find_split(image.relative_to(self._folder), path)
        if split:
            self.labels.listed.splits[file] = split
        faces = []
        for annotation in annotations:
            try:
                box = _read_box(annotation) * scale
                class_name = _read_class(annotation, names)
                faces.append((class_name, keep_box(box, upright_wh)))
            except LabelError as error:
                left_out[str(error)] += 1
        place = f"{path}, {name}"
        left_out[REPEATED] += self.labels.add_faces(file, self._folder.name, faces, place)
        return left_out

    def _claim_image(self, path: Path, name: str, has_boxes: bool) -> Path:
        """Return the image that a COCO file names.

        Args:
            path: the COCO file.
            name: of the image, as written.
            has_boxes: whether the file has boxes for it.

        Raises:
            LabelError: the image is not there, or another COCO file describes it.
        """
        split = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
        folder = self._folder
        places = [path.parent, folder, folder / "images", folder / split, folder / "images" / split]
        image = find_image(name, places, self._index, path)
        other = self._label_file_of_image.setdefault(image, path)
        if other != path:
            file = image.relative_to(self._root).as_posix()
            if has_boxes and file in self.labels.listed.empty:
                self.labels.listed.empty.remove(file)  # one file has boxes for it
            raise LabelError(
                f"{image} is labelled in {other} too: the labels of {path} are left out."
            )
        return image


def _dicts(items: Any, key: str, path: Path) -> Iterator[dict]:
    """Return the items of a list of objects. Raise LabelError if it is something else."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise LabelError(
            f"{path} is not a COCO file ({key} is no list of objects): export it again."
        )
    return iter(items)


def _key(value: Any) -> str:
    """Return an id as text, because some programs write it as a number in one place only."""
    return str(value)


def _scale(
    entry: dict, image: Path, path: Path, upright_wh: tuple[int, int], is_turned: bool
) -> np.ndarray:
    """Return by what to multiply boxes, (4,), because the image may have been resized since.

    Args:
        entry: the image in the COCO file; it states a size.
        image: the image itself.
        path: the COCO file.
        upright_wh: see ``read_upright_size``.
        is_turned: see ``read_upright_size``.

    Raises:
        LabelError: the stated size has another shape than the upright image.
    """
    try:
        stated_wh = (float(entry.get("width") or 0), float(entry.get("height") or 0))
    except (TypeError, ValueError, OverflowError):
        stated_wh = (0.0, 0.0)
    if min(stated_wh) <= 0 or stated_wh == upright_wh:
        return np.ones(4)
    scale = np.divide(upright_wh, stated_wh)
    if abs(scale[0] / scale[1] - 1) > SAME_SHAPE:
        stated = f"{stated_wh[0]:g} x {stated_wh[1]:g}"
        why = " once it is turned upright" if is_turned else ""
        raise LabelError(
            f"{path} is for {stated} pixels, {image} has {upright_wh[0]} x {upright_wh[1]}{why}: "
            "label it again."
        )
    return np.tile(scale, 2)


def parse_bbox(bbox: Any) -> np.ndarray:
    """Return a COCO ``bbox`` (left, top, width, height) as (4,) ``xyxy``.

    Raises:
        LabelError: it is none, with the reason alone. Flat boxes are accepted.
    """
    try:
        x_min, y_min, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError, OverflowError) as error:
        raise LabelError("bbox is not four numbers") from error
    if not np.isfinite([x_min, y_min, width, height]).all():
        raise LabelError("bbox is not four finite numbers")
    if min(width, height) < 0:
        raise LabelError("bbox has a negative width or height")
    return np.array([x_min, y_min, x_min + width, y_min + height])


def _read_box(annotation: dict) -> np.ndarray:
    """Return the box of an annotation as (4,) ``xyxy``. Raise LabelError with a reason."""
    if annotation.get("iscrowd"):
        raise LabelError("they are crowds (iscrowd), not single faces")
    box = annotation.get("bbox")
    if not box:
        if annotation.get("segmentation"):
            raise LabelError("they are outlines (segmentation) without a box")
        raise LabelError("they have no box (bbox)")
    return parse_bbox(box)


def _read_class(annotation: dict, names: dict[str, str]) -> str:
    """Return the class of an annotation. Raise LabelError with a reason."""
    category = _key(annotation.get("category_id"))
    if category not in names:
        raise LabelError(f"the category {category} is not listed")
    try:
        return to_class_name(names[category])
    except LabelError as error:
        raise LabelError(f"the class '{names[category]}' is unknown") from error
