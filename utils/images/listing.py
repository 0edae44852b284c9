"""Which images are in a folder, and which files are passed over.

``list_folder`` serves the script, the label reader, the crawl and the extraction. It opens only
files whose suffix is unknown, so a folder of thousands of photographs costs one listing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from utils.csv_lines import UNWRITABLE
from utils.images.kinds import (
    IMAGE_SUFFIXES,
    NO_IMAGE,
    READABLE,
    explain,
    is_companion,
    is_mac_note,
)
from utils.messages import name_some

NOT_A_FILE = "a device or a pipe: copy its content into a file"
WRONG_NAME = "an image whose name is not valid UTF-8: rename it"
CONTROL_IN_NAME = "an image whose name has a line break or a control character: rename it"
DEAD_LINK = "a link to a file that is missing: mend the link"


class PassedOver(NamedTuple):
    """A file that is not read as an image, and what it is and what to do."""

    file: Path
    reason: str


@dataclass
class Listing:
    """The files of a folder, each list sorted by path.

    Attributes:
        images: files to read as images.
        passed_over: image-like files that cannot be read, and files of an unknown kind.
        others: all other files, without the notes of a Mac.
    """

    images: list[Path] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def split_by_name(images: Iterable[Path]) -> tuple[list[Path], list[PassedOver]]:
    """Return the files whose names a table can hold, and the others as passed over.

    Tables are UTF-8, with a line for each row. What they cannot hold becomes escapes, such as
    ``Jos\\xe9.jpg``.
    """
    good = []
    bad = []
    for image in images:
        name = os.fspath(image)
        if not UNWRITABLE.search(name):
            good.append(image)
            continue
        try:
            name.encode()
        except UnicodeEncodeError:
            bad.append(PassedOver(make_text(image), WRONG_NAME))
        else:
            bad.append(PassedOver(make_text(image), CONTROL_IN_NAME))
    return good, bad


def make_text(path: Path) -> Path:
    """Return a path that a table can hold: other bytes and control characters become escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return Path(UNWRITABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text))


def name_below(path: Path, folder: Path) -> str:
    """Return the POSIX path of a file relative to a folder that it is in.

    It is ``path.relative_to(folder)`` for thousands of files, without making new paths.
    """
    prefix = folder.as_posix()
    text = path.as_posix()
    if prefix == ".":
        return text
    return text[len(prefix.rstrip("/")) + 1 :]


def list_folder(
    folder: str | Path,
    on_error: Callable[[OSError], None] | None = None,
    recursive: bool = True,
    hidden: bool = True,
) -> Listing:
    """Return the files of a folder and its subfolders.

    Folders behind links are followed, after the others. A folder is read once, however many links
    lead to it, and no link leads out of the folder to one that contains it.

    Args:
        folder: where to look.
        on_error: callback for the error of each subfolder that cannot be read. Such a folder is
            skipped.
        recursive: whether its subfolders count too.
        hidden: whether files and folders count whose names begin with a point.
    """
    listing = Listing()
    root = os.path.realpath(folder)
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(folder)]
    links: list[str] = []
    while waiting or links:
        if waiting:
            directory = waiting.pop()
        else:
            links.sort(reverse=True)
            directory = links.pop()
            if _contains(os.path.realpath(directory), root):
                continue
        try:
            status = os.stat(directory)
            key = (status.st_dev, status.st_ino)
            if key in seen:
                continue
            seen.add(key)
            with os.scandir(directory) as entries:
                for entry in entries:
                    if is_mac_note(entry.name) or (entry.name.startswith(".") and not hidden):
                        continue
                    if not _is_folder(entry):
                        _add_file(listing, entry)
                    elif not recursive:
                        continue
                    elif entry.is_symlink():
                        links.append(entry.path)
                    else:
                        waiting.append(entry.path)
        except OSError as error:
            if on_error is not None:
                on_error(error)
    _hide_companions(listing, Path(folder))
    # Sorted by their parts, as paths are, which takes a fifth of the time of comparing paths.
    listing.images.sort(key=lambda path: path.parts)
    listing.passed_over.sort()
    listing.others.sort(key=lambda path: path.parts)
    return listing


def _hide_companions(listing: Listing, folder: Path) -> None:
    """Move the companions of images from the files passed over to the others."""
    kept = []
    for item in listing.passed_over:
        if item.reason == NO_IMAGE and is_companion(name_below(item.file, folder)):
            listing.others.append(item.file)
        else:
            kept.append(item)
    listing.passed_over = kept


def _contains(folder: str, path: str) -> bool:
    """Return whether a folder is a path or contains it; both are resolved."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one. A link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _add_file(listing: Listing, entry: os.DirEntry[str]) -> None:
    """Add a file to the list that it belongs to."""
    path = Path(entry.path)
    suffix = os.path.splitext(entry.name)[1].lower()
    if not _is_file(entry):
        if suffix in IMAGE_SUFFIXES:
            kind = DEAD_LINK if entry.is_symlink() else NOT_A_FILE
            listing.passed_over.append(PassedOver(path, kind))
        return
    reason = explain(path)
    if reason == READABLE:
        listing.images.append(path)
    elif reason is None:
        listing.others.append(path)
    else:
        listing.passed_over.append(PassedOver(path, reason))


def describe_passed_over(passed_over: Iterable[PassedOver]) -> list[str]:
    """Return a sentence for each reason why files are passed over, with the first files' names."""
    files_of_reason: dict[str, list[Path]] = {}
    for file, reason in passed_over:
        files_of_reason.setdefault(reason, []).append(file)
    sentences = []
    for reason, files in files_of_reason.items():
        each = f"Each is {reason}"
        if reason == NO_IMAGE:
            each = f"None is an image: {_count_kinds(files)}"
        if len(files) == 1:
            sentences.append(f"{files[0]} is passed over. It is {reason}.")
        else:
            sentences.append(f"{len(files)} files are passed over ({name_some(files)}). {each}.")
    return sentences


def _count_kinds(files: Iterable[Path]) -> str:
    """Return how many files have which suffix, the most frequent first: "2 .ttf, 1 .pdf"."""
    counts = Counter(file.suffix.lower() or "without a suffix" for file in files)
    return ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
