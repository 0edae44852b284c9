"""The label table: its columns, and corrections to it. ``formats.read_labels`` reads one.

A *label table* has one row for each face and these columns:

- ``file``: POSIX path of the image, relative to the data root
- ``source``: where the image is from, the name of its folder below the data root
- ``class_name``: one of ``CLASS_NAMES``
- ``x_min``, ``y_min``, ``x_max``, ``y_max``: pixels; NaN where the whole image is the face

Later steps add ``group`` (near-duplicates share one) and ``split`` (train, val or test).
"""

from __future__ import annotations

import pandas as pd

from utils.boxes import BOX_COLUMNS
from utils.classes import LabelError, to_class_name

COLUMNS = ["file", "source", "class_name", *BOX_COLUMNS]
PROBLEM_COLUMNS = ["file", "problem"]


def make_label_table(rows: list[dict]) -> pd.DataFrame:
    """Return rows as a label table: columns in order, with types even if there are no rows."""
    types = {}
    for name in COLUMNS:
        types[name] = "float64" if name in BOX_COLUMNS else "str"
    return pd.DataFrame(rows, columns=COLUMNS).astype(types)


def make_problem_table(rows: list[dict]) -> pd.DataFrame:
    """Return rows as a table of problems: ``file`` and ``problem``."""
    return pd.DataFrame(rows, columns=PROBLEM_COLUMNS)


def apply_corrections(table: pd.DataFrame, corrections: pd.DataFrame) -> pd.DataFrame:
    """Return a label table with a person's corrections applied.

    Args:
        table: a label table.
        corrections: ``file``, ``x_min, y_min, x_max, y_max`` (NaN: the whole image), ``class_name``
            (empty: remove the face) and ``why``. The last correction of a face counts. Corrections
            of files that the table does not hold are ignored.

    Returns:
        The corrected table, with the columns of ``table`` and a new index.

    Raises:
        LabelError: a correction matches no face of its file, or its class is unknown.
    """
    key = ["file", *BOX_COLUMNS]
    corrections = corrections.astype(dict.fromkeys(BOX_COLUMNS, "float64"))
    corrections = corrections[corrections.file.isin(table.file)]
    corrections = corrections.drop_duplicates(key, keep="last")

    matched = corrections.merge(table[key], on=key, how="left", indicator=True)
    unmatched = matched[matched._merge == "left_only"]
    if len(unmatched):
        raise LabelError(
            f"No face of {unmatched.file.iloc[0]} has the box of its correction: check the table."
        )

    right_names = corrections.class_name.map(
        lambda name: to_class_name(name, "A correction"), na_action="ignore"
    )
    right = corrections[key].assign(corrected=right_names)
    merged = table.merge(right, on=key, how="left", indicator=True)
    is_untouched = merged._merge == "left_only"
    kept = merged[is_untouched | merged.corrected.notna()]
    class_name = kept.class_name.where(kept.corrected.isna(), kept.corrected)
    return kept.assign(class_name=class_name)[table.columns].reset_index(drop=True)
