"""Label a folder of photographs in labelImg, and record what was saved in the journal.

labelImg reads and writes Pascal VOC files beside the images. A file that ``write_annotations``
wrote has a digest of its faces in the attribute ``untouched``. labelImg drops the attribute when a
person saves the file. Only files without it count as labels given by hand, and they are never
overwritten.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.annotate.journal import Box, JournalEntry, normalize_box, read_journal, record_label
from utils.annotate.labelimg_app import annotation_path
from utils.atomic import write_atomically
from utils.boxes import as_boxes, clip_boxes
from utils.classes import LabelError
from utils.display import has_display
from utils.formats import read_voc, write_voc
from utils.images import ImageError, list_images, measure_image_apart
from utils.labels import BOX_COLUMNS, PROBLEM_COLUMNS
from utils.paths import ROOT, is_crop

METHOD = "labelimg"  # the journal's ``way``
NO_CLASS = "face"  # the name in a Pascal VOC file of a face that has no class yet
DIGEST_ATTRIBUTE = "untouched"
# Pixels. labelImg saves whole pixels from 1 on, so a box that differs by this much was not moved.
ROUNDING_TOLERANCE = 1.5
RECORDED_COLUMNS = ["file", *BOX_COLUMNS, "class_name", "way"]
QT_LIBRARIES = "libxcb-icccm4 libxcb-keysyms1 libxcb-xinerama0 libxkbcommon-x11-0"


def label_in_labelimg(
    folder: str | Path, root: str | Path, journal: str | Path, annotator: str, faces: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open labelImg with the faces found so far, wait until it is closed, and record the labels.

    Args:
        folder: holds the images.
        root: the data root that ``faces.file`` is relative to.
        journal: the journal of hand labels.
        annotator: who labels.
        faces: ``file``, a box and optionally ``class_name``.

    Returns:
        The recorded rows and a table of problems, as ``record_annotations`` returns them.

    Raises:
        RuntimeError: labelImg cannot be started, or it ended with an error.
        ImageError: the folder is missing or holds no images.
        LabelError: two images share an annotation file, or the journal cannot be read or written.
    """
    write_annotations(faces, root)
    open_labelimg(folder)
    return record_annotations(folder, root, journal, annotator, known=faces)


def list_photos(folder: str | Path) -> list[Path]:
    """Return the absolute paths of the images in a folder and its subfolders, without face crops.

    Raises:
        ImageError: the folder is missing or holds no images.
        LabelError: two images would share an annotation file.
    """
    images = [image for image in list_images(Path(folder).resolve()) if not is_crop(image)]
    if not images:
        raise ImageError(f"{folder} holds no images: choose the folder of the photographs.")
    image_of_annotation: dict[Path, Path] = {}
    for image in images:
        other = image_of_annotation.setdefault(annotation_path(image), image)
        if other != image:
            raise LabelError(
                f"{other} and {image.name} would share one annotation file: rename one of them."
            )
    return images


def make_environment() -> dict[str, str]:
    """Return this process's environment without the Qt variables that ``import cv2`` sets.

    They point to OpenCV's own Qt. A platform that the user chose, for example
    ``QT_QPA_PLATFORM=offscreen``, is kept.
    """
    environment = {}
    for name, value in os.environ.items():
        if name == "QT_QPA_PLATFORM" or not name.startswith("QT_QPA_"):
            environment[name] = value
    return environment


def open_labelimg(folder: str | Path, wait: bool = True) -> subprocess.Popen[bytes]:
    """Open labelImg on the images of a folder and its subfolders.

    It shows and saves the annotations that ``annotation_path`` names. It uses the project's
    settings; the user's own labelImg settings are neither read nor changed. It stays open if the
    notebook is interrupted.

    Args:
        folder: holds the images.
        wait: return only when labelImg is closed.

    Returns:
        The process.

    Raises:
        RuntimeError: labelImg is not installed, there is no display, or labelImg ended with an
            error.
        ImageError: the folder is missing or holds no images.
        LabelError: two images would share an annotation file.
    """
    list_photos(folder)
    for module in ("labelImg", "PyQt5"):
        if importlib.util.find_spec(module) is None:
            raise RuntimeError(
                "labelImg is not installed: run `make test` once. If PyQt5 does not exist for "
                "your system (Linux on ARM), draw regions instead."
            )
    if os.environ.get("QT_QPA_PLATFORM") != "offscreen" and not has_display():
        raise RuntimeError("labelImg needs a display, and there is none: run this on a desktop.")
    with TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "utils.annotate.labelimg_app", str(Path(folder).resolve())],
            cwd=ROOT,
            env=make_environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # so that interrupting the notebook does not end labelImg
        )
        if wait and process.wait() != 0:
            errors.seek(0)
            message = _explain_failure(errors.read().decode(errors="replace"))
            raise RuntimeError(
                f"labelImg ended with an error ({message}); annotations saved before are kept."
            )
    return process


def _explain_failure(stderr: str) -> str:
    """Return one line that says why labelImg failed."""
    if "xcb" in stderr:
        return f"Qt needs system libraries: on Debian, run `apt-get install {QT_LIBRARIES}`"
    lines = stderr.strip().splitlines()
    return lines[-1].strip() if lines else "it printed no message"


def _compute_digest(root: ET.Element) -> str:
    """Return a digest of all faces in a Pascal VOC file."""
    faces = [ET.tostring(item) for item in root.iter("object")]
    return hashlib.sha256(b"".join(faces)).hexdigest()


