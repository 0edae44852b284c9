"""Find the image files that arguments name, and name their annotated copies."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.addresses import hide_secrets, is_address
from utils.images import IMAGE_SUFFIXES, list_images

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts",
    ".wmv", ".flv", ".3gp", ".3g2", ".ogv", ".h264", ".264", ".h265", ".hevc", ".vob", ".asf",
    ".mjpg", ".mjpeg", ".dav",
)  # fmt: skip


class SourceError(ValueError):
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
    arguments: Iterable[str], output: str | Path = "output"
) -> tuple[list[Path], list[str]]:
    """Return the image files that arguments name: files, or images of folders and of globs.

    Images of folders and globs are in natural order.

    Args:
        arguments: files, folders (with their subfolders) or globs, ``**`` included.
        output: the folder of annotated copies. Copies of an earlier run are skipped, unless an
            argument names this folder or something in it.

    Returns:
        The files, each once, and one message for each argument without images and each folder that
        cannot be read.
    """
    output = Path(output).resolve()
    files: dict[Path, Path] = {}  # as given, by the resolved path
    problems = []
    for argument in arguments:
        unread: list[OSError] = []
        try:
            for file in _expand(argument, output, unread):
                files.setdefault(file.resolve(), file)
        except SourceError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{argument} cannot be read ({error.strerror}): check the path.")
        for folder_error in unread:
            problems.append(
                f"The folder {folder_error.filename} cannot be read ({folder_error.strerror}): "
                "change its permissions."
            )
    return list(files.values()), problems


def _expand(argument: str, output: Path, unread: list[OSError]) -> list[Path]:
    """Return the files of one argument in natural order, without copies of an earlier run.

    Args:
        argument: a file, a folder or a glob.
        output: the folder of annotated copies, resolved.
        unread: takes the errors of subfolders that cannot be read.

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
    if path.is_dir():
        found = list_images(path, on_error=unread.append)
    elif glob.has_magic(argument):
        found = _expand_glob(argument, unread)
    else:
        raise SourceError(f"There is no file or folder {hide_secrets(argument)}: check the path.")
    root = _fixed_part(path).resolve()
    is_in_output = output == root or output in root.parents
    if not is_in_output:
        found = [file for file in found if output not in file.resolve().parents]
    if not found and not unread:
        videos = _count_videos(path)
        if videos:
            raise SourceError(
                f"{argument} holds no images but {videos} video{'s' if videos > 1 else ''}: name "
                "one at a time with --video."
            )
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise SourceError(f"{argument} holds no images ({kinds}): check the path.")
    return sorted(found, key=natural_key)


def _count_videos(path: Path) -> int:
    """Return the number of videos that a folder, or a glob, holds."""
    if path.is_dir():
        files = (Path(name) for _, _, names in os.walk(path) for name in names)
    else:
        files = (Path(name) for name in glob.glob(str(path), recursive=True))
    return sum(file.suffix.lower() in VIDEO_SUFFIXES for file in files)


def _expand_glob(pattern: str, unread: list[OSError]) -> list[Path]:
    """Return the images that a glob matches, and those of the folders that it matches."""
    files = []
    for match in glob.glob(pattern, recursive=True):
        path = Path(match)
        if path.is_dir():
            files.extend(list_images(path, on_error=unread.append))
        elif path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            files.append(path)
    return files


def _fixed_part(path: Path) -> Path:
    """Return the part of a path before its first glob pattern."""
    fixed = []
    for part in path.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)


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
