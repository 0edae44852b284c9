"""Read the labels that answers are scored against: COCO, YOLO or Pascal VOC."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from utils.boxes import BOX_COLUMNS
from utils.classes import MASK_CLASSES, LabelError, to_class_name
from utils.formats import (
    find_coco_files,
    is_yolo_folder,
    load_json,
    parse_bbox,
    read_root,
    read_yolo_names,
)
from utils.images import read_upright_size
from utils.labels import make_label_table
from utils.messages import format_count, name_some


@dataclass
class Truth:
    """Labelled photographs.

    Attributes:
        path: the file or folder that was read.
        labels: the label table: boxes of the three mask classes.
        files: all photographs, also those that are listed without a face.
        problems: sentences about what was left out.
        ignored: regions that the labels say to ignore, COCO's crowds: ``file`` and boxes.
        sizes: width and height of photographs, pixels, where the labels state them.
        image_ids: the photograph of each image id of COCO.
        categories: the class name of each category id of COCO.
        class_names: the class name of each number of YOLO.
    """

    path: Path
    labels: pd.DataFrame
    files: list[str]
    problems: list[str] = field(default_factory=list)
    ignored: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["file", *BOX_COLUMNS])
    )
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    image_ids: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    class_names: dict[int, str] = field(default_factory=dict)

    def find_size(self, file: str) -> tuple[int, int]:
        """Return width and height of an upright photograph, pixels.

        Raises:
            ImageError: the image cannot be read.
        """
        if file not in self.sizes:
            root = self.path if self.path.is_dir() else self.path.parent
            self.sizes[file], _ = read_upright_size(root / file)
        return self.sizes[file]


class FileMatcher:
    """Finds the photograph that another program means: by name, and by the folders above it.

    Args:
        files: POSIX paths of the photographs.
    """

    def __init__(self, files: list[str]) -> None:
        self._files_of_stem: dict[str, list[str]] = {}
        for file in files:
            stem = PurePosixPath(file).stem.casefold()
            self._files_of_stem.setdefault(stem, []).append(file)

    def find(self, name: str) -> tuple[str | None, int]:
        """Return the photograph that a path means, and how many parts of the two paths agree.

        Folders are compared from the right. The extension counts only where two photographs differ
        in nothing else.

        Args:
            name: a path in the style of any system.

        Raises:
            LabelError: several photographs fit equally well.
        """
        path = PurePosixPath(name.replace("\\", "/"))
        candidates = self._files_of_stem.get(path.stem.casefold(), [])
        if not candidates and path.suffix:
            candidates = self._files_of_stem.get(path.name.casefold(), [])  # photo.v2, no extension
        scores = {file: _count_common_parts(path, PurePosixPath(file)) for file in candidates}
        if not scores:
            return None, 0
        best = max(scores.values())
        fitting = [file for file in candidates if scores[file] == best]
        if len(fitting) > 1:
            same = [file for file in fitting if PurePosixPath(file).suffix == path.suffix]
            if len(same) != 1:
                raise LabelError(
                    f"{name} may be any of {name_some(fitting)}: write more of its path."
                )
            fitting = same
        return fitting[0], best


def _count_common_parts(path: PurePosixPath, other: PurePosixPath) -> int:
    """Return how many parts of two paths agree, from the right. The names are known to agree."""
    count = 1
    folders = reversed(path.parent.parts)
    for part, other_part in zip(folders, reversed(other.parent.parts), strict=False):
        if part != other_part:
            break
        count += 1
    return count


def read_truth(path: str | Path) -> Truth:
    """Read the labels that answers are scored against.

    Args:
        path: a folder of COCO, YOLO or Pascal VOC with its images, or a COCO JSON file alone, whose
            images are not needed.

    Raises:
        LabelError: nothing can be used.
    """
    path = Path(path)
    if not path.exists():
        raise LabelError(f"There is no {path}: check the path.")
    if path.is_dir():
        truth = _read_folder(path)
    elif path.suffix.lower() == ".json":
        truth = _read_coco_file(path)
    else:
        raise LabelError(f"{path} is no COCO file: name a .json file, or the folder of the labels.")
    if not truth.files:
        raise LabelError(f"{path} lists no photograph: check that it holds labels.")
    return truth


def _read_folder(path: Path) -> Truth:
    """Return the labels of a folder."""
    labels = read_root(path, keep_empty=True)
    table = make_label_table(labels.rows)
    problems = [row["problem"] for row in labels.problems]
    truth = Truth(path, table, [], problems)
    has_box = table.x_min.notna()
    whole = table.file[~has_box].unique()
    if len(whole):
        count = format_count(len(whole), "image has", "images have")
        truth.problems.append(
            f"{count} a class but no box and cannot be scored: {name_some(whole)}."
        )
    is_face = table.class_name.isin(MASK_CLASSES)
    truth.labels = table[has_box & is_face].reset_index(drop=True)
    boxed = table.file[has_box]
    truth.files = list(dict.fromkeys([*boxed, *labels.listed.empty]))
    if is_yolo_folder(path):
        truth.class_names = read_yolo_names(path)[0]
    for file in find_coco_files(path):
        _add_ids(truth, file)
    return truth


def _add_ids(truth: Truth, path: Path) -> None:
    """Add the ids of images and categories of a COCO file in a folder.

    Raises:
        LabelError: another COCO file of the folder uses an id for another image.
    """
    content = load_json(path)
    matcher = FileMatcher(truth.files)
    for entry in content.get("images") or []:
        if not isinstance(entry, dict):
            continue
        file, _ = matcher.find(str(entry.get("file_name", "")))
        if file is None:
            continue
        if truth.image_ids.setdefault(str(entry.get("id")), file) != file:
            raise LabelError(
                f"{path} and another COCO file in {truth.path} use the same image ids: name one of "
                "the files instead of the folder."
            )
    for category in content.get("categories") or []:
        if isinstance(category, dict):
            truth.categories[str(category.get("id"))] = str(category.get("name", ""))


def _read_coco_file(path: Path) -> Truth:
    """Return the labels of a COCO JSON file, without its images."""
    lists = _load_lists(path)
    truth = Truth(path, make_label_table([]), [])
    for category in lists["categories"]:
        truth.categories[str(category.get("id"))] = str(category.get("name", ""))
    _add_images(truth, lists["images"])
    _add_annotations(truth, lists["annotations"])
    return truth


def _load_lists(path: Path) -> dict[str, list[dict]]:
    """Return the images, annotations and categories of a COCO file.

    Raises:
        LabelError: it cannot be read, or one of the three is no list of objects.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise LabelError(f"{path} is not a COCO file of labels: it needs images and annotations.")
    lists: dict[str, list[dict]] = {}
    for key in ("images", "annotations", "categories"):
        items = content.get(key)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise LabelError(f"{path} is not a COCO file of labels: {key} is no list of objects.")
        lists[key] = items
    return lists


