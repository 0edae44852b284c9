#!/usr/bin/env python
"""Find the faces in images, a video or a webcam, and tell of each whether a mask is worn, worn well, or not at all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from utils.cli import (
    STDOUT,
    JsonStream,
    RecordError,
    Report,
    annotate_images,
    check_targets,
    speak,
    terminal,
    write_csv,
    write_json,
    write_table,
)
from utils.detect import CLASSIFIER_FILE, DETECTOR_SYNONYMS, DETECTORS, detect_masks, load_models
from utils.display import Window, has_display
from utils.files import SourceError, find_images, name_copies
from utils.images import ImageError, write_image
from utils.video import (
    ERROR,
    FIELD_OF_VIEW,
    INTERVAL_COLUMNS,
    TRACK_COLUMNS,
    Alerts,
    Census,
    JudgeInTurns,
    Monitor,
    Tracker,
    Video,
    watch_video,
)

DOUBTFUL = 0.5  # of --min-confidence: such a box may be a face; it keeps one that is followed, and is blurred


class ArgumentParser(argparse.ArgumentParser):
    """Answers wrong arguments with one sentence, without the usage in front of it."""

    def error(self, message: str) -> None:
        """Leave with the exit code of wrong arguments."""
        self.exit(2, f"{self.prog}: {message} (--help lists the arguments).\n")


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    camera = "Without --image and --video: webcam 0 in a window; q or Esc ends it, space pauses, s keeps a picture."
    parser = ArgumentParser(description=__doc__, epilog=camera, allow_abbrev=False)
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--image",
        nargs="+",
        metavar="PATH",
        help="images, folders or globs such as 'photos/**/*.jpg'",
    )
    source.add_argument(
        "--video",
        metavar="SOURCE",
        help="a file, a folder, an rtsp:// or http:// address, or a camera's number",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="annotated copies, in place of any of the same name (default: output/; for a camera or stream, none)",
    )
    add("--json", metavar="FILE", help="every face found; - is standard output")
    add(
        "--csv",
        metavar="FILE",
        help="the same as a table; of a video, its people, and beside it their shares over time",
    )
    add(
        "--detector",
        type=lambda name: DETECTOR_SYNONYMS.get(name, name),
        choices=DETECTORS,
        default="fcos",
        help="what finds the faces (default: fcos, the project's own)",
    )
    add(
        "--min-confidence",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="that a box is a face (default: 0.5)",
    )
    add(
        "--model",
        type=Path,
        default=CLASSIFIER_FILE,
        metavar="FILE",
        help="another mask classifier",
    )
    add(
        "--blur-faces",
        action="store_true",
        help="make faces unrecognisable in copies and in the window",
    )
    film = parser.add_argument_group("with --video or a camera").add_argument
    seconds = "that a row of the shares beside --csv covers (default: %(default)g)"
    film("--interval", type=positive, default=60.0, metavar="SECONDS", help=seconds)
    alert = "run once for each person without a mask, or with one worn badly: 'notify-send {class} {track}'"
    film("--alert", metavar="COMMAND", help=alert)
    guess = f"an estimate from their size, of adults mostly right to {ERROR:.0%}% of how far away they are"
    film(
        "--distance",
        type=positive,
        metavar="METRES",
        help=f"mark and count faces closer to each other: {guess}",
    )
    view = "of the camera, from left to right, for --distance (default: %(default)g)"
    film(
        *("--field-of-view", "--fov"),
        type=positive,
        default=FIELD_OF_VIEW,
        metavar="DEGREES",
        help=view,
    )
    add("--no-show", action="store_true", help="open no window, even where there is a display")
    args = parser.parse_args(argv)
    if args.video == "":
        parser.error("--video is empty: name a file, an address or a camera")
    if args.json == args.csv == STDOUT:
        parser.error("--json and --csv cannot both go to standard output")
    return args


def keep_picture(folder: Path, report: Report, image: np.ndarray) -> None:
    """Save what the window shows, as its key s asks."""
    try:
        report.warn(
            f"Kept {write_image(folder / f'snapshot_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}.jpg', image)}."
        )
    except ImageError as error:
        report.warn(str(error))


def make_monitor(args: argparse.Namespace, report: Report) -> Monitor:
    """What watches a video, from the arguments."""
    # Boxes under the threshold keep a face that is known already, and begin none. No tiles: a video must keep up.
    options = {"tiled": False} if args.detector == "fcos" else {}
    detector, classifier = load_models(
        args.detector, DOUBTFUL * args.min_confidence, args.model, **options
    )
    alerts = None if args.alert is None else Alerts(args.alert, report.warn)
    return Monitor(
        *(
            JudgeInTurns(detector, classifier),
            Tracker(args.min_confidence),
            Census(args.interval),
            alerts,
        ),
        *(args.distance, args.field_of_view, args.blur_faces),
    )


def save(report: Report, target: str | Path | None, write: Callable[[str | Path], None]) -> None:
    """Write one file; where that fails, the others are written all the same."""
    try:
        if target:
            write(target)
    except RecordError as error:
        report.fail(str(error))


def watch(args: argparse.Namespace, report: Report, window: Window | None) -> list[Path]:
    """Watch a video or a camera, and write its tables."""
    video = Video(args.video or 0, report.warn)
    output = (
        args.output if video.is_live else args.output or Path("output")
    )  # nobody is filmed unasked
    intervals = None
    if args.csv not in (None, STDOUT):
        intervals = Path(args.csv).parent / f"{Path(args.csv).stem}-intervals.csv"
    copies = name_copies([video.path], output, ".mp4") if output else []
    check_targets([args.json, args.csv, intervals], output, video.files, copies)
    monitor = make_monitor(args, report)
    stream = JsonStream(args.json) if args.json else None
    copies = watch_video(video, monitor, output, report, window, stream)
    census = monitor.census
    report.people = census.counts
    save(report, args.csv, partial(write_table, rows=census.list_tracks(), columns=TRACK_COLUMNS))
    save(
        report,
        intervals,
        partial(write_table, rows=census.list_intervals(), columns=INTERVAL_COLUMNS),
    )
    return copies


def look(args: argparse.Namespace, report: Report, window: Window | None) -> list[Path]:
    """Judge images, and write their tables."""
    output = args.output or Path("output")
    files, problems = find_images(args.image, output)
    for problem in problems:
        report.fail(problem)
    if not files:
        return []
    check_targets([args.json, args.csv], output, files, name_copies(files, output))
    # What may be a face is hidden too, as in videos.
    confidence = DOUBTFUL * args.min_confidence if args.blur_faces else args.min_confidence
    detector, classifier = load_models(args.detector, confidence, args.model)
    judge = partial(detect_masks, detector=detector, classifier=classifier)
    copies = annotate_images(
        files, judge, output, report, window, args.blur_faces, args.min_confidence
    )
    save(report, args.json, partial(write_json, records=report.records))
    save(report, args.csv, partial(write_csv, records=report.records))
    return copies


def main(argv: list[str] | None = None) -> int:
    """Run the program: 0 is done; 1, some sources failed; 2, the arguments or all sources are wrong."""
    args = parse_arguments(argv)
    report = Report(keep=bool(args.image and (args.json or args.csv)))
    keep = partial(keep_picture, args.output or Path("output"), report)
    window = Window(keep) if has_display() and not args.no_show else None
    copies = []
    try:
        if not (args.image or args.video or window):
            raise SourceError(
                "There is no display for the webcam's window: name pictures with --image, or a --video."
            )
        copies = (look if args.image else watch)(args, report, window)
    except (FileNotFoundError, ValueError) as error:  # its sentence names the file and what to do
        report.fail(str(error))
    if report.counts["images"]:
        summary = report.summary("image" if args.image else "frame", copies)
        if STDOUT in (args.json, args.csv):
            print(summary, file=sys.stderr)
        elif sys.stdout is not None:
            with (
                suppress(OSError),
                speak() as out,
            ):  # whoever closed standard output wants no summary
                print(summary, file=out)
    return report.exit_code


if __name__ == "__main__":
    terminal.prepare()
    terminal.end_as_by_ctrl_c()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped.")