def is_unedited(path: str | Path) -> bool:
    """Return whether a Pascal VOC file is still as ``write_annotations`` wrote it."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError):
        return False
    return root.get(DIGEST_ATTRIBUTE) == _compute_digest(root)


def write_annotations(table: pd.DataFrame, root: str | Path) -> int:
    """Write the faces of a table as Pascal VOC files, so that labelImg shows them.

    Files that a person has saved are kept. An image that cannot be read is reported and skipped.

    Args:
        table: ``file``, a box and optionally ``class_name``: a label table, a faces table or hand
            labels. A face without a class is named "face"; rows without a box are skipped.
        root: the data root.

    Returns:
        The number of files written.
    """
    root = Path(root)
    faces = table.dropna(subset=BOX_COLUMNS)
    if "class_name" in faces:
        faces = faces.assign(class_name=faces.class_name.fillna("").replace("", NO_CLASS))
    else:
        faces = faces.assign(class_name=NO_CLASS)
    count = 0
    for file, rows in tqdm(faces.groupby("file"), desc="writing annotations", unit="photo"):
        path = annotation_path(root / file)
        if path.exists() and not is_unedited(path):
            continue
        try:
            width, height = measure_image_apart(root / file)
        except ImageError as error:
            tqdm.write(str(error))
            continue
        boxes = clip_boxes(rows[BOX_COLUMNS], (width, height))
        clipped = rows.copy()
        clipped[BOX_COLUMNS] = boxes
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file without a digest would count as a person's, so it appears when it has both.
        with write_atomically(path) as part:
            write_voc(part, Path(file).name, (width, height), clipped)
            tree = ET.parse(part)
            annotation = tree.getroot()
            annotation.set(DIGEST_ATTRIBUTE, _compute_digest(annotation))
            tree.write(part, encoding="utf-8")
        count += 1
    return count


def _restore_box(box: np.ndarray, known: Sequence[Box], resolution_wh: tuple[int, int]) -> Box:
    """Return the known box that labelImg rounded to this one; if there is none, the box itself."""
    if known:
        distances = np.abs(clip_boxes(as_boxes(known), resolution_wh) - box).max(axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] <= ROUNDING_TOLERANCE:
            return known[nearest]
    return normalize_box(box)


def _read_latest_entries(journal: str | Path, annotator: str) -> dict[str, dict[Box, JournalEntry]]:
    """Return an annotator's last journal entry for each file and box."""
    latest: dict[str, dict[Box, JournalEntry]] = {}
    for entry in read_journal(journal):
        if entry.annotator == annotator and entry.box:
            latest.setdefault(entry.file, {})[entry.box] = entry
    return latest


def _list_boxes(table: pd.DataFrame, file: str) -> list[Box]:
    """Return the boxes of a file in a table."""
    boxes = [normalize_box(values) for values in table[table.file == file][BOX_COLUMNS].to_numpy()]
    return [box for box in boxes if box]


def _is_new_decision(entry: JournalEntry | None, class_name: str, saved_at: str) -> bool:
    """Return whether a saved label says something that the journal does not say yet.

    Args:
        entry: the annotator's last entry for the face, if there is one.
        class_name: the saved class; empty if the label was removed.
        saved_at: when it was saved, in the journal's form.
    """
    if entry is None:
        return class_name != ""
    return entry.class_name != class_name and entry.labelled_at <= saved_at


def record_annotations(
    folder: str | Path,
    root: str | Path,
    journal: str | Path,
    annotator: str,
    known: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Record in the journal what a person saved in labelImg.

    A second call records only what was saved since the first. A box that was not moved keeps its
    exact coordinates from the journal or from ``known``. A labelled face whose box was moved or
    deleted loses its label. A decision that the annotator made after saving the file stays.

    Args:
        folder: the images that labelImg was opened on.
        root: the data root, ``folder`` itself or a folder above it.
        journal: the journal of hand labels.
        annotator: who labelled.
        known: ``file`` and a box: the table that ``write_annotations`` wrote.

    Returns:
        The recorded rows (``file``, ``x_min, y_min, x_max, y_max``, ``class_name``, ``way``), with
        an empty class where a label was removed; and a table of problems (``file``, ``problem``).
        A file with a problem is not recorded until it is corrected in labelImg.

    Raises:
        LabelError: the journal cannot be read or written, or two images share an annotation file.
        ImageError: the folder is missing or holds no images.
    """
    root = Path(root).resolve()
    annotator = annotator.strip()
    latest = _read_latest_entries(journal, annotator)
    rows: list[tuple] = []
    problems: list[tuple[str, str]] = []
    for image in list_photos(folder):
        path = annotation_path(image)
        if not path.is_file() or is_unedited(path):
            continue
        file = image.relative_to(root).as_posix()
        try:
            _, resolution_wh, saved = read_voc(path)
        except LabelError as error:
            problems.append((file, str(error)))
            continue
        entries = latest.get(file, {})
        boxes = list(entries)
        if known is not None:
            boxes.extend(_list_boxes(known, file))

        # An empty class removes the label of a box that is no longer in the file.
        class_of_box = {_restore_box(box, boxes, resolution_wh): name for name, box in saved}
        for box in entries:
            class_of_box.setdefault(box, "")

        # In the journal's form and precision, so that both times compare as texts.
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        saved_at = modified.isoformat(timespec="seconds")
        for box, class_name in class_of_box.items():
            if not _is_new_decision(entries.get(box), class_name, saved_at):
                continue
            record_label(journal, file, box, class_name, annotator=annotator, method=METHOD)
            rows.append((file, *box, class_name, METHOD))
    recorded = pd.DataFrame(rows, columns=RECORDED_COLUMNS)
    return recorded, pd.DataFrame(problems, columns=PROBLEM_COLUMNS)
