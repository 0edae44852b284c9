"""Find the image of each Pascal VOC file, in any layout of folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.boxes import BOX_COLUMNS
from utils.classes import LabelError
from utils.formats.find import ImageFinder
from utils.formats.labelled import Face, make_tables
from utils.formats.voc.read import UNKNOWN_SIZE, VocFile, clip_faces, parse_voc
from utils.images import ImageError, list_folder, name_below, read_upright_size
from utils.messages import name_some

if TYPE_CHECKING:
    import pandas as pd


def describe_wrong_size(
    path: str | Path, stated_wh: tuple[int, int], image: str | Path, image_wh: tuple[int, int]
) -> str:
    """Return the sentence for an annotation that is for an image of another size."""
    return f"{path} is for {stated_wh} pixels, {image} has {image_wh}: label it again."


def fit_faces(voc: VocFile, image: Path) -> tuple[list[Face], list[str]]:
    """Return the faces in the pixels of an image, and problems.

    If the image was resized since and kept its proportions, its boxes are scaled, and a problem
    says so.

    Args:
        voc: the file.
        image: its image. If it cannot be read, the stated size is believed.
    """
    stated_wh = voc.resolution_wh
    try:
        image_wh, _ = read_upright_size(image)
    except ImageError:
        image_wh = stated_wh
    if image_wh == stated_wh:
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
        empty: images whose annotation has no object are appended to it. With None, they are a
            problem.

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
        file = name_below(image, root)
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
        self._finder = ImageFinder(images, folder)

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
            stem, _ = os.path.splitext(voc.file_name)
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
    return make_tables(rows, problems)
