"""Find the image files that arguments name, and name their annotated copies."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.images.kinds import (
    IMAGE_SUFFIXES,
    NO_IMAGE,
    READABLE,
    VIDEO_SUFFIXES,
    explain,
    is_companion,
    is_mac_note,
)
from utils.images.listing import PassedOver, describe_passed_over, list_folder, name_below
from utils.messages import UserError, hide_secrets, is_address

VIDEO = "a video: name it with --video"  # why a video is passed over


class SourceError(UserError, ValueError):
    """A source that cannot be read. The message is one sentence for the user."""


def is_utf8(path: Path) -> bool:
    """Return whether a path can be encoded as UTF-8. OpenCV ends the process on others."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Return a sorting key that puts ``face2`` before ``face10``."""
    key: list[tuple[int, int | str]] = []
    for part in re.split(r"(\d+)", path.as_posix().casefold()):
        if part.isdecimal():
            key.append((0, int(part)))
        else:
            key.append((1, part))
    return key


def find_images(
    arguments: Iterable[str],
    output: str | Path = "output",
    on_passed_over: Callable[[PassedOver], None] | None = None,
) -> tuple[list[Path], list[str]]:
    """Return the image files that arguments name: files, or images of folders and of globs.

    Images of folders and globs are in natural order.

    Args:
        arguments: files, folders (with their subfolders) or globs, ``**`` included.
        output: the folder of annotated copies. Copies of an earlier run are skipped, unless an
            argument names this folder or something in it.
        on_passed_over: callback for each file in a folder that is not among the images, because it
            cannot be read as one. Hidden files and notes about images are left out.

    Returns:
        The files, each once, and one message for each argument without images and each folder that
        cannot be read.
    """
    output = Path(output).resolve()
    files: dict[Path, Path] = {}  # as given, by the resolved path
    passed_over: dict[Path, PassedOver] = {}
    problems = []
    for argument in arguments:
        found = _Found()
        try:
            for file in _expand(argument, output, found):
                files.setdefault(file.resolve(), file)
        except SourceError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{argument} cannot be read ({error.strerror}): check the path.")
        else:
            passed_over.update((item.file, item) for item in found.passed_over)
        for folder_error in found.unread:
            problems.append(
                f"The folder {folder_error.filename} cannot be read ({folder_error.strerror}): "
                "change its permissions."
            )
    if on_passed_over is not None:
        for item in passed_over.values():
            on_passed_over(item)
    return list(files.values()), problems


@dataclass
class _Found:
    """What an argument names.

    Attributes:
        images: files to read.
        passed_over: images that cannot be read, videos, and other files.
        unread: the errors of folders that cannot be read.
    """

    images: list[Path] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    unread: list[OSError] = field(default_factory=list)

    def add_folder(self, folder: Path) -> None:
        listing = list_folder(folder, self.unread.append)
        self.images.extend(listing.images)
        self.passed_over.extend(listing.passed_over)
        for file in listing.others:
            if not is_companion(name_below(file, folder)):
                self._add_other(file)

    def add_file(self, file: Path) -> None:
        if is_mac_note(file.name):
            return
        reason = explain(file)
        if reason == READABLE:
            self.images.append(file)
        elif reason is not None:
            self.passed_over.append(PassedOver(file, reason))
        elif not is_companion(file.name):
            self._add_other(file)

    def _add_other(self, file: Path) -> None:
        is_video = file.suffix.lower() in VIDEO_SUFFIXES
        self.passed_over.append(PassedOver(file, VIDEO if is_video else NO_IMAGE))


def _expand(argument: str, output: Path, found: _Found) -> list[Path]:
    """Return the files of one argument in natural order, without copies of an earlier run.

    Args:
        argument: a file, a folder or a glob.
        output: the folder of annotated copies, resolved.
        found: takes what the argument names.

    Raises:
        SourceError: the argument names no image.
    """
    if not argument:
        raise SourceError("The name of an image is empty: name a file, a folder or a glob.")
    path = Path(argument)
    if os.path.isfile(argument):
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise SourceError(f"{argument} is a video: name it with --video.")
        return [path]
    if is_address(argument):
        raise SourceError(
            f"{hide_secrets(argument)} is an address: name a stream with --video, or download a "
            "picture and name its file."
        )
    if re.fullmatch(r"/dev/video\d+", argument):
        raise SourceError(f"{argument} is a camera: name it with --video.")
    root = path
    if path.is_dir():
        found.add_folder(path)
    elif glob.has_magic(argument):
        root = _find_fixed_part(path)
        if not root.is_dir():
            raise SourceError(f"There is no folder {root}: check the path.")
        for match in _match_glob(root, path, found.unread.append):
            if match.is_dir():
                found.add_folder(match)
            elif match.is_file():
                found.add_file(match)
    else:
        raise SourceError(f"There is no file or folder {hide_secrets(argument)}: check the path.")
    root = root.resolve()
    is_in_output = output == root or output in root.parents
    if not is_in_output:
        found.images = [file for file in found.images if output not in file.resolve().parents]
        found.passed_over = [
            item for item in found.passed_over if output not in item.file.resolve().parents
        ]
    if not found.images and not found.unread:
        raise SourceError(_explain_nothing(argument, found.passed_over))
    return sorted(found.images, key=natural_key)


