"""Read and write Pascal VOC: one XML file for each image."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd

from utils.atomic import write_bytes
from utils.boxes import box_area, clip_boxes
from utils.classes import LabelError, to_class_name
from utils.label_files import FIRST_PIXEL, counts_from_one
from utils.labels import BOX_COLUMNS, PROBLEM_COLUMNS, make_label_table
from utils.listing import IMAGE_SUFFIXES

VOC_TAGS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: str | Path) -> tuple[str, tuple[int, int], list[tuple[str, np.ndarray]]]:
    """Read one Pascal VOC file.

    Args:
        path: the XML file.

    Returns:
        The image's file name, its (width, height) in pixels, and one (class_name, box) for each
        face. Boxes are (4,) float64 ``xyxy``, clipped to the image if the file states its size.

    Raises:
        LabelError: the file is not XML, a field is missing, a class is unknown, or a box is outside
            its image.
    """
    try:
        root = ET.parse(path).getroot()
        width = int(root.findtext("size/width", "0"))
        height = int(root.findtext("size/height", "0"))
        labelled = [_read_voc_object(item) for item in root.findall("object")]
        offset = FIRST_PIXEL if counts_from_one(root) else (0, 0, 0, 0)
    except (ET.ParseError, ValueError, OSError) as error:
        raise LabelError(
            f"{path} is not a readable Pascal VOC file ({error}): save it again."
        ) from error

    file_name = Path(root.findtext("filename", "")).name
    resolution_wh = (width, height)
    faces = []
    for class_name, box in labelled:
        box = box - offset
        clipped = box
        if width > 0 and height > 0:
            clipped = clip_boxes(box, resolution_wh)[0].astype(float)
        has_area = box_area(clipped)[0] > 0  # False for NaN too
        if not has_area:
            raise LabelError(
                f"{path}: the box {box.tolist()} is outside its image {resolution_wh}: correct it."
            )
        faces.append((to_class_name(class_name, path), clipped))
    return file_name, resolution_wh, faces


def _read_voc_object(item: ET.Element) -> tuple[str, np.ndarray]:
    """Return the class name as written and the (4,) float64 box of one ``<object>``."""
    box = [float(item.findtext(f"bndbox/{tag}", "")) for tag in VOC_TAGS]
    return item.findtext("name", ""), np.array(box)


def write_voc(
    path: str | Path, file_name: str, resolution_wh: tuple[int, int], table: pd.DataFrame
) -> Path:
    """Write the faces of one image as a Pascal VOC file.

    Args:
        path: the XML file; its folder is created.
        file_name: the image's file name.
        resolution_wh: the image's width and height in pixels.
        table: one row for each face, with ``class_name`` and ``x_min, y_min, x_max, y_max``.
            Coordinates are rounded to whole pixels.

    Returns:
        The path of the XML file.
    """
    width, height = resolution_wh
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = file_name
    size = ET.SubElement(root, "size")
    ET.SubElement(size, "width").text = str(width)
    ET.SubElement(size, "height").text = str(height)
    ET.SubElement(size, "depth").text = "3"
    for row in table.itertuples():
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = row.class_name
        bndbox = ET.SubElement(item, "bndbox")
        for tag, column in zip(VOC_TAGS, BOX_COLUMNS, strict=True):
            ET.SubElement(bndbox, tag).text = str(round(getattr(row, column)))
    ET.indent(root)
    return write_bytes(path, ET.tostring(root, encoding="unicode").encode("utf-8"))


def read_voc_folder(
    folder: str | Path, root: str | Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read all ``annotations/*.xml`` of a folder, whose images are in ``images/`` or beside it.

    A file that cannot be read becomes a row of the problems; the other files are still read.

    Args:
        folder: the folder that holds ``annotations/``.
        root: the data root; ``file`` is relative to it. None means the folder itself.

    Returns:
        The label table, and a table of problems (``file``, ``problem``).
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    image_dir = folder / "images" if (folder / "images").is_dir() else folder
    images = {}  # by file name and by stem
    for path in sorted(image_dir.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images[path.stem] = path
            images[path.name] = path

    rows = []
    problems = []
    for path in sorted((folder / "annotations").glob("*.xml")):
        try:
            file_name, _, faces = read_voc(path)
            # A converted image keeps its stem, and some programs write a wrong name or none.
            image = images.get(file_name) or images.get(Path(file_name).stem)
            image = image or images.get(path.stem)
            if image is None:
                raise LabelError(f"{path} describes {file_name}, which is not in {image_dir}.")
        except LabelError as error:
            problems.append({"file": path.name, "problem": str(error)})
            continue
        file = image.relative_to(root).as_posix()
        for class_name, box in faces:
            row = {"file": file, "source": folder.name, "class_name": class_name}
            row.update(zip(BOX_COLUMNS, box, strict=True))
            rows.append(row)
    return make_label_table(rows), pd.DataFrame(problems, columns=PROBLEM_COLUMNS)
