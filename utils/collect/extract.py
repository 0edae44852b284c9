"""The faces of a folder of photographs: found on all cores, cut out, and listed in a table to check by eye."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.boxes import Detections, clip_boxes
from utils.collect.face_table import (
    FACE_COLUMNS,
    SEARCHED,
    SEARCHED_COLUMNS,
    read_faces,
    read_searched,
)
from utils.detect import PADDING, FCOS, Detector, crop_faces
from utils.images import ImageError, list_images, read_image, write_image
from utils.paths import CROPS, FACES, is_crop
from utils.tables import append_rows, read_rows, replace_rows

MIN_SIDE = 16  # pixels: in a smaller face a person cannot tell either how a mask is worn
AHEAD = 2  # photographs handed out for each core: what is in memory does not grow with their number


def extract_faces(
    root: str | Path,
    detector: Detector,
    folder: str | Path,
    files: Iterable[str | Path] | None = None,
    min_side: float = MIN_SIDE,
    padding: float = PADDING,
) -> pd.DataFrame:
    """Find the faces of photographs and write each one's crop and row, on all cores, with a progress bar.

    Stopped at any moment, a second call goes on there. A photograph that was searched is not searched again, whatever
    the options: for that, choose another folder. One that could not be read is tried again.

    Args:
        root: the data root.
        detector: the shipped one runs in several threads at once. Any other may have a state, as OpenCV's have: one
            thread at a time calls it, while the others read and write pictures.
        folder: where to write; it may lie below the root.
        files: photographs below the root, named from there or from here; by default all but the crops of an extraction.
        min_side: faces whose shorter side has fewer pixels are counted, but left out.
        padding: of the square crops, as a share of the face's longer side.

    Returns:
        The faces table of the folder, with what earlier calls found. For the problems see ``read_searched``.

    Raises:
        ImageError: there is no such root, a file lies outside of it, or a crop cannot be written.
        TableError: one of the tables cannot be used.
    """
    root, folder = Path(os.path.abspath(root)), Path(os.path.abspath(folder))
    if files is None:
        files = (path for path in list_images(root) if not is_crop(path))
    files = list(dict.fromkeys(_name_below(root, file) for file in files))
    done = _mend(folder)
    if not isinstance(detector, FCOS):  # ONNX Runtime's sessions are thread-safe
        detector = partial(_call_alone, Lock(), detector)
    jobs = ((root, file, folder, detector, min_side, padding) for file in files if file not in done)
    count = dict.fromkeys(["faces", "none in", "problems"], 0)
    with tqdm(
        total=len(files), initial=len(done & {*files}), desc="extracting faces", unit="image"
    ) as bar:
        for faces, row in _run_ahead(_search_photo, jobs):
            append_rows(folder / FACES, faces, FACE_COLUMNS)
            append_rows(
                folder / SEARCHED, [row], SEARCHED_COLUMNS
            )  # last: what has this row is done
            count["faces"] += len(faces)
            count["none in"] += not (faces or row["problem"])
            count["problems"] += bool(row["problem"])
            bar.set_postfix(count, refresh=False)
            bar.update()
    return read_faces(folder / FACES)


def _name_below(root: Path, file: str | Path) -> str:
    """The POSIX path below the root of a file that is named from there, or as a path from here."""
    path = root / file if (root / file).exists() else file
    try:
        return Path(os.path.abspath(path)).relative_to(root).as_posix()
    except ValueError as error:
        raise ImageError(
            f"{file} lies outside of {root}: choose a data root that holds it."
        ) from error


def _mend(folder: Path) -> set[str]:
    """Take out the rows of photographs that an interruption left half done; the files that are done."""
    searched = read_searched(folder)
    faces = read_rows(folder / FACES, FACE_COLUMNS)
    done = {*searched.file[searched.problem == ""]}
    if not faces.file.isin(done).all():
        replace_rows(folder / FACES, faces[faces.file.isin(done)])
    append_rows(
        folder / FACES, [], FACE_COLUMNS
    )  # tried now, and a table also where there are no faces
    append_rows(folder / SEARCHED, [], SEARCHED_COLUMNS)
    return done


def _search_photo(
    root: Path, file: str, folder: Path, detector: Detector, min_side: float, padding: float
) -> tuple[list[dict], dict]:
    """Write a photograph's crops; the rows of its faces, and its own."""
    row = {"file": file, "faces": 0, "small": 0, "problem": ""}
    try:
        image = read_image(root / file)
    except ImageError as error:
        return [], row | {"problem": str(error)}
    found = detector(image)
    xyxy = clip_boxes(found.xyxy, image.shape[1::-1]).astype(float).round(1)
    large = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf) >= min_side
    place, source, faces = PurePosixPath(CROPS, file), (root / file).parent.name, []
    crops = crop_faces(image, xyxy[large], padding)
    for number, (crop, box, confidence) in enumerate(
        zip(crops, xyxy[large], found.confidence[large], strict=True)
    ):
        # The suffix stays in the name: a.png and a.jpg are two photographs.
        path = place.with_name(f"{place.stem}_{place.suffix[1:]}_{number}.jpg").as_posix()
        write_image(folder / path, crop)
        values = [file, source, *box.tolist(), round(float(confidence), 4), path, True]
        faces.append(dict(zip(FACE_COLUMNS, values, strict=True)))
    return faces, row | {"faces": len(faces), "small": int((~large).sum())}


def _call_alone(lock: Lock, detector: Detector, image: np.ndarray) -> Detections:
    with lock:
        return detector(image)


def _run_ahead(function: Callable, jobs: Iterable[tuple]) -> Iterator:
    """Call a function with each job on all cores, a few jobs ahead; the results in order."""
    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # threads: OpenCV and ONNX Runtime let others run while they work
        running: deque = deque()
        for job in jobs:
            running.append(pool.submit(function, *job))
            if len(running) >= AHEAD * (os.cpu_count() or 1):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
