"""Mark missed faces by hand: boxes drawn in an OpenCV window with ``cv2.selectROI``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

METHOD = "regions"  # the journal's ``way``
REGION_COLUMNS = ["file", *BOX_COLUMNS, "class_name", "way"]
WINDOW = "Missed faces"
MAX_WIDTH = 1280  # pixels of the window
MAX_HEIGHT = 720
MAX_ENLARGEMENT = 2
HINT_SIZE = 14  # pixels: the text's height, and its margin
KNOWN_THICKNESS = 1  # pixels: the lines of faces that were found before
DRAWN_THICKNESS = 2

ENTER_KEYS = (10, 13, 32)  # Enter on two systems, and Space
ESC = 27
CLASS_KEYS = tuple(ord("1") + class_id for class_id in range(len(MASK_CLASSES)))
DRAW_KEYS = tuple(b"dD")
UNDO_KEYS = tuple(b"uU")

DRAW_HINT = "Drag over a missed face, then press Enter. No more faces: Enter alone."
CLASS_HINT = (
    ", ".join(f"{number}: {name}" for number, name in enumerate(MASK_CLASSES, 1))
    + ". Esc: discard this box."
)
DONE_HINT = "Enter: next photo. D: draw more. U: remove the last box. Esc: stop."

Region = tuple[str, np.ndarray]  # class_name and box, as ``read_voc`` returns them


class _RegionWindow:
    """A window with a photograph and the boxes on it. It scales between window and image.

    Attributes:
        image_wh: (width, height) of the image in pixels.
        zoom: (4,) pixels of the window per pixel of the image, for each value of a box.
    """

    def __init__(self, image: np.ndarray, known: Iterable[Region], title: str) -> None:
        """Scale the image to the window and draw the known boxes on it."""
        height, width = image.shape[:2]
        scale = min(MAX_ENLARGEMENT, MAX_WIDTH / width, MAX_HEIGHT / height)
        shown_width = max(1, round(scale * width))
        shown_height = max(1, round(scale * height))
        zoom_x = shown_width / width
        zoom_y = shown_height / height
        self.image_wh = (width, height)
        self.zoom = np.array([zoom_x, zoom_y, zoom_x, zoom_y])
        self._title = title
        # A copy, because an image that already has this size is returned as it is.
        self._picture = resize_image(image, (shown_width, shown_height)).copy()
        self._draw_boxes(self._picture, known, KNOWN_THICKNESS)

    def _draw_boxes(self, picture: np.ndarray, regions: Iterable[Region], thickness: int) -> None:
        """Draw a box for each region into a picture, in the colour of its class."""
        for class_name, box in regions:
            corners = np.round(box * self.zoom).astype(int).tolist()
            color = CLASS_COLORS.get(class_name, FACE_COLOR)
            cv2.rectangle(picture, corners[:2], corners[2:], color, thickness)

    def show(self, hint: str, regions: Iterable[Region]) -> np.ndarray:
        """Show the photograph with regions and a hint; return the picture (BGR) as shown."""
        picture = self._picture.copy()
        self._draw_boxes(picture, regions, DRAWN_THICKNESS)
        picture = _add_hint(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), hint)
        # Without OpenCV's toolbar, with which the mouse moves the picture instead of drawing.
        cv2.namedWindow(WINDOW, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        cv2.imshow(WINDOW, picture)
        cv2.setWindowTitle(WINDOW, f"{self._title}  {hint}".strip())
        return picture

    def select_box(self, regions: Iterable[Region]) -> np.ndarray:
        """Let the user draw one box; return it in image pixels. Its area is 0 if none was drawn."""
        picture = self.show(DRAW_HINT, regions)
        x, y, width, height = cv2.selectROI(WINDOW, picture, showCrosshair=False, printNotice=False)
        box = np.round(np.array([x, y, x + width, y + height]) / self.zoom)
        return clip_boxes(box, self.image_wh)[0]

    def select_class(self, regions: Sequence[Region], box: np.ndarray) -> str:
        """Ask for the class of a new box; return "" if the user discards the box."""
        self.show(CLASS_HINT, [*regions, ("", box)])
        key = _wait_for_key(CLASS_KEYS)
        return "" if key == ESC else MASK_CLASSES[CLASS_KEYS.index(key)]


def _wait_for_key(keys: Sequence[int]) -> int:
    """Wait until one of some keys, or Esc, is pressed, and return it. Closing the window is Esc."""
    while True:
        key = cv2.waitKey(50) & 0xFF
        if key == ESC or key in keys:
            return key
        if cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1:
            return ESC


def _add_hint(picture: np.ndarray, hint: str) -> np.ndarray:
    """Return the picture with a line of text below it; a narrow window cuts its title off."""
    font = cv2.FontFace("sans")
    margin = HINT_SIZE
    _, _, text_width, _ = cv2.getTextSize((0, 0), hint, (0, 0), font, HINT_SIZE)
    right = max(0, text_width + 2 * margin - picture.shape[1])
    bottom = 2 * margin
    bordered = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    baseline = (margin, len(bordered) - 9)
    cv2.putText(bordered, hint, baseline, (255, 255, 255), font, HINT_SIZE)
    return bordered


def draw_regions(
    image: np.ndarray, known: Iterable[Region] = (), class_name: str = "", title: str = ""
) -> tuple[list[Region], bool]:
    """Show a photograph in a window, in which the user draws a box over each missed face.

    Dragging draws a box, Enter or Space accepts it, and a key from 1 to 3 gives its class. Enter
    or Space without a box ends the photograph. A photograph is scaled to fit the window.

    Args:
        image: (H, W, 3) uint8 RGB.
        known: (class_name, box) of faces found before; they are drawn thinly.
        class_name: the class of every region. By default, the user chooses one for each.
        title: the start of the window's title; the current hint follows it.

    Returns:
        The regions, (class_name, box in whole pixels), and whether to go on to the next photo.

    Raises:
        RuntimeError: there is no display.
        LabelError: the class is unknown.
    """
    if not has_display():  # OpenCV would end the process, or the notebook's kernel
        raise RuntimeError(
            "Regions are drawn in a window, and there is no display: run this on a desktop."
        )
    if class_name:
        class_name = to_class_name(class_name)
    window = _RegionWindow(image, known, title)
    regions: list[Region] = []
    while True:
        box = window.select_box(regions)
        if box_area(box)[0] > 0:
            name = class_name or window.select_class(regions, box)
            if name:
                regions.append((name, box))
            continue
        window.show(DONE_HINT, regions)
        key = _wait_for_key([*ENTER_KEYS, *DRAW_KEYS, *UNDO_KEYS])
        if key in UNDO_KEYS:
            regions = regions[:-1]
        elif key not in DRAW_KEYS:
            return regions, key != ESC


def _find_finished(journal: str | Path, annotator: str) -> set[str]:
    """Return the files that an annotator finished: they have a row without a box or class."""
    finished = set()
    for entry in read_journal(journal):
        is_mark = not entry.box and not entry.class_name
        if is_mark and entry.method == METHOD and entry.annotator == annotator.strip():
            finished.add(entry.file)
    return finished


def _find_known(known: pd.DataFrame, file: str) -> list[Region]:
    """Return the faces of a file that have a box, from a table of faces or labels."""
    faces = known[(known.file == file) & known.x_min.notna()]
    names = [""] * len(faces)
    if "class_name" in faces:
        names = faces.class_name.fillna("").tolist()
    return list(zip(names, as_boxes(faces[BOX_COLUMNS]), strict=True))


def label_missed_faces(
    files: Iterable[str | Path],
    root: str | Path,
    known: pd.DataFrame,
    journal: str | Path,
    annotator: str,
    class_name: str = "",
) -> pd.DataFrame:
    """Show photographs one by one, with the known faces drawn on them, to mark missed faces.

    The regions of a photograph are in the journal before the next one is shown. A row without a
    box or class follows them; it means that this annotator has finished the photograph, and a
    later run skips it. The photograph at which the user stops is shown again in the next run.

    Args:
        files: the photographs, as paths or as names relative to ``root``.
        root: the data root.
        known: ``file``, a box and optionally ``class_name``: a faces table, a label table or hand
            labels.
        journal: the journal of hand labels.
        annotator: who draws.
        class_name: the class of every region. By default, the user chooses one for each.

    Returns:
        The new regions: ``file``, ``x_min, y_min, x_max, y_max``, ``class_name``, ``way``.

    Raises:
        RuntimeError: there is no display.
        LabelError: a photograph is not below the root, the class is unknown, or the journal cannot
            be read or written.
    """
    root = Path(root)
    # Hand labels come last, so that the colour of their class is drawn over other boxes.
    known = pd.concat([known, read_hand_labels(journal)])
    finished = _find_finished(journal, annotator)
    paths = []
    for name in files:
        path = root / name
        if not path.is_relative_to(root):
            raise LabelError(f"{path} is not below {root}: give the folder that holds all photos.")
        if path.relative_to(root).as_posix() not in finished:
            paths.append(path)

    rows: list[tuple] = []
    try:
        for number, path in enumerate(paths, 1):
            try:
                image = read_image(path)
            except ImageError as error:
                print(error)
                continue
            file = path.relative_to(root).as_posix()
            title = f"{number} of {len(paths)}."
            regions, goes_on = draw_regions(image, _find_known(known, file), class_name, title)
            for name, box in regions:
                record_label(journal, file, box, name, annotator=annotator, method=METHOD)
                rows.append((file, *box.tolist(), name, METHOD))
            if not goes_on:
                break
            record_label(journal, file, (), "", annotator=annotator, method=METHOD)
    finally:
        if paths and has_display():
            cv2.destroyAllWindows()
            cv2.waitKey(1)  # Qt closes a window only while events are processed
    return pd.DataFrame(rows, columns=REGION_COLUMNS)
