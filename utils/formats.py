"""Read the labels of a data root: class folders, Pascal VOC, COCO and YOLO.

``python -m utils.formats SRC DST --to FORMAT`` converts one, see ``convert_labels``.

``read_labels`` reads all folders of a data root into one label table.
"""

from __future__ import annotations

from utils.program import require_packages

if __name__ == "__main__":
    require_packages("pandas", "PIL", "yaml")  # before the modules below, which import them

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from utils.classes import CLASS_NAMES, LabelError, to_class_name
from utils.images import list_images
from utils.label_files import (
    Labels,
    Listed,
    find_coco_files,
    is_yolo_folder,
    read_coco_folder,
    read_yolo_folder,
)
from utils.labels import PROBLEM_COLUMNS, make_label_table
from utils.layouts import find_contradictions, list_source, list_sources, read_source
from utils.listing import is_mac_note
from utils.phrases import name_some
from utils.voc import read_voc, read_voc_folder, write_voc

__all__ = ["read_class_folders", "read_labels", "read_voc", "read_voc_folder", "write_voc"]

SHOWN_REASONS = 3  # that an error names if nothing can be used

# Reads one folder: (folder, root) -> (label table, table of problems).
FolderReader = Callable[[Path, Path], tuple[pd.DataFrame, pd.DataFrame]]


def _list_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones."""
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(path for path in visible if path.is_dir() and not is_mac_note(path.name))


def _read_class_folder(folder: Path, root: Path) -> pd.DataFrame:
    """Return the label table of a folder whose name is the class of all its images."""
    class_name = to_class_name(folder.name, folder)
    rows = []
    for path in list_images(folder):
        file = path.relative_to(root).as_posix()
        rows.append({"file": file, "source": folder.parent.name, "class_name": class_name})
    return make_label_table(rows)


def read_class_folders(folder: str | Path, root: str | Path | None = None) -> pd.DataFrame:
    """Read a folder that holds one folder for each class.

    Each image is one face. Hidden folders are skipped.

    Args:
        folder: the folder that holds the class folders.
        root: the data root; ``file`` is relative to it. None means the folder itself.

    Returns:
        The label table.

    Raises:
        LabelError: the name of a folder is not a class.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    tables = [make_label_table([])]
    for class_dir in _list_folders(folder):
        tables.append(_read_class_folder(class_dir, root))
    return pd.concat(tables, ignore_index=True)


def _choose_reader(folder: Path, readers: Mapping[str, FolderReader]) -> FolderReader | None:
    """Return the first reader whose file or folder exists in a folder, or None."""
    for name, reader in readers.items():
        if (folder / name).exists():
            return reader
    return None


def _choose_format(folder: Path, listed: Listed | None) -> FolderReader | None:
    """Return the reader of a folder of COCO or YOLO labels, or None."""
    read: Callable[[Path, Path], Labels]
    if find_coco_files(folder):
        read = read_coco_folder
    elif is_yolo_folder(folder):
        read = read_yolo_folder
    else:
        return None
    return lambda place, root: _make_tables(read(place, root), place, root, listed)


def _make_tables(
    labels: Labels, folder: Path, root: Path, listed: Listed | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return labels as a label table and a table of problems, with one for images without faces.

    Args:
        labels: what was read.
        folder: the folder of the labels.
        root: the data root.
        listed: gets the splits, and the images without a face, which are then no problem.
    """
    labelled = {row["file"] for row in labels.rows}
    if listed is not None:
        listed.add(labels.listed)
        labelled.update(labels.listed.empty)
    files = [path.relative_to(root).as_posix() for path in list_images(folder)]
    others = [file for file in files if file not in labelled]
    if others:
        labels.add_problem(
            folder.name, f"{folder} holds images without a labelled face: {name_some(others)}."
        )
    return make_label_table(labels.rows), pd.DataFrame(labels.problems, columns=PROBLEM_COLUMNS)


def _read_root(root: Path, reader: FolderReader) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a root that is itself one data set. Raise LabelError if it has no usable label."""
    labels, table = reader(root, root)
    problems = table.to_dict("records")
    if labels.empty:
        raise LabelError(_explain_nothing(root, problems))
    problems.extend(find_contradictions(labels, root))
    return labels, pd.DataFrame(problems, columns=PROBLEM_COLUMNS)


def read_labels(
    root: str | Path,
    readers: Mapping[str, FolderReader] | None = None,
    listed: Listed | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a data root.

    Each folder in it is a source, in one of the layouts that ``layouts`` reads: class folders and
    Pascal VOC files, nested or not; or it holds COCO or YOLO labels. The root itself may be one
    too. Images without labels are left out; each of these, and each file that cannot be used, is in
    the table of problems. A photograph in two classes is a problem and has both rows;
    ``curate.prepare_labels`` drops them.

    Args:
        root: the data root.
        readers: more readers, by the name of a file that marks their folders. A reader takes
            (folder, root) and returns a label table and a table of problems. The first match wins.
            A folder with such a reader may hold no labels yet.
        listed: gets the splits, and the images that are listed without a face, which are then no
            problem.

    Returns:
        The label table, whose ``source`` is the folder's name, and a table of problems (``file``,
        ``problem``).

    Raises:
        LabelError: the root does not exist, or no folder in it holds labelled images.
    """
    root = Path(root)
    if not root.is_dir():
        raise LabelError(f"There is no folder {root}: check the path.")
    root_reader = _choose_format(root, listed)
    if root_reader is not None:
        return _read_root(root, root_reader)
    sources, parts = list_sources(root)
    tables = [make_label_table([])]
    problems: list[dict] = []
    may_be_empty = False
    for folder in sources:
        reader = _choose_reader(folder, readers or {}) or _choose_format(folder, listed)
        if reader is not None:
            table, folder_problems = reader(folder, root)
            tables.append(table)
            problems.extend(folder_problems.to_dict("records"))
            if reader in (readers or {}).values():
                may_be_empty = True
            continue
        rows, source_problems = read_source(list_source(folder), folder, root, folder.name, listed)
        tables.append(make_label_table(rows))
        problems.extend(source_problems)

    files = list_source(root, recursive=False)
    for part in parts:
        files.add(list_source(part))
    rows, source_problems = read_source(files, root, root, root.resolve().name, listed)
    tables.append(make_label_table(rows))
    problems.extend(source_problems)

    labels = pd.concat(tables, ignore_index=True)
    if labels.empty and not may_be_empty:
        raise LabelError(_explain_nothing(root, problems))
    problems.extend(find_contradictions(labels, root))
    return labels, pd.DataFrame(problems, columns=PROBLEM_COLUMNS)


def _explain_nothing(root: Path, problems: list[dict]) -> str:
    """Return the sentences for a root without labels, with the first reasons."""
    text = (
        f"{root} holds no labelled images: it needs class folders ({', '.join(CLASS_NAMES)}), "
        "Pascal VOC, COCO or YOLO."
    )
    reasons = [row["problem"] for row in problems[:SHOWN_REASONS]]
    more = len(problems) - len(reasons)
    if reasons:
        text += f" {' '.join(reasons)}"
    if more > 0:
        are = "is 1 more such reason" if more == 1 else f"are {more} more such reasons"
        text += f" There {are}."
    return text


if __name__ == "__main__":
    from utils.convert_labels import main  # which imports this module

    main()
