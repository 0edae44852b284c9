"""Prepare a data set: make the label table that training reads from a data root.

``prepare_labels`` does all steps: it reads the labels, corrects them, adds background, groups
near-duplicates, and makes the split (``group_and_split``).
``open_labels`` reads the table that notebook 01 wrote, or makes it with the defaults.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from utils.annotate import JOURNAL_NAME, read_hand_folder
from utils.boxes import sample_background
from utils.classes import LabelError, to_class_name
from utils.collect import REBUILT_LABELS, SOURCES, find_broken_images
from utils.curate.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    hash_images,
)
from utils.curate.source import DataSource
from utils.curate.split import SPLIT_FILE, keep_sides, split_by_group
from utils.detect import Detector, find_faces, load_detector
from utils.formats import SHOWN_REASONS, read_labels, settle_photographs
from utils.images import list_images
from utils.labels import (
    BOX_COLUMNS,
    COLUMNS,
    apply_corrections,
    make_label_table,
    make_problem_table,
)
from utils.paths import DATA_DIR
from utils.tables import read_rows, read_table, replace_rows

CORRECTIONS_FILE = DATA_DIR / "label_corrections.csv"  # wrong labels of the public sets
MISTAKES_FILE = DATA_DIR / "detector_mistakes.csv"  # things that a detector took for a face
LABELS_FILE = "labels.csv"  # the label table, in the folder where a run writes
# A box of the detector with more confidence is not used as background.
SUSPICION = 0.25
# Smallest and largest side of background boxes, in pixels: the sizes of things that detectors take
# for a face.
BACKGROUND_SIZES = (12, 120)
CLEAR_CONFIDENCE = 0.7  # a face found with more confidence is the face of a whole-image label
BACKGROUND_PER_PHOTOGRAPH = 2  # background boxes in a photograph with labelled boxes
BACKGROUND_PER_WHOLE_IMAGE = 1  # background boxes in an image that has one label as a whole


def open_labels(data: DataSource, file: str | Path | None = None) -> pd.DataFrame:
    """Read the label table of the photographs, or make it if there is none; print what was done.

    On the sample the table is always made, which takes seconds.

    Args:
        data: the photographs.
        file: the label table. None means ``labels.csv`` in the folder where the run writes.

    Returns:
        The label table with ``group`` and ``split``.

    Raises:
        LabelError: nothing is labelled, or the table is not about these photographs.
        TableError: the table cannot be read.
    """
    path = Path(file) if file else data.output / LABELS_FILE
    if path.exists() and not (data.is_sample and file is None):
        table = read_table(path, [*COLUMNS, "split"])
    elif file is None:
        print(f"Making the label table {path.as_posix()}.")
        table, problems = prepare_labels(data.root, load_background_detector(data.is_sample))
        if len(problems):
            print(f"Left out, see notebook 01: {len(problems)}. The first: {problems.problem[0]}")
        replace_rows(path, table)
        table = read_table(path, [*COLUMNS, "split"])
    else:
        raise LabelError(f"There is no label table {path}: check the path, or run notebook 01.")
    _check_photographs(table, path, data.root)
    return table


def _check_photographs(table: pd.DataFrame, path: Path, root: Path) -> None:
    """Print what a label table covers. Raise LabelError if it names missing photographs."""
    files = table.file.unique()
    missing = [file for file in files if not (root / file).is_file()]
    if missing:
        raise LabelError(
            f"{path} names photographs that are not in {root} ({len(missing)}; {missing[0]} is "
            "one): make the table again with notebook 01, or delete it to have it made here."
        )
    print(f"Label table: {path.as_posix()}, {len(table):,} rows of {len(files):,} photographs.")
    labelled = {file.partition("/")[0] for file in files}
    images = [image.relative_to(root) for image in list_images(root)]
    folders = {image.parts[0] for image in images if len(image.parts) > 1}
    if folders - labelled:
        names = ", ".join(sorted(folders - labelled))
        print(f"Folders without labels: {names}. If you label them, run notebook 01 again.")


def load_background_detector(is_sample: bool) -> Detector:
    """Return the detector that keeps unlabelled faces out of the background.

    It is YuNet, or this project's detector where YuNet was not fetched, and for the sample.
    """
    if not is_sample:
        try:
            # It finds small faces in enlarged photographs only.
            return load_detector("yunet", SUSPICION, scales=(2.0,))
        except FileNotFoundError:
            print("YuNet is not here (`make detectors` fetches it): our detector stands in.")
    return load_detector("fcos", SUSPICION)


def prepare_labels(
    root: str | Path, detector: Detector, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a data root into a label table that is corrected, grouped and split.

    Known mistakes of detectors and background are added as ``no_face`` rows. Images that cannot be
    read, and photographs in folders of two classes, are left out and reported.

    Args:
        root: the data root.
        detector: finds faces at a low confidence, see ``find_background``.
        seed: seed of the background boxes and of the split.

    Returns:
        The label table with ``group`` and ``split``, and a table of problems (``file``,
        ``problem``).

    Raises:
        LabelError: nothing is labelled.
    """
    table, problems = read_data(root)
    if table.empty:
        reasons = " ".join(problems.problem[:SHOWN_REASONS])
        raise LabelError(
            f"Nothing in {root} is labelled yet: label some faces by hand, then go on from here. "
            f"{reasons}".strip()
        )
    broken = find_broken_images(Path(root) / file for file in table.file.unique())
    broken["file"] = [Path(file).relative_to(root).as_posix() for file in broken.file]
    problems = pd.concat([problems, broken], ignore_index=True)
    table = table[~table.file.isin(broken.file)]
    corrections = read_table(CORRECTIONS_FILE, ["file", *BOX_COLUMNS, "class_name"])
    table = apply_corrections(table, corrections)
    # A correction may give one of two equal files another class.
    _, contradictions = settle_photographs(table.to_dict("records"), root)
    table = table[~table.file.isin([row["file"] for row in contradictions])]
    problems = pd.concat([problems, make_problem_table(contradictions)], ignore_index=True)
    mistakes = _read_mistakes(table)
    background = find_background(table, root, detector, seed)
    table = pd.concat([table, mistakes, background], ignore_index=True)
    return group_and_split(table, root, seed), problems


