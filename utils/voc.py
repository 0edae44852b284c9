"""Read and write Pascal VOC: one XML file for each image.

``read_voc`` reads one file, ``match_voc`` the files of a folder in any layout, ``write_voc`` writes
one.
"""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

import numpy as np
import pandas as pd

from utils.atomic import write_bytes
from utils.boxes import box_area, clip_boxes
from utils.classes import LabelError, to_class_name
from utils.images import read_size
from utils.label_files import FIRST_PIXEL, counts_from_one
from utils.labels import BOX_COLUMNS, PROBLEM_COLUMNS, make_label_table
from utils.listing import list_folder
from utils.phrases import name_some

VOC_TAGS = ("xmin", "ymin", "xmax", "ymax")
# Folders that hold annotations or images of the folder around them, in small letters.
ANNOTATION_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")
IMAGE_FOLDERS = ("images", "image", "jpegimages", "img", "imgs", "photos")
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

Face = tuple[str, np.ndarray]  # class name and (4,) float64 ``xyxy`` box


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
        root = ET.fromstring(_decode(path.read_bytes()))
    except (ET.ParseError, ValueError, OSError) as error:
        raise LabelError(
            f"{path} is not a readable Pascal VOC file ({error}): save it again."
        ) from error
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
    _drop_double_labels(voc)
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
    if item.find("bndbox") is None:
        for tag, shape in OTHER_SHAPES.items():
            if item.find(tag) is not None:
                raise LabelError(f"{place} ({name}) is {shape}: draw an upright box instead.")
        raise LabelError(f"{place} ({name}) has no box: draw one.")
    values = []
    for tag in VOC_TAGS:
        text = item.findtext(f"bndbox/{tag}", "").strip()
        try:
            values.append(float(text))
        except ValueError:
            problem = f"is '{text}', which is no number" if text else "is missing"
            raise LabelError(f"{place} ({name}): {tag} of the box {problem}: correct it.") from None
    box = np.array(values) - offset
    if not np.isfinite(box).all():
        raise LabelError(f"{place} ({name}): the box {box.tolist()} has no number: correct it.")
    x_min, y_min, x_max, y_max = box
    if x_min > x_max or y_min > y_max:
        raise LabelError(
            f"{place} ({name}): the box {values} has swapped corners: write the smaller numbers "
            "first."
        )
    if x_min == x_max or y_min == y_max:
        raise LabelError(f"{place} ({name}): the box {values} has no area: draw it again.")
    return class_name, box


def _drop_double_labels(voc: VocFile) -> None:
    """Drop boxes with two classes, and what is written twice."""
    classes_of_box: dict[tuple, list[str]] = defaultdict(list)
    for class_name, box in voc.faces:
        classes_of_box[tuple(box)].append(class_name)
    voc.faces = []
    for values, class_names in classes_of_box.items():
        shown = [float(value) for value in values]
        if len(set(class_names)) > 1:
            voc.problems.append(
                f"{voc.path}: the box {shown} has two classes ({', '.join(class_names)}): delete "
                "the wrong one."
            )
            continue
        if len(class_names) > 1:
            voc.problems.append(f"{voc.path}: the box {shown} is written twice: it counts once.")
        voc.faces.append((class_names[0], np.array(values)))


def clip_faces(voc: VocFile, resolution_wh: tuple[int, int]) -> tuple[list[Face], list[str]]:
    """Return the faces clipped to an image, and a problem for each that is outside of it.

    Args:
        voc: the file.
        resolution_wh: width and height of the image; zeros if they are unknown.
    """
    if resolution_wh == UNKNOWN_SIZE:
        return voc.faces, []
    faces = []
    problems = []
    for class_name, box in voc.faces:
        clipped = clip_boxes(box, resolution_wh)[0].astype(float)
        if box_area(clipped)[0] > 0:
            faces.append((class_name, clipped))
        else:
            problems.append(
                f"{voc.path}: the box {box.tolist()} is outside its image {resolution_wh}: "
                "correct it."
            )
    return faces, problems


def describe_wrong_size(
    path: str | Path, stated_wh: tuple[int, int], image: str | Path, image_wh: tuple[int, int]
) -> str:
    """Return the sentence for an annotation that is for an image of another size."""
    return f"{path} is for {stated_wh} pixels, {image} has {image_wh}: label it again."


