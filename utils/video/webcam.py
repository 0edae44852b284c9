"""Show the browser's camera in a notebook: frames go to the kernel, boxes and counts come back.

The camera belongs to the machine with the browser, wherever the kernel runs. It is used from Start
to Stop only, and no frame is stored.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from utils.boxes import clip_boxes
from utils.classes import CLASS_COLORS, MASK_CLASSES, decide
from utils.draw import list_texts
from utils.images import ImageError, decode_image
from utils.video.counts import PeopleCounter
from utils.video.monitor import TOO_CLOSE, Monitor
from utils.video.tracker import Tracker, split_tracks


class Webcam(anywidget.AnyWidget):
    """A widget with a Start and a Stop button.

    From Start to Stop it shows the camera, a box around each face, the counts, and a chart of the
    counts in each second.

    Attributes:
        monitor: tracks and counts; ``monitor.counter`` has the tables. Each Start begins with a new
            tracker and counter.
        frame_count: number of frames processed since Start.
        problem: a sentence if the camera or a frame could not be used, else empty.
    """

    _esm = Path(__file__).with_name("webcam.js")
    width = traitlets.Int(640).tag(sync=True)
    height = traitlets.Int(480).tag(sync=True)
    classes: traitlets.List = traitlets.List().tag(sync=True)

    def __init__(
        self,
        monitor: Monitor,
        plot: Callable[[PeopleCounter], bytes] | None = None,
        **options: object,
    ) -> None:
        """Create the widget.

        Args:
            monitor: processes the frames.
            plot: returns a PNG image of what was counted; it is shown on Stop.
            options: ``width`` and ``height`` of the frames, pixels.
        """
        self.monitor = monitor
        self._plot = plot
        self._reset()
        classes = [[name, _to_hex(CLASS_COLORS[name])] for name in MASK_CLASSES]
        super().__init__(classes=classes, **options)
        self.on_msg(self._receive)

    def _reset(self) -> None:
        """Set the state before the first frame."""
        self.frame_count = 0
        self.problem = ""
        self._started: float | None = None  # time of the first frame
        self._second = -1  # of the last frame
        self._labels: dict[int, int] = {}  # class of each track in this second

    def _receive(self, _: object, content: dict, buffers: list[memoryview]) -> None:
        """Handle a message from the browser."""
        kind = content["kind"]
        if kind == "start":
            self._reset()
            tracker = Tracker(self.monitor.tracker.start_confidence)
            counter = PeopleCounter(self.monitor.counter.interval_s)
            self.monitor = replace(self.monitor, tracker=tracker, counter=counter)
        elif kind == "problem":
            self.problem = content["text"]
        elif kind == "frame":
            self.send(self._answer(content) | {"run": content.get("run")})
        elif kind == "stop" and self._plot is not None and self.frame_count:
            png = self._plot(self.monitor.counter)
            self.send({"plot": b64encode(png).decode()})

    def _answer(self, content: dict) -> dict:
        """Return the answer to the message of a frame."""
        try:
            image = decode_image(b64decode(content["jpeg"]), "The camera's frame")
        except ImageError as error:
            self.problem = str(error)
            return {"problem": self.problem}
        return self._process(image, content["sent"])

    def _process(self, image: np.ndarray, sent: float) -> dict:
        """Return the message about one frame: what the page draws and writes."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        time_s = now - self._started
        resolution_wh = (image.shape[1], image.shape[0])
        tracks = self.monitor.update(image, time_s)
        self.frame_count += 1
        too_close = self.monitor.find_close(tracks, resolution_wh)
        remarks = [TOO_CLOSE if is_close else "" for is_close in too_close]
        track_ids, y_prob = split_tracks(tracks)
        class_ids = decide(y_prob).tolist()
        faces = []
        for box, texts, class_id in zip(
            tracks.xyxy.astype(float).tolist(), list_texts(tracks, remarks), class_ids, strict=True
        ):
            x_min, y_min, x_max, y_max = box
            color = self.classes[class_id][1]
            faces.append([x_min, y_min, x_max - x_min, y_max - y_min, texts[0], color])
        if int(time_s) != self._second:
            self._second = int(time_s)
            self._labels = {}
        for track_id, class_id in zip(track_ids.tolist(), class_ids, strict=True):
            if track_id:
                self._labels[track_id] = class_id
        labels = list(self._labels.values())
        blurred = []
        if self.monitor.blur:
            blurred = clip_boxes(self.monitor.blur_boxes, resolution_wh).tolist()
        return {
            "faces": faces,
            "status": self.monitor.describe(int(too_close.sum())),
            "sent": sent,
            "blurred": blurred,
            "second": self._second,
            "counts": [labels.count(class_id) for class_id in range(len(MASK_CLASSES))],
        }


def _to_hex(color: tuple[int, int, int]) -> str:
    """Return an RGB colour as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)
