"""Write Pascal VOC: one XML file for each image.

The VOC devkit counts pixels from 1 and includes the last one, so the left and top edges are one
larger than ours and the right and bottom edges are the same numbers. Files for other programs are
written that way. Many programs, labelImg among them, write numbers from 0, as ``write_voc`` does.
So only files that say who wrote them are read as counted from 1, see ``counts_from_one``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from utils.atomic import write_bytes
from utils.boxes import BOX_COLUMNS
from utils.formats.labelled import LabelledImage

if TYPE_CHECKING:
    import pandas as pd

VOC_TAGS = ("xmin", "ymin", "xmax", "ymax")
FIRST_PIXEL = (1, 1, 0, 0)  # what the devkit's way of counting adds to our box
OUR_DATABASE = "face-mask-detector"
# What the library supervision writes.
SUPERVISION_FOLDER = "VOC"
SUPERVISION_DATABASE = "roboflow.ai"
# Details of an object that the devkit's own files have, and some readers expect.
DETAILS = (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0"))


def write_voc(
    path: str | Path, file_name: str, resolution_wh: tuple[int, int], table: pd.DataFrame
) -> Path:
    """Write the faces of one image as a Pascal VOC file whose pixels are counted from 0.

    Args:
        path: the XML file; its folder is created.
        file_name: the image's file name.
        resolution_wh: the image's width and height in pixels.
        table: one row for each face, with ``class_name`` and ``x_min, y_min, x_max, y_max``.
            Coordinates are rounded to whole pixels.

    Returns:
        The path of the XML file.
    """
    boxes = [[round(value) for value in box] for box in table[BOX_COLUMNS].to_numpy(float).tolist()]
    root = _make_annotation(file_name, resolution_wh, table.class_name.tolist(), boxes)
    return _write(path, root)


def write_voc_files(folder: str | Path, images: Iterable[LabelledImage]) -> list[Path]:
    """Write labels for other programs: ``NAME.xml``, boxes in whole pixels counted from 1.

    Returns:
        The files.
    """
    paths = []
    for image in images:
        file_name = PurePosixPath(image.file).name
        boxes = [_count_from_one(box) for box in image.xyxy]
        root = _make_annotation(file_name, image.resolution_wh, image.class_names, boxes)
        source = ET.Element("source")
        ET.SubElement(source, "database").text = OUR_DATABASE
        root.insert(1, source)
        for item in root.findall("object"):
            for position, (tag, text) in enumerate(DETAILS, start=1):
                detail = ET.Element(tag)
                detail.text = text
                item.insert(position, detail)
        paths.append(_write(Path(folder) / name_voc(image.file), root))
    return paths


def name_voc(file: str) -> str:
    """Return the path of the XML file of an image, relative to the folder."""
    return PurePosixPath(file).with_suffix(".xml").as_posix()


def _make_annotation(
    file_name: str,
    resolution_wh: tuple[int, int],
    class_names: Sequence[str],
    boxes: Sequence[Sequence[int]],
) -> ET.Element:
    """Return the XML element of an image with its faces; boxes are written as they are."""
    width, height = resolution_wh
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = file_name
    size = ET.SubElement(root, "size")
    ET.SubElement(size, "width").text = str(int(width))
    ET.SubElement(size, "height").text = str(int(height))
    ET.SubElement(size, "depth").text = "3"
    for name, box in zip(class_names, boxes, strict=True):
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = name
        bndbox = ET.SubElement(item, "bndbox")
        for tag, value in zip(VOC_TAGS, box, strict=True):
            ET.SubElement(bndbox, tag).text = str(value)
    return root


def _write(path: str | Path, root: ET.Element) -> Path:
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _count_from_one(box: np.ndarray) -> list[int]:
    """Return a box as whole pixels counted from 1, at least one pixel wide and high."""
    x_min, y_min, x_max, y_max = (
        round(float(value)) + offset for value, offset in zip(box, FIRST_PIXEL, strict=True)
    )
    return [x_min, y_min, max(x_max, x_min), max(y_max, y_min)]


def counts_from_one(root: ET.Element) -> bool:
    """Return whether a VOC file says that its pixels are counted from 1.

    Args:
        root: the element ``annotation``.
    """
    database = root.findtext("source/database", "")
    if database == OUR_DATABASE:
        return True
    return database == SUPERVISION_DATABASE and root.findtext("folder", "") == SUPERVISION_FOLDER