def fit_faces(voc: VocFile, image: Path) -> tuple[list[Face], list[str]]:
    """Return the faces in the pixels of an image, and problems.

    If the image was resized since, so that width and height were scaled alike, its boxes are
    scaled, and a problem says so.

    Args:
        voc: the file.
        image: its image. If it cannot be read, the stated size is believed.
    """
    stated_wh = voc.resolution_wh
    image_wh = read_size(image)
    if image_wh is None or image_wh == stated_wh:
        return clip_faces(voc, stated_wh)
    if stated_wh == UNKNOWN_SIZE:
        return clip_faces(voc, image_wh)
    scale = image_wh[0] / stated_wh[0]
    if abs(stated_wh[1] * scale - image_wh[1]) > max(1.0, scale):  # rounded to whole pixels
        return [], [describe_wrong_size(voc.path, stated_wh, image, image_wh)]
    scale_wh = np.divide(image_wh, stated_wh)
    scaled = [(class_name, box * np.tile(scale_wh, 2)) for class_name, box in voc.faces]
    faces, problems = clip_faces(VocFile(voc.path, voc.file_name, image_wh, faces=scaled), image_wh)
    problems.append(
        f"{voc.path} is for {stated_wh} pixels, {image} has {image_wh}: its boxes are scaled; "
        "check them."
    )
    return faces, problems


def match_voc(
    annotations: Iterable[Path],
    images: Iterable[Path],
    folder: Path,
    root: Path,
    source: str,
    empty: list[str] | None = None,
) -> tuple[list[dict], list[dict[str, str]], set[Path]]:
    """Read annotation files and find the image of each, in any layout of folders.

    An image has the stem of its annotation, and lies beside it, or in a folder such as ``images/``
    that stands for ``annotations/``. If there is none, the ``<filename>`` decides. Two annotations
    never get one image.

    Args:
        annotations: XML files.
        images: the images that they may describe.
        folder: the folder around both.
        root: the data root; ``file`` is relative to it.
        source: for the rows.
        empty: gets the images whose annotation has no object; None makes those a problem.

    Returns:
        Rows of a label table, problems (``file``, ``problem``), and the images that have an
        annotation, also one with problems.
    """
    matcher = _Matcher(images, folder)
    # First those whose own stem is an image's, so that no stale name takes it from them.
    unmatched = [voc for voc in matcher.read(annotations) if not matcher.claim_by_stem(voc)]
    matcher.claim_by_name(unmatched)
    rows = []
    for voc, image in sorted(matcher.found, key=lambda pair: pair[0].path):
        file = image.relative_to(root).as_posix()
        for class_name, box in matcher.fit(voc, image):
            row = {"file": file, "source": source, "class_name": class_name}
            row.update(zip(BOX_COLUMNS, box, strict=True))
            rows.append(row)
    if empty is None:
        matcher.note_empty()
    else:
        empty += [image.relative_to(root).as_posix() for image in matcher.list_empty()]
    problems = sorted(matcher.problems, key=lambda row: row["file"])
    return rows, problems, set(matcher.claimed)


class _Matcher:
    """Finds the image of each annotation, and collects problems; see ``match_voc``.

    Args:
        images: the images.
        folder: the folder around images and annotations.

    Attributes:
        found: annotations with their images.
        claimed: the annotation of each image that has one.
        problems: ``file``, ``problem``.
    """

    def __init__(self, images: Iterable[Path], folder: Path) -> None:
        self.found: list[tuple[VocFile, Path]] = []
        self.claimed: dict[Path, Path] = {}
        self.problems: list[dict[str, str]] = []
        self._empty: list[Path] = []  # annotations without a face
        self._folder = folder
        self._finder = _ImageFinder(images, folder)

    def read(self, annotations: Iterable[Path]) -> list[VocFile]:
        """Return the annotations that can be read."""
        files = []
        for path in sorted(annotations):
            try:
                voc = parse_voc(path)
            except LabelError as error:
                self._note(path, str(error))
                own = self._finder.find_by_stem(path, "")
                if len(own) == 1:  # it has an annotation, which is only unreadable
                    self.claimed.setdefault(own[0], path)
                continue
            for problem in voc.problems:
                self._note(path, problem)
            files.append(voc)
        return files

    def claim_by_stem(self, voc: VocFile) -> bool:
        """Give an annotation the image with its own stem. Return whether there is one."""
        path = voc.path
        own = self._finder.find_by_stem(path, voc.file_name)
        if not own:
            return False
        if len(own) > 1:
            self._note(path, f"{path} may describe {self._list(own)}: delete or rename the others.")
        elif own[0] in self.claimed:
            self._note(
                path,
                f"{path} and {self.claimed[own[0]]} describe one image, {own[0]}: the former is "
                "left out; delete one.",
            )
        else:
            self.claimed[own[0]] = path
            self.found.append((voc, own[0]))
            stem = PureWindowsPath(voc.file_name).stem
            if stem and stem != path.stem:
                self._note(
                    path,
                    f"{path} names {voc.file_name}, but has the name of {own[0].name}, which is "
                    "taken for its image: correct its <filename> or its name.",
                )
        return True

    def claim_by_name(self, files: Sequence[VocFile]) -> None:
        """Give annotations the images that they name, unless another annotation has them."""
        named = {voc.path: self._finder.find_by_name(voc.path, voc.file_name) for voc in files}
        rivals: dict[Path, list[Path]] = defaultdict(list)  # annotations that name an image
        for path, images in named.items():
            for image in images:
                rivals[image].append(path)
        for voc in files:
            path = voc.path
            images = named[path]
            if not images:
                self._note(
                    path,
                    f"{path} describes {voc.file_name or 'no image'}, which is not in "
                    f"{self._finder.describe_folder()}.",
                )
                continue
            if len(images) > 1:
                self._note(
                    path, f"{path} may describe {self._list(images)}: rename it after one of them."
                )
                continue
            others = [other for other in rivals[images[0]] if other != path]
            if images[0] in self.claimed:
                others.append(self.claimed[images[0]])
            if others:
                self._note(
                    path,
                    f"{path} names {voc.file_name}, which {others[-1]} describes too: it is left "
                    "out; correct its <filename>.",
                )
            else:
                self.found.append((voc, images[0]))
        self.claimed.update({image: voc.path for voc, image in self.found})

    def fit(self, voc: VocFile, image: Path) -> list[Face]:
        """Return the faces of an annotation in the pixels of its image."""
        faces, problems = fit_faces(voc, image)
        for problem in problems:
            self._note(voc.path, problem)
        if not faces and not problems and not voc.problems:
            self._empty.append(voc.path)
        return faces

    def list_empty(self) -> list[Path]:
        """Return the images whose annotation has no face."""
        return [image for voc, image in self.found if voc.path in self._empty]

    def note_empty(self) -> None:
        """Name the annotations without a face, in one problem."""
        if self._empty:
            names = name_some(path.name for path in self._empty)
            self._note(
                self._folder,
                f"{self._folder} holds annotations without a face, which are left out: {names}.",
            )

    def _note(self, path: Path, problem: str) -> None:
        self.problems.append({"file": path.name, "problem": problem})

    def _list(self, images: Iterable[Path]) -> str:
        return ", ".join(image.relative_to(self._folder).as_posix() for image in images)


