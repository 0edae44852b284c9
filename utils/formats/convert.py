"""Convert a data set of labelled faces to VOC, COCO or YOLO."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm.auto import tqdm

from utils.atomic import name_part, write_bytes
from utils.boxes import BOX_COLUMNS
from utils.classes import LabelError
from utils.formats.labelled import LabelledImage, Labels, has_no_box
from utils.formats.layouts import IMAGE_SETS
from utils.formats.read import SHOWN_REASONS, read_root
from utils.formats.write import write_labels
from utils.images import ImageError, list_images, read_image_apart, read_upright_size, write_image

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
        source: a data root, see ``read.read_labels``.
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
    labels = read_root(source, keep_empty=True)
    conversion = Conversion(problems=[row["problem"] for row in labels.problems])
    labelled = [row["file"] for row in labels.rows]
    files = list(dict.fromkeys([*labelled, *labels.listed.empty]))
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
        _write_part(files, labels, source, part, label_format, conversion)
        if target.exists():
            target.rmdir()
        part.rename(target)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(part, ignore_errors=True)
        raise
    return conversion


def _write_part(
    files: list[str],
    labels: Labels,
    source: Path,
    part: Path,
    label_format: str,
    conversion: Conversion,
) -> None:
    """Write the images, and then their labels.

    Args:
        files: the images.
        labels: their faces and splits.
        source: the data root.
        part: the folder to write.
        label_format: one of ``TARGET_FORMATS``.
        conversion: is filled in.

    Raises:
        LabelError: no image could be written.
    """
    images: list[LabelledImage] = []
    names = name_copies(files)
    rows_of_file: dict[str, list[dict]] = defaultdict(list)
    for row in labels.rows:
        rows_of_file[row["file"]].append(row)
    for file in tqdm(files, desc="converting", unit="image", leave=False):
        rows = rows_of_file[file]
        split = labels.listed.splits.get(file, "")
        is_in_folder = split and label_format == "yolo"  # YOLO's splits are folders
        name = f"{split}/{names[file]}" if is_in_folder else names[file]
        try:
            image, is_turned = _convert_image(source / file, part / "images", name, rows, split)
        except ImageError as error:
            conversion.problems.append(str(error))
            continue
        conversion.whole_images += sum(has_no_box(row) for row in rows)
        conversion.images += 1
        conversion.faces += len(rows)
        conversion.empty += not rows
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
    path: Path, folder: Path, name: str, rows: list[dict], split: str
) -> tuple[LabelledImage, bool]:
    """Copy an image, or save it upright. Return its labels, and whether it was turned.

    Args:
        path: the image.
        folder: where the copy goes.
        name: of the copy.
        rows: its faces, rows of a label table.
        split: of the image; empty if it has none.

    Raises:
        ImageError: the image cannot be read or written.
    """
    image = read_image_apart(path)  # also finds images that other programs could not read
    height, width = image.shape[:2]
    _, is_turned = read_upright_size(path)
    if is_turned:
        write_image(folder / name, image, QUALITY)
    else:
        write_bytes(folder / name, path.read_bytes())
    names = []
    boxes = []
    for row in rows:
        names.append(row["class_name"])
        if has_no_box(row):
            boxes.append([0, 0, width, height])
        else:
            boxes.append([row[column] for column in BOX_COLUMNS])
    xyxy = np.array(boxes, float).reshape(-1, 4)
    return LabelledImage(name, (width, height), names, xyxy, split=split), is_turned


def name_copies(files: list[str]) -> dict[str, str]:
    """Return a file name without folders for each image; no two have equal stems.

    A name that occurs once stays. Others become the path with ``_`` for ``/``.
    """
    stems = [PurePosixPath(file).stem.casefold() for file in files]
    counts = Counter(stems)
    taken = {stem for stem, count in counts.items() if count == 1}
    names = {}
    for file, own_stem in zip(files, stems, strict=True):
        path = PurePosixPath(file)
        if counts[own_stem] == 1:
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
