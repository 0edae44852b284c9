"""What the training commands read: a folder of labelled photographs, and photographs seen before.

``open_dataset`` reads a folder into a label table, split by groups of near-duplicates.
``load_earlier`` returns photographs of the shipped models' data: those of test, to measure what a
model still knows after it was trained further, and those of train, to repeat.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from utils import curate
from utils.classes import MASK_CLASSES, LabelError
from utils.collect import find_broken_images
from utils.curate.prepare import SUSPICION
from utils.curate.source import USE_SAMPLE
from utils.detect import load_detector
from utils.formats import read_labels
from utils.images import list_images
from utils.labels import BOX_COLUMNS, COLUMNS, PROBLEM_COLUMNS, apply_corrections
from utils.messages import format_count
from utils.paths import RAW_DIR, SAMPLE_DIR
from utils.tables import read_table, replace_rows
from utils.train.loop import make_run_name
from utils.train.runs import digest_files, write_settings

LABELS = "labels.csv"  # the label table, in the folder of a run
LEFT_OUT = "left_out.csv"  # what could not be used
SYNTHETIC = "maskedface-net"  # a source with drawn masks, which the shipped models do not use
PER_SOURCE = (
    250  # photographs of each earlier source that are tested, and as many that are repeated
)


@dataclass(frozen=True)
class Dataset:
    """A folder of labelled photographs.

    Attributes:
        root: the folder.
        labels: its label table, as it was read.
        digest: of labels and photographs.
    """

    root: Path
    labels: pd.DataFrame
    digest: str


@dataclass(frozen=True)
class Earlier:
    """Photographs of the data that the shipped models were trained and tested on.

    Attributes:
        root: their folder.
        test: label table of faces that no training of ours has seen.
        train: label table of faces to repeat; empty on the sample.
        is_sample: whether they are the drawn pictures that ship.
    """

    root: Path
    test: pd.DataFrame
    train: pd.DataFrame
    is_sample: bool


def open_dataset(root: str | Path) -> Dataset:
    """Read the labels of a folder and identify its photographs.

    Args:
        root: a folder in any layout that ``formats.read_labels`` reads.

    Raises:
        LabelError: there is no such folder, or it holds no labelled photographs.
    """
    root = Path(root)
    labels, _ = curate.read_data(root)
    if labels.empty:
        raise LabelError(
            f"Nothing in {root} is labelled: label some faces first, such as in notebook 01."
        )
    files = labels.file.unique()
    digest = f"{digest_files(root, files)}-{len(files)}"
    return Dataset(root=root, labels=labels, digest=digest)


def open_run(
    dataset: Dataset, runs: str | Path, network: str, settings: Mapping[str, object]
) -> Path:
    """Return the folder of a run, print its name, and write the settings into it.

    The same data and settings give the same folder, in which the training resumes.

    Args:
        dataset: from ``open_dataset``.
        runs: the folder of all runs.
        network: "classifier" or "detector".
        settings: what determines the training beside its data.
    """
    name = make_run_name(dataset.labels, dataset.digest, *map(str, settings.values()))
    run_dir = Path(runs) / f"{network}-{name}"
    run_dir.mkdir(parents=True, exist_ok=True)
    print(f"The folder of this run: {run_dir}.")
    recorded = {"network": network, "folder": dataset.root, **settings}
    write_settings(run_dir, recorded, dataset.digest)
    return run_dir


def split_dataset(dataset: Dataset, run_dir: str | Path, seed: int = 0) -> pd.DataFrame:
    """Return the label table of a folder with ``group`` and ``split``, see ``prepare_labels``.

    The table is kept in the run's folder, so that a run that resumes does not make it again. What
    was left out is written beside it and counted on the terminal.

    Args:
        dataset: from ``open_dataset``.
        run_dir: the folder of the run.
        seed: of the split.

    Raises:
        LabelError: nothing can be used.
    """
    path = Path(run_dir) / LABELS
    if not path.exists():
        # Our detector, and not the best one that is here: the same table on every machine.
        table, problems = curate.prepare_labels(
            dataset.root, load_detector("fcos", SUSPICION), seed=seed
        )
        replace_rows(path.with_name(LEFT_OUT), problems)
        replace_rows(path, table)
    problems = read_table(path.with_name(LEFT_OUT), PROBLEM_COLUMNS)
    if len(problems):
        print(
            f"Left out: {format_count(len(problems), 'file or label', 'files or labels')}, listed "
            f"in {path.with_name(LEFT_OUT)}. The first: {problems.problem[0]}"
        )
    return read_table(path, [*COLUMNS, "group", "split"])


def check_split(table: pd.DataFrame, root: str | Path, boxed: bool = False) -> None:
    """Check that a table can be trained on, validated on and tested on.

    Args:
        table: a label table with ``group`` and ``split``.
        root: the folder, for the message.
        boxed: whether only faces with a box count.

    Raises:
        LabelError: a side is empty, or all faces are of one class.
    """
    faces = select_faces(table)
    if boxed:
        faces = faces.dropna(subset=BOX_COLUMNS)
    classes = sorted(set(faces.class_name))
    if len(classes) == 1 and not boxed:
        raise LabelError(
            f"{root} shows only faces of the class {classes[0]}: add photographs of another class, "
            f"of {', '.join(name for name in MASK_CLASSES if name != classes[0])}."
        )
    missing = {"train", "val", "test"} - set(faces.split)
    if missing:
        photographs = format_count(faces.file.nunique(), "photograph")
        kind = "with boxes of faces " if boxed else ""
        raise LabelError(
            f"{root} has {photographs} {kind}in {faces.group.nunique()} groups of near-duplicates, "
            "too few for training, validation and test: add photographs, a hundred or more."
        )


def select_faces(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per face: no background, and no whole image whose face has a box."""
    faces = table[table.class_name.isin(MASK_CLASSES)]
    has_box = faces.x_min.notna()
    is_repeated = ~has_box & faces.file.isin(faces.file[has_box])
    return faces[~is_repeated]