def read_data(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the labels of a data root: class folders, Pascal VOC folders and crawl folders.

    The labels of a crawl folder are in ``hand_labels.csv`` and, if it was rebuilt from a shared
    list, in ``labels.csv``. A hand label replaces the face's label from ``labels.csv``. A crawl
    folder that is not labelled yet has no rows: its folders are named after search phrases, not
    after classes.

    Returns:
        The label table and a table of problems (``file``, ``problem``), as ``formats.read_labels``.

    Raises:
        LabelError: as ``formats.read_labels``, or the root is a crawl folder itself.
    """
    root = Path(root)
    if (root / JOURNAL_NAME).is_file():
        raise LabelError(
            f"{root} holds {JOURNAL_NAME} itself, whose files are named from the folder above: "
            f"name {root.resolve().parent} instead."
        )
    readers = {
        JOURNAL_NAME: _read_crawl_folder,
        REBUILT_LABELS: _read_crawl_folder,
        SOURCES: _read_crawl_folder,
    }
    return read_labels(root, readers)


def _read_crawl_folder(folder: Path, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels of a crawl folder, hand labels first, and a table of problems."""
    table, problems = read_hand_folder(folder, root)
    try:
        rebuilt = _read_rebuilt_labels(folder / REBUILT_LABELS)
    except ValueError as error:  # an unknown class, a damaged table, or a box that is not a number
        problems.loc[len(problems)] = [f"{folder.name}/{REBUILT_LABELS}", str(error)]
    else:
        table = pd.concat([table, rebuilt])
        table = table.drop_duplicates(["file", *BOX_COLUMNS], ignore_index=True)
    return table, problems


def _read_rebuilt_labels(path: Path) -> pd.DataFrame:
    """Read the labels of a rebuilt folder. There are none if the file does not exist."""
    rows = read_rows(path, COLUMNS)[COLUMNS]
    class_names = [to_class_name(name, path) for name in rows.class_name]
    boxes = rows[BOX_COLUMNS].replace("", np.nan)
    rows = rows.assign(class_name=class_names, **boxes)
    return make_label_table(rows.to_dict("records"))


def _read_mistakes(table: pd.DataFrame) -> pd.DataFrame:
    """Read the known mistakes of detectors in the photographs of a label table, as label rows."""
    mistakes = read_table(MISTAKES_FILE, ["file", *BOX_COLUMNS, "class_name"])
    mistakes = mistakes[mistakes.file.isin(table.file)]
    source_of_file = table.drop_duplicates("file").set_index("file").source
    mistakes = mistakes.assign(source=mistakes.file.map(source_of_file))
    return make_label_table(mistakes.to_dict("records"))


def find_background(
    table: pd.DataFrame, root: str | Path, detector: Detector, seed: int = 0
) -> pd.DataFrame:
    """Find boxes of faces in whole images, and boxes of background.

    There are two kinds of new rows:

    - The box of the face in an image with a whole-image label, if the detector finds exactly one
      clear face. With it, the classifier is trained on crops as close as those it gets later.
    - ``no_face`` boxes that overlap neither a labelled face nor a detected face.

    Args:
        table: a label table.
        root: the data root.
        detector: finds faces at a low confidence, so that unlabelled faces do not become
            background.
        seed: seed of the background boxes.

    Returns:
        A label table of the new rows.
    """
    rng = np.random.default_rng(seed)
    whole_images = table[table.x_min.isna()].set_index("file")
    boxed = dict(tuple(table.dropna(subset=BOX_COLUMNS).groupby("file")))
    files = [Path(root) / file for file in table.file.unique()]
    rows: list[dict] = []
    for path, image, found in find_faces(files, detector):
        file = path.relative_to(root).as_posix()
        if file in boxed:
            source = boxed[file].source.iloc[0]
            faces = np.concatenate([boxed[file][BOX_COLUMNS].to_numpy(), found.xyxy])
            count = BACKGROUND_PER_PHOTOGRAPH
        elif len(found) == 1 and found.confidence[0] > CLEAR_CONFIDENCE:
            source = whole_images.source[file]
            class_name = whole_images.class_name[file]
            rows.append(_make_row(file, source, class_name, found.xyxy[0].round()))
            faces = found.xyxy
            count = BACKGROUND_PER_WHOLE_IMAGE
        else:
            continue
        height, width = image.shape[:2]
        for box in sample_background(faces, (width, height), count, rng, BACKGROUND_SIZES):
            rows.append(_make_row(file, source, "no_face", box))
    return make_label_table(rows)


def _make_row(file: str, source: str, class_name: str, box: np.ndarray) -> dict:
    """Return a row of a label table."""
    corners = dict(zip(BOX_COLUMNS, box, strict=True))
    return {"file": file, "source": source, "class_name": class_name, **corners}


def group_and_split(table: pd.DataFrame, root: str | Path, seed: int = 0) -> pd.DataFrame:
    """Return the label table with ``group`` and ``split``.

    Near-duplicates share a group, and a group is on one side of the split. Photographs in
    ``data/split.csv`` and their near-duplicates stay on their side. The others are split 80/10/10.

    Args:
        table: a label table.
        root: the data root.
        seed: seed of the split.
    """
    files = sorted(table.file.unique())
    hashes = hash_images([Path(root) / file for file in files])
    group = group_near_duplicates(find_near_duplicates(hashes), len(files))
    group_of_file = dict(zip(files, group, strict=True))
    table = table.assign(group=table.file.map(group_of_file))
    known = keep_sides(table, read_table(SPLIT_FILE, ["file", "split"]))
    drawn = split_by_group(table, seed=seed)
    return table.assign(split=known.fillna(drawn))
