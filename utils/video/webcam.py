"""The browser's camera in a notebook: its frames come to the kernel, boxes and counts go back (anywidget).

The camera is that of the machine with the browser, wherever the kernel runs. No frame is kept.
"""

from __future__ import annotations

import time
from base64 import b64decode
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from utils.boxes import as_boxes, clip_boxes
from utils.classes import CLASS_COLORS, MASK_CLASSES, decide
from utils.draw import list_texts
from utils.images import ImageError, decode_image
from utils.video.monitor import TOO_CLOSE, Monitor


class Webcam(anywidget.AnyWidget):
    """Shows the camera with a box around each face, the counts, and the people of each second by class.

    Attributes:
        monitor: watches the frames; its ``census`` has the tables when the camera is stopped.
        frame_count: frames watched so far.
        problem: a sentence, where the camera or a frame could not be used.
    """

    _esm = Path(__file__).with_name("webcam.js")
    width = traitlets.Int(640).tag(sync=True)
    height = traitlets.Int(480).tag(sync=True)
    classes = traitlets.List().tag(sync=True)

    def __init__(self, monitor: Monitor, **options: object) -> None:
        """Args: monitor: watches the frames; options: ``width`` and ``height`` of them, pixels."""
        self.monitor, self.frame_count, self.problem = monitor, 0, ""
        self._started, self._second, self._seen = None, -1, {}
        super().__init__(
            classes=[[name, _to_hex(CLASS_COLORS[name])] for name in MASK_CLASSES], **options
        )
        self.on_msg(self._receive)

    def _receive(self, _: object, content: dict, buffers: list[memoryview]) -> None:
        if content["kind"] == "problem":
            self.problem = content["text"]
        if content["kind"] == "frame":
            try:
                self.send(
                    self._watch(
                        decode_image(b64decode(content["jpeg"]), "The camera's frame"),
                        content["sent"],
                    )
                )
            except ImageError as error:
                self.problem = str(error)
                self.send({"problem": self.problem})

    def _watch(self, image: np.ndarray, sent: float) -> dict:
        now = time.monotonic()
        self._started = now if self._started is None else self._started
        time_s = now - self._started
        tracks = self.monitor.watch(image, time_s)
        self.frame_count += 1
        class_ids = decide(tracks.y_prob).tolist()
        near = self.monitor.find_close(tracks, image.shape[1::-1])
        texts = list_texts(tracks, [TOO_CLOSE if one else "" for one in near])
        faces = [
            [*box[:2], *np.subtract(box[2:], box[:2]).tolist(), text[0], self.classes[class_id][1]]
            for box, text, class_id in zip(
                tracks.xyxy.astype(float).tolist(), texts, class_ids, strict=True
            )
        ]
        if int(time_s) != self._second:
            self._second, self._seen = int(time_s), {}
        seen = [pair for pair in zip(tracks.track_id.tolist(), class_ids, strict=True) if pair[0]]
        self._seen |= dict(seen)
        counts = [
            list(self._seen.values()).count(class_id) for class_id in range(len(MASK_CLASSES))
        ]
        answer = {"faces": faces, "status": self.monitor.describe(int(near.sum())), "sent": sent}
        blurred = (
            clip_boxes(self.monitor.private, image.shape[1::-1])
            if self.monitor.blur
            else as_boxes([])
        )
        answer |= {"blurred": blurred.tolist()}
        return answer | {"second": self._second, "counts": counts}


def _to_hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
