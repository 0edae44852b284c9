"""Export of faces as image files, ``<split>/<class>/<face>``, for tools that read folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.atomic import write_bytes
from utils.classes import CLASS_NAMES, LabelError, to_class_name
from utils.curate.split import SIDES
from utils.detect import crop_faces
from utils.images import IMAGE_SUFFIXES, ImageError, read_image, write_image
from utils.labels import BOX_COLUMNS
from utils.tables import read_rows, replace_rows

EXPORTED = "exported_faces.csv"  # says which photograph each exported file is from
FACE_KEY = ["file", *BOX_COLUMNS]
# JPEG quality of the crops. Most photographs are JPEG files already, and a second compression must
# not be visible.
QUALITY = 95
# Longest part of a photograph's path in a file name, in bytes. File systems allow 255 in all.
STEM_BYTES = 180


def export_faces(
    table: pd.DataFrame, root: str | Path, folder: str | Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the faces of a label table as ``<folder>/<split>/<class>/<face>``.

    Shows a progress bar. A face with a box is cropped as the classifier sees it. A whole image is
    copied unchanged. Existing files are not written again. A file in these folders that belongs to
    no row, because its label or its split has changed, is reported and kept.

    The folder's ``exported_faces.csv`` says which photograph each file is from. Pass it to
    ``collect.remove_source`` with the other tables.

    Args:
        table: a label table with ``split``.
        root: the data root.
        folder: the output folder. With ``data``, faces are written to ``data/train/<class>/`` etc.

    Returns:
        The rows whose files exist now, with ``crop`` (the POSIX path below the folder), and a table
        of problems (``file``, ``problem``): photographs that cannot be read, faces with two labels,
        and files that belong to no row.

    Raises:
        LabelError: a face has no split, or a class is unknown.
        TableError: ``exported_faces.csv`` cannot be read or written.
    """
    root = Path(root)
    folder = Path(folder)
    table, problems = _drop_ambiguous_faces(_check_table(table))
    table = _name_crops(table)
    folder.mkdir(parents=True, exist_ok=True)
    _record_crops(table, folder)
    rows_of_file = table.groupby("file", sort=False)
    for file, rows in tqdm(rows_of_file, desc="exporting faces", unit="image", leave=False):
        try:
            _write_faces(rows, root, folder)
        except ImageError as error:
            problems.append({"file": file, "problem": str(error)})
        except OSError as error:
            problem = f"{root / file} cannot be copied ({error.strerror})."
            problems.append({"file": file, "problem": problem})
    problems += _find_stale_files(table, folder)
    exported = table[_find_files(table.crop, folder)].reset_index(drop=True)
    return exported, pd.DataFrame(problems, columns=["file", "problem"], dtype="str")


def name_face(file: str, box: Sequence[float]) -> str:
    """Return a unique file name for a face: the photograph's path, the box, and a short hash.

    The hash distinguishes paths such as ``a/b_c`` and ``a_b/c``.

    Args:
        file: POSIX path of the photograph below the data root.
        box: the face's box. NaN means the whole image, which keeps its suffix. A crop is a JPEG
            file.
    """
    path = PurePosixPath(file)
    key = (file, *[float(side) for side in box])
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:8]
    flat_path = path.with_suffix("").as_posix().replace("/", "_")
    # If it is too long, keep its end: the file's own name says more than the folders' names.
    stem = flat_path.encode()[-STEM_BYTES:].decode(errors="ignore")
    if pd.isna(box[0]):
        return f"{stem}_{digest}{path.suffix.lower()}"
    corners = "_".join(f"{side:.0f}" for side in box)
    return f"{stem}_{corners}_{digest}.jpg"


def _check_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the project's class names, after checking its classes and its split."""
    if "split" not in table or not table.split.isin(SIDES).all():
        raise LabelError(
            f"Each face needs a split of {', '.join(SIDES)}: run split_by_group on the label table."
        )
    class_names = [to_class_name(str(name), "The label table") for name in table.class_name]
    return table.assign(class_name=pd.Series(class_names, table.index, dtype="str"))


def _drop_ambiguous_faces(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    """Return each face once, without those that have two labels or are on two sides of the split.

    The second value has a problem for each photograph with such a face.
    """
    table = table.drop_duplicates([*FACE_KEY, "class_name", "split"])
    is_ambiguous = table.duplicated(FACE_KEY, keep=False)
    problems = []
    for file in table.file[is_ambiguous].unique():
        problem = f"{file} has a face with two labels, or on two sides of the split: correct one."
        problems.append({"file": file, "problem": problem})
    return table[~is_ambiguous].reset_index(drop=True), problems


def _name_crops(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ``crop``, the path of each face below the output folder."""
    crops = []
    for row in table.to_dict("records"):
        name = name_face(row["file"], [row[column] for column in BOX_COLUMNS])
        crops.append(f"{row['split']}/{row['class_name']}/{name}")
    return table.assign(crop=pd.Series(crops, table.index, dtype="str"))


def _record_crops(table: pd.DataFrame, folder: Path) -> None:
    """Write ``exported_faces.csv``: the faces to export, and earlier faces whose files still exist.

    This comes before the first image is written, so that a removal of photographs finds every face
    even if the export is interrupted.
    """
    columns = [*FACE_KEY, "class_name", "split", "crop"]
    earlier = read_rows(folder / EXPORTED, [*FACE_KEY, "crop"])
    stale = earlier[~earlier.crop.isin(table.crop) & _find_files(earlier.crop, folder)]
    rows = pd.concat([table[columns].astype(object), stale], ignore_index=True)
    replace_rows(folder / EXPORTED, rows[columns])


def _find_files(crops: pd.Series, folder: Path) -> np.ndarray:
    """Return which crops exist as files: (N,) bool."""
    return np.array([(folder / crop).is_file() for crop in crops], dtype=bool)


def _write_faces(rows: pd.DataFrame, root: Path, folder: Path) -> None:
    """Write the faces of one photograph whose files do not exist yet."""
    missing = rows[~_find_files(rows.crop, folder)]
    boxed = missing.dropna(subset=BOX_COLUMNS)
    if len(boxed):
        image = read_image(root / boxed.file.iloc[0])
        faces = crop_faces(image, boxed[BOX_COLUMNS].to_numpy())
        for crop, face in zip(boxed.crop, faces, strict=True):
            write_image(folder / crop, face, QUALITY)
    for row in missing[missing.x_min.isna()].itertuples():
        write_bytes(folder / row.crop, (root / row.file).read_bytes())


def _find_stale_files(table: pd.DataFrame, folder: Path) -> list[dict]:
    """Return a problem for each image in the exported folders that belongs to no row."""
    known = set(table.crop)
    problems = []
    for side in SIDES:
        for class_name in CLASS_NAMES:
            for path in sorted((folder / side / class_name).glob("*")):
                crop = path.relative_to(folder).as_posix()
                if path.suffix.lower() in IMAGE_SUFFIXES and crop not in known:
                    problem = f"{path} belongs to no face in the table: delete it."
                    problems.append({"file": crop, "problem": problem})
    return problems
