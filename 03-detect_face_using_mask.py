#!/usr/bin/env python
"""Find the faces in images, a video or a webcam, and classify each by how it wears a mask."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C ends the program without a word while the next module loads.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from utils.program import begin_program, run_as_program

if __name__ == "__main__":
    begin_program()  # before the modules below, which take half a second to load

import argparse
import importlib.util
import math
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from utils.cli import OUTPUT_FORMATS, STDOUT, run_script
from utils.detect import CLASSIFIER_FILE, DETECTOR_SYNONYMS, DETECTORS
from utils.formats import LABEL_FORMATS
from utils.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from utils.messages import hide_secrets_in_message
from utils.video import ERROR, FIELD_OF_VIEW


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose error is one sentence, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Exit with the exit code of wrong arguments."""
        message = hide_secrets_in_message(message)
        self.exit(2, f"{self.prog}: {message} (--help lists the arguments).\n")
        raise AssertionError("exit returned")


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    value = read_number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def positive(text: str) -> float:
    """Return a finite number above 0."""
    value = read_number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def count(text: str) -> int:
    """Return a whole number above 0."""
    value = read_number(text)
    if not (value >= 1 and value.is_integer()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(value)


def read_number(text: str) -> float:
    """Return a number, not-a-number if the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def make_parser() -> ArgumentParser:
    """Return the parser of the command line."""
    parser = ArgumentParser(
        description=__doc__,
        epilog="Without --image and --video, webcam 0 is shown in a window: q or Esc ends it, "
        "space pauses it, s saves a picture.",
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--image",
        nargs="+",
        metavar="PATH",
        help="images, folders, or globs such as 'photos/**/*.jpg'",
    )
    source.add_argument(
        "--video",
        metavar="SOURCE",
        help="a video file, a folder of images, an rtsp:// or http:// address, or the number or "
        "device of a camera",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for annotated copies, of videos without sound; replaces files of that name "
        "(default: output/; none for a camera or stream)",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write every face found as JSON; - is standard output",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="write every face found as a table; for a video, a table of its people, and beside "
        "it a table of each interval; - is standard output",
    )
    parser.add_argument(
        "--labels",
        nargs=2,
        metavar=("FORMAT", "DIR"),
        help="with --image: write every face found as a label to correct in another program; for "
        "images turned upright, and no file is replaced. CVAT: --labels coco out. Label Studio: "
        "--labels label-studio out. X-AnyLabeling: --labels yolo out. labelImg: --labels voc out",
    )
    parser.add_argument(
        "--detector",
        type=lambda name: DETECTOR_SYNONYMS.get(name, name),
        choices=DETECTORS,
        default="fcos",
        help="the face detector (default: %(default)s, trained in this project)",
    )
    parser.add_argument(
        "--detector-model",
        type=Path,
        metavar="FILE",
        help="with --detector fcos: another model file of this detector, such as one that "
        "`python -m utils.train detector` wrote",
    )
    parser.add_argument(
        "--min-confidence",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="least confidence of the detector in a face, 0-1 (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=CLASSIFIER_FILE,
        metavar="FILE",
        help="another mask classifier",
    )
    parser.add_argument(
        "--blur-faces",
        action="store_true",
        help="make faces unrecognisable in annotated copies and in the window",
    )
    parser.add_argument(
        "--no-show",
        action="store_true",
        help="open no window, even if there is a display",
    )
    many = parser.add_argument_group("with --image, for many images; no window is opened")
    many.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="number of processes, each on one core (default: with 5,000 images and more, one for "
        "each core)",
    )
    many.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="use the workers of this Dask scheduler, such as tcp://10.0.0.1:8786; they must see "
        "the images and the folder of --output under the same paths",
    )
    many.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run of the same images and options that was ended early",
    )
    many.add_argument(
        "--output-format",
        choices=OUTPUT_FORMATS,
        default=OUTPUT_FORMATS[0],
        help="format of the table that --csv names (default: %(default)s)",
    )
    video = parser.add_argument_group("with --video or a camera")
    video.add_argument(
        "--interval",
        type=positive,
        default=60.0,
        metavar="SECONDS",
        help="length of an interval in the second table of --csv (default: %(default)g)",
    )
    video.add_argument(
        "--alert",
        metavar="COMMAND",
        help="command to run once for each person who wears no mask, or wears one incorrectly, for "
        "a second, such as 'notify-send {class} {track}'",
    )
    video.add_argument(
        "--distance",
        type=positive,
        metavar="METRES",
        help="mark and count faces that are closer to each other; distances are estimated from the "
        f"size of the faces, for adults mostly to within {ERROR:.0%}% of how far away they are",
    )
    video.add_argument(
        "--field-of-view",
        "--fov",
        type=positive,
        default=FIELD_OF_VIEW,
        metavar="DEGREES",
        help="horizontal field of view of the camera, for --distance (default: %(default)g)",
    )
    return parser


def looks_like_option(word: str) -> bool:
    """Return whether a word of the command line is a file whose name begins with a hyphen."""
    if not word.startswith("-") or word == STDOUT or re.match("--[a-z-]+=", word):
        return False
    suffix = Path(word).suffix.lower()
    return suffix in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES) or os.path.lexists(word)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the checked arguments of the command line, or of a list."""
    parser = make_parser()
    for word in sys.argv[1:] if argv is None else argv:
        if looks_like_option(word):
            parser.error(f"{word} begins with a hyphen, as options do: write ./{word}")
    args, others = parser.parse_known_args(argv)
    if others and others[0].startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if others:
        parser.error(
            f"{' '.join(others)} is not the value of an option: write --image or --video before "
            "it, and quotes around a name with spaces"
        )
    if args.video == "":
        parser.error("--video is empty: name a file, an address or a camera")
    if args.json == args.csv == STDOUT:
        parser.error("--json and --csv cannot both go to standard output")
    if args.detector_model and args.detector != "fcos":
        parser.error("--detector-model is for --detector fcos")
    if args.labels:
        check_labels(parser, args)
    check_job(parser, args)
    return args


def check_job(parser: ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with one sentence if the arguments for many images are wrong."""
    if args.scheduler == "":
        parser.error("--scheduler is empty: name an address such as tcp://10.0.0.1:8786")
    if args.workers and args.scheduler:
        parser.error("--workers is for this machine: leave it out with --scheduler")
    is_parquet = args.output_format == "parquet"
    for name, is_given in (
        ("--workers", args.workers),
        ("--scheduler", args.scheduler),
        ("--resume", args.resume),
        ("--output-format parquet", is_parquet),
    ):
        if is_given and not args.image:
            parser.error(f"{name} is for --image: name images with it, or leave {name} out")
    if is_parquet and args.csv in (None, STDOUT):
        parser.error("--output-format parquet needs a file: name it with --csv")
    if is_parquet and importlib.util.find_spec("pyarrow") is None:
        parser.error(
            "--output-format parquet needs PyArrow: install it with `pip install --constraint "
            'requirements.lock --editable ".[cluster]"`'
        )


def check_labels(parser: ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with one sentence if the arguments of --labels are wrong."""
    label_format, folder = args.labels
    if label_format not in LABEL_FORMATS:
        parser.error(f"--labels {label_format} is unknown: use one of {', '.join(LABEL_FORMATS)}")
    if not folder:
        parser.error("the folder of --labels is empty: name one")
    if not args.image:
        parser.error(
            "--labels is for --image, because labels belong to image files: save frames of the "
            "video as images, and name their folder with --image"
        )


def main(argv: list[str] | None = None) -> int:
    """Run the program with the arguments of the command line, and return its exit code."""
    return run_script(parse_arguments(argv))


if __name__ == "__main__":
    run_as_program(main)
