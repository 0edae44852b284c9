"""Process images or a video: annotated copies, records, and a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from utils.boxes import Detections
from utils.cli.outputs import OutputError
from utils.cli.records import JsonStream, make_record
from utils.cli.report import Report
from utils.detect import Pipeline
from utils.display import Window
from utils.draw import blur_faces, draw_detections
from utils.files import SourceError, name_copies
from utils.images import ImageError, read_image, write_image
from utils.video import Monitor, Video, VideoWriter


def show_progress(items: Iterable, **options: Any) -> Iterable:
    """Return the items with a progress bar; the options are those of ``tqdm``."""
    # Imported here because the import takes longer than the detection in one image.
    from tqdm.auto import tqdm

    return tqdm(items, **options)


def process_images(
    files: list[Path],
    pipeline: Pipeline,
    output: str | Path,
    report: Report,
    window: Window | None = None,
    blur: bool = False,
    min_confidence: float = 0.0,
) -> list[Path]:
    """Detect in image files one by one, and write an annotated JPEG of each. Ctrl-C ends it early.

    Args:
        files: images; one that cannot be read or written is reported and skipped.
        pipeline: returns the classified faces of an image.
        output: the folder of the annotated copies.
        report: gets the records and problems.
        window: shows each image until a key is pressed. After the user closes it, the run goes on.
        blur: whether to make faces unrecognisable, including those under ``min_confidence``.
        min_confidence: boxes under it are left out of copies and records.

    Returns:
        The annotated copies written.
    """
    written: list[Path] = []
    pairs: Iterable[tuple[Path, Path]] = zip(files, name_copies(files, output), strict=True)
    if len(files) > 1:
        pairs = show_progress(pairs, desc="detecting", unit="image", total=len(files))
    try:
        for file, copy in pairs:
            try:
                image = read_image(file)
                detections = pipeline(image)
                shown = blur_faces(image, detections.xyxy) if blur else image
                detections = detections[detections.confidence >= min_confidence]
                annotated = draw_detections(shown, detections)
                written.append(write_image(copy, annotated))
            except ImageError as error:
                report.fail(str(error))
                continue
            resolution_wh = (image.shape[1], image.shape[0])
            report.add(make_record(file, resolution_wh, detections))
            if window is not None and not window.show(annotated, wait=True):
                window = None
    except KeyboardInterrupt:
        report.interrupted = True
    return written


def process_video(
    video: Video,
    monitor: Monitor,
    output: str | Path | None,
    report: Report,
    window: Window | None = None,
    stream: JsonStream | None = None,
    on_frame: Callable[[Detections, float], None] = lambda tracks, time_s: None,
) -> list[Path]:
    """Detect in a video to its end, and write an annotated MP4 of it. Ctrl-C ends it early.

    Args:
        video: a file, folder, stream or camera.
        monitor: processes the frames.
        output: the folder of the annotated copy, or None for no copy.
        report: gets one record per frame, and the problem if the video or an output fails.
        window: shows each frame; closing it ends the run.
        stream: gets the records one by one, and is closed at the end.
        on_frame: called with the tracks and the time of each frame.

    Returns:
        The annotated copy, if one was written.
    """
    writer = None
    if output is not None:
        copy = name_copies([video.path], output, ".mp4")[0]
        writer = VideoWriter(copy, video.fps)
    copies: list[Path] = []

    def end_copy(end_s: float | None = None) -> None:
        """Complete the copy; a failure is reported, and the tables go on."""
        nonlocal writer
        if writer is None:
            return
        try:
            writer.close(end_s)
        except ImageError as error:
            report.fail(str(error))
        if writer.frame_count and writer.path.is_file():
            copies.append(writer.path)
            if video.has_sound:
                report.warn(f"{writer.path} has no sound: the sound of {video.name} is left out.")
        writer = None

    frames = show_progress(video, desc="detecting", unit="frame", total=video.frame_count)
    try:
        for number, time_s, image in frames:
            tracks = monitor.update(image, time_s)
            annotated = monitor.draw(image, tracks)
            resolution_wh = (image.shape[1], image.shape[0])
            record = make_record(video.name, resolution_wh, tracks, number, time_s)
            report.add(record)
            on_frame(tracks, time_s)
            # The record comes first: wherever the run ends, each frame of the copy has its record.
            if stream is not None:
                stream.add(record)
            if writer is not None:
                try:
                    writer.add(annotated, time_s)
                except ImageError as error:
                    report.fail(str(error))
                    end_copy()
            if window is not None and not window.show(annotated):
                break
    except KeyboardInterrupt:
        report.interrupted = not video.is_live  # the normal end of a camera
    except (ImageError, OutputError, SourceError) as error:
        report.fail(str(error))
    finally:
        end_copy(video.end_s)
        if stream is not None:
            with suppress(OSError, OutputError):
                stream.close()
    return copies
