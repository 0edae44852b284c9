#!/usr/bin/env python
"""Find the faces in images, a video or a webcam, and tell of each whether a mask is worn, worn well, or not at all."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from utils.detect import detect_masks, load_models
from utils.faces import DETECTORS
from utils.files import SourceError, find_images
from utils.masks import CLASSIFIER_FILE
from utils.monitor import Report, annotate_images, annotate_video
from utils.records import STDOUT, RecordError, check_writable, write_csv, write_json
from utils.sources import Video
from utils.window import Window, has_display


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


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    camera = "Without --image and --video: webcam 0 in a window; q or Esc ends it."
    parser = ArgumentParser(description=__doc__, epilog=camera, allow_abbrev=False)
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--image", nargs="+", metavar="PATH", help="images, folders or globs such as 'photos/**/*.jpg'")
    source.add_argument("--video", metavar="SOURCE", help="a file, an rtsp:// or http:// address, or a camera's number")
    add("--output", type=Path, metavar="DIR", help="annotated copies (default: output/; for a camera or stream, none)")
    add("--json", metavar="FILE", help="every face found; - is standard output")
    add("--csv", metavar="FILE", help="the same as a table; - is standard output")
    add("--detector", choices=DETECTORS, default="ssd", help="what finds the faces (default: ssd, the project's own)")
    add("--min-confidence", type=share, default=0.5, metavar="SHARE", help="that a box is a face (default: 0.5)")
    add("--model", type=Path, default=CLASSIFIER_FILE, metavar="FILE", help="another mask classifier")
    add("--no-show", action="store_true", help="open no window, even where there is a display")
    args = parser.parse_args(argv)
    if args.json == args.csv == STDOUT:
        parser.error("--json and --csv cannot both go to standard output")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the program: 0 is done; 1, some sources failed; 2, the arguments or all sources are wrong."""
    args = parse_arguments(argv)
    report = Report(keep=bool(args.json or args.csv))
    window = Window() if has_display() and not args.no_show else None
    output = args.output or Path("output")
    files, video = [], None
    try:
        if args.image:
            files, problems = find_images(args.image, output)
            for problem in problems:
                report.fail(problem)
            if not files:
                return report.exit_code
        elif args.video or window:
            video = Video(args.video or 0)
            output = args.output if video.is_live else output  # nobody is filmed unasked
        else:
            raise SourceError("There is no display for the webcam's window: name pictures with --image, or a --video.")
        for target in (args.json, args.csv, output):
            check_writable(target, folder=target is output)
        # A video must keep up: no tiles for what is small and far away.
        options = {"tiled": False} if video and args.detector == "ssd" else {}
        detector, classifier = load_models(args.detector, args.min_confidence, args.model, **options)
    except (FileNotFoundError, ValueError) as error:  # its sentence names the file and what to do
        report.fail(str(error))
        return 2

    judge = partial(detect_masks, detector=detector, classifier=classifier)
    if video:
        copies = annotate_video(video, judge, output, report, window)
    else:
        copies = annotate_images(files, judge, output, report, window)
    try:
        if args.json:
            write_json(args.json, report.records)
        if args.csv:
            write_csv(args.csv, report.records)
    except RecordError as error:
        report.fail(str(error))
    to_stdout = STDOUT in (args.json, args.csv)
    print(report.summary("frame" if video else "image", copies), file=sys.stderr if to_stdout else sys.stdout)
    return report.exit_code


def hush_libraries() -> None:
    """Let Python alone write to the terminal: libpng and libjpeg warn about files that they read all the same."""
    if sys.stderr is not None:
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


if __name__ == "__main__":
    hush_libraries()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped before the first image.")
