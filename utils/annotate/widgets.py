"""Notebook widgets (anywidget): label faces one by one, and pick pictures from a contact sheet.

This is the kernel's side. It exchanges messages with the browser, so it also works with a kernel
on another machine. The kernel holds the state: a page that is loaded again asks for it, and each
answer corrects what the browser showed ahead of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import cv2
import numpy as np
import pandas as pd
import traitlets

from utils.annotate.journal import normalize_box
from utils.annotate.session import LabelSession
from utils.boxes import square_boxes
from utils.classes import CLASS_COLORS, CLASS_NAMES
from utils.images import ImageError, crop_image, limit_size, read_image, resize_image
from utils.labels import BOX_COLUMNS

FOLDER = Path(__file__).parent
STYLE = FOLDER / "page_style.css"
PREFETCH = 5  # faces sent to the browser before they are shown
FACE_SIDE = 448  # pixels of the picture of a face
TILE_SIDE = 128  # pixels of a picture in a contact sheet
JPEG_QUALITY = 88
SKIP = -1  # what the browser sends in place of a class id


def _to_text(class_name: str) -> str:
    """Return a class name as the page shows it."""
    return class_name.replace("_", " ")


def encode_jpeg(image: np.ndarray, max_side: int = FACE_SIDE) -> bytes:
    """Return an image as JPEG data, shrunk if its longer side is above ``max_side`` pixels."""
    small = cv2.cvtColor(limit_size(image, max_side), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def read_face_with_context(root: str | Path, face: pd.Series, padding: float = 0.5) -> np.ndarray:
    """Return a face and its surroundings, with a thin frame around the face.

    Args:
        root: the data root that ``face.file`` is relative to.
        face: ``file`` and a box. If the box is NaN, the whole image is returned without a frame.
        padding: what is added on each side, as a share of the box's longer side.

    Returns:
        (448, 448, 3) uint8 RGB; a whole image keeps its shape, with at most 448 pixels a side.

    Raises:
        ImageError: the file cannot be read.
    """
    image = read_image(Path(root) / face.file)
    box = normalize_box(face[BOX_COLUMNS])
    if not box:
        return limit_size(image, FACE_SIDE)
    square = square_boxes(box, padding)[0]
    crop = crop_image(image, square)
    resolution_wh = (FACE_SIDE, FACE_SIDE)
    if min(crop.shape[:2]) < FACE_SIDE:  # smooth where a small face is enlarged
        shown = cv2.resize(crop, resolution_wh, interpolation=cv2.INTER_CUBIC)
    else:
        shown = resize_image(crop, resolution_wh)
    scale = FACE_SIDE / (square[2] - square[0])
    left, top = square[:2]
    offset = np.array([left, top, left, top])
    corners = np.round((np.array(box) - offset) * scale).astype(int).tolist()
    # A white line on a black one is visible on light and on dark pictures.
    cv2.rectangle(shown, corners[:2], corners[2:], color=(0, 0, 0), thickness=3)
    cv2.rectangle(shown, corners[:2], corners[2:], color=(255, 255, 255), thickness=1)
    return shown


class LabelWidget(anywidget.AnyWidget):
    """Label the faces of a session with keys or buttons.

    The keys 1 to 4 give a class, s skips, u or Ctrl+Z undoes, and h hides the suggestion. They work
    after a click on the widget. Each decision is in the journal before the page confirms it.
    """

    _esm = FOLDER / "label_page.js"
    _css = STYLE
    classes = traitlets.List(
        [[_to_text(name), f"rgb{CLASS_COLORS[name]}"] for name in CLASS_NAMES]
    ).tag(sync=True)
    has_suggestions = traitlets.Bool().tag(sync=True)
    hide_suggestion = traitlets.Bool().tag(sync=True)
    review = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        session: LabelSession,
        read_crop: Callable[[pd.Series], np.ndarray],
        hide_suggestion: bool = False,
    ) -> None:
        """Show a session.

        Args:
            session: the faces in order, and the journal.
            read_crop: returns the picture of a face, given its row of ``session.faces``; see
                ``read_face_with_context``.
            hide_suggestion: label without seeing the suggestion, as is right for a test set. The
                key h changes it.
        """
        super().__init__(
            hide_suggestion=hide_suggestion,
            has_suggestions=session.suggestions is not None,
            review=session.review,
        )
        self.session = session
        self.read_crop = read_crop
        self.on_msg(self._receive)

    def _receive(self, _: object, message: dict, buffers: list[bytes]) -> None:
        """Do what a message asks, and answer with the current state, also after an error."""
        note = ""
        problem = ""
        try:
            for action in message["actions"]:
                note = self._act(*action)
        except ValueError as error:  # a LabelError is a ValueError
            problem = str(error)
        queue = self.session.queue[:PREFETCH]
        have = set(message["have"])
        if ["undo"] in message["actions"]:
            have -= set(queue)  # the labels that the browser has of these may be old
        faces = []
        pictures = []
        for position in queue:
            if position not in have:
                face, picture = self._describe_face(position)
                faces.append(face)
                pictures.append(picture)
        answer = {
            "view": message["view"],
            "note": note,
            "problem": problem,
            "queue": queue,
            "faces": faces,
            "counts": list(self.session.counts.values()),
            "done": self.session.done,
            "left": self.session.left,
            "total": len(self.session.faces),
            "journal": str(self.session.path),
        }
        self.send(answer, pictures)

    def _act(self, action: int | str, position: int | None = None) -> str:
        """Do one action of the browser.

        Args:
            action: "undo", ``SKIP`` or a class id.
            position: the face that a class id or ``SKIP`` is for.

        Returns:
            What was done, as the page shows it; "" if nothing was.
        """
        session = self.session
        if isinstance(action, str):  # "undo" is the only action with a name
            done = session.done
            session.undo()
            return "undone" if session.done < done else "nothing to undo"
        if position != session.position:
            return ""  # another view of this widget was faster
        if action == SKIP:
            session.skip()
            return "label kept" if session.review else "skipped"
        session.label(CLASS_NAMES[action])
        return _to_text(CLASS_NAMES[action])

    def _describe_face(self, position: int) -> tuple[dict[str, object], bytes]:
        """Return what the page shows of a face, and its JPEG data; b"" if it cannot be read."""
        row = self.session.faces.iloc[position]
        face: dict[str, object] = {
            "position": position,
            "file": str(row.file),
            "label": _to_text(self.session.current_label(position)),
        }
        suggestion = self.session.suggestion(position)
        if suggestion is not None:
            class_name, probability = suggestion
            face["suggestion"] = f"{_to_text(class_name)} ({probability:.0%})"
        try:
            return face, encode_jpeg(self.read_crop(row))
        except Exception as error:  # the user's read_crop may raise anything; the page must go on
            face["problem"] = str(error)
            return face, b""


class ContactSheet(anywidget.AnyWidget):
    """Pictures in a grid, in pages. A click leaves a picture out or takes it back in.

    Attributes:
        kept: (N,) bool, which pictures are kept now.
    """

    _esm = FOLDER / "sheet_page.js"
    _css = STYLE

    def __init__(
        self,
        crops: Sequence[np.ndarray | str | Path],
        captions: Sequence[str] | None = None,
        kept: Sequence[bool] | None = None,
        on_change: Callable[[int, bool], object] | None = None,
        page_size: int = 100,
    ) -> None:
        """Show pictures.

        Args:
            crops: N images (RGB) or image files. A file is read when its page is shown.
            captions: N lines of text, shown under the pictures.
            kept: (N,) which pictures are kept at the start; all by default.
            on_change: called with a position and whether it is kept, to store a change. If it
                raises a ValueError or OSError, the page shows the message and nothing changes.
            page_size: pictures per page.

        Raises:
            ValueError: there are not as many captions, or values of ``kept``, as pictures.
        """
        super().__init__()
        self.crops = crops
        self.captions = [""] * len(crops)
        if captions is not None:
            self.captions = [str(caption) for caption in captions]
        self.kept = np.ones(len(crops), bool)
        if kept is not None:
            self.kept = np.array(kept, bool)
        if len(self.captions) != len(crops) or len(self.kept) != len(crops):
            raise ValueError(
                f"{len(crops)} pictures need as many captions and values of kept, not "
                f"{len(self.captions)} and {len(self.kept)}."
            )
        self.on_change = on_change
        self.page_size = page_size
        self.on_msg(self._receive)

    def _receive(self, _: object, message: dict, buffers: list[bytes]) -> None:
        """Store a change or send a page, as the message asks."""
        if message["type"] == "keep":
            self._keep(message["position"], message["kept"])
        else:
            self._send_page(message["page"])

    def _keep(self, position: int, is_kept: bool) -> None:
        """Store a change, and answer with what is kept now."""
        problem = ""
        try:
            if self.on_change is not None:
                self.on_change(position, is_kept)
            self.kept[position] = is_kept
        except (ValueError, OSError) as error:
            problem = str(error)
        self._answer([position], {"problem": problem}, pictures=[])

    def _send_page(self, number: int) -> None:
        """Send the pictures of a page. A number outside the range means the nearest page."""
        pages = max(1, math.ceil(len(self.crops) / self.page_size))
        page = min(max(0, number), pages - 1)
        first = page * self.page_size
        last = min(first + self.page_size, len(self.crops))
        positions = list(range(first, last))
        captions = []
        pictures = []
        for position in positions:
            caption, picture = self._read_tile(position)
            captions.append(caption)
            pictures.append(picture)
        content = {
            "problem": "",
            "page": page,
            "pages": pages,
            "first": first,
            "captions": captions,
        }
        self._answer(positions, content, pictures)

    def _answer(self, positions: list[int], content: dict, pictures: list[bytes]) -> None:
        """Send a message with the state of some pictures and the totals."""
        states = [[position, bool(self.kept[position])] for position in positions]
        totals = {"states": states, "kept": int(self.kept.sum()), "total": len(self.kept)}
        self.send({**content, **totals}, pictures)

    def _read_tile(self, position: int) -> tuple[str, bytes]:
        """Return a picture's caption and JPEG data; a message and b"" if it cannot be read."""
        crop = self.crops[position]
        try:
            image = crop if isinstance(crop, np.ndarray) else read_image(crop)
        except ImageError as error:
            return str(error), b""
        return self.captions[position], encode_jpeg(image, TILE_SIDE)
