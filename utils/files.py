"""The files that an argument means, and the names of their annotated copies."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from utils.images import IMAGE_SUFFIXES, list_images


class SourceError(ValueError):
    """A source that cannot be read. Its text is one sentence for a person."""


def is_text(path: Path) -> bool:
    """Whether a path's bytes are UTF-8, without which OpenCV's videos end the program."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """A sorting key that puts ``face2`` before ``face10``."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def _expand(argument: str, output: Path, unread: list[OSError]) -> list[Path]:
    """The files of one argument: itself, a folder's images, or a glob's; copies made earlier are passed over."""
    if not argument:
        raise SourceError("The name of an image is empty: name a file, a folder or a glob.")
    path = Path(argument)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = list_images(path, on_error=unread.append)
    elif glob.has_magic(argument):
        matches = [Path(match) for match in glob.glob(argument, recursive=True)]
        found = [
            match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES and match.is_file()
        ]
        found += [
            image
            for folder in matches
            if folder.is_dir()
            for image in list_images(folder, on_error=unread.append)
        ]
    else:
        raise SourceError(f"There is no file or folder {argument}: check the path.")
    root = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts)).resolve()
    if output not in (root, *root.parents):  # else the copies themselves are asked for
        found = [file for file in found if output not in file.resolve().parents]
    if not found and not unread:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise SourceError(f"{argument} holds no images ({kinds}): check the path.")
    return sorted(found, key=natural_key)


def find_images(
    arguments: Iterable[str], output: str | Path = "output"
) -> tuple[list[Path], list[str]]:
    """The image files that arguments mean: files as they are, the images of folders and of globs in natural order.

    Args:
        arguments: files, folders (with the folders below them) or globs, ``**`` included.
        output: the folder of annotated copies; those of an earlier run are not taken for sources.

    Returns:
        The files, each once, and a sentence for each argument that means none and each folder that cannot be read.
    """
    files: dict[Path, Path] = {}
    problems = []
    for argument in arguments:
        unread: list[OSError] = []
        try:
            for file in _expand(argument, Path(output).resolve(), unread):
                files.setdefault(file.resolve(), file)
        except SourceError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{argument} cannot be read ({error.strerror}): check the path.")
        problems += [
            f"The folder {one.filename} cannot be read ({one.strerror}): allow it."
            for one in unread
        ]
    return list(files.values()), problems


def name_copies(files: Sequence[Path], folder: str | Path, suffix: str = ".jpg") -> list[Path]:
    """A path in ``folder`` for the annotated copy of each file: its stem, numbered where another has it already.

    No two copies share a name, and none replaces a source or its neighbours.
    """
    folder = Path(folder)
    taken = set()
    if folder.is_dir() and any(file.parent.resolve() == folder.resolve() for file in files):
        taken = {path.name.casefold() for path in folder.iterdir()}
    copies, numbers = [], {}
    for file in files:
        stem = file.stem
        name, number = f"{stem}{suffix}", numbers.get(stem, 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}{suffix}"
        taken.add(name.casefold())
        numbers[stem] = number
        copies.append(folder / name)
    return copies
