"""Read the labels of a folder in the usual layouts: class folders and Pascal VOC, also nested.

An image with an XML file has the labels of that file. Any other image has the class of the folder
that it is in. Whatever is not used is a problem, so that nothing is lost silently.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.classes import LabelError, to_class_name
from utils.formats.find import ANNOTATION_FOLDERS, IMAGE_FOLDERS
from utils.formats.labelled import Labels, Listed, find_split
from utils.formats.voc import match_voc
from utils.images import (
    PassedOver,
    describe_passed_over,
    is_mac_note,
    list_folder,
    make_text,
    name_below,
    split_by_name,
)
from utils.messages import format_count, name_some

IMAGE_SETS = "ImageSets/Main"  # where Pascal VOC lists the images of each split
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass
class Files:
    """The files of one source.

    Attributes:
        images: image files.
        annotations: XML files.
        passed_over: image-like files that cannot be read, and archives.
    """

    images: list[Path] = field(default_factory=list)
    annotations: list[Path] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)

    def add(self, other: Files) -> None:
        """Add the files of another folder."""
        self.images.extend(other.images)
        self.annotations.extend(other.annotations)
        self.passed_over.extend(other.passed_over)


def list_source(folder: Path, recursive: bool = True) -> Files:
    """Return the files of a folder, without those in hidden folders.

    Args:
        folder: the folder.
        recursive: whether its subfolders count too.
    """
    listing = list_folder(folder, recursive=recursive, hidden=False)
    files = Files()
    files.images, files.passed_over = split_by_name(listing.images)
    for item in listing.passed_over:
        files.passed_over.append(PassedOver(make_text(item.file), item.reason))
    for path in listing.others:
        suffix = path.suffix.lower()
        if suffix == ".xml":
            files.annotations.append(path)
        elif suffix in ARCHIVE_SUFFIXES:
            reason = "an archive: unpack it if it holds images"
            files.passed_over.append(PassedOver(make_text(path), reason))
    return files


def list_sources(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders of a data root that are sources, and those that are parts of the root.

    The root itself is a source if it holds class folders, or an ``Annotations`` folder, alone or
    with its folder of images. Hidden folders are skipped, and links to what is in the root anyway.

    Returns:
        The sources and the parts, each sorted.
    """
    real_root = root.resolve()
    folders = []
    targets = set()
    entries = sorted(root.iterdir(), key=lambda path: (path.is_symlink(), path))
    for path in entries:
        if path.name.startswith(".") or is_mac_note(path.name) or not path.is_dir():
            continue
        target = path.resolve()
        leads_back = path.is_symlink() and (
            real_root.is_relative_to(target) or target.is_relative_to(real_root)
        )
        if leads_back or target in targets:
            continue
        targets.add(target)
        folders.append(path)
    folders.sort()

    parts = [folder for folder in folders if _is_class_folder(folder)]
    annotations = [
        folder
        for folder in folders
        if folder.name.lower() in ANNOTATION_FOLDERS and _holds_only_annotations(folder)
    ]
    if annotations:
        images = [folder for folder in folders if folder.name.lower() in IMAGE_FOLDERS]
        parts += annotations
        parts += [folder for folder in images if not list_source(folder).annotations]
    return [folder for folder in folders if folder not in parts], sorted(parts)


def _find_class(name: str) -> str | None:
    """Return the class that a folder is named after, or None."""
    try:
        return to_class_name(name)
    except LabelError:
        return None


def _is_class_folder(folder: Path) -> bool:
    """Return whether a folder is named after a class, and no folder in it is."""
    if _find_class(folder.name) is None:
        return False
    inner = [path.name for path in folder.iterdir() if path.is_dir()]
    return not any(_find_class(name) for name in inner)


def _holds_only_annotations(folder: Path) -> bool:
    files = list_source(folder)
    return bool(files.annotations) and not files.images


