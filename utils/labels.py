"""The label table: read from class folders and Pascal VOC files, corrected, and written again.

A *label table* has one row a face: ``file`` (POSIX path below the data root), ``source`` (where it is from),
``class_name``, ``x_min, y_min, x_max, y_max`` (pixels; NaN where the whole image is the face), and later ``group``
(near-duplicates share one) and ``split`` (train, val or test).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from utils.boxes import box_area, clip_boxes
from utils.classes import LabelError, to_class_name
from utils.images import IMAGE_SUFFIXES, list_images

BOX_COLUMNS = ["x_min", "y_min", "x_max", "y_max"]
COLUMNS = ["file", "source", "class_name", *BOX_COLUMNS]
VOC_TAGS = ("xmin", "ymin", "xmax", "ymax")


def make_label_table(rows: list[dict]) -> pd.DataFrame:
    """Rows as a label table with its columns in order, also when there are none."""
    types = {name: "float64" if name in BOX_COLUMNS else "str" for name in COLUMNS}
    return pd.DataFrame(rows, columns=COLUMNS).astype(types)


def read_voc(path: str | Path) -> tuple[str, tuple[int, int], list[tuple[str, np.ndarray]]]:
    """Read one Pascal VOC file.

    Returns:
        The image's file name, its (width, height), and (class_name, box) of each face, boxes cut at the image's edges.

    Raises:
        LabelError: no XML, a field missing, an unknown class, or a box outside its image.
    """
    try:
        root = ET.parse(path).getroot()
        name = Path(root.findtext("filename", "")).name
        resolution_wh = (
            int(root.findtext("size/width", "0")),
            int(root.findtext("size/height", "0")),
        )
        found = [
            (
                item.findtext("name", ""),
                np.array([float(item.findtext(f"bndbox/{tag}", "")) for tag in VOC_TAGS]),
            )
            for item in root.findall("object")
        ]
    except (ET.ParseError, ValueError, OSError) as error:
        raise LabelError(
            f"{path} is not a Pascal VOC file that can be read ({error}): save it again."
        ) from error
    faces = []
    for class_name, box in found:
        clipped = clip_boxes(box, resolution_wh)[0].astype(float) if min(resolution_wh) > 0 else box
        if not box_area(clipped)[0] > 0:  # NaN neither
            raise LabelError(
                f"{path}: the box {box.tolist()} is outside its image {resolution_wh}."
            )
        faces.append((to_class_name(class_name, path), clipped))
    return name, resolution_wh, faces


def write_voc(
    path: str | Path, file_name: str, resolution_wh: tuple[int, int], table: pd.DataFrame
) -> Path:
    """Write one image's faces (rows with ``class_name`` and a box) as a Pascal VOC file."""
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = file_name
    size = ET.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*resolution_wh, 3), strict=True):
        ET.SubElement(size, tag).text = str(value)
    for row in table.itertuples():
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = row.class_name
        box = ET.SubElement(item, "bndbox")
        for tag, column in zip(VOC_TAGS, BOX_COLUMNS, strict=True):
            ET.SubElement(box, tag).text = str(round(getattr(row, column)))
    ET.indent(root)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="unicode")
    return path