class _ImageFinder:
    """Finds images by the stem or the name, near an annotation first.

    Args:
        images: the images.
        folder: the folder around images and annotations.
    """

    def __init__(self, images: Iterable[Path], folder: Path) -> None:
        self.folder = folder
        self._near: dict[tuple, list[Path]] = defaultdict(list)
        self._anywhere: dict[str, list[Path]] = defaultdict(list)
        self._near_names: dict[tuple, list[Path]] = defaultdict(list)
        self._names: dict[str, list[Path]] = defaultdict(list)
        for image in images:
            place = self._place(image)
            self._near[place, image.stem].append(image)
            self._anywhere[image.stem].append(image)
            self._near_names[place, image.name].append(image)
            self._names[image.name].append(image)

    def _place(self, path: Path) -> tuple[str, ...]:
        """Return the folders of a file, without those that only say what it is."""
        parts = path.relative_to(self.folder).parts[:-1]
        return tuple(
            part for part in parts if part.lower() not in (*ANNOTATION_FOLDERS, *IMAGE_FOLDERS)
        )

    def find_by_stem(self, path: Path, file_name: str) -> Sequence[Path]:
        """Return the images with the stem of an annotation; its file name decides if it can."""
        found = self._near.get((self._place(path), path.stem))
        found = found or self._anywhere.get(path.stem) or []
        named = [image for image in found if image.name == file_name]
        if len(named) == 1:
            return named
        return found

    def find_by_name(self, path: Path, file_name: str) -> Sequence[Path]:
        """Return the images with a name, or with its stem: a converted image keeps that."""
        place = self._place(path)
        stem = PureWindowsPath(file_name).stem
        return (
            self._near_names.get((place, file_name))
            or self._names.get(file_name)
            or self._near.get((place, stem))
            or self._anywhere.get(stem)
            or []
        )

    def describe_folder(self) -> Path:
        """Return where images were looked for."""
        images = self.folder / "images"
        return images if images.is_dir() else self.folder


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
    """Read all Pascal VOC files of a folder, in any layout, see ``match_voc``.

    A file that cannot be read becomes a row of the problems; the other files are still read.

    Args:
        folder: the folder of the images and XML files, with its subfolders.
        root: the data root; ``file`` is relative to it. None means the folder itself.

    Returns:
        The label table, and a table of problems (``file``, ``problem``).
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    listing = list_folder(folder)
    annotations = [path for path in listing.others if path.suffix.lower() == ".xml"]
    rows, problems, _ = match_voc(annotations, listing.images, folder, root, folder.name)
    return make_label_table(rows), pd.DataFrame(problems, columns=PROBLEM_COLUMNS)
