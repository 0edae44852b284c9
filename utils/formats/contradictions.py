"""Faces that are labelled twice: one photograph in two class folders, one box with two classes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.messages import name_some

Face = tuple[str, np.ndarray]  # class name and (4,) float64 ``xyxy`` box


def settle_photographs(
    rows: Sequence[dict], root: str | Path
) -> tuple[list[dict], list[dict[str, str]]]:
    """Leave out photographs that are in folders of two classes.

    Two files are one photograph if their bytes are equal. Only files of one size are compared.

    Args:
        rows: of a label table.
        root: the data root.

    Returns:
        The other rows, and a problem (``file``, ``problem``) for each file that is left out.
    """
    root = Path(root)
    class_of_file: dict[str, str] = {}
    for row in rows:
        if has_no_box(row):
            class_of_file.setdefault(row["file"], row["class_name"])
    files_of_size: dict[int, list[str]] = defaultdict(list)
    for file in class_of_file:
        files_of_size[(root / file).stat().st_size].append(file)
    problems = []
    for files in files_of_size.values():
        if len({class_of_file[file] for file in files}) < 2:
            continue
        files_of_digest: dict[bytes, list[str]] = defaultdict(list)
        for file in files:
            digest = hashlib.sha256((root / file).read_bytes()).digest()
            files_of_digest[digest].append(file)
        for same in files_of_digest.values():
            if len({class_of_file[file] for file in same}) < 2:
                continue
            for file in same:
                others = [name for name in same if class_of_file[name] != class_of_file[file]]
                problem = (
                    f"{root / file} is the same photograph as {name_some(others)}, which is in "
                    "another class: it is left out; look at it, and delete it from the wrong class."
                )
                problems.append({"file": file, "problem": problem})
    left_out = {row["file"] for row in problems}
    return [row for row in rows if row["file"] not in left_out], problems


def has_no_box(row: dict) -> bool:
    """Return whether the whole image is the face of a row of a label table."""
    return bool(np.isnan(row.get("x_min", np.nan)))


def settle_boxes(faces: Sequence[Face]) -> tuple[list[Face], list[Face], list[list[Face]]]:
    """Leave out boxes of an image that have two classes, and count once what is written twice.

    Args:
        faces: the faces of one image.

    Returns:
        The faces that stay; the repetitions of one of them, which are dropped; and the faces of
        each box with several classes, which are dropped too.
    """
    faces_of_box: dict[tuple, list[Face]] = defaultdict(list)
    for face in faces:
        faces_of_box[tuple(face[1])].append(face)
    kept = []
    repeated: list[Face] = []
    contradictory = []
    for same in faces_of_box.values():
        if len({class_name for class_name, _ in same}) > 1:
            contradictory.append(same)
        else:
            kept.append(same[0])
            repeated.extend(same[1:])
    return kept, repeated, contradictory


def describe_contradiction(place: object, faces: Sequence[Face]) -> str:
    """Return the sentence for a box that has several classes.

    Args:
        place: where it is, such as a label file.
        faces: the labels of the box.
    """
    names = ", ".join(class_name for class_name, _ in faces)
    box = faces[0][1].tolist()
    return f"{place}: the box {box} has two classes ({names}): delete the wrong one."
