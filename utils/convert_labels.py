"""Convert a data set of labelled faces to VOC, COCO or YOLO: ``python -m utils.formats``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.atomic import name_part, write_bytes
from utils.classes import LabelError
from utils.formats import SHOWN_REASONS, read_labels
from utils.images import ImageError, list_images, read_image, write_image
from utils.label_files import LabelledImage, Listed, read_upright_size, write_labels
from utils.labels import BOX_COLUMNS
from utils.layouts import IMAGE_SETS
from utils.phrases import format_count, name_some
from utils.program import run_as_program

TARGET_FORMATS = ("voc", "coco", "yolo")
QUALITY = 95  # JPEG quality of a photograph that is turned upright


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        images: number of images written.
        faces: number of faces written.
        whole_images: number of them without a box of their own: the box is the whole image.
        turned: images that were saved again, turned upright.
        empty: number of images written that the source lists without a face.
        splits: number of images written in each split; those in none are under "".
        unlabelled: images without labels that can be used, which are not converted.
        problems: sentences about what was left out.
    """

    images: int = 0
    faces: int = 0
    whole_images: int = 0
    turned: list[str] = field(default_factory=list)
    empty: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    unlabelled: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def convert_labels(source: str | Path, target: str | Path, label_format: str) -> Conversion:
    """Write the labelled images of a data root as a data set in another format.

    Images are copied to ``images/`` byte for byte, so that the data set can be moved and the source
    deleted. A photograph with an EXIF orientation is saved upright instead, because some readers
    ignore the orientation and its boxes would then be wrong. Names become unique without folders.
    Images that the source lists without a face stay, and so does its division into splits. The
    target appears at the end, whole.

    Args:
        source: a data root, see ``formats.read_labels``.
        target: the folder to write; it must not exist, or be empty.
        label_format: one of ``TARGET_FORMATS``.

    Raises:
        LabelError: the source holds no labelled images, or the target cannot be used.
        OSError: a file cannot be written.
    """
    source = Path(source)
    target = Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LabelError(f"{target} exists and is not empty: name a new folder.")
    if target.resolve().is_relative_to(source.resolve()):
        raise LabelError(f"{target} is in {source}, which is read: name a folder outside it.")
    listed = Listed()
    table, problems = read_labels(source, listed=listed)
    conversion = Conversion(problems=list(problems.problem))
    files = list(dict.fromkeys([*table.file, *listed.empty]))
    known = set(files)
    for path in list_images(source):
        file = path.relative_to(source).as_posix()
        if file not in known:
            conversion.unlabelled.append(file)

    target.parent.mkdir(parents=True, exist_ok=True)
    part = name_part(Path(target.resolve()))
    if part.exists():
        shutil.rmtree(part)
    try:
        _write_part(files, table, listed, source, part, label_format, conversion)
        if target.exists():
            target.rmdir()
        part.rename(target)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(part, ignore_errors=True)
        raise
    return conversion


def _write_part(
    files: list[str],
    table: pd.DataFrame,
    listed: Listed,
    source: Path,
    part: Path,
    label_format: str,
    conversion: Conversion,
) -> None:
    """Write the images, and then their labels.

    Args:
        files: the images.
        table: the label table.
        listed: the splits of the images.
        source: the data root.
        part: the folder to write.
        label_format: one of ``TARGET_FORMATS``.
        conversion: gets what was done.

    Raises:
        LabelError: no image could be written.
    """
    images: list[LabelledImage] = []
    names = name_copies(files)
    rows_of_file = dict(list(table.groupby("file", sort=False)))
    for file in tqdm(files, desc="converting", unit="image", leave=False):
        rows = rows_of_file.get(file, table.iloc[:0])
        split = listed.splits.get(file, "")
        is_in_folder = split and label_format == "yolo"  # YOLO tells splits by their folders
        name = f"{split}/{names[file]}" if is_in_folder else names[file]
        try:
            image, is_turned = _convert_image(source / file, part / "images", name, rows, split)
        except ImageError as error:
            conversion.problems.append(str(error))
            continue
        is_whole = rows.x_min.isna()
        conversion.whole_images += int(is_whole.sum())
        conversion.images += 1
        conversion.faces += len(rows)
        conversion.empty += rows.empty
        conversion.splits[split] += 1
        if is_turned:
            conversion.turned.append(file)
        images.append(image)
    if not images:
        reasons = " ".join(conversion.problems[:SHOWN_REASONS])
        raise LabelError(f"No image of {source} can be converted. {reasons}".strip())
    folder = part / "annotations" if label_format == "voc" else part
    write_labels(label_format, folder, images)
    if label_format == "voc":
        _write_image_sets(part / IMAGE_SETS, images)


def _write_image_sets(folder: Path, images: Sequence[LabelledImage]) -> None:
    """Write the names of the images of each split, without suffix, as Pascal VOC does."""
    for split in sorted({image.split for image in images if image.split}):
        stems = [PurePosixPath(image.file).stem for image in images if image.split == split]
        lines = "".join(f"{stem}\n" for stem in stems)
        write_bytes(folder / f"{split}.txt", lines.encode("utf-8", "surrogateescape"))


def _convert_image(
    path: Path, folder: Path, name: str, rows: pd.DataFrame, split: str
) -> tuple[LabelledImage, bool]:
    """Copy an image, or save it upright. Return its labels, and whether it was turned.

    Args:
        path: the image.
        folder: where the copy goes.
        name: of the copy.
        rows: its rows of the label table.
        split: of the image; empty if it has none.

    Raises:
        ImageError: the image cannot be read or written.
    """
    image = read_image(path)  # also finds images that other programs could not read
    height, width = image.shape[:2]
    _, is_turned = read_upright_size(path)
    if is_turned:
        write_image(folder / name, image, QUALITY)
    else:
        write_bytes(folder / name, path.read_bytes())
    boxes = rows[BOX_COLUMNS].to_numpy(float)
    whole = np.array([0, 0, width, height], float)
    boxes = np.where(np.isnan(boxes), whole, boxes)
    names = rows.class_name.tolist()
    return LabelledImage(name, (width, height), names, boxes, split=split), is_turned


def name_copies(files: list[str]) -> dict[str, str]:
    """Return a file name without folders for each image; no two have equal stems.

    A name that occurs once stays. Others become the path with ``_`` for ``/``.
    """
    stems = pd.Series([PurePosixPath(file).stem.casefold() for file in files], dtype="str")
    is_unique = ~stems.duplicated(keep=False)
    taken = set(stems[is_unique])
    names = {}
    for file, keeps_name in zip(files, is_unique, strict=True):
        path = PurePosixPath(file)
        if keeps_name:
            names[file] = path.name
            continue
        base = path.with_suffix("").as_posix().replace("/", "_")
        stem = base
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{base}_{number}"
        taken.add(stem.casefold())
        names[file] = f"{stem}{path.suffix}"
    return names


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
    if conversion.unlabelled:
        many = "images have no labels that can be used and are"
        number = format_count(
            len(conversion.unlabelled), "image has no labels that can be used and is", many
        )
        print(f"{number} left out: {name_some(conversion.unlabelled)}.")
    if conversion.problems:
        print(f"{format_count(len(conversion.problems), 'problem')}, named above.")
    return 1 if conversion.problems or conversion.unlabelled else 0


def main() -> None:
    """Run the command in the terminal."""
    run_as_program(run_conversion)