def read_source(
    files: Files, folder: Path, root: Path, source: str, keep_empty: bool = False
) -> Labels:
    """Return the labels of one source.

    Args:
        files: its files.
        folder: the folder around them.
        root: the data root; ``file`` is relative to it.
        source: for the rows.
        keep_empty: whether images whose annotation has no face are no problem.
    """
    listed = Listed(splits=_read_splits(files.images, folder, root))
    empty = listed.empty if keep_empty else None
    rows, problems, described = match_voc(
        files.annotations, files.images, folder, root, source, empty
    )
    unlabelled: list[Path] = []
    labelled: list[Path] = list(described)
    classes_of_folder: dict[str, list[str]] = {}
    for image in files.images:
        if image in described:
            continue
        place = os.path.dirname(image)
        if place not in classes_of_folder:
            classes_of_folder[place] = _find_classes(image, folder)
        class_names = classes_of_folder[place]
        file = name_below(image, root)
        if not class_names:
            unlabelled.append(image)
            continue
        labelled.append(image)
        if len(class_names) > 1:
            problem = f"{image} is in folders of {len(class_names)} classes: move it to one."
            problems.append({"file": file, "problem": problem})
            continue
        rows.append({"file": file, "source": source, "class_name": class_names[0]})
    problems += _describe_unlabelled(unlabelled, labelled, folder, root, source)
    for sentence in describe_passed_over(files.passed_over):
        problems.append({"file": source, "problem": sentence})
    return Labels(rows, problems, listed)


def _read_splits(images: Iterable[Path], folder: Path, root: Path) -> dict[str, str]:
    """Return the split of each image: from ``ImageSets/Main``, or the name of a folder."""
    split_of: dict[str, str] = {}
    for split in ("train", "val", "test"):
        path = folder / IMAGE_SETS / f"{split}.txt"
        if path.is_file():
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                split_of.setdefault(line.strip(), split)
    splits = {}
    split_of_folder: dict[str, str] = {}
    for image in images:
        if split_of:
            split = split_of.get(image.stem, "")
        else:
            place = os.path.dirname(image)
            if place not in split_of_folder:
                split_of_folder[place] = find_split(image.relative_to(root))
            split = split_of_folder[place]
        if split:
            splits[name_below(image, root)] = split
    return splits


def _find_classes(image: Path, folder: Path) -> list[str]:
    """Return the different classes that the folders of an image are named after."""
    parts = image.relative_to(folder).parts[:-1]
    names = [_find_class(part) for part in parts]
    return list(dict.fromkeys(name for name in names if name is not None))


def _describe_unlabelled(
    unlabelled: Sequence[Path], labelled: Iterable[Path], folder: Path, root: Path, source: str
) -> list[dict[str, str]]:
    """Return a problem for each folder of images without labels."""
    if not unlabelled:
        return []
    labelled_folders: set[Path] = set()
    for image in labelled:
        labelled_folders.update(image.parents)
    if folder not in labelled_folders:
        tops = sorted({path.relative_to(folder).parts[0] for path in unlabelled})
        names = [name for name in tops if (folder / name).is_dir()]
        reason = "they have no annotations and are in no folder that is named after a class"
        if names:
            reason = f"no folder in it ({name_some(names)}) is named after a class"
        count = format_count(len(unlabelled), "image")
        problem = f"{folder} holds {count} without labels, not used: {reason}."
        return [{"file": source, "problem": problem}]

    groups: dict[Path, list[Path]] = defaultdict(list)
    for image in unlabelled:
        above = [parent for parent in reversed(image.parents) if parent.is_relative_to(folder)]
        strange = [parent for parent in above if parent not in labelled_folders]
        groups[strange[0] if strange else image.parent].append(image)
    problems = []
    for place, images in groups.items():
        count = format_count(len(images), "image")
        file = place.relative_to(root).as_posix()
        if place in labelled_folders:
            shown = name_some(image.name for image in images)
            problem = (
                f"{place} holds {count} without labels beside labelled ones, not used: {shown}."
            )
        else:
            try:
                to_class_name(place.name, place)
            except LabelError as error:
                problem = f"{error} Not used: {count} in it."
        problems.append({"file": file if file != "." else source, "problem": problem})
    return problems
