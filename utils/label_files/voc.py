"""Pascal VOC for other programs: one XML file for each image, pixels counted from 1.

The VOC devkit counts pixels from 1 and includes the last one, so the left and top edges are one
larger than ours and the right and bottom edges are the same numbers. Many programs write numbers
from 0, so only files that say who wrote them are read that way, see ``counts_from_one``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from utils.atomic import write_bytes
from utils.label_files.image import LabelledImage

TAGS = ("xmin", "ymin", "xmax", "ymax")
FIRST_PIXEL = (1, 1, 0, 0)  # what the devkit's way of counting adds to our box
OUR_DATABASE = "face-mask-detector"
# What the library supervision writes.
SUPERVISION_FOLDER = "VOC"
SUPERVISION_DATABASE = "roboflow.ai"


def write_voc_files(folder: str | Path, images: Iterable[LabelledImage]) -> list[Path]:
    """Write labels as ``NAME.xml``, boxes rounded to whole pixels. Returns the files."""
    paths = []
    for image in images:
        path = Path(folder) / name_voc(image.file)
        paths.append(write_bytes(path, _make_xml(image)))
    return paths


def name_voc(file: str) -> str:
    """Return the path of the XML file of an image, relative to the folder."""
    return PurePosixPath(file).with_suffix(".xml").as_posix()


def _make_xml(image: LabelledImage) -> bytes:
    """Return the XML text of an image."""
    width, height = image.resolution_wh
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = PurePosixPath(image.file).name
    source = ET.SubElement(root, "source")
    ET.SubElement(source, "database").text = OUR_DATABASE
    size = ET.SubElement(root, "size")
    ET.SubElement(size, "width").text = str(int(width))
    ET.SubElement(size, "height").text = str(int(height))
    ET.SubElement(size, "depth").text = "3"
    ET.SubElement(root, "segmented").text = "0"
    for name, box in zip(image.class_names, image.xyxy, strict=True):
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = name
        for tag, text in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            ET.SubElement(item, tag).text = text
        bndbox = ET.SubElement(item, "bndbox")
        for tag, value in zip(TAGS, _count_from_one(box), strict=True):
            ET.SubElement(bndbox, tag).text = str(value)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode").encode("utf-8", "backslashreplace")


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
