"""Process a video or a camera: an annotated copy, records, counts, and a window."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.boxes import Detections
from utils.cli.images import POSSIBLE_SHARE, get_detector_options, show_progress
from utils.cli.outputs import DEFAULT_OUTPUT, STDOUT, OutputError, check_outputs
from utils.cli.records import JsonStream, make_record, write_table
from utils.cli.report import Report
from utils.detect import FAST_PASSES, load_models
from utils.display import Window
from utils.images import ImageError, SourceError, name_copies
from utils.video import (
    INTERVAL_COLUMNS,
    TRACK_COLUMNS,
    Alerts,
    Monitor,
    PeopleCounter,
    Tracker,
    Video,
    VideoPipeline,
    VideoWriter,
)


def run_video(args: Namespace, report: Report, window: Window | None) -> list[Path]:
    """Process a video or a camera, write its JSON and CSV, and return the annotated copy.

    Args:
        args: the arguments of the script.
        report: gets what happened.
        window: shows each frame.

    Raises:
        SourceError, OutputError: the video cannot be read, or an output cannot be written.
        FileNotFoundError, ValueError: as in ``load_models``.
    """
    video = Video(args.video or 0, report.warn)
    output = args.output
    if output is None and not video.is_live:  # a camera is recorded only if --output asks for it
        output = DEFAULT_OUTPUT
    intervals_csv = None
    if args.csv and args.csv != STDOUT:
        intervals_csv = Path(args.csv).parent / f"{Path(args.csv).stem}-intervals.csv"
    check_outputs(
        outputs=[args.json, args.csv, intervals_csv],
        folder=output,
        sources=video.files,
        copies=name_copies([video.path], output, ".mp4") if output else [],
    )
    monitor = _make_monitor(args, report)
    copies = process_video(
        video=video,
        monitor=monitor,
        output=output,
        report=report,
        window=window,
        stream=JsonStream(args.json) if args.json else None,
    )
    is_whole = not (video.is_live or report.interrupted or report.problems)
    if report.counts["images"] == 1 and is_whole:
        report.warn(
            f"{video.name} is one picture, and people are counted over several frames: name it "
            "with --image."
        )
    counter = monitor.counter
    report.people = counter.counts
    report.write_output(write_table, args.csv, rows=counter.list_tracks(), columns=TRACK_COLUMNS)
    report.write_output(
        write_table, intervals_csv, rows=counter.list_intervals(), columns=INTERVAL_COLUMNS
    )
    return copies


def _make_monitor(args: Namespace, report: Report) -> Monitor:
    """Return the monitor of a video that the arguments describe."""
    options: dict[str, Any] = get_detector_options(args.detector_model)
    if args.detector == "fcos":
        options["passes"] = FAST_PASSES
    detector, classifier = load_models(
        args.detector, POSSIBLE_SHARE * args.min_confidence, args.model, **options
    )
    return Monitor(
        pipeline=VideoPipeline(detector, classifier),
        tracker=Tracker(args.min_confidence),
        counter=PeopleCounter(args.interval),
        alerts=None if args.alert is None else Alerts(args.alert, report.warn),
        min_distance=args.distance,
        field_of_view=args.field_of_view,
        blur=args.blur_faces,
    )


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
            try:
                stream.close()
            except OutputError as error:
                if str(error) not in report.problems:  # the last record may have said it
                    report.fail(str(error))
            except OSError as error:
                report.fail(
                    f"The JSON file is not complete ({error.strerror}): make room on the disk."
                )
    return copies
