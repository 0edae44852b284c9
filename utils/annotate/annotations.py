"""Pascal VOC files beside the images, for labelImg: written from tables, and read into the journal of hand labels.

A file that is written from a table carries a digest of its faces, which goes when a person saves it: only then is it a
label given by hand, and from then on it is never written again.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.annotate.journal import JournalEntry, normalize_box, read_journal, record_label
from utils.annotate.labelimg_app import annotation_path
from utils.boxes import as_boxes, clip_boxes
from utils.classes import LabelError
from utils.formats import read_voc, write_voc
from utils.images import ImageError, list_images, read_image
from utils.labels import BOX_COLUMNS
from utils.paths import is_crop

WAY = "labelimg"
UNDECIDED = "face"  # what a face without a class is called, until a person gives it one
UNTOUCHED = "untouched"
# labelImg has whole pixels, from 1 on: a box that differs by no more has not been moved.
TOLERANCE = 1.5


def list_photos(folder: str | Path) -> list[Path]:
    """The images of a folder and the folders below it, as whole paths, but for faces that were cut out there.

    Raises:
        ImageError: there is no such folder, or it holds no images.
        LabelError: two images would share an annotation file.
    """
    images = [image for image in list_images(Path(folder).resolve()) if not is_crop(image)]
    if not images:
        raise ImageError(
            f"There are no images in {folder}: choose the folder that holds the photos."
        )
    by_annotation: dict[Path, Path] = {}
    for image in images:
        if (other := by_annotation.setdefault(annotation_path(image), image)) != image:
            raise LabelError(
                f"{other} and {image.name} would share one annotation file: rename one of them."
            )
    return images


def _digest(root: ET.Element) -> str:
    return hashlib.sha256(b"".join(map(ET.tostring, root.iter("object")))).hexdigest()


def is_untouched(path: str | Path) -> bool:
    """Whether a Pascal VOC file is as ``write_annotations`` wrote it."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError):
        return False
    return root.get(UNTOUCHED) == _digest(root)


def write_annotations(table: pd.DataFrame, root: str | Path) -> int:
    """Write the faces of a table as Pascal VOC files where ``annotation_path`` says, so that labelImg shows them.

    Files that a person has saved are left as they are. A photo that cannot be read is named and passed over.

    Args:
        table: ``file``, a box and perhaps ``class_name``: a label table, a faces table or hand labels. A face without
            a class is called "face"; rows without a box are passed over.
        root: the data root.

    Returns:
        The number of files written.
    """
    count, root = 0, Path(root)
    names = (
        table.class_name.fillna("").replace("", UNDECIDED) if "class_name" in table else UNDECIDED
    )
    faces = table.assign(class_name=names).dropna(subset=BOX_COLUMNS)
    for file, rows in tqdm(faces.groupby("file"), desc="writing annotations", unit="photo"):
        path = annotation_path(root / file)
        if path.exists() and not is_untouched(path):
            continue
        try:
            resolution_wh = read_image(root / file).shape[1::-1]
        except ImageError as error:
            tqdm.write(str(error))
            continue
        boxes = pd.DataFrame(clip_boxes(rows[BOX_COLUMNS], resolution_wh), rows.index, BOX_COLUMNS)
        part = write_voc(
            path.with_suffix(".part"), Path(file).name, resolution_wh, rows.assign(**boxes)
        )
        tree = ET.parse(part)
        tree.getroot().set(UNTOUCHED, _digest(tree.getroot()))
        tree.write(part, encoding="utf-8")
        part.replace(path)
        count += 1
    return count


def _match(
    box: np.ndarray, boxes: list[tuple[float, ...]], resolution_wh: tuple[int, int]
) -> tuple[float, ...]:
    """The box of a list that labelImg has only rounded to this one; else this one."""
    distance = np.abs(clip_boxes(as_boxes(boxes), resolution_wh) - box).max(axis=1)
    nearest = int(distance.argmin()) if len(boxes) else 0
    return boxes[nearest] if len(boxes) and distance[nearest] <= TOLERANCE else normalize_box(box)


def record_annotations(
    folder: str | Path,
    root: str | Path,
    journal: str | Path,
    labeller: str,
    known: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Record what a person saved in labelImg. A second call records only what was saved since.

    A box that was not moved keeps its numbers in the journal or in ``known``. A labelled face whose box was moved or
    deleted loses its label. What the same labeller has decided since the file was saved holds.

    Args:
        folder: the images that labelImg was opened on.
        root: the data root, above the folder or the same.
        journal: the journal of hand labels.
        labeller: who drew.
        known: ``file`` and a box: the table that ``write_annotations`` wrote.

    Returns:
        The rows recorded (``file``, ``x_min, y_min, x_max, y_max``, ``class_name``, empty where a label is taken back,
        ``way``) and a table of problems (``file``, ``problem``): such a file waits until it is mended in labelImg.

    Raises:
        LabelError: the journal cannot be read or written, or two images share an annotation file.
        ImageError: there is no such folder, or it holds no images.
    """
    root, labeller = Path(root).resolve(), labeller.strip()
    held: dict[str, dict[tuple, JournalEntry]] = {}
    for row in read_journal(journal):
        if row.annotator == labeller and row.box:
            held.setdefault(row.file, {})[row.box] = row
    rows, problems = [], []
    for image in list_photos(folder):
        path = annotation_path(image)
        if not path.is_file() or is_untouched(path):
            continue
        file = image.relative_to(root).as_posix()
        try:
            _, resolution_wh, faces = read_voc(path)
        except LabelError as error:
            problems.append((file, str(error)))
            continue
        saved_at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        before = held.get(file, {})
        boxes = (
            [*before]
            if known is None
            else [*before, *map(normalize_box, known[known.file == file][BOX_COLUMNS].to_numpy())]
        )
        boxes = [box for box in boxes if box]
        found = {_match(box, boxes, resolution_wh): class_name for class_name, box in faces}
        gone = {box: "" for box in before if box not in found}
        for box, class_name in {**found, **gone}.items():
            last = before.get(box)
            if (last.class_name if last else "") == class_name or (
                last and last.labelled_at > saved_at
            ):
                continue
            record_label(journal, file, box, class_name, labeller, WAY)
            rows.append((file, *box, class_name, WAY))
    columns = ["file", *BOX_COLUMNS, "class_name", "way"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(problems, columns=["file", "problem"])
