"""Write records as label files, so that labelling programs can begin from the detections."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from utils.cli.outputs import OutputError, check_writable, make_output_error
from utils.formats import LabelledImage, name_label_files, write_labels

ONE_FILE_EACH = ("yolo", "voc")  # formats with a label file for each image


def check_label_files(label_format: str, folder: str | Path, files: Sequence[Path]) -> list[str]:
    """Check that labels can be written, before the work, and create the folder.

    A file that exists is never replaced: it may hold corrections by hand.

    Args:
        label_format: one of ``formats.LABEL_FORMATS``.
        folder: the folder of the labels.
        files: the images of the run.

    Returns:
        The path of each image as the labels name it: relative to the folder of all images.

    Raises:
        OutputError: a label file exists, two images would share one, or nothing can be written.
    """
    names = name_images(files)
    if label_format in ONE_FILE_EACH:
        taken: dict[str, Path] = {}
        for file, name in zip(files, names, strict=True):
            stem = str(Path(name).with_suffix("")).casefold()
            if stem in taken:
                raise OutputError(
                    f"{taken[stem]} and {file} would have the same {label_format} file: rename one "
                    "of them, or use --labels coco."
                )
            taken[stem] = file
    for path in name_label_files(label_format, folder, names):
        if path.exists():
            raise OutputError(
                f"{path} exists and may hold your corrections: name another folder for --labels."
            )
    check_writable(folder, is_folder=True)
    return names


def name_images(files: Sequence[Path]) -> list[str]:
    """Return the POSIX path of each image relative to the folder that holds all of them."""
    paths = [Path(os.path.abspath(file)) for file in files]
    try:
        base = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
        return [path.relative_to(base).as_posix() for path in paths]
    except ValueError:  # on several drives of Windows
        return [path.name for path in paths]


def write_records(
    folder: str | Path, label_format: str, records: Iterable[dict], names: dict[str, str]
) -> None:
    """Write the records of images as label files. Boxes are those of the upright images.

    Args:
        folder: the folder of the labels.
        label_format: one of ``formats.LABEL_FORMATS``.
        records: from ``make_record``.
        names: the path of each image in the labels, by the ``file`` of its record.

    Raises:
        OutputError: a file cannot be written.
    """
    images = [_make_image(record, names) for record in records]
    try:
        write_labels(label_format, folder, images)
    except OSError as error:
        raise make_output_error(error.filename or folder, error) from error


def _make_image(record: dict, names: dict[str, str]) -> LabelledImage:
    """Return the labels of one record."""
    faces = [face for face in record["faces"] if _has_area(face["box"])]
    return LabelledImage(
        file=names[record["file"]],
        resolution_wh=(record["width"], record["height"]),
        class_names=[face["class_name"] for face in faces],
        xyxy=np.array([face["box"] for face in faces], float).reshape(-1, 4),
        confidence=np.array([face["confidence"] for face in faces], float),
    )


def _has_area(box: Sequence[float]) -> bool:
    """Return whether a box, rounded to whole pixels, has an area."""
    return box[2] > box[0] and box[3] > box[1]
