"""A stream watched: faces found, followed, judged by votes, counted, drawn and written down, frame by frame."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.boxes import Detections, as_boxes
from utils.classes import MASK_CLASSES
from utils.cli import JsonStream, RecordError, Report, make_record, show_progress
from utils.detect import Pipeline
from utils.display import Window
from utils.draw import blur_faces, draw_detections, draw_status
from utils.files import SourceError, name_copies
from utils.images import ImageError
from utils.video.alerts import Alerts
from utils.video.counts import Census
from utils.video.distance import FIELD_OF_VIEW, find_close, locate_faces
from utils.video.sources import Video
from utils.video.tracker import Tracker
from utils.video.writer import VideoCopy

TOO_CLOSE = "too close"  # of a face that is nearer to another than the distance to keep


@dataclass
class Monitor:
    """Watches frames: who is there, what each wears, how many there have been.

    Attributes:
        judge: gives a frame's faces, also some that it is less sure of than ``tracker.sure``.
        tracker: follows them.
        census: counts them.
        alerts: a command for each person without a mask, or None.
        distance: metres to keep, or None; nearer faces are marked.
        field_of_view: of the camera, degrees, for distances.
        blur: whether faces are made unrecognisable before anything is shown or written.
        private: (N, 4) what is blurred of the last frame, pixels: also what may be a face, and where one should be that
            is not found for a moment.
    """

    judge: Pipeline
    tracker: Tracker = field(default_factory=Tracker)
    census: Census = field(default_factory=Census)
    alerts: Alerts | None = None
    distance: float | None = None
    field_of_view: float = FIELD_OF_VIEW
    blur: bool = False
    private: np.ndarray = field(default_factory=lambda: as_boxes([]))
    _moments: deque = field(
        default_factory=lambda: deque(maxlen=26)
    )  # when the last frames came, for their rate

    def watch(self, image: np.ndarray, time_s: float) -> Detections:
        """One frame's faces, with tracks and votes.

        Args:
            image: (H, W, 3) uint8 RGB.
            time_s: its moment, seconds.
        """
        self._moments.append(time.perf_counter())
        found = self.judge(image)
        tracks = self.tracker.update(found, time_s)
        self.private = np.concatenate([found.xyxy, self.tracker.list_hidden()])
        self.census.update(tracks, time_s, self.find_close(tracks, image.shape[1::-1]))
        if self.alerts:
            self.alerts.update(tracks, time_s)
        return tracks

    def find_close(self, tracks: Detections, resolution_wh: tuple[int, int]) -> np.ndarray:
        """Which faces are nearer to another than ``distance``: (N,) bool, none where no distance is to be kept."""
        if self.distance is None:
            return np.zeros(len(tracks), bool)
        return find_close(
            locate_faces(tracks.xyxy, resolution_wh, self.field_of_view), self.distance
        )

    def draw(self, image: np.ndarray, tracks: Detections) -> np.ndarray:
        """A copy of the frame watched last with its faces and the counts drawn on it."""
        near = self.find_close(tracks, image.shape[1::-1])
        remarks = [TOO_CLOSE if one else "" for one in near]
        annotated = draw_detections(
            blur_faces(image, self.private) if self.blur else image, tracks, remarks
        )
        return draw_status(annotated, self.describe(int(near.sum())))

    def describe(self, close: int = 0) -> str:
        """The line of counts, such as "31 frames/s, 3 people: 2 with_mask, 1 without_mask"."""
        counts = self.census.counts
        people = sum(counts.values())
        text = f"{people} {'person' if people == 1 else 'people'}"
        if people:
            text += ": " + ", ".join(
                f"{counts[name]} {name}" for name in MASK_CLASSES if counts[name]
            )
        if len(self._moments) > 1:
            text = f"{(len(self._moments) - 1) / (self._moments[-1] - self._moments[0]):.0f} frames/s, {text}"
        return text + (f", {close} too close" if close else "")


def watch_video(
    video: Video,
    monitor: Monitor,
    output: str | Path | None,
    report: Report,
    window: Window | None = None,
    stream: JsonStream | None = None,
    on_frame: Callable[[Detections, float], None] = lambda tracks, time_s: None,
) -> list[Path]:
    """Watch a video to its end, and write an annotated MP4 of its rate and length. Ctrl-C ends it early.

    Args:
        video: a file, folder, stream or camera.
        monitor: watches the frames.
        output: the folder of the copy, None for none.
        report: takes the records, one a frame, and the problem of a video or copy that fails.
        window: shows each frame; closing it ends the run.
        stream: takes the records one by one, and is closed at the end.
        on_frame: takes each frame's tracks and its moment.

    Returns:
        The copy written, if any.
    """
    copy = None
    if output is not None:
        copy = VideoCopy(
            name_copies([video.path], output, ".mp4")[0], video.rate, by_time=video.is_live
        )
    try:
        for number, time_s, image in show_progress(
            video, desc="detecting", unit="frame", total=video.frame_count
        ):
            tracks = monitor.watch(image, time_s)
            annotated = monitor.draw(image, tracks)
            report.add(
                record := make_record(video.name, image.shape[1::-1], tracks, number, time_s)
            )
            on_frame(tracks, time_s)
            try:
                if stream:  # first, so that each frame of the copy has its record, wherever the run is ended
                    stream.add(record)
                if copy:
                    copy.add(annotated, time_s)
            except (ImageError, RecordError) as error:
                report.fail(str(error))
                break
            if window and not window.show(annotated):
                break
    except KeyboardInterrupt:
        report.interrupted = not video.is_live  # a camera has no other end
    except (ImageError, SourceError) as error:
        report.fail(str(error))
    finally:
        if copy:
            copy.close()
        if stream:
            with suppress(OSError, RecordError):
                stream.close()
    return [copy.path] if copy and copy.frame_count else []
