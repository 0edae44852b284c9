"""The faces of a folder of photographs: extract them, and read and change the table of them.

An extraction writes two tables and a folder of crops. ``faces.csv`` has one row per face: ``file``
(POSIX path of the photograph below the data root), ``source`` (name of the photograph's folder),
``x_min``, ``y_min``, ``x_max``, ``y_max`` (pixels), ``confidence``, ``crop`` (POSIX path below the
table's folder) and ``kept`` (False once a person has rejected the face). ``searched.csv`` has one
row per photograph, so that photographs without a face are known too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.batch import Batch, map_files
from utils.boxes import clip_boxes
from utils.csv_lines import append_rows
from utils.detect import FCOS, PADDING, Detector, crop_faces, one_at_a_time
from utils.images import (
    ImageError,
    PassedOver,
    describe_passed_over,
    list_for_table,
    read_image_apart,
    write_image,
)
from utils.labels import BOX_COLUMNS
from utils.paths import CROPS, FACES, is_crop
from utils.tables import TableError, hold_folder, read_rows, replace_rows

SEARCHED = "searched.csv"
FACE_COLUMNS = ["file", "source", *BOX_COLUMNS, "confidence", "crop", "kept"]
SEARCHED_COLUMNS = ["file", "faces", "small", "problem"]
# Pixels. In a smaller face, people cannot see how a mask is worn.
MIN_SIDE = 16


def extract_faces(
    root: str | Path,
    detector: Detector,
    folder: str | Path,
    files: Iterable[str | Path] | None = None,
    min_side: float = MIN_SIDE,
    padding: float = PADDING,
    batch: Batch | None = None,
) -> pd.DataFrame:
    """Find the faces of photographs; write a crop and a table row for each. Shows a progress bar.

    The work runs on all cores. After an interruption, a second call continues. A photograph that
    was searched is not searched again, even with other arguments: choose another folder for that.
    One that could not be read is tried again.

    Args:
        root: the data root.
        detector: finds faces. Our own FCOS detector runs in several threads at once. Any other may
            keep state, as OpenCV's do, so only one thread at a time calls it.
        folder: where to write; it may lie below the root.
        files: photographs below the root, as paths from the root or from the working directory; by
            default all images except the crops of an extraction. Images that cannot be read at all
            (HEIC, camera raw) have a row in ``searched.csv`` then.
        min_side: pixels; faces whose shorter side is smaller are counted but not written.
        padding: margin of the square crops, as a share of the face's longer side.
        batch: other processes or a cluster that do the work. The detector must be picklable then,
            as ours is.

    Returns:
        The faces table of the folder, including the faces from earlier calls. For photographs that
        could not be read see ``read_searched``.

    Raises:
        ImageError: the root does not exist, a file lies outside of it, or a crop cannot be written.
        TableError: one of the tables cannot be used, or another program is at work in the folder.
        JobError: the batch cannot be used.
    """
    root = Path(os.path.abspath(root))
    folder = Path(os.path.abspath(folder))
    passed_over: list[PassedOver] = []
    if files is None:
        images, passed_over = list_for_table(root)
        files = [path for path in images if not is_crop(path)]
    names = list(dict.fromkeys(_name_below(root, file) for file in files))
    with hold_folder(folder):
        done = _mend_tables(folder)
        _record_passed_over(passed_over, root, folder)
        if not isinstance(detector, FCOS):  # ONNX Runtime's sessions are thread-safe
            detector = one_at_a_time(detector)
        search = partial(
            _search_photo,
            folder=folder,
            detector=detector,
            min_side=min_side,
            padding=padding,
        )

        def is_intact(item: tuple, value: tuple[list[dict], dict, str]) -> bool:
            faces, _, failure = value
            return not failure and all((folder / face["crop"]).is_file() for face in faces)

        waiting = [name for name in names if name not in done]
        count = {"faces": 0, "without faces": 0, "problems": 0}
        done_before = len(done.intersection(names))
        items = [(root / name, name) for name in waiting]
        with (
            closing(map_files(search, items, batch, is_intact)) as outcomes,
            tqdm(
                total=len(names),
                initial=done_before,
                desc="extracting faces",
                unit="image",
                leave=False,
            ) as bar,
        ):
            for name, outcome in zip(waiting, outcomes, strict=True):
                if outcome.problem:
                    faces = []
                    row = {"file": name, "faces": 0, "small": 0, "problem": outcome.problem}
                else:
                    faces, row, failure = outcome.value
                    if failure:
                        raise ImageError(failure)
                append_rows(folder / FACES, faces, FACE_COLUMNS)
                # Last, because a photograph with this row counts as done.
                append_rows(folder / SEARCHED, [row], SEARCHED_COLUMNS)
                count["faces"] += len(faces)
                if row["problem"]:
                    count["problems"] += 1
                elif not faces:
                    count["without faces"] += 1
                bar.set_postfix(count, refresh=False)
                bar.update()
    return read_faces(folder / FACES)


def _record_passed_over(passed_over: Iterable[PassedOver], root: Path, folder: Path) -> None:
    """Append a row to ``searched.csv`` for each image-like file that cannot be read, once."""
    known = dict(read_searched(folder)[["file", "problem"]].itertuples(index=False))
    rows = []
    for item in passed_over:
        file = item.file.relative_to(root).as_posix()
        problem = describe_passed_over([item])[0]
        if known.get(file) != problem:
            rows.append({"file": file, "faces": 0, "small": 0, "problem": problem})
    append_rows(folder / SEARCHED, rows, SEARCHED_COLUMNS)


def _name_below(root: Path, file: str | Path) -> str:
    """Return a file's POSIX path below the root.

    Args:
        root: the data root, absolute.
        file: a path from the root or from the working directory.
    """
    path = root / file if (root / file).exists() else file
    try:
        return Path(os.path.abspath(path)).relative_to(root).as_posix()
    except ValueError as error:
        raise ImageError(
            f"{file} lies outside of {root}: choose a data root that contains it."
        ) from error


def _mend_tables(folder: Path) -> set[str]:
    """Make or repair the tables of an extraction; return the photographs that are done.

    Rows of photographs that an interruption left half done are removed.
    """
    searched = read_searched(folder)
    done = set(searched.file[searched.problem == ""])
    faces = read_rows(folder / FACES, FACE_COLUMNS)
    is_done = faces.file.isin(done)
    if not is_done.all():
        replace_rows(folder / FACES, faces[is_done])
    # Appending no rows makes missing tables, and shows now whether they can be written.
    append_rows(folder / FACES, [], FACE_COLUMNS)
    append_rows(folder / SEARCHED, [], SEARCHED_COLUMNS)
    return done


def _search_photo(
    path: str | Path,
    file: str,
    folder: Path,
    detector: Detector,
    min_side: float,
    padding: float,
) -> tuple[list[dict], dict, str]:
    """Write the crops of a photograph.

    Returns:
        The rows of its faces, its own row, and why a crop could not be written, or "".

    Raises:
        ImageError: the photograph cannot be read.
    """
    image = read_image_apart(path)
    found = detector(image)
    xyxy = clip_boxes(found.xyxy, image.shape[1::-1]).astype(float).round(1)
    sides = xyxy[:, 2:] - xyxy[:, :2]
    is_large = sides.min(axis=1, initial=np.inf) >= min_side
    boxes = xyxy[is_large]
    confidences = found.confidence[is_large]
    crops = crop_faces(image, boxes, padding)
    photo = PurePosixPath(CROPS, file)
    faces = []
    for number, (crop, box, confidence) in enumerate(zip(crops, boxes, confidences, strict=True)):
        # The suffix is part of the name, because a.png and a.jpg are two photographs.
        name = photo.with_name(f"{photo.stem}_{photo.suffix[1:]}_{number}.jpg").as_posix()
        try:
            write_image(folder / name, crop)
        except ImageError as error:
            return [], {}, str(error)
        face = {
            "file": file,
            "source": Path(path).parent.name,
            **dict(zip(BOX_COLUMNS, box.tolist(), strict=True)),
            "confidence": round(float(confidence), 4),
            "crop": name,
            "kept": True,
        }
        faces.append(face)
    small = int((~is_large).sum())
    return faces, {"file": file, "faces": len(faces), "small": small, "problem": ""}, ""


def read_faces(path: str | Path) -> pd.DataFrame:
    """Return a faces table with its types; an empty table if there is no file.

    Raises:
        TableError: the file cannot be read, or has a value of the wrong type.
    """
    table = read_rows(path, FACE_COLUMNS)[FACE_COLUMNS]
    try:
        table = table.astype(dict.fromkeys([*BOX_COLUMNS, "confidence"], "float64"))
    except ValueError as error:
        raise TableError(
            f"{path} has a box or confidence that is not a number ({error}):"
            " correct it or move the file away."
        ) from error
    kept = table.kept.str.title()  # spreadsheets write TRUE
    wrong = set(kept) - {"True", "False"}
    if wrong:
        raise TableError(
            f"{path} has '{min(wrong)}' in its column kept: write True or False there."
        )
    return table.assign(kept=kept == "True")


def write_faces(path: str | Path, table: pd.DataFrame) -> None:
    """Replace a faces table, whole or not at all.

    Raises:
        TableError: the file cannot be written.
    """
    replace_rows(path, table[FACE_COLUMNS])


def set_kept(path: str | Path, kept: Mapping[str, bool]) -> None:
    """Change which faces of a table are kept. A click on the contact sheet does this.

    Args:
        path: ``faces.csv``; no extraction may be writing to it.
        kept: for each ``crop`` to change, whether it is kept.

    Raises:
        TableError: a crop is not in the table, or the file cannot be read or written.
    """
    table = read_faces(path)
    unknown = set(kept) - set(table.crop)
    if unknown:
        raise TableError(f"{path} has no crop {min(unknown)}: read the table again.")
    new_values = [
        kept.get(crop, old_value) for crop, old_value in zip(table.crop, table.kept, strict=True)
    ]
    write_faces(path, table.assign(kept=new_values))


def read_searched(folder: str | Path) -> pd.DataFrame:
    """Return the photographs that were searched.

    Returns:
        A table ``file``, ``faces`` (number of crops), ``small`` (number of faces that were too
        small) and ``problem`` (why the photograph could not be read; empty if it was).

    Raises:
        TableError: the file cannot be read.
    """
    table = read_rows(Path(folder) / SEARCHED, SEARCHED_COLUMNS)
    table = table.drop_duplicates("file", keep="last", ignore_index=True)
    for column in ("faces", "small"):
        table[column] = pd.to_numeric(table[column], errors="coerce").fillna(0).astype("int64")
    return table


def list_missed(folder: str | Path) -> pd.DataFrame:
    """Return the photographs without a kept face: those where the detector may have missed one.

    Returns:
        The rows of ``read_searched`` without unreadable photographs, with ``left_out`` (number of
        faces that a person rejected).
    """
    table = read_searched(folder)
    faces = read_faces(Path(folder) / FACES)
    rejected_count = faces.file[~faces.kept].value_counts()
    table["left_out"] = table.file.map(rejected_count).fillna(0).astype("int64")
    has_kept_face = table.file.isin(faces.file[faces.kept])
    return table[(table.problem == "") & ~has_kept_face].reset_index(drop=True)
