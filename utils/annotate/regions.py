"""Faces that the detector missed, marked by hand: regions drawn with OpenCV's ``selectROI``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from utils.annotate.journal import read_hand_labels, read_journal, record_label
from utils.boxes import as_boxes, box_area, clip_boxes
from utils.classes import CLASS_COLORS, MASK_CLASSES, LabelError, to_class_name
from utils.display import has_display
from utils.draw import FACE_COLOR
from utils.images import ImageError, read_image, resize_image
from utils.labels import BOX_COLUMNS

WAY = "regions"
WINDOW = "Missed faces"
MAX_WH, MAX_ENLARGED = (1280, 720), 2  # a picture is shown as large as this allows
ENTER, ESC = (10, 13, 32), 27  # space is as good as Enter
Region = tuple[str, np.ndarray]  # class_name and box, as ``formats.read_voc`` gives them

DRAW_HINT = "Drag over a missed face, then Enter. No more: Enter alone."
CLASS_HINT = (
    ", ".join(f"{number}: {name}" for number, name in enumerate(MASK_CLASSES, 1))
    + ". Esc: leave it out."
)
DONE_HINT = "Enter: next photo. D: draw on. U: take the last one back. Esc: stop."


def _wait_for_key(keys: Iterable[int]) -> int:
    """The first of some keys that is pressed; closing the window is Esc."""
    keys = {*keys, ESC}
    while (key := cv2.waitKey(50) & 0xFF) not in keys:
        if cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1:
            return ESC
    return key


def _add_boxes(shown: np.ndarray, regions: Iterable[Region], thickness: int) -> np.ndarray:
    """A copy with a box for each region, in its class's colour."""
    shown = shown.copy()
    for name, box in regions:
        corners = np.round(box).astype(int).tolist()
        cv2.rectangle(
            shown, corners[:2], corners[2:], CLASS_COLORS.get(name, FACE_COLOR), thickness
        )
    return shown


