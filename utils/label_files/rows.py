"""What the readers of label formats share: rows of faces, rows of problems, and finding images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from utils.boxes import box_area, clip_boxes
from utils.classes import LabelError
from utils.images import list_images

SPLITS = ("train", "val", "valid", "test")  # how folders for a split are called
BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max")


@dataclass
class Labels:
    """What a reader found.

    Attributes:
        rows: the rows of a label table, see ``labels``.
        problems: what was left out: ``file`` and ``problem``.
    """

    rows: list[dict]
    problems: list[dict]

    def add_face(self, file: PurePath, source: str, class_name: str, box: np.ndarray) -> None:
        """Add the row of a face."""
        row: dict = {"file": file.as_posix(), "source": source, "class_name": class_name}
        row.update(zip(BOX_COLUMNS, box.tolist(), strict=True))
        self.rows.append(row)

    def add_problem(self, file: str, problem: str) -> None:
        """Add a problem."""
        self.problems.append({"file": file, "problem": problem})


def index_images(folder: Path) -> dict[str, list[Path]]:
    """Return the images of a folder and its subfolders, by file name without case."""
    index: dict[str, list[Path]] = {}
    for path in list_images(folder):
        index.setdefault(path.name.casefold(), []).append(path)
    return index


def find_image(
    name: str, places: Iterable[Path], index: dict[str, list[Path]], label_file: Path
) -> Path:
    """Return the image that a label file names.

    Args:
        name: its POSIX path as written.
        places: folders to which the path may be relative, the most likely first.
        index: see ``index_images``; serves if the path is of another computer.
        label_file: the file that names it.

    Raises:
        LabelError: the image is not there, or several images have its name.
    """
    path = PurePosixPath(name)
    known = index.get(path.name.casefold(), [])
    if not path.is_absolute() and ".." not in path.parts:
        for place in places:
            if place / path in known:
                return place / path
    if len(known) == 1:
        return known[0]
    if known:
        raise LabelError(
            f"{label_file} describes {name}, and {len(known)} images are called {path.name}: write "
            "the path of the right one."
        )
    raise LabelError(
        f"{label_file} describes {name or 'an image without a name'}, which is missing."
    )


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
    clipped = clip_boxes(box, resolution_wh)[0].astype(float)
    if not box_area(clipped)[0] > 0:
        raise LabelError("their box is outside the image")
    return clipped


def count_boxes(number: int) -> str:
    """Return a number of boxes with its verb, such as "1 box is"."""
    return "1 box is" if number == 1 else f"{number} boxes are"
