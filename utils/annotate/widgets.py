"""The kernel's half of the notebooks' widgets (anywidget): label one face after another, pick pictures from a sheet.

All goes by messages, so that it works with a kernel on another machine. What holds is what the kernel has: a page that
is loaded again asks for it, and every answer puts right what the browser showed ahead of it.
"""

from __future__ import annotations

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

HERE = Path(__file__).parent
AHEAD = 5  # faces sent before they are asked for
SIDE, TILE_SIDE = 448, 128  # pixels of the picture shown, and of one in a contact sheet


def _say(class_name: str) -> str:
    return class_name.replace("_", " ")


def encode_jpeg(image: np.ndarray, max_side: int = SIDE) -> bytes:
    """An image as the bytes of a JPEG file, shrunk where its longer side is above ``max_side``."""
    small = cv2.cvtColor(limit_size(image, max_side), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def read_face_with_context(root: str | Path, face: pd.Series, padding: float = 0.5) -> np.ndarray:
    """A face with what is about it, (448, 448, 3), and a thin frame that says which face is meant.

    Args:
        root: the data root that ``face.file`` is relative to.
        face: ``file`` and a box; with a box of NaN the whole image is shown.
        padding: added on each side, as a share of the box's longer side.

    Raises:
        ImageError: the file cannot be read.
    """
    image, box = read_image(Path(root) / face.file), normalize_box(face[BOX_COLUMNS])
    if not box:
        return limit_size(image, SIDE)
    (square,) = square_boxes(box, padding)
    crop = crop_image(image, square)
    larger = cv2.resize(
        crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )  # smooth where a small face is enlarged
    shown = larger if min(crop.shape[:2]) < SIDE else resize_image(crop, (SIDE, SIDE))
    corners = (
        ((np.array(box) - np.tile(square[:2], 2)) * SIDE / (square[2] - square[0]))
        .round()
        .astype(int)
        .tolist()
    )
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):  # seen on light and on dark
        cv2.rectangle(shown, corners[:2], corners[2:], color, thickness)
    return shown


class LabelWidget(anywidget.AnyWidget):
    """Label a session's faces: a key or a button a class, s skips, u takes back, h hides the suggestion.

    Each decision is in the journal before the browser says so.
    """

    _esm, _css = HERE / "label_page.js", HERE / "page_style.css"
    classes = traitlets.List(
        [[_say(name), f"rgb{CLASS_COLORS[name]}"] for name in CLASS_NAMES]
    ).tag(sync=True)
    has_suggestions = traitlets.Bool().tag(sync=True)
    hide_suggestion = traitlets.Bool().tag(sync=True)
    mend = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        session: LabelSession,
        read_crop: Callable[[pd.Series], np.ndarray],
        hide_suggestion: bool = False,
    ) -> None:
        """Show a session.

        Args:
            session: which face is next, and the journal.
            read_crop: the picture of a face, given its row of ``session.faces``; see ``read_face_with_context``.
            hide_suggestion: label blind, as one should for a test set. The key h changes it.
        """
        has_suggestions = session.suggestions is not None
        super().__init__(
            hide_suggestion=hide_suggestion, has_suggestions=has_suggestions, mend=session.review
        )
        self.session, self.read_crop = session, read_crop
        self._is_new = True
        self.on_msg(self._receive)

    def _receive(self, _: object, message: dict, buffers: list[bytes]) -> None:
        """Do what a message asks and answer with what holds, also where it could not be done."""
        note, problem, have = "", "", message["have"]
        try:
            for action in message["actions"]:
                note = self._act(*action)
        except ValueError as error:  # a LabelError is one
            problem = str(error)
        queue = self.session.queue[:AHEAD]
        if ["undo"] in message[
            "actions"
        ]:  # what came back has another present label than the browser knows
            have = set(have) - set(queue)
        faces = [self._show(position) for position in queue if position not in have]
        answer = {
            **{"view": message["view"], "note": note, "problem": problem},
            **{
                "queue": queue,
                "faces": [face for face, _ in faces],
                "counts": list(self.session.counts.values()),
            },
            **{
                "done": self.session.done,
                "left": self.session.left,
                "total": len(self.session.faces),
            },
            **{"journal": str(self.session.path), "take_focus": self._is_new},
        }
        self._is_new = False
        self.send(answer, [crop for _, crop in faces])

    def _act(self, what: int | str, position: int | None = None) -> str:
        """Undo, skip (-1) or label with a class_id; what was done, as the browser says it."""
        session = self.session
        if what == "undo":
            count = session.done
            session.undo()
            return "taken back" if session.done < count else "nothing to take back"
        if position != session.position:
            return ""  # another view of this widget was faster
        if what == -1:
            session.skip()
            return "left as it is" if session.review else "skipped"
        session.label(CLASS_NAMES[what])
        return _say(CLASS_NAMES[what])

    def _show(self, position: int) -> tuple[dict, bytes]:
        """What the browser needs of a face, and its picture; no bytes where it cannot be read."""
        row = self.session.faces.iloc[position]
        face = {
            "position": position,
            "file": str(row.file),
            "present": _say(self.session.current_label(position)),
        }
        if suggestion := self.session.suggestion(position):
            face["suggestion"] = f"{_say(suggestion[0])} ({suggestion[1]:.0%})"
        try:
            return face, encode_jpeg(self.read_crop(row))
        except (
            Exception
        ) as error:  # read_crop is the caller's own, and the browser waits for an answer
            return {**face, "problem": str(error)}, b""


