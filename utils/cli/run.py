"""Run the script: check the outputs, load the models, process the inputs, write the results."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.cli.labels import check_label_files, write_records
from utils.cli.outputs import STDOUT, OutputError, check_outputs, open_stdout
from utils.cli.process import process_images, process_video
from utils.cli.records import JsonStream, write_csv, write_json, write_table
from utils.cli.report import Report
from utils.detect import (
    FAST_PASSES,
    detect_masks,
    load_models,
    one_at_a_time,
    share_cores,
)
from utils.display import Window, has_display
from utils.images import ImageError, SourceError, find_images, name_copies, write_image
from utils.messages import UserError, format_count
from utils.program import count_cores
from utils.video import (
    INTERVAL_COLUMNS,
    TRACK_COLUMNS,
    Alerts,
    Monitor,
    PeopleCounter,
    Tracker,
    Video,
    VideoPipeline,
)

DEFAULT_OUTPUT = Path("output")
# With at least this share of --min-confidence, a box can continue a track and is blurred.
POSSIBLE_SHARE = 0.5
RESUME = "The same command with --resume goes on from here."
# Images from which processes, which take a second or two to start, are faster than threads.
MIN_JOB = 5000
MAX_WORKERS = 4  # images at once; each takes memory, and on more cores it gets several of them


def run_script(args: Namespace) -> int:
    """Process the images or the video that the arguments name, and print a summary.

    Args:
        args: the arguments of the script.

    Returns:
        The exit code: 0 if all was done, 1 if some inputs failed or the run was interrupted, 2 if
        the arguments are wrong or all inputs failed.
    """
    report = Report(keep_records=bool(args.image and (args.json or args.csv or args.labels)))
    window = None
    if has_display() and not args.no_show:
        window = Window(partial(_save_snapshot, args.output or DEFAULT_OUTPUT, report))
    copies: list[Path] = []
    try:
        if args.image:
            copies = _run_images(args, report, window)
        elif args.video or window:
            copies = _run_video(args, report, window)
        else:
            raise SourceError(
                "There is no display for the webcam's window: name images with --image, or a video "
                "with --video."
            )
    except (FileNotFoundError, UserError, ValueError) as error:  # the message says what to do
        report.fail(str(error))
    if report.counts["images"]:
        summary = report.summary("image" if args.image else "frame", copies)
        _print_summary(summary, to_stderr=STDOUT in (args.json, args.csv))
    return report.exit_code


def _run_images(args: Namespace, report: Report, window: Window | None) -> list[Path]:
    """Process images, write their JSON and CSV, and return the annotated copies."""
    output = args.output or DEFAULT_OUTPUT
    for name in ("alert", "distance"):
        if getattr(args, name) is not None:
            report.warn(f"--{name} is for --video, and does nothing with --image.")
    files, problems = find_images(args.image, output, report.passed_over.append)
    for problem in problems:
        report.fail(problem)
    if not files:
        return []
    check_outputs(
        outputs=[args.json, args.csv],
        folder=output,
        sources=files,
        copies=name_copies(files, output),
    )
    names: list[str] = []
    if args.labels:
        label_format, label_folder = args.labels
        names = check_label_files(label_format, label_folder, files)
    name_of = dict(zip([file.as_posix() for file in files], names, strict=False))
    is_large = len(files) >= MIN_JOB and window is None
    if args.workers or args.scheduler is not None or args.resume or is_large:
        return _run_job(args, report, files, output, name_of)
    copies = _run_here(args, report, files, output, window)
    report.warn_of_files()
    _write_records(args, report, report.records, name_of)
    return copies


def _run_here(
    args: Namespace, report: Report, files: list[Path], output: Path, window: Window | None
) -> list[Path]:
    """Process images in this process, which is ready at once, and return the annotated copies."""
    workers = 1
    if len(files) > 1 and window is None:
        workers = min(count_cores(), MAX_WORKERS)
    with share_cores(workers):
        detector, classifier = load_models(
            args.detector, _get_possible_confidence(args), args.model, **_name_detector_file(args)
        )
    if args.detector != "fcos":
        detector = one_at_a_time(detector)
    return process_images(
        files=files,
        pipeline=partial(detect_masks, detector=detector, classifier=classifier),
        output=output,
        report=report,
        window=window,
        blur=args.blur_faces,
        min_confidence=args.min_confidence,
        workers=workers,
    )


def _run_job(
    args: Namespace, report: Report, files: list[Path], output: Path, name_of: dict[str, str]
) -> list[Path]:
    """Process images in worker processes, write their JSON and CSV, and return the copies."""
    # Imported here because a single image needs no worker processes.
    from utils.cli.folder import JobRecords, list_jobs, report_job, start_job

    report.keep_records = False  # the job has them in its files
    job = start_job(
        files,
        output,
        detector=args.detector,
        detector_model=args.detector_model,
        classifier=args.model,
        min_confidence=args.min_confidence,
        possible_confidence=_get_possible_confidence(args),
        blur=args.blur_faces,
        workers=args.workers,
        scheduler=args.scheduler,
        is_resumed=args.resume,
    )
    try:
        with job:
            copies = report_job(job, files, output, report)
    except Exception:
        if report.counts["images"]:
            report.warn(RESUME)
        else:
            job.delete()
        raise
    report.warn_of_files()
    if job.resumed:
        report.warn(f"{format_count(job.resumed, 'image')} of an earlier run were done already.")
    is_written = _write_records(args, report, JobRecords(job), name_of)
    if is_written and not report.interrupted:
        job.delete()
        for folder in list_jobs(output):
            report.warn(
                f"{folder} has results of a run over another list of images that ended early or "
                "goes on: delete it, or go on with that list and --resume."
            )
    else:
        report.warn(RESUME)
    return copies


def _get_possible_confidence(args: Namespace) -> float:
    """Return the least confidence of the boxes that the detector finds."""
    return args.min_confidence * (POSSIBLE_SHARE if args.blur_faces else 1)


def _write_records(
    args: Namespace, report: Report, records: Iterable[dict], name_of: dict[str, str]
) -> bool:
    """Write the JSON, CSV and labels that are asked for, and return whether all were written.

    Args:
        args: the arguments of the script.
        report: gets the problems.
        records: of the images; they are read once for each output.
        name_of: the path of each image in the labels, by the ``file`` of its record.
    """
    are_written = [
        _write(report, write_json, args.json, records=records),
        _write(report, write_csv, args.csv, records=records, output_format=args.output_format),
    ]
    if args.labels:
        label_format, label_folder = args.labels
        is_written = _write(
            report,
            write_records,
            label_folder,
            label_format=label_format,
            records=records,
            names=name_of,
        )
        are_written.append(is_written)
    return all(are_written)


def _name_detector_file(args: Namespace) -> dict[str, Any]:
    """Return the model file of the detector as an option of ``load_models``, if one is named."""
    return {"path": args.detector_model} if args.detector_model else {}


def _run_video(args: Namespace, report: Report, window: Window | None) -> list[Path]:
    """Process a video or a camera, write its JSON and CSV, and return the annotated copy."""
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
    _write(report, write_table, args.csv, rows=counter.list_tracks(), columns=TRACK_COLUMNS)
    _write(
        report, write_table, intervals_csv, rows=counter.list_intervals(), columns=INTERVAL_COLUMNS
    )
    return copies


def _make_monitor(args: Namespace, report: Report) -> Monitor:
    """Return the monitor of a video that the arguments describe."""
    options = _name_detector_file(args)
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


def _write(
    report: Report, write: Callable[..., None], output: str | Path | None, **content: Any
) -> bool:
    """Write one output if it is asked for, and return False if it cannot be written.

    A failure is reported, and the run goes on.
    """
    if not output:
        return True
    try:
        write(output, **content)
    except OutputError as error:
        report.fail(str(error))
        return False
    return True


def _save_snapshot(folder: Path, report: Report, image: np.ndarray) -> None:
    """Save the image that the window shows."""
    file = folder / f"snapshot_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}.jpg"
    try:
        report.warn(f"Saved {write_image(file, image)}.")
    except ImageError as error:
        report.warn(str(error))


def _print_summary(summary: str, to_stderr: bool) -> None:
    """Print the summary, to standard error if standard output carries JSON or CSV."""
    if to_stderr:
        print(summary, file=sys.stderr)
    elif sys.stdout is not None:
        with suppress(OSError), open_stdout() as file:  # its reader may have closed it
            print(summary, file=file)
