"""Process a video frame by frame: detect, track and count people, raise alerts, draw."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from utils.boxes import Detections, as_boxes
from utils.classes import MASK_CLASSES
from utils.detect import Pipeline
from utils.draw import blur_faces, draw_detections, draw_status
from utils.video.alerts import Alerts
from utils.video.counts import PeopleCounter
from utils.video.distance import FIELD_OF_VIEW, find_close, locate_faces
from utils.video.tracker import Tracker

TOO_CLOSE = "too close"  # in the caption of a face that is too close to another
FPS_FRAMES = 26  # the fps shown is the mean over this many frames


@dataclass
class Monitor:
    """Tracks the people in a video, and counts them by how they wear a mask.

    Attributes:
        pipeline: returns the classified faces of an image, such as a ``VideoPipeline``; may include
            boxes under ``tracker.start_confidence``.
        tracker: gives faces their tracks.
        counter: counts the tracks.
        alerts: runs a command for each person without a mask, or None.
        min_distance: faces closer than this are marked and counted, metres; or None.
        field_of_view: of the camera, degrees; needed for distances.
        blur: whether ``draw`` makes faces unrecognisable.
        blur_boxes: (N, 4) boxes to blur in the last frame, pixels: every detection, plus the
            predicted box of each track missing in this frame.
    """

    pipeline: Pipeline
    tracker: Tracker = field(default_factory=Tracker)
    counter: PeopleCounter = field(default_factory=PeopleCounter)
    alerts: Alerts | None = None
    min_distance: float | None = None
    field_of_view: float = FIELD_OF_VIEW
    blur: bool = False
    blur_boxes: np.ndarray = field(init=False, default_factory=lambda: as_boxes([]))
    _arrivals: deque[float] = field(init=False, default_factory=lambda: deque(maxlen=FPS_FRAMES))
    # Faces of the last frame whose tracks do not count yet.
    _uncounted: int = field(init=False, default=0)

    def update(self, image: np.ndarray, time_s: float) -> Detections:
        """Detect, track and count the faces of one frame, and return them with their tracks.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_s: time of the frame, seconds.
        """
        self._arrivals.append(time.perf_counter())
        detections = self.pipeline(image)
        resolution_wh = (image.shape[1], image.shape[0])
        tracks = self.tracker.update(detections, time_s, resolution_wh)
        self.blur_boxes = np.concatenate([detections.xyxy, self.tracker.predict_missing()])
        too_close = self.find_close(tracks, resolution_wh)
        self.counter.update(tracks, time_s, too_close)
        if tracks.track_id is not None:
            self._uncounted = int((tracks.track_id == 0).sum())
        if self.alerts is not None:
            self.alerts.update(tracks, time_s)
        return tracks

    def find_close(self, tracks: Detections, resolution_wh: tuple[int, int]) -> np.ndarray:
        """Return which faces are closer than ``min_distance`` to another: (N,) bool.

        Args:
            tracks: the faces of a frame.
            resolution_wh: width and height of the frame, pixels.
        """
        if self.min_distance is None:
            return np.zeros(len(tracks), bool)
        positions = locate_faces(tracks.xyxy, resolution_wh, self.field_of_view)
        return find_close(positions, self.min_distance)

    def draw(self, image: np.ndarray, tracks: Detections) -> np.ndarray:
        """Return a copy of the last frame with its faces and the counts drawn on it.

        Args:
            image: (H, W, 3) uint8 RGB, the frame last passed to ``update``.
            tracks: what ``update`` returned.
        """
        too_close = self.find_close(tracks, (image.shape[1], image.shape[0]))
        remarks = [TOO_CLOSE if is_close else "" for is_close in too_close]
        if self.blur:
            image = blur_faces(image, self.blur_boxes)
        annotated = draw_detections(image, tracks, remarks)
        return draw_status(annotated, self.describe(int(too_close.sum())))

    def describe(self, close: int = 0) -> str:
        """Return the line of counts, such as "31 frames/s, 3 people: 2 with_mask, 1 without_mask".

        Args:
            close: number of faces that are too close to another in this frame.
        """
        counts = self.counter.counts
        people = sum(counts.values())
        text = "1 person" if people == 1 else f"{people} people"
        if people:
            classes = [f"{counts[name]} {name}" for name in MASK_CLASSES if counts[name]]
            text += ": " + ", ".join(classes)
        if self._uncounted:  # their boxes are drawn already
            text += f", {self._uncounted} not counted yet"
        if len(self._arrivals) > 1:
            fps = (len(self._arrivals) - 1) / (self._arrivals[-1] - self._arrivals[0])
            text = f"{fps:.0f} frames/s, {text}"
        if close:
            text += f", {close} {TOO_CLOSE}"
        return text
