"""The loops: images, or the frames of a video, go to annotated copies, records and a window."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from utils.boxes import Detections
from utils.classes import MASK_CLASSES
from utils.draw import draw_detections
from utils.files import SourceError, name_copies
from utils.images import ImageError, read_image, write_image
from utils.records import make_record
from utils.sources import Video
from utils.window import Window

Judge = Callable[[np.ndarray], Detections]  # an image to its faces with ``y_prob``, as ``detect_masks`` gives them


@dataclass
class Report:
    """What a run did.

    Attributes:
        keep: whether records are kept; a webcam left on for a day would fill the memory.
        records: as ``records.make_record`` makes them.
        problems: a sentence for each source that failed.
        counts: "images" (or frames), "faces", and each class.
        interrupted: whether Ctrl-C ended it before its end.
    """

    keep: bool = True
    records: list[dict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    interrupted: bool = False

    def add(self, record: dict) -> None:
        """Count an image and its faces, and keep its record."""
        self.counts["images"] += 1
        self.counts["faces"] += len(record["faces"])
        self.counts.update(face["class_name"] for face in record["faces"])
        if self.keep:
            self.records.append(record)

    def fail(self, sentence: str) -> None:
        """Tell of a source that failed, above the progress bar, and go on."""
        self.problems.append(sentence)
        from tqdm import tqdm

        tqdm.write(sentence, file=sys.stderr)

    @property
    def exit_code(self) -> int:
        """0: all done; 1: some of the sources, or stopped before the end; 2: none could be done."""
        if self.interrupted or (self.problems and self.counts["images"]):
            return 1
        return 2 if self.problems else 0

    def summary(self, unit: str, copies: list[Path]) -> str:
        """One line, such as "3 images, 2 faces: 1 with_mask, 1 without_mask; annotated copies in output/"."""
        images, faces = self.counts["images"], self.counts["faces"]
        text = f"{images} {unit}{'s' * (images != 1)}, {faces} face{'s' * (faces != 1)}"
        if classes := [f"{self.counts[name]} {name}" for name in MASK_CLASSES if self.counts[name]]:
            text += f": {', '.join(classes)}"
        if copies:
            text += f"; annotated copies in {copies[0].parent}/" if len(copies) > 1 else f"; annotated copy {copies[0]}"
        return text + ("; stopped before the end." if self.interrupted else ".")


def _progress(items: Iterable, **options: object) -> Iterable:
    from tqdm.auto import tqdm  # only where there is a bar: one image is done sooner than this is imported

    return tqdm(items, **options)


def annotate_images(
    files: list[Path], judge: Judge, output: str | Path, report: Report, window: Window | None = None
) -> list[Path]:
    """Judge image files one by one, and write an annotated JPEG of each. Ctrl-C ends it early.

    Args:
        files: images; what cannot be read or written is told and left out.
        judge: gives an image's faces.
        output: the folder of the copies.
        report: takes the records and problems.
        window: shows each until a key is pressed; once it is closed, the rest is done without.

    Returns:
        The copies written.
    """
    written = []
    pairs = list(zip(files, name_copies(files, output), strict=True))
    try:
        for file, copy in _progress(pairs, desc="detecting", unit="image") if len(pairs) > 1 else pairs:
            try:
                image = read_image(file)
                detections = judge(image)
                annotated = draw_detections(image, detections)
                written.append(write_image(copy, annotated))
            except ImageError as error:
                report.fail(str(error))
                continue
            report.add(make_record(file, image.shape[1::-1], detections))
            if window and not window.show(annotated, wait=True):
                window = None
    except KeyboardInterrupt:
        report.interrupted = True
    return written


def _open_writer(path: Path, rate: float, resolution_wh: tuple[int, int]) -> cv2.VideoWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, resolution_wh)
    if not writer.isOpened():
        raise ImageError(f"{path} cannot be written: choose another folder.")
    return writer


def annotate_video(
    video: Video, judge: Judge, output: str | Path | None, report: Report, window: Window | None = None
) -> list[Path]:
    """Judge the frames of a video one by one, and write an annotated MP4 at its rate. Ctrl-C ends it early.

    Args:
        video: a file, stream or camera.
        judge: gives a frame's faces.
        output: the folder of the copy, None for none.
        report: takes the records, one a frame, and the problem of a video or copy that fails.
        window: shows each frame; closing it ends the run.

    Returns:
        The copy written, if any.
    """
    copy = None if output is None else name_copies([video.path], output, ".mp4")[0]
    writer = None
    try:
        for number, time_s, image in _progress(video, desc="detecting", unit="frame", total=video.frame_count):
            detections = judge(image)
            annotated = draw_detections(image, detections)
            if copy is not None:
                writer = writer or _open_writer(copy, video.rate, image.shape[1::-1])
                writer.write(cv2.cvtColor(annotated, cv2.COLOR_RGB2BGR))
            report.add(make_record(video.name, image.shape[1::-1], detections, number, time_s))
            if window and not window.show(annotated):
                break
    except KeyboardInterrupt:
        report.interrupted = not video.is_live  # a camera has no other end
    except (ImageError, SourceError) as error:
        report.fail(str(error))
    finally:
        if writer is not None:
            writer.release()
    return [copy] if writer is not None else []
