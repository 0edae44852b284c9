"""What readers and writers of label files share: labelled images, rows of faces, problems.

``settle_photographs`` and ``settle_boxes`` leave out what is labelled twice: one photograph in two
class folders, one box with two classes.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from utils.boxes import BOX_COLUMNS, box_area, clip_boxes
from utils.classes import CLASS_NAMES, MASK_CLASSES, LabelError
from utils.messages import name_some

if TYPE_CHECKING:
    import pandas as pd

Face = tuple[str, np.ndarray]  # class name and (4,) float64 ``xyxy`` box

REPEATED = "they repeat another box of the same class"  # why boxes are left out
SPLITS = ("train", "val", "valid", "test")  # how folders for a split are called
SPLIT_FILE = re.compile(r"(?:instances_|person_keypoints_)?(train|val|valid|test)(?![a-z])", re.I)
SPLIT_FOLDER = re.compile(r"(train|val|valid|validation|test)\d*$", re.I)


@dataclass(frozen=True)
class LabelledImage:
    """The labels of one image.

    Attributes:
        file: POSIX path of the image, relative to the folder of the images.
        resolution_wh: width and height of the upright image, pixels.
        class_names: the class of each face.
        xyxy: (N, 4) boxes in pixels of the upright image; right and bottom are excluded.
        confidence: (N,) confidence of the detector in each face, 0-1; None for labels of a person.
        split: train, val or test; empty if the data set is not divided.
    """

    file: str
    resolution_wh: tuple[int, int]
    class_names: Sequence[str]
    xyxy: np.ndarray
    confidence: np.ndarray | None = None
    split: str = ""


def list_classes(images: Iterable[LabelledImage]) -> list[str]:
    """Return the classes in their fixed order; ``no_face`` is listed only if a box has it."""
    used = {name for image in images for name in image.class_names}
    return [name for name in CLASS_NAMES if name in MASK_CLASSES or name in used]


@dataclass
class Listed:
    """What a data set lists besides faces.

    Attributes:
        empty: images that are listed without a box.
        splits: the split (train, val, test) of each image that has one.
    """

    empty: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)

    def add(self, other: Listed) -> None:
        """Add what another data set says."""
        self.empty.extend(other.empty)
        self.splits.update(other.splits)


@dataclass
class Labels:
    """What a reader found.

    Attributes:
        rows: the rows of a label table, see ``labels``.
        problems: what was left out: ``file`` and ``problem``.
        listed: the images without a box, and the splits.
    """

    rows: list[dict] = field(default_factory=list)
    problems: list[dict] = field(default_factory=list)
    listed: Listed = field(default_factory=Listed)

    def add(self, other: Labels) -> None:
        """Add what another reader found."""
        self.rows.extend(other.rows)
        self.problems.extend(other.problems)
        self.listed.add(other.listed)

    def add_faces(self, file: str, source: str, faces: Sequence[Face], place: object) -> int:
        """Add the rows of the faces of an image.

        Args:
            file: the image.
            source: its source.
            faces: the class and the box of each.
            place: what problems name as the place of a box with two classes, which is left out.

        Returns:
            How many faces repeat another one, and are left out.
        """
        kept, repeated, contradictory = settle_boxes(faces)
        for same in contradictory:
            self.add_problem(file, describe_contradiction(place, same))
        for class_name, box in kept:
            row: dict = {"file": file, "source": source, "class_name": class_name}
            row.update(zip(BOX_COLUMNS, box.tolist(), strict=True))
            self.rows.append(row)
        return len(repeated)

    def add_problem(self, file: str, problem: str) -> None:
        """Add a problem."""
        self.problems.append({"file": file, "problem": problem})


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


def find_split(image: PurePath, label_file: PurePath | None = None) -> str:
    """Return the split that a label file or a folder of the image is named after, or "".

    Args:
        image: its path in the data root.
        label_file: the file that describes the images of one split, such as
            ``instances_train.json``.
    """
    found = SPLIT_FILE.match(label_file.name) if label_file else None
    for folder in image.parts[:-1]:
        found = found or SPLIT_FOLDER.match(folder)
    if found is None:
        return ""
    name = found[1].lower()
    return "val" if name.startswith("val") else name


def keep_box(box: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Return a box clipped to its image. Raise LabelError with a reason if nothing is left.

    Args:
        box: (4,) ``xyxy``.
        resolution_wh: width and height of the image.
    """
    if not np.isfinite(box).all():
        raise LabelError("their box is not four finite numbers")
    if not (box[2] > box[0] and box[3] > box[1]):
        raise LabelError("their box is flat or reversed")
    clipped, is_inside = clip_to_image(box, resolution_wh)
    if not is_inside[0]:
        raise LabelError("their box is outside the image")
    return clipped[0]


def clip_to_image(xyxy: ArrayLike, resolution_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 4) float64 boxes clipped to their image, and whether something is left of each."""
    clipped = clip_boxes(xyxy, resolution_wh).astype(float)
    return clipped, box_area(clipped) > 0


def count_boxes(number: int) -> str:
    """Return a number of boxes with its verb, such as "1 box is"."""
    return "1 box is" if number == 1 else f"{number} boxes are"


def make_tables(rows: list[dict], problems: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows as a label table, and problems as a table, see ``utils.labels``."""
    from utils.labels import make_label_table, make_problem_table  # the script needs no pandas

    return make_label_table(rows), make_problem_table(problems)
