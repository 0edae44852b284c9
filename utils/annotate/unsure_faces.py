"""The faces in the script's JSON as faces to label: those of which it was unsure, or all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from utils.classes import CLASS_NAMES, LabelError
from utils.evaluate.scorecard import FileMatcher
from utils.formats import load_json
from utils.images import list_images
from utils.labels import BOX_COLUMNS, make_problem_table

FACE_COLUMNS = ["file", *BOX_COLUMNS, "confidence", "unsure"]


class ScriptFaces(NamedTuple):
    """The faces that the script found in photographs.

    Attributes:
        faces: a table ``file`` (relative to the data root), box, ``confidence``, ``unsure``.
        y_prob: (N, C) class probabilities, the suggestions of a ``LabelSession``.
        problems: a table ``file, problem`` of what was left out.
    """

    faces: pd.DataFrame
    y_prob: np.ndarray
    problems: pd.DataFrame


def read_script_faces(
    path: str | Path, folder: str | Path, root: str | Path, only_unsure: bool = True
) -> ScriptFaces:
    """Read the JSON file that the script wrote about the photographs of a folder.

    The photographs may have moved since, with the folders around them: they are found by their
    names and the names of the folders above them.

    Args:
        path: the file, from ``03-detect_face_using_mask.py --image FOLDER --json FILE``.
        folder: the photographs, in ``root``.
        root: the data root, see ``formats.read_labels``.
        only_unsure: whether to leave out the faces of which the script was sure.

    Raises:
        LabelError: the file is not such a file, a name fits several photographs, or the folder is
            not in the root.
    """
    path = Path(path)
    root = Path(root)
    if not path.is_file():
        raise LabelError(f"There is no file {path}: run the script with --json {path} first.")
    if not Path(folder).resolve().is_relative_to(root.resolve()):
        raise LabelError(f"{folder} is not in {root}: name a folder of photographs in it.")
    files = [image.relative_to(root).as_posix() for image in list_images(folder)]
    matcher = FileMatcher(files)
    rows = []
    y_prob = []
    problems = []
    for record in _read_records(path):
        name = str(record.get("file", ""))
        file, _ = matcher.find(name)
        if file is None:
            problem = f"{folder} has no photograph {name}: its faces are left out."
            problems.append({"file": name, "problem": problem})
            continue
        for face in record.get("faces", []):
            row, probabilities = _read_face(face, f"{path}, {name},")
            if row["unsure"] or not only_unsure:
                rows.append({"file": file} | row)
                y_prob.append(probabilities)
    return ScriptFaces(
        faces=pd.DataFrame(rows, columns=FACE_COLUMNS),
        y_prob=np.array(y_prob, float).reshape(-1, len(CLASS_NAMES)),
        problems=make_problem_table(problems),
    )


def _read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of the images in the script's JSON file."""
    content = load_json(path)
    records = content.get("images") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise LabelError(f"{path} is not from the script: write it with --json.")
    if any("frame" in record for record in records):
        raise LabelError(f"{path} is about frames of a video: run the script on photographs.")
    return records


def _read_face(face: dict[str, Any], place: str) -> tuple[dict[str, Any], list[float]]:
    """Return the row of a face, and its class probabilities.

    Args:
        face: an entry of ``faces``.
        place: of the entry, for the message.
    """
    try:
        row: dict[str, Any] = dict(zip(BOX_COLUMNS, map(float, face["box"]), strict=True))
        row["confidence"] = float(face["confidence"])
        row["unsure"] = bool(face["unsure"])
        probabilities = [float(face["probabilities"][name]) for name in CLASS_NAMES]
    except (KeyError, TypeError, ValueError) as error:
        raise LabelError(f"{place} has an incomplete face: run the script again.") from error
    return row, probabilities
