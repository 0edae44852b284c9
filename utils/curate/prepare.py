"""A folder of labelled photographs to the label table that training reads: corrected, completed, grouped and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from utils.annotate import JOURNAL_NAME, read_hand_folder
from utils.boxes import sample_background
from utils.classes import LabelError, to_class_name
from utils.collect import REBUILT_LABELS, SOURCES, find_broken_images, read_sources
from utils.curate.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    hash_images,
)
from utils.curate.split import keep_sides, split_by_group
from utils.detect import Detector, find_faces
from utils.labels import BOX_COLUMNS, COLUMNS, apply_corrections, make_label_table, read_labels
from utils.paths import DATA_DIR
from utils.tables import read_rows

CORRECTIONS_FILE = DATA_DIR / "label_corrections.csv"
MISTAKES_FILE = DATA_DIR / "detector_mistakes.csv"
SPLIT_FILE = DATA_DIR / "split.csv"
BACKGROUND_SIZES = (12, 120)  # pixels: what detectors mistake for a face is as small as faces are


def read_data(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``labels.read_labels``, with crawl folders, labelled by hand or rebuilt with labels, as a third kind.

    A face that ``hand_labels.csv`` has keeps no label of ``labels.csv``. What is crawled and not labelled yet has no
    rows, whatever its folders are called: a phrase is no label.
    """
    return read_labels(root, dict.fromkeys([JOURNAL_NAME, REBUILT_LABELS, SOURCES], _read_crawl))


def _read_crawl(folder: Path, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    table, problems = read_hand_folder(folder, root)
    try:
        rebuilt = read_rows(folder / REBUILT_LABELS, COLUMNS)[COLUMNS]
        names = {
            name: to_class_name(name, folder / REBUILT_LABELS)
            for name in rebuilt.class_name.unique()
        }
        rebuilt = rebuilt.replace({"class_name": names}).replace(
            dict.fromkeys(BOX_COLUMNS, ""), np.nan
        )
        rebuilt = make_label_table(rebuilt.to_dict("records"))
        table = pd.concat([table, rebuilt]).drop_duplicates(
            ["file", *BOX_COLUMNS], ignore_index=True
        )
    except ValueError as error:  # a LabelError or a TableError, or a box that is no number
        problems.loc[len(problems)] = [f"{folder.name}/{REBUILT_LABELS}", str(error)]
    if table.empty and problems.empty:
        count = len(read_sources(folder))
        problems.loc[0] = [
            folder.name,
            f"{folder} holds {count} photographs, and none of them is labelled yet.",
        ]
    return table, problems


def find_background(
    table: pd.DataFrame, root: str | Path, detector: Detector, seed: int = 0
) -> pd.DataFrame:
    """Where whole images hold one clear face, and where photographs hold none.

    Two kinds of rows: a box about the face of a whole-image row, with its class, so that the classifier sees it as
    close as inference does; and ``no_face`` boxes that touch neither a labelled face nor what a detector takes for one.

    Args:
        table: a label table.
        root: the data root.
        detector: at a low confidence, so that unlabelled faces are not taken for background.
        seed: of the choice.

    Returns:
        A label table of the new rows.
    """
    rng = np.random.default_rng(seed)
    whole = table[table.x_min.isna()].set_index("file")
    boxes = dict(tuple(table.dropna(subset=BOX_COLUMNS).groupby("file")))
    rows: list[dict] = []
    for path, image, found in find_faces(
        [Path(root) / file for file in table.file.unique()], detector
    ):
        file, resolution_wh = path.relative_to(root).as_posix(), image.shape[1::-1]
        if file in boxes:
            known, source, count = (
                boxes[file][BOX_COLUMNS].to_numpy(),
                boxes[file].source.iloc[0],
                2,
            )
        elif len(found) == 1 and found.confidence[0] > 0.7:
            row = whole.loc[file]
            known, source, count = found.xyxy, row.source, 1
            box = dict(zip(BOX_COLUMNS, found.xyxy[0].round(), strict=True))
            rows.append({"file": file, "source": source, "class_name": row.class_name, **box})
        else:
            continue
        taken = np.concatenate([known, found.xyxy])
        for box in sample_background(taken, resolution_wh, count, rng, BACKGROUND_SIZES):
            box = dict(zip(BOX_COLUMNS, box, strict=True))
            rows.append({"file": file, "source": source, "class_name": "no_face", **box})
    return make_label_table(rows)


def group_and_split(table: pd.DataFrame, root: str | Path, seed: int = 0) -> pd.DataFrame:
    """The label table with ``group`` and ``split``: near-duplicates together, 80/10/10 by group.

    Photographs of the public sets stay where they were drawn once (``data/split.csv``), as do their near-duplicates.
    """
    files = sorted(table.file.unique())
    group = group_near_duplicates(
        find_near_duplicates(hash_images([Path(root) / file for file in files])), len(files)
    )
    table = table.assign(group=table.file.map(dict(zip(files, group, strict=True))))
    known = keep_sides(table, pd.read_csv(SPLIT_FILE))
    return table.assign(split=known.fillna(split_by_group(table, seed=seed)))


def prepare_labels(
    root: str | Path, detector: Detector, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a data root whole: labels, their corrections, a detector's known mistakes, background, groups, the split.

    Images that cannot be read are left out and reported.

    Returns:
        The label table, and the table of problems (``file``, ``problem``).

    Raises:
        LabelError: nothing is labelled.
    """
    table, problems = read_data(root)
    if table.empty:
        raise LabelError(
            f"Nothing in {root} is labelled yet: label some faces by hand, then go on from here."
        )
    broken = find_broken_images(Path(root) / file for file in table.file.unique())
    broken["file"] = [Path(file).relative_to(root).as_posix() for file in broken.file]
    table, problems = (
        table[~table.file.isin(broken.file)],
        pd.concat([problems, broken], ignore_index=True),
    )
    table = apply_corrections(table, pd.read_csv(CORRECTIONS_FILE))
    mistakes = pd.read_csv(MISTAKES_FILE)
    source = table.drop_duplicates("file").set_index("file").source
    mistakes = mistakes[mistakes.file.isin(table.file)].assign(
        source=lambda rows: rows.file.map(source)
    )
    more = find_background(table, root, detector, seed)
    table = pd.concat(
        [table, make_label_table(mistakes.to_dict("records")), more], ignore_index=True
    )
    return group_and_split(table, root, seed), problems
