"""COCO: one JSON file with images, annotations and categories (https://cocodataset.org)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.atomic import write_bytes
from utils.classes import LabelError, to_class_name
from utils.formats.find import find_image, index_images
from utils.formats.labelled import (
    REPEATED,
    SPLITS,
    LabelledImage,
    Labels,
    count_boxes,
    find_split,
    keep_box,
    list_classes,
)
from utils.images import ImageError, read_upright_size

COCO_FILE = "annotations/instances_default.json"  # the name that CVAT gives it
FOLDERS = (".", "annotations", *SPLITS)  # where its files are
SAME_SHAPE = 0.01  # relative difference of two aspect ratios that are taken for the same


def write_coco(
    path: str | Path, images: Iterable[LabelledImage], class_names: Sequence[str] | None = None
) -> Path:
    """Write labels as one COCO file of instances. A confidence becomes the ``score`` of its box.

    Args:
        path: the JSON file; its folder is created.
        images: the labels; images without faces are listed too.
        class_names: the categories; None means those of the images.

    Returns:
        The path.
    """
    images = list(images)
    class_names = list_classes(images) if class_names is None else class_names
    entries = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        width, height = image.resolution_wh
        entries.append(
            {"id": image_id, "file_name": image.file, "width": int(width), "height": int(height)}
        )
        for index, (name, box) in enumerate(zip(image.class_names, image.xyxy, strict=True)):
            x_min, y_min, x_max, y_max = (round(float(value), 2) for value in box)
            box_width = round(x_max - x_min, 2)
            box_height = round(y_max - y_min, 2)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": class_names.index(name) + 1,
                "bbox": [x_min, y_min, box_width, box_height],
                "area": round(box_width * box_height, 2),
                "segmentation": [],
                "iscrowd": 0,
            }
            if image.confidence is not None:
                annotation["score"] = round(float(image.confidence[index]), 4)
            annotations.append(annotation)
    categories = [
        {"id": index, "name": name, "supercategory": "face"}
        for index, name in enumerate(class_names, start=1)
    ]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    text = json.dumps(content, ensure_ascii=False, indent=1)
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def find_coco_files(folder: str | Path) -> list[Path]:
    """Return the COCO files of a folder: in it, in ``annotations/``, or in a folder for a split."""
    paths: list[Path] = []
    for name in FOLDERS:
        paths += (Path(folder) / name).glob("*.json")
    return sorted(path for path in paths if not path.name.startswith(".") and _is_coco(path))


def _is_coco(path: Path) -> bool:
    """Return whether a JSON file is COCO, or is called so and cannot be read."""
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
    labels = Labels()
    index = index_images(folder)
    read_before: dict[Path, Path] = {}
    for path in find_coco_files(folder):
        try:
            content = load_json(path)
            if not isinstance(content, dict):
                raise LabelError(f"{path} is not a COCO file: export it again.")
            _read_file(path, content, folder, root, index, read_before, labels)
        except LabelError as error:
            labels.add_problem(path.relative_to(root).as_posix(), str(error))
    return labels


def _read_file(
    path: Path,
    content: dict,
    folder: Path,
    root: Path,
    index: dict[str, list[Path]],
    read_before: dict[Path, Path],
    labels: Labels,
) -> None:
    """Add the faces and problems of one COCO file.

    Args:
        path: the JSON file.
        content: what it holds.
        folder: the folder of the data set.
        root: the data root.
        index: see ``index_images``.
        read_before: the images of other JSON files, and that file; gets the images of this one.
        labels: gets the faces and problems.

    Raises:
        LabelError: the file does not have the form of COCO.
    """
    names: dict[str, str] = {}
    for category in _dicts(content.get("categories") or [], "categories", path):
        names[_key(category.get("id"))] = str(category.get("name", ""))
    boxes: dict[str, list[dict]] = {}
    for annotation in _dicts(content["annotations"], "annotations", path):
        boxes.setdefault(_key(annotation.get("image_id")), []).append(annotation)

    left_out: Counter[str] = Counter()
    this_file = path.relative_to(root).as_posix()
    for entry in _dicts(content["images"], "images", path):
        annotations = boxes.pop(_key(entry.get("id")), [])
        name = str(entry.get("file_name", "")).replace("\\", "/")
        try:
            image = _find(name, path, folder, index)
            file = image.relative_to(root).as_posix()
            if read_before.setdefault(image, path) != path:
                if annotations and file in labels.listed.empty:
                    labels.listed.empty.remove(file)  # one file has boxes for it
                raise LabelError(
                    f"{image} is labelled in {read_before[image]} too: the labels of {path} are "
                    "left out."
                )
            upright_wh, is_turned = read_upright_size(image)
            scale = _scale(entry, image, path, upright_wh, is_turned)
        except (LabelError, ImageError) as error:
            problem = str(error)
            if annotations:
                problem += f" {count_boxes(len(annotations))} left out."
            labels.add_problem(name or this_file, problem)
            continue
        split = find_split(image.relative_to(folder), path)
        if not annotations:
            labels.listed.empty.append(file)
        if split:
            labels.listed.splits[file] = split
        faces = []
        for annotation in annotations:
            try:
                box = _read_box(annotation) * scale
                class_name = _read_class(annotation, names)
                faces.append((class_name, keep_box(box, upright_wh)))
            except LabelError as error:
                left_out[str(error)] += 1
        left_out[REPEATED] += labels.add_faces(file, folder.name, faces, f"{path}, {name}")
    for annotations in boxes.values():
        left_out["its image is not listed"] += len(annotations)
    for reason, number in (+left_out).items():
        labels.add_problem(this_file, f"{path}: {count_boxes(number)} left out: {reason}.")


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


def _find(name: str, path: Path, folder: Path, index: dict[str, list[Path]]) -> Path:
    """Return the image of an entry. Raise LabelError if it is not there."""
    split = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    places = [path.parent, folder, folder / "images", folder / split, folder / "images" / split]
    return find_image(name, places, index, path)


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