def select_labelled(table: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return the faces of a split table as they are labelled: boxes, or whole images.

    The boxes that a detector drew in whole images are left out.
    """
    boxed = dataset.labels.dropna(subset=BOX_COLUMNS).file
    is_labelled = table.x_min.isna() | table.file.isin(boxed)
    return table[is_labelled & table.class_name.isin(MASK_CLASSES)].reset_index(drop=True)


def describe_split(table: pd.DataFrame) -> str:
    """Return one line with the photographs, groups and faces of a split table."""
    faces = select_faces(table)
    sides = []
    for side, name in (("train", "train"), ("val", "validate"), ("test", "test")):
        sides.append(f"{int((faces.split == side).sum())} to {name}")
    photographs = format_count(faces.file.nunique(), "photograph")
    groups = format_count(faces.group.nunique(), "group")
    classes = faces.class_name.value_counts()
    counts = [f"{classes[name]} {name}" for name in MASK_CLASSES if name in classes]
    return (
        f"{photographs} in {groups} of near-duplicates, each group on one side; "
        f"{format_count(len(faces), 'face')} ({', '.join(counts)}): {', '.join(sides)}."
    )


def load_earlier(
    dataset: Dataset, table: pd.DataFrame, seed: int = 0, per_source: int = PER_SOURCE
) -> Earlier:
    """Return earlier photographs: of ``data/raw`` if there are any, else the sample's.

    Those in the folder to train on, and test photographs with a near-duplicate in it, are left out.

    Args:
        dataset: the folder to train on.
        table: its label table.
        seed: of the draw.
        per_source: photographs of each source that are drawn for ``test`` at most; ``train`` has
            at most ``PER_SOURCE``.
    """
    is_sample = bool(os.environ.get(USE_SAMPLE)) or not _has_images(RAW_DIR)
    root = SAMPLE_DIR if is_sample else RAW_DIR
    labels, _ = read_labels(root)
    folder = dataset.root.resolve()
    inside = []
    for file in labels.file.unique():
        if (root / file).resolve().is_relative_to(folder):
            inside.append(file)
    labels = select_faces(labels[~labels.file.isin(inside)])
    if is_sample:
        test = labels
        train = labels.head(0)
    else:
        corrections = read_table(curate.CORRECTIONS_FILE, ["file", *BOX_COLUMNS, "class_name"])
        labels = apply_corrections(labels, corrections)
        split = read_table(curate.SPLIT_FILE, ["file", "split"]).set_index("file").split
        side = labels.file.map(split)
        test = _draw_photographs(labels[side == "test"], per_source, seed)
        train = labels[(side == "train") & (labels.source != SYNTHETIC)]
        train = _draw_photographs(train, PER_SOURCE, seed)
    train, _ = drop_broken(train, root)
    test, _ = drop_broken(test, root)
    test = _drop_copies(test, root, table.file.unique(), dataset.root)
    return Earlier(root=root, test=test, train=train, is_sample=is_sample)


def describe_earlier(earlier: Earlier) -> str:
    """Return a sentence that says what the scores on earlier photographs are worth."""
    if earlier.is_sample:
        return (
            "The photographs that the shipped model was trained on are not here (`make data` "
            "fetches them): the rows below this folder's are drawn pictures of a few people, which "
            "say little about photographs."
        )
    return (
        "The rows below this folder's are test photographs of the shipped model's sources, drawn "
        "at random; no training has seen them. Training repeated others of the same sources."
    )


def _has_images(folder: Path) -> bool:
    return folder.is_dir() and len(list_images(folder)) > 0


def _draw_photographs(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return the rows of at most ``count`` photographs of each source."""
    files = table.drop_duplicates("file").sample(frac=1, random_state=seed)
    drawn = files.groupby("source").head(count).file
    return table[table.file.isin(drawn)].reset_index(drop=True)


def drop_broken(table: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a label table without photographs that cannot be read, and a table of these.

    Args:
        table: a label table.
        root: the folder that its ``file`` column is relative to.

    Returns:
        The label table, and a table ``file``, ``problem``.
    """
    files = table.file.unique()
    problems = find_broken_images(root / file for file in files)
    broken = {Path(file) for file in problems.file}
    is_broken = [root / file in broken for file in table.file]
    return table[~np.array(is_broken, bool)].reset_index(drop=True), problems


def _drop_copies(
    test: pd.DataFrame, test_root: Path, files: Sequence[str], root: Path
) -> pd.DataFrame:
    """Return a test table with ``group``, without photographs that look like one of ``files``."""
    test_files = test.file.unique()
    paths = [test_root / file for file in test_files] + [root / file for file in files]
    pairs = curate.find_near_duplicates(curate.hash_images(paths))
    group = curate.group_near_duplicates(pairs, len(paths))
    group_of_file = dict(zip(test_files, group[: len(test_files)], strict=True))
    test = test.assign(group=test.file.map(group_of_file))
    return test[~test.group.isin(group[len(test_files) :])].reset_index(drop=True)
