"""Write labels in any of the formats, into one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.formats.coco import COCO_FILE, write_coco
from utils.formats.label_studio import CONFIG_FILE, TASKS_FILE, write_label_studio
from utils.formats.labelled import LabelledImage, list_classes
from utils.formats.voc import name_voc, write_voc_files
from utils.formats.yolo import DATA_FILE, name_yolo, write_yolo

LABEL_FORMATS = ("coco", "yolo", "voc", "label-studio")
MODEL_VERSION = "face-mask-detector"


def name_label_files(label_format: str, folder: str | Path, files: Sequence[str]) -> list[Path]:
    """Return the files that ``write_labels`` writes.

    Args:
        label_format: one of ``LABEL_FORMATS``.
        folder: the folder of the labels.
        files: the images, relative to their folder.
    """
    folder = Path(folder)
    if label_format == "coco":
        return [folder / COCO_FILE]
    if label_format == "label-studio":
        return [folder / CONFIG_FILE, folder / TASKS_FILE]
    if label_format == "voc":
        return [folder / name_voc(file) for file in files]
    texts = [folder / name_yolo(file) for file in files]
    return [*texts, folder / "classes.txt", folder / DATA_FILE]


def write_labels(
    label_format: str, folder: str | Path, images: Iterable[LabelledImage]
) -> list[Path]:
    """Write labels, and return the files.

    Args:
        label_format: one of ``LABEL_FORMATS``.
        folder: the folder of the labels; it is created.
        images: the labels. If they have splits, COCO gets a file for each; YOLO names their
            folders.

    Raises:
        OSError: a file cannot be written.
        ValueError: the format is unknown.
    """
    folder = Path(folder)
    if label_format == "coco":
        return _write_coco_files(folder, list(images))
    if label_format == "yolo":
        return write_yolo(folder, images)
    if label_format == "voc":
        return write_voc_files(folder, images)
    if label_format == "label-studio":
        return write_label_studio(folder, images, MODEL_VERSION)
    raise ValueError(f"The format {label_format} is unknown: use {', '.join(LABEL_FORMATS)}.")


def _write_coco_files(folder: Path, images: Sequence[LabelledImage]) -> list[Path]:
    """Write one COCO file for each split, all with the same categories."""
    class_names = list_classes(images)
    paths = []
    for split in sorted({image.split for image in images} or {""}):
        path = folder / COCO_FILE
        if split:
            path = path.with_name(f"instances_{split}.json")
        part = [image for image in images if image.split == split]
        paths.append(write_coco(path, part, class_names))
    return paths