class ContactSheet(anywidget.AnyWidget):
    """Pictures in a grid, page by page: a click leaves one out, or takes it back in, and is stored at once."""

    _esm, _css = HERE / "sheet_page.js", HERE / "page_style.css"

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
            crops: N images or their files, read when their page is shown.
            captions: a line under each.
            kept: (N,) which are kept now; all by default. The attribute ``kept`` follows the clicks.
            on_change: stores a change, given the position and whether it is kept. What it raises is shown, and the
                picture stays as it was.
            page_size: pictures a page.
        """
        super().__init__()
        self.crops, self.captions = (
            crops,
            [""] * len(crops) if captions is None else [str(text) for text in captions],
        )
        self.kept = np.ones(len(crops), bool) if kept is None else np.array(kept, bool)
        if not len(self.crops) == len(self.captions) == len(self.kept):
            raise ValueError(f"{len(crops)} pictures need as many captions and values of kept.")
        self.on_change, self.page_size = on_change, page_size
        self.on_msg(self._receive)

    def _receive(self, _: object, message: dict, buffers: list[bytes]) -> None:
        """Store a change, or send a page."""
        answer, tiles, positions = {"problem": ""}, [], []
        if message["type"] == "keep":
            positions = [message["position"]]
            try:
                if self.on_change is not None:
                    self.on_change(message["position"], message["kept"])
                self.kept[message["position"]] = message["kept"]
            except (ValueError, OSError) as error:
                answer["problem"] = str(error)
        else:
            pages = max(1, -(-len(self.crops) // self.page_size))
            page = min(max(0, message["page"]), pages - 1)
            positions = list(range(len(self.crops)))[
                page * self.page_size : (page + 1) * self.page_size
            ]
            captions, tiles = (
                zip(*map(self._show, positions), strict=True) if positions else ((), ())
            )
            answer |= {
                "page": page,
                "pages": pages,
                "first": page * self.page_size,
                "captions": captions,
            }
        states = [[position, bool(self.kept[position])] for position in positions]
        self.send(
            {**answer, "states": states, "kept": int(self.kept.sum()), "total": len(self.kept)},
            list(tiles),
        )

    def _show(self, position: int) -> tuple[str, bytes]:
        """The caption and the picture; no bytes where it cannot be read."""
        crop = self.crops[position]
        try:
            image = crop if isinstance(crop, np.ndarray) else read_image(crop)
        except ImageError as error:
            return str(error), b""
        return self.captions[position], encode_jpeg(image, TILE_SIDE)
