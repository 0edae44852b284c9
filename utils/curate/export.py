"""Faces as files, ``<split>/<class>/<face>``, for tools that want folders rather than a table."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES, LabelError, to_class_name
from utils.detect import crop_faces
from utils.images import IMAGE_SUFFIXES, ImageError, read_image, write_image
from utils.labels import BOX_COLUMNS
from utils.tables import read_rows, replace_rows

EXPORTED = "exported_faces.csv"
SPLITS = ("train", "val", "test")
KEY = ["file", *BOX_COLUMNS]
QUALITY = 95  # of the crops: most photographs are JPEG already, and a second saving must not show


def name_face(file: str, box: Sequence[float]) -> str:
    """A file name for a face: the path of its photo, its box, and a short hash, since ``a/b_c`` is not ``a_b/c``.

    A box of NaN is the whole image, which keeps its suffix; a crop is a JPEG.
    """
    place, digest = (
        PurePosixPath(file),
        hashlib.sha256(repr((file, *map(float, box))).encode()).hexdigest()[:8],
    )
    is_whole = pd.isna(box[0])
    corners = [] if is_whole else [f"{value:.0f}" for value in box]
    # From its end, the folders' names being the less telling; 255 bytes are what a disk takes.
    stem = (
        place.with_suffix("").as_posix().replace("/", "_").encode()[-180:].decode(errors="ignore")
    )
    return "_".join([stem, *corners, digest]) + (place.suffix.lower() if is_whole else ".jpg")


def _check_table(table: pd.DataFrame) -> tuple[pd.DataFrame, list[dict]]:
    """The faces with ``crop``, where each will lie, and a problem for each face that has two labels or two splits."""
    if "split" not in table or not table.split.isin(SPLITS).all():
        raise LabelError(
            f"Each face needs a split of {', '.join(SPLITS)}: run split_by_group on the label table."
        )
    class_of = {
        name: to_class_name(str(name), "The label table") for name in table.class_name.unique()
    }
    table = table.assign(class_name=table.class_name.map(class_of))
    table = table.drop_duplicates([*KEY, "class_name", "split"])
    twice = table.duplicated(KEY, keep=False)
    says = "has a face with two labels, or on two sides of the split: mend one."
    problems = [{"file": file, "problem": f"{file} {says}"} for file in table.file[twice].unique()]
    table = table[~twice].reset_index(drop=True)
    faces = table[["split", "class_name", *KEY]].itertuples(index=False)
    crops = [f"{split}/{name}/{name_face(file, box)}" for split, name, file, *box in faces]
    return table.assign(crop=pd.Series(crops, dtype="str")), problems


def _write_faces(rows: pd.DataFrame, root: Path, folder: Path) -> None:
    """Write those of one photo's faces that are not there; each beside, then moved into place."""
    rows = rows[[not (folder / crop).exists() for crop in rows.crop]]
    boxed = rows.dropna(subset=BOX_COLUMNS)
    faces = dict.fromkeys(rows.crop)
    if len(boxed):
        image = read_image(root / boxed.file.iloc[0])
        faces |= dict(
            zip(boxed.crop, crop_faces(image, boxed[BOX_COLUMNS].to_numpy()), strict=True)
        )
    for (crop, face), file in zip(faces.items(), rows.file, strict=True):
        target = folder / crop
        target.parent.mkdir(parents=True, exist_ok=True)
        part = folder / f"part{target.suffix}"
        if face is None:
            shutil.copyfile(root / file, part)
        else:
            write_image(part, face, QUALITY)
        part.replace(target)


def export_faces(
    table: pd.DataFrame, root: str | Path, folder: str | Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the faces of a label table as ``<folder>/<split>/<class>/<face>``, with a progress bar.

    A face with a box is cut out as the classifier sees it; a whole image is copied as it is. What is there already is
    not written again. A file of these folders that no row stands for, since its label or split has changed, is
    reported and left. ``exported_faces.csv`` in the folder says which photo each file is from: give it to
    ``takedown.remove_source`` with the other tables.

    Args:
        table: a label table with ``split``.
        root: the data root.
        folder: where to; with ``data`` the faces lie in ``data/train/<class>/`` and so on.

    Returns:
        The rows that are there now, with ``crop`` (POSIX path below the folder), and a table of problems (``file``,
        ``problem``): photos that cannot be read, faces with two labels, files that no row stands for.

    Raises:
        LabelError: a face has no split, or a class is unknown.
        TableError: ``exported_faces.csv`` cannot be read or written.
    """
    root, folder = Path(root), Path(folder)
    table, problems = _check_table(table)
    folder.mkdir(parents=True, exist_ok=True)
    before, known = read_rows(folder / EXPORTED, [*KEY, "crop"]), set(table.crop)
    stale = before[[crop not in known and (folder / crop).exists() for crop in before.crop]]
    # Before the first face is written: a take-down then knows of all that may be here, whatever interrupts this.
    columns = [*KEY, "class_name", "split", "crop"]
    replace_rows(
        folder / EXPORTED,
        pd.concat([table[columns].astype(object), stale], ignore_index=True)[columns],
    )
    for file, rows in tqdm(table.groupby("file", sort=False), desc="exporting faces", unit="image"):
        try:
            _write_faces(rows, root, folder)
        except ImageError as error:
            problems.append({"file": file, "problem": str(error)})
        except OSError as error:
            problems.append(
                {"file": file, "problem": f"{root / file} cannot be copied ({error.strerror})."}
            )
    for class_dir in (folder / split / name for split in SPLITS for name in CLASS_NAMES):
        for path in sorted(class_dir.glob("*")):
            crop = path.relative_to(folder).as_posix()
            if path.suffix.lower() in IMAGE_SUFFIXES and crop not in known:
                problems.append(
                    {"file": crop, "problem": f"{path} is of no face in the table: delete it."}
                )
    is_there = [(folder / crop).is_file() for crop in table.crop]
    return table[is_there].reset_index(drop=True), pd.DataFrame(
        problems, columns=["file", "problem"], dtype="str"
    )
