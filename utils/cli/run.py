"""Run the script: check the outputs, load the models, process the inputs, write the results."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from utils.cli.images import get_detector_options, get_possible_confidence, process_images
from utils.cli.labels import check_label_files, write_records
from utils.cli.outputs import (
    DEFAULT_OUTPUT,
    JOB_FOLDER,
    NOTHING_DONE,
    STDOUT,
    check_outputs,
    open_stdout,
)
from utils.cli.records import write_csv, write_json
from utils.cli.report import Report
from utils.cli.video import run_video
from utils.detect import detect_masks, load_models, one_at_a_time, share_cores
from utils.display import Window, has_display
from utils.images import ImageError, SourceError, find_images, name_copies, write_image
from utils.messages import UserError
from utils.program import count_cores

# Images from which processes are used. Their start takes a second or two. With 5,000 images they
# are 1.17 times as fast as threads (1.07-1.27, n=2; `python -m tests.bench_batch --rounds 2`).
MIN_JOB = 5000
# Images at once in threads; each takes memory, and on more cores an image gets several of them.
MAX_THREADS = 4


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
            copies = run_video(args, report, window)
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
    write_tables = partial(_write_tables, args, report)
    write_labels = partial(_write_labels, args, report, name_of)
    is_large = len(files) >= MIN_JOB
    if args.workers or args.scheduler is not None or args.resume or is_large:
        # Imported here because a single image needs no worker processes.
        from utils.cli.job import run_job

        return run_job(args, report, files, output, write_tables, write_labels)
    copies = _run_here(args, report, files, output, window)
    report.warn_of_files()
    if report.interrupted and not report.counts["images"]:
        report.warn(NOTHING_DONE)
        return copies
    write_tables(report.records)
    write_labels(report.records)
    if report.interrupted and len(files) > 1:
        report.warn("A run with --workers can be interrupted, and goes on with --resume.")
    if (output / JOB_FOLDER).is_dir():
        from utils.cli.job import warn_of_unfinished

        warn_of_unfinished(report, output)
    return copies


def _run_here(
    args: Namespace, report: Report, files: list[Path], output: Path, window: Window | None
) -> list[Path]:
    """Process images in this process, which is ready at once, and return the annotated copies."""
    workers = 1
    if len(files) > 1 and window is None:
        workers = min(count_cores(), MAX_THREADS)
    with share_cores(workers):
        detector, classifier = load_models(
            args.detector,
            get_possible_confidence(args.min_confidence, args.blur_faces),
            args.model,
            **get_detector_options(args.detector_model),
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


def _write_tables(args: Namespace, report: Report, records: Iterable[dict]) -> bool:
    """Write the JSON and CSV that are asked for, and return whether all were written."""
    are_written = [
        report.write_output(write_json, args.json, records=records),
        report.write_output(write_csv, args.csv, records=records, output_format=args.output_format),
    ]
    return all(are_written)


def _write_labels(
    args: Namespace, report: Report, name_of: dict[str, str], records: Iterable[dict]
) -> bool:
    """Write the labels if they are asked for, and return whether they were written.

    Args:
        args: the arguments of the script.
        report: gets the problems.
        name_of: the path of each image in the labels, by the ``file`` of its record.
        records: of the images.
    """
    if not args.labels:
        return True
    label_format, label_folder = args.labels
    return report.write_output(
        write_records,
        label_folder,
        label_format=label_format,
        records=records,
        names=name_of,
    )


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
