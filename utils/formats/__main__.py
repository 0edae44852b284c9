"""The command ``python -m utils.formats SRC DST --to {voc,coco,yolo}``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from utils.classes import LabelError
from utils.formats.convert import TARGET_FORMATS, Conversion, convert_labels
from utils.formats.yolo import name_split_folders
from utils.images import ImageError
from utils.messages import format_count, name_some
from utils.program import require_packages, run_as_program


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.formats",
        description="Convert a data set of labelled faces. The layout of the source is recognised: "
        "class folders, Pascal VOC, COCO (JSON files with images and annotations) or YOLO "
        "(data.yaml or classes.txt, and text files in labels/).",
        epilog="Images are copied, and photographs with an EXIF orientation are saved upright, so "
        "that every reader agrees about their boxes. Images that are listed without a face stay, "
        "and so does a division into train, val and test. Exit status: 0 everything was converted, "
        "1 something was left out (each is named), 2 an argument is wrong or nothing could be "
        "converted.",
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="the folder of the data set")
    parser.add_argument("target", type=Path, metavar="DST", help="a new folder")
    parser.add_argument(
        "--to", choices=TARGET_FORMATS, required=True, help="the format of the labels"
    )
    return parser


def run_conversion(arguments: list[str] | None = None) -> int:
    """Run the command, print what was converted and what was left out; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        conversion = convert_labels(options.source, options.target, options.to)
    except (LabelError, ImageError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        place = error.filename or options.target
        print(
            f"{place} cannot be written ({error.strerror}): choose another folder.", file=sys.stderr
        )
        return 2
    for problem in conversion.problems:
        print(problem, file=sys.stderr)
    images = format_count(conversion.images, "image")
    faces = format_count(conversion.faces, "face")
    print(f"Wrote {images} with {faces} to {options.target} ({options.to}).")
    if conversion.whole_images:
        number = format_count(conversion.whole_images, "image is", "images are")
        print(f"{number} one face as a whole: the box is the image.")
    if conversion.turned:
        number = format_count(len(conversion.turned), "image was", "images were")
        print(f"{number} saved upright: {name_some(conversion.turned)}.")
    if conversion.empty:
        number = format_count(conversion.empty, "image is", "images are")
        print(f"{number} listed without a face, and kept so.")
    if set(conversion.splits) - {""}:
        order = [name for name in ("train", "val", "test", "") if conversion.splits[name]]
        parts = [f"{conversion.splits[name]} in {name or 'no split'}" for name in order]
        print(f"Splits: {', '.join(parts)}.")
        if options.to == "yolo":
            _print_missing_splits(conversion)
    if conversion.unlabelled:
        many = "images have no labels that can be used and are"
        number = format_count(
            len(conversion.unlabelled), "image has no labels that can be used and is", many
        )
        print(f"{number} left out: {name_some(conversion.unlabelled)}.")
    if conversion.problems:
        print(f"{format_count(len(conversion.problems), 'problem')}, named above.")
    return 1 if conversion.problems or conversion.unlabelled else 0


def _print_missing_splits(conversion: Conversion) -> None:
    """Say which folder stands in for train or val in ``data.yaml``."""
    for split, folder in name_split_folders(conversion.splits).items():
        if not conversion.splits[split]:
            print(
                f"There is no {split} split, and Ultralytics needs one: data.yaml names {folder} "
                "in its place."
            )


if __name__ == "__main__":
    require_packages("pandas", "PIL", "yaml")
    run_as_program(run_conversion)