def names_folder(arguments: Iterable[str], folder: str | Path) -> bool:
    """Return whether arguments of ``find_images`` name a folder or files that are directly in it.

    Annotated copies that are written to this folder are then taken for images by the next run.
    """
    folder = Path(folder).resolve()
    for argument in arguments:
        path = Path(argument)
        if path.is_file():
            root = path.parent
        elif path.is_dir():
            root = path
        else:
            root = _find_fixed_part(path)
        if root.resolve() == folder:
            return True
    return False


def _explain_nothing(argument: str, passed_over: Sequence[PassedOver]) -> str:
    """Return the sentence for a folder or a glob without images that can be read."""
    videos = sum(item.reason == VIDEO for item in passed_over)
    others = [item for item in passed_over if item.reason == NO_IMAGE]
    images = [item for item in passed_over if item.reason not in (VIDEO, NO_IMAGE)]
    if images:
        reasons = " ".join(describe_passed_over(images))
        return f"{argument} holds no images that can be read. {reasons}"
    if videos:
        return (
            f"{argument} holds no images but {videos} video{'s' if videos > 1 else ''}: name one "
            "at a time with --video."
        )
    kinds = ", ".join(IMAGE_SUFFIXES)
    sentences = [f"{argument} holds no images ({kinds}): check the path."]
    return " ".join([*sentences, *describe_passed_over(others)])


def _find_fixed_part(pattern: Path) -> Path:
    """Return the part of a path before its first glob pattern.

    A folder that exists is no pattern, even if it is called "holiday [2020]".
    """
    fixed = Path()
    for part in pattern.parts:
        if glob.has_magic(part) and not os.path.lexists(fixed / part):
            break
        fixed /= part
    return fixed


def _match_glob(root: Path, pattern: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the files and folders below a folder that match a pattern.

    Args:
        root: the fixed part of the pattern.
        pattern: the whole pattern.
        on_error: callback for the error of each folder that cannot be read.
    """
    parts = pattern.parts[len(root.parts) :]
    if "**" in parts:
        # ``glob`` follows links that lead back without end.
        simple = parts[: parts.index("**")]
        below = parts[len(simple) :]
        for folder in _glob_simple(root, simple):
            yield from _match_below(folder, below, on_error)
        return
    found = list(_glob_simple(root, parts))
    if not found:  # brackets in the names of folders behind the first pattern
        found = list(_glob_simple(root, [part.replace("[", "[[]") for part in parts]))
    yield from found


def _glob_simple(root: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield what matches a pattern without ``**`` below a folder."""
    if not parts:
        yield root
        return
    start = glob.escape(str(root)) if root.parts else ""
    for match in glob.iglob(os.path.join(start, *parts)):
        yield Path(match)


def _match_below(
    folder: Path, pattern: Sequence[str], on_error: Callable[[OSError], None]
) -> Iterator[Path]:
    """Yield the files below a folder that match a pattern with ``**``, or are in a match."""
    listing = list_folder(folder, on_error)
    files = [*listing.images, *listing.others, *(item.file for item in listing.passed_over)]
    for file in files:
        parts = file.relative_to(folder).parts
        if any(_matches(parts[:end], pattern) for end in range(1, len(parts) + 1)):
            yield file


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a path match the parts of a pattern, as in a shell."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if _matches(parts, pattern[1:]):
            return True
        if not parts or parts[0].startswith("."):
            return False
        return _matches(parts[1:], pattern)
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def name_copies(files: Sequence[Path], folder: str | Path, suffix: str = ".jpg") -> list[Path]:
    """Return a path in a folder for the annotated copy of each file.

    A copy has the stem of its file, with a number if that name is taken. All names differ, also
    where a file system ignores case. If sources are in the folder itself, no copy has the name of
    a file there.

    Args:
        files: the source files.
        folder: the folder of the copies.
        suffix: of the copies.
    """
    folder = Path(folder)
    taken = set()
    holds_sources = any(file.parent.resolve() == folder.resolve() for file in files)
    if holds_sources and folder.is_dir():
        taken = {path.name.casefold() for path in folder.iterdir()}
    copies = []
    last_numbers: dict[str, int] = {}
    for file in files:
        stem = file.stem
        name = f"{stem}{suffix}"
        number = last_numbers.get(stem, 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}{suffix}"
        taken.add(name.casefold())
        last_numbers[stem] = number
        copies.append(folder / name)
    return copies