def _add_images(truth: Truth, entries: list[dict]) -> None:
    """Add the images of a COCO file, with their ids and sizes.

    Raises:
        LabelError: an image has no name, is listed twice, or has a size that is not two numbers.
    """
    known: set[str] = set()
    for entry in entries:
        file = str(entry.get("file_name", "")).replace("\\", "/")
        if not file or file in known:
            raise LabelError(
                f"{truth.path} lists an image without a name, or twice ({file}): mend it."
            )
        known.add(file)
        truth.files.append(file)
        truth.image_ids[str(entry.get("id"))] = file
        if entry.get("width") and entry.get("height"):
            try:
                truth.sizes[file] = (int(entry["width"]), int(entry["height"]))
            except (TypeError, ValueError, OverflowError) as error:
                raise LabelError(
                    f"{truth.path} states a size of {file} that is not two numbers: export it "
                    "again."
                ) from error


def _add_annotations(truth: Truth, annotations: list[dict]) -> None:
    """Add the faces and the ignored regions of a COCO file, and why others are left out."""
    left_out: Counter[str] = Counter()
    rows = []
    crowds = []
    for annotation in annotations:
        try:
            file, box = _read_annotation(truth, annotation)
            if annotation.get("iscrowd"):
                crowds.append([file, *box])
                continue
            class_name = _read_class(truth, annotation)
        except LabelError as error:
            left_out[str(error)] += 1
            continue
        if class_name in MASK_CLASSES:
            row = {"file": file, "source": truth.path.stem, "class_name": class_name}
            row.update(zip(BOX_COLUMNS, box, strict=True))
            rows.append(row)
    truth.labels = make_label_table(rows)
    truth.ignored = pd.DataFrame(crowds, columns=["file", *BOX_COLUMNS])
    for reason, count in left_out.items():
        boxes = format_count(count, "box is", "boxes are")
        truth.problems.append(f"{truth.path}: {boxes} left out: {reason}.")


def _read_annotation(truth: Truth, annotation: dict) -> tuple[str, np.ndarray]:
    """Return the image and the ``xyxy`` box of an annotation. Raise LabelError with a reason."""
    file = truth.image_ids.get(str(annotation.get("image_id")), "")
    if not file:
        raise LabelError("its image is not listed")
    box = parse_bbox(annotation.get("bbox"))
    if (box[2:] <= box[:2]).any():
        raise LabelError("their box is flat")
    return file, box


def _read_class(truth: Truth, annotation: dict) -> str:
    """Return the class of an annotation. Raise LabelError with a reason."""
    name = truth.categories.get(str(annotation.get("category_id")), "")
    try:
        return to_class_name(name)
    except LabelError as error:
        raise LabelError(f"the class '{name}' is unknown") from error