def _add_hint(shown: np.ndarray, hint: str) -> np.ndarray:
    """The picture with a line of text below it; the window's title would cut it off where the photo is narrow."""
    font, size = cv2.FontFace("sans"), 14
    width = cv2.getTextSize((0, 0), hint, (0, 0), font, size)[2] + 2 * size
    right, bottom = max(0, width - shown.shape[1]), 2 * size
    bordered = cv2.copyMakeBorder(shown, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    cv2.putText(bordered, hint, (size, len(bordered) - 9), (255, 255, 255), font, size)
    return bordered


def draw_regions(
    image: np.ndarray, known: Iterable[Region] = (), class_name: str = "", title: str = ""
) -> tuple[list[Region], bool]:
    """Show a photo in a window, where a person draws a box over each face that was missed.

    A drag draws, Space or Enter accepts, and a key from 1 to 3 says the class. Space or Enter with nothing drawn ends
    the photo. A photo too large for the window is shown smaller, a small one larger.

    Args:
        image: (H, W, 3) uint8 RGB.
        known: faces found before (class_name, box), drawn thinly, so that one sees what is missing.
        class_name: of every region; without it each is asked for.
        title: begins the window's title, which says what to do, as the line below the photo does.

    Returns:
        The regions (class_name, box in whole pixels), and whether the person goes on to another photo.

    Raises:
        RuntimeError: there is no display.
        LabelError: the class is unknown.
    """
    if not has_display():  # OpenCV would end the process, or the notebook's kernel
        raise RuntimeError(
            "Regions are drawn in a window, and there is no display: run this where you have a desktop."
        )
    class_name = class_name and to_class_name(class_name)
    resolution_wh = np.array(image.shape[1::-1])
    scale = min(MAX_ENLARGED, *(MAX_WH / resolution_wh))
    shown_wh = np.maximum(1, np.round(resolution_wh * scale)).astype(int)
    zoom = np.tile(shown_wh / resolution_wh, 2)
    known = [(name, box * zoom) for name, box in known]
    picture = _add_boxes(resize_image(image, tuple(shown_wh.tolist())), known, 1)
    regions: list[Region] = []

    def show(hint: str, *last: Region) -> np.ndarray:
        shown = _add_boxes(picture, [(name, box * zoom) for name, box in (*regions, *last)], 2)
        shown = _add_hint(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), hint)
        # Without OpenCV's own toolbar, whose mouse would move the picture instead of drawing.
        cv2.namedWindow(WINDOW, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        cv2.imshow(WINDOW, shown)
        cv2.setWindowTitle(WINDOW, f"{title}  {hint}".strip())
        return shown

    while True:
        x, y, width, height = cv2.selectROI(
            WINDOW, show(DRAW_HINT), showCrosshair=False, printNotice=False
        )
        box = clip_boxes(np.round(np.array([x, y, x + width, y + height]) / zoom), resolution_wh)[0]
        if box_area(box)[0] > 0:
            name = class_name or _ask_class(show, box)
            regions += [(name, box)] if name else []
            continue
        show(DONE_HINT)
        key = _wait_for_key([*ENTER, *b"dDuU"])
        if key in b"uU":
            regions = regions[:-1]
        elif key not in b"dD":
            return regions, key != ESC


def _ask_class(show: Callable, box: np.ndarray) -> str:
    """The class of a region just drawn, empty where it is to be left out."""
    show(CLASS_HINT, ("", box))
    key = _wait_for_key(b"123")
    return "" if key == ESC else MASK_CLASSES[key - ord("1")]


def _find_done(journal: str | Path, labeller: str) -> set[str]:
    """The photos that a labeller has gone through: a row without box or class says so."""
    rows = [
        row
        for row in read_journal(journal)
        if row.method == WAY and row.annotator == labeller.strip()
    ]
    return {row.file for row in rows if not row.box and not row.class_name}


def label_missed_faces(
    files: Iterable[str | Path],
    root: str | Path,
    known: pd.DataFrame,
    journal: str | Path,
    labeller: str,
    class_name: str = "",
) -> pd.DataFrame:
    """Go through photos one by one, with the faces found before drawn on them, and mark those that were missed.

    Every photo's regions are in the journal before the next is shown, and after them a row without box or class: this
    labeller is done with the photo, and a later run passes it over. The photo at which a person stops comes again.

    Args:
        files: the photos; paths, or names below ``root`` as tables have them.
        root: the data root.
        known: ``file``, a box and perhaps ``class_name``: a faces table, a label table or hand labels.
        journal: the journal of hand labels.
        labeller: who draws.
        class_name: of every region; without it each is asked for.

    Returns:
        The new regions: ``file``, ``x_min, y_min, x_max, y_max``, ``class_name``, ``way``.

    Raises:
        RuntimeError: there is no display.
        LabelError: a photo is not below the root, the class is unknown, or the journal cannot be read or written.
    """
    root, rows = Path(root), []
    known = pd.concat(
        [known, read_hand_labels(journal)]
    )  # drawn last: a face that is labelled has its class's colour
    paths = [root / file for file in files]
    if outside := [path for path in paths if not path.is_relative_to(root)]:
        raise LabelError(
            f"{outside[0]} is not below {root}: give the folder that holds all photos."
        )
    done = _find_done(journal, labeller)
    paths = [path for path in paths if path.relative_to(root).as_posix() not in done]
    try:
        for number, path in enumerate(paths, 1):
            try:
                image = read_image(path)
            except ImageError as error:
                print(error)
                continue
            file = path.relative_to(root).as_posix()
            faces = known[(known.file == file) & known.x_min.notna()]
            names = faces.class_name.fillna("") if "class_name" in faces else [""] * len(faces)
            found = list(zip(names, as_boxes(faces[BOX_COLUMNS]), strict=True))
            regions, goes_on = draw_regions(image, found, class_name, f"{number} of {len(paths)}.")
            for name, box in [*regions, *([("", [])] if goes_on else [])]:
                record_label(journal, file, box, name, labeller, WAY)
            rows += [(file, *box.tolist(), name, WAY) for name, box in regions]
            if not goes_on:
                break
    finally:
        if paths and has_display():
            cv2.destroyAllWindows()
            cv2.waitKey(1)  # Qt closes a window only when it is given the time
    return pd.DataFrame(rows, columns=["file", *BOX_COLUMNS, "class_name", "way"])
