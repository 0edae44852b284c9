"""Read the labels of a data root: class folders, Pascal VOC, COCO and YOLO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from utils.classes import CLASS_NAMES, LabelError
from utils.formats.coco import find_coco_files, read_coco_folder
from utils.formats.labelled import Labels, make_tables, settle_photographs
from utils.formats.layouts import list_source, list_sources, read_source
from utils.formats.yolo import is_yolo_folder, read_yolo_folder
from utils.images import list_images
from utils.messages import name_some

if TYPE_CHECKING:
    import pandas as pd

SHOWN_REASONS = 3  # that an error names if nothing can be used

NEEDS = f"it needs class folders ({', '.join(CLASS_NAMES)}), Pascal VOC, COCO or YOLO."

# Reads one folder: (folder, root) -> (label table, table of problems).
FolderReader = Callable[[Path, Path], "tuple[pd.DataFrame, pd.DataFrame]"]


def read_labels(
    root: str | Path, readers: Mapping[str, FolderReader] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a data root into a label table.

    Each folder in it is a source, in one of the layouts that ``layouts`` reads: class folders and
    Pascal VOC files, nested or not; or it holds COCO or YOLO labels. The root itself may be one
    too. Images without labels are left out; each of these, and each file that cannot be used, is in
    the table of problems. So is a photograph in two class folders: it is left out of both.

    Args:
        root: the data root.
        readers: more readers, by the name of a file that marks their folders. A reader takes
            (folder, root) and returns a label table and a table of problems. The first match wins.
            A folder with such a reader may hold no labels yet.

    Returns:
        The label table, whose ``source`` is the folder's name, and a table of problems (``file``,
        ``problem``).

    Raises:
        LabelError: the root does not exist, or no folder in it holds labelled images.
    """
    labels = read_root(root, readers)
    return make_tables(labels.rows, labels.problems)


def read_root(
    root: str | Path,
    readers: Mapping[str, FolderReader] | None = None,
    keep_empty: bool = False,
) -> Labels:
    """Read a data root as ``read_labels`` does, without pandas.

    Args:
        root: the data root.
        readers: see ``read_labels``.
        keep_empty: whether images that are listed without a face are no problem. They are in
            ``listed`` either way.

    Raises:
        LabelError: the root does not exist, or no folder in it holds labelled images.
    """
    root = Path(root)
    if not root.is_dir():
        raise LabelError(f"There is no folder {root}: check the path.")
    labels = Labels()
    may_be_empty = False
    read_all = _find_format(root)
    if read_all is not None:
        labels.add(_read_format(read_all, root, root, keep_empty))
    else:
        sources, parts = list_sources(root)
        for folder in sources:
            reader = _choose_reader(folder, readers or {})
            if reader is not None:
                may_be_empty = True
                table, problems = reader(folder, root)
                labels.rows.extend(table.to_dict("records"))
                labels.problems.extend(problems.to_dict("records"))
                continue
            read = _find_format(folder)
            if read is not None:
                labels.add(_read_format(read, folder, root, keep_empty))
            else:
                files = list_source(folder)
                labels.add(read_source(files, folder, root, folder.name, keep_empty))
        files = list_source(root, recursive=False)
        for part in parts:
            files.add(list_source(part))
        labels.add(read_source(files, root, root, root.resolve().name, keep_empty))
    is_labelled = bool(labels.rows)
    labels.rows, contradictions = settle_photographs(labels.rows, root)
    labels.problems.extend(contradictions)
    is_empty = not labels.rows and not (keep_empty and labels.listed.empty)
    if is_empty and not may_be_empty:
        text = f"{root} holds no labelled images: {NEEDS}"
        if is_labelled:
            text = f"The labelled images of {root} cannot be used: each is in two class folders."
        raise LabelError(text + _name_reasons(labels.problems))
    return labels


def _choose_reader(folder: Path, readers: Mapping[str, FolderReader]) -> FolderReader | None:
    """Return the first reader whose file or folder exists in a folder, or None."""
    for name, reader in readers.items():
        if (folder / name).exists():
            return reader
    return None


def _find_format(folder: Path) -> Callable[[Path, Path], Labels] | None:
    """Return the reader of a folder of COCO or YOLO labels, or None."""
    if find_coco_files(folder):
        return read_coco_folder
    if is_yolo_folder(folder):
        return read_yolo_folder
    return None


def _read_format(
    read: Callable[[Path, Path], Labels], folder: Path, root: Path, keep_empty: bool
) -> Labels:
    """Return the labels of a folder of COCO or YOLO labels, with a problem for other images.

    Args:
        read: the reader of the folder.
        folder: the folder.
        root: the data root.
        keep_empty: whether images that are listed without a face are no problem.
    """
    labels = read(folder, root)
    labelled = {row["file"] for row in labels.rows}
    if keep_empty:
        labelled.update(labels.listed.empty)
    files = [path.relative_to(root).as_posix() for path in list_images(folder)]
    others = [file for file in files if file not in labelled]
    if others:
        labels.add_problem(
            folder.name, f"{folder} holds images without a labelled face: {name_some(others)}."
        )
    return labels


def _name_reasons(problems: list[dict]) -> str:
    """Return the first problems as sentences, and how many more there are."""
    reasons = [row["problem"] for row in problems[:SHOWN_REASONS]]
    more = len(problems) - len(reasons)
    text = "".join(f" {reason}" for reason in reasons)
    if more > 0:
        are = "is 1 more such reason" if more == 1 else f"are {more} more such reasons"
        text += f" There {are}."
    return text
