"""Read one Pascal VOC file, as programs and people write them."""

from __future__ import annotations

import codecs
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

import numpy as np

from utils.classes import LabelError, to_class_name
from utils.formats.labelled import Face, clip_to_image, describe_contradiction, settle_boxes
from utils.formats.voc.write import FIRST_PIXEL, VOC_TAGS, counts_from_one

UNKNOWN_SIZE = (0, 0)  # of an image whose size a file does not state
OTHER_SHAPES = {"polygon": "a polygon", "robndbox": "a turned box", "mask": "a pixel mask"}

DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
DECLARED_ENCODING = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([\w.-]+)[\"']")
WEB_PAGE = re.compile(r"\s*<(!doctype )?html", re.IGNORECASE)
BARE_AMPERSAND = re.compile(r"&(?!#?\w+;)")
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass
class VocFile:
    """What a Pascal VOC file says.

    Attributes:
        path: the file.
        file_name: of its image; empty if it is not stated.
        resolution_wh: width and height of its image in pixels; zeros if they are not stated.
        faces: the faces, with boxes as written.
        problems: a sentence about each object that cannot be used.
    """

    path: Path
    file_name: str
    resolution_wh: tuple[int, int]
    faces: list[Face] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_voc(path: str | Path) -> tuple[str, tuple[int, int], list[Face]]:
    """Read one Pascal VOC file.

    Args:
        path: the XML file.

    Returns:
        The image's file name, its (width, height) in pixels (zeros if they are not stated), and one
        (class_name, box) for each face. Boxes are (4,) float64 ``xyxy``, clipped to the image if
        the file states its size.

    Raises:
        LabelError: the file is not XML, or one of its objects cannot be used: a field is missing, a
            class is unknown, or a box is outside its image.
    """
    voc = parse_voc(path)
    faces, problems = clip_faces(voc, voc.resolution_wh)
    for problem in (*voc.problems, *problems):
        raise LabelError(problem)
    return voc.file_name, voc.resolution_wh, faces


def parse_voc(path: str | Path) -> VocFile:
    """Read one Pascal VOC file. A wrong object is a problem and does not cost the others.

    Raises:
        LabelError: the file cannot be read, or is not Pascal VOC.
    """
    path = Path(path)
    try:
        text = _decode(path.read_bytes())
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError, OSError) as error:
        raise LabelError(
            f"{path} is not a readable Pascal VOC file ({error}): save it again."
        ) from error
    if "xmlns" in text:
        for element in root.iter():
            element.tag = str(element.tag).rpartition("}")[2]  # without a namespace
    if root.tag != "annotation":
        raise LabelError(
            f"{path} is not a readable Pascal VOC file (it begins with <{root.tag}>, not "
            "<annotation>): save it again, or move it away."
        )
    file_name = PureWindowsPath(root.findtext("filename", "").strip()).name
    voc = VocFile(path, file_name, _read_size(root))
    offset = FIRST_PIXEL if counts_from_one(root) else (0, 0, 0, 0)
    for number, item in enumerate(root.findall("object"), start=1):
        try:
            voc.faces.append(_read_object(item, f"{path}, object {number}", offset))
        except LabelError as error:
            voc.problems.append(str(error))
    voc.faces, repeated, contradictory = settle_boxes(voc.faces)
    for _, box in repeated:
        voc.problems.append(f"{path}: the box {box.tolist()} is written twice: it counts once.")
    for faces in contradictory:
        voc.problems.append(describe_contradiction(path, faces))
    return voc


def _decode(data: bytes) -> str:
    """Return the text of an XML file, without its declaration.

    Editors declare encodings that do not exist or are not the file's, or declare none. Only the
    name of the image suffers from a wrong guess.
    """
    encodings = [encoding for bom, encoding in BOMS.items() if data.startswith(bom)]
    declared = DECLARED_ENCODING.match(data.lstrip())
    if declared:
        encodings.append(declared[1].decode())
    text = ""
    for encoding in (*encodings, "utf-8", "cp1252", "latin-1"):  # the last one reads any bytes
        try:
            text = data.decode(encoding)
            break
        except (UnicodeError, LookupError):
            continue
    if not text.strip():
        raise ValueError("it is empty")
    if WEB_PAGE.match(text):
        raise ValueError("it is a web page")
    text = DECLARATION.sub("", text)
    return BARE_AMPERSAND.sub("&amp;", text)


def _read_size(root: ET.Element) -> tuple[int, int]:
    """Return the stated width and height; zeros if they are missing or no numbers."""
    sides = []
    for name in ("width", "height"):
        try:
            sides.append(int(float(root.findtext(f"size/{name}", ""))))
        except (ValueError, OverflowError):
            return UNKNOWN_SIZE
    width, height = sides
    if width <= 0 or height <= 0:
        return UNKNOWN_SIZE
    return width, height


def _read_object(item: ET.Element, place: str, offset: tuple[int, ...]) -> Face:
    """Return the class and the box of one ``<object>``.

    Args:
        item: the element.
        place: what error messages name as the place.
        offset: what the file's way of counting pixels adds to our box.

    Raises:
        LabelError: it has no class, an unknown one, or no box that can be used.
    """
    name = item.findtext("name", "").strip()
    if not name:
        raise LabelError(f"{place} has no class (the class '' is unknown): write its <name>.")
    class_name = to_class_name(name, place)
    bndbox = item.find("bndbox")
    if bndbox is None:
        for tag, shape in OTHER_SHAPES.items():
            if item.find(tag) is not None:
                raise LabelError(f"{place} ({name}) is {shape}: draw an upright box instead.")
        raise LabelError(f"{place} ({name}) has no box: draw one.")
    values = []
    for tag in VOC_TAGS:
        text = bndbox.findtext(tag, "").strip()
        try:
            values.append(float(text))
        except ValueError:
            problem = f"is '{text}', which is no number" if text else "is missing"
            raise LabelError(f"{place} ({name}): {tag} of the box {problem}: correct it.") from None
    if not all(math.isfinite(value) for value in values):
        raise LabelError(f"{place} ({name}): the box {values} has no number: correct it.")
    box = [value - first for value, first in zip(values, offset, strict=True)]
    x_min, y_min, x_max, y_max = box
    if x_min > x_max or y_min > y_max:
        raise LabelError(
            f"{place} ({name}): the box {values} has swapped corners: write the smaller numbers "
            "first."
        )
    if x_min == x_max or y_min == y_max:
        raise LabelError(f"{place} ({name}): the box {values} has no area: draw it again.")
    return class_name, np.array(box)


def clip_faces(voc: VocFile, resolution_wh: tuple[int, int]) -> tuple[list[Face], list[str]]:
    """Return the faces clipped to an image, and a problem for each that is outside of it.

    Args:
        voc: the file.
        resolution_wh: width and height of the image; zeros if they are unknown.
    """
    if resolution_wh == UNKNOWN_SIZE or not voc.faces:
        return voc.faces, []
    boxes, is_inside = clip_to_image([box for _, box in voc.faces], resolution_wh)
    faces = []
    problems = []
    for (class_name, box), clipped, is_kept in zip(voc.faces, boxes, is_inside, strict=True):
        if is_kept:
            faces.append((class_name, clipped))
        else:
            problems.append(
                f"{voc.path}: the box {box.tolist()} is outside its image {resolution_wh}: "
                "correct it."
            )
    return faces, problems
