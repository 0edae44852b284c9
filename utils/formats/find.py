"""Find the image that a label file describes, by its path, its name or the label file's name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from utils.classes import LabelError
from utils.images import list_images

# Folders that hold annotations or images of the folder around them, in small letters.
ANNOTATION_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")
IMAGE_FOLDERS = ("images", "image", "jpegimages", "img", "imgs", "photos")


def index_images(folder: Path) -> dict[str, list[Path]]:
    """Return the images of a folder and its subfolders, by file name without case."""
    index: dict[str, list[Path]] = {}
    for path in list_images(folder):
        index.setdefault(path.name.casefold(), []).append(path)
    return index


def find_image(
    name: str, places: Iterable[Path], index: dict[str, list[Path]], label_file: Path
) -> Path:
    """Return the image that a label file names.

    Args:
        name: its POSIX path as written.
        places: folders to which the path may be relative, the most likely first.
        index: see ``index_images``; serves if the path is of another computer.
        label_file: the file that names it.

    Raises:
        LabelError: the image is not there, or several images have its name.
    """
    path = PurePosixPath(name)
    known = index.get(path.name.casefold(), [])
    if not path.is_absolute() and ".." not in path.parts:
        for place in places:
            if place / path in known:
                return place / path
    if len(known) == 1:
        return known[0]
    if known:
        raise LabelError(
            f"{label_file} describes {name}, and {len(known)} images are called {path.name}: write "
            "the path of the right one."
        )
    raise LabelError(
        f"{label_file} describes {name or 'an image without a name'}, which is missing."
    )


class ImageFinder:
    """Finds images by the stem or the name, near an annotation first.

    Args:
        images: the images.
        folder: the folder around images and annotations.
    """

    def __init__(self, images: Iterable[Path], folder: Path) -> None:
        self.folder = folder
        self._place_of_folder: dict[str, tuple[str, ...]] = {}
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
        around = os.path.dirname(path)
        if around not in self._place_of_folder:
            parts = path.relative_to(self.folder).parts[:-1]
            self._place_of_folder[around] = tuple(
                part for part in parts if part.lower() not in (*ANNOTATION_FOLDERS, *IMAGE_FOLDERS)
            )
        return self._place_of_folder[around]

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