def read_voc_folder(
    folder: str | Path, root: str | Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read ``annotations/*.xml`` of a folder; the images lie in ``images/`` or in the folder itself.

    Args:
        folder: holds ``annotations/``.
        root: the data root that ``file`` is relative to; the folder itself by default.

    Returns:
        The label table and a table of problems (``file``, ``problem``): a bad file spoils none of the others.
    """
    folder, root = Path(folder), Path(root or folder)
    image_dir = folder / "images" if (folder / "images").is_dir() else folder
    files = [path for path in sorted(image_dir.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
    images = {key: path for path in files for key in (path.stem, path.name)}
    rows, problems = [], []
    for path in sorted((folder / "annotations").glob("*.xml")):
        try:
            name, _, faces = read_voc(path)
            image = images.get(name) or images.get(Path(name).stem) or images.get(path.stem)
            if image is None:
                raise LabelError(f"{path} describes {name}, which is not in {image_dir}.")
            file = image.relative_to(root).as_posix()
            rows += [
                dict(zip(COLUMNS, (file, folder.name, name, *box), strict=True))
                for name, box in faces
            ]
        except LabelError as error:
            problems.append({"file": path.name, "problem": str(error)})
    return make_label_table(rows), pd.DataFrame(problems, columns=["file", "problem"])


def _list_folders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _read_class_folder(folder: Path, root: Path) -> pd.DataFrame:
    label = {"source": folder.parent.name, "class_name": to_class_name(folder.name, folder)}
    return make_label_table(
        [{"file": path.relative_to(root).as_posix(), **label} for path in list_images(folder)]
    )


def read_class_folders(folder: str | Path, root: str | Path | None = None) -> pd.DataFrame:
    """Read a folder that holds one folder a class, each image being one face; hidden folders are passed over.

    Raises:
        LabelError: a folder's name is no class.
    """
    folder, root = Path(folder), Path(root or folder)
    tables = [_read_class_folder(class_dir, root) for class_dir in _list_folders(folder)]
    return pd.concat([make_label_table([]), *tables], ignore_index=True)


def read_labels(
    root: str | Path,
    readers: Mapping[str, Callable[[Path, Path], tuple[pd.DataFrame, pd.DataFrame]]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a data root: each of its folders is either Pascal VOC (has ``annotations/``) or class folders.

    Args:
        root: the data root.
        readers: by the name of a file in a folder, what reads it instead: (folder, root) to its table and problems. In
            such a folder nothing need be labelled yet; where it has several of the files, the first reader is taken.

    Returns:
        The label table, whose ``source`` is the folder's name, and the table of problems (``file``, ``problem``).

    Raises:
        LabelError: the root does not exist or no folder in it holds labelled images.
    """
    root = Path(root)
    if not root.is_dir():
        raise LabelError(f"There is no folder {root}: check the path.")
    tables, problems, is_begun = [make_label_table([])], [], False
    readers = {**(readers or {}), "annotations": read_voc_folder}
    for folder in _list_folders(root):
        if chosen := [read for name, read in readers.items() if (folder / name).exists()]:
            table, bad = chosen[0](folder, root)
            tables.append(table)
            problems += bad.to_dict("records")
            is_begun |= chosen[0] is not read_voc_folder
            continue
        for class_dir in _list_folders(folder):
            try:
                tables.append(_read_class_folder(class_dir, root))
            except LabelError as error:
                problems.append(
                    {"file": class_dir.relative_to(root).as_posix(), "problem": str(error)}
                )
    if not (sum(map(len, tables)) or is_begun):
        raise LabelError(
            f"{root} holds no labelled images: it needs folders of classes or of Pascal VOC files."
        )
    return pd.concat(tables, ignore_index=True), pd.DataFrame(problems, columns=["file", "problem"])


def apply_corrections(table: pd.DataFrame, corrections: pd.DataFrame) -> pd.DataFrame:
    """Put right what a person found wrong in a label table.

    Args:
        table: a label table.
        corrections: ``file``, a box (NaN: the whole image), ``class_name`` (empty: leave the face out), ``why``.

    Raises:
        LabelError: a correction's face is in none of the rows, of a file that the table has, or its class is unknown.
    """
    key = ["file", *BOX_COLUMNS]
    corrections = corrections.astype(dict.fromkeys(BOX_COLUMNS, "float64"))
    corrections = corrections[corrections.file.isin(table.file)].drop_duplicates(key, keep="last")
    missing = corrections.merge(table[key], on=key, how="left", indicator=True).query(
        "_merge == 'left_only'"
    )
    if len(missing):
        raise LabelError(
            f"No face of {missing.file.iloc[0]} has the box of its correction: check the table."
        )
    corrected = corrections.class_name.map(
        lambda name: to_class_name(name, "A correction"), na_action="ignore"
    )
    merged = table.merge(
        corrections[key].assign(corrected=corrected), on=key, how="left", indicator=True
    )
    kept = merged[(merged._merge == "left_only") | merged.corrected.notna()]
    class_name = kept.class_name.where(kept.corrected.isna(), kept.corrected)
    return kept.assign(class_name=class_name)[table.columns].reset_index(drop=True)
