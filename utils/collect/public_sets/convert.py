"""Write the images and boxes of the public sets in the project's layout.

``data/originals.csv`` lists the file names that the split and the label corrections use.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.batch import map_in_threads
from utils.classes import LabelError
from utils.collect.convert import convert_images
from utils.collect.public_sets.archives import GitHubSet, Member, PublicSetError, read_archive
from utils.formats import VOC_TAGS, write_voc
from utils.images import ImageError, decode_image_apart, limit_size, write_image
from utils.labels import BOX_COLUMNS
from utils.paths import DATA_DIR
from utils.tables import read_table

ORIGINALS_FILE = DATA_DIR / "originals.csv"
ORIGINAL_COLUMNS = ["file", "set", "original", "git_blob"]
# Images and boxes by class in version 1 of the Kaggle set.
KAGGLE_IMAGES = 853
KAGGLE_BOXES = {"with_mask": 3232, "without_mask": 717, "mask_weared_incorrect": 123}
# Longer side of a converted image in pixels, by set. Label corrections hold boxes at these sizes.
MAX_SIDE = {"faces": 336, "classic": 336, "scenes": 600, "ilc": 640, "wider": 576, "objects": 448}
# Prefix of the names in faces/, by the set that an image comes from.
FACES_PREFIX = {"faces": "web", "classic": "prajnasb"}
# Class names in the annotations of a set, where they are not the project's.
CLASSES_OF = {"wider": {"2": "without_mask"}}
IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|webp|bmp|jpg_\w+)", re.IGNORECASE)


class Annotation(NamedTuple):
    """The labelled faces of one image, from a Pascal VOC file of the original set."""

    class_names: list[str]
    xyxy: np.ndarray  # (N, 4) pixels of the original image


def read_originals(path: str | Path = ORIGINALS_FILE) -> pd.DataFrame:
    """Read the table of original images: ``file, set, original, git_blob``, all text.

    ``file`` is the name that ``data/split.csv`` and the label corrections use.

    Raises:
        TableError: the file cannot be read, or a column is missing.
    """
    return read_table(path, ORIGINAL_COLUMNS, as_text=True)


def name_by_original(originals: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the project's file name for each original: ``{(set, original path): file}``."""
    keys = zip(originals.set, originals.original, strict=True)
    return dict(zip(keys, originals.file, strict=True))


def name_images(
    public_set: str, paths: Iterable[str], known: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """Return a unique name in the project for each original image of a set.

    Args:
        public_set: the name of the set.
        paths: of the images in their repository.
        known: from ``name_by_original``; the split and the corrections use these names.

    Returns:
        POSIX paths below the data root, by original path.
    """
    names: dict[str, str] = {}
    taken = set(known.values())
    for original in sorted(paths):
        if (public_set, original) in known:
            names[original] = known[public_set, original]
            continue
        path = PurePosixPath(original)
        stem = f"{public_set}/images/{path.stem}"
        if public_set in FACES_PREFIX:
            slug = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")
            stem = f"faces/{path.parent.name}/{FACES_PREFIX[public_set]}_{slug}"
        name = f"{stem}.jpg"
        number = 2
        while name in taken:
            name = f"{stem}-{number}.jpg"
            number += 1
        names[original] = name
        taken.add(name)
    return names


def convert_archive(public_set: GitHubSet, archive: str | Path, root: str | Path) -> pd.DataFrame:
    """Write the images and boxes of an archive below a data root, with a progress bar.

    An image that is there already is left as it is, so a second call only does what is missing. A
    copy of an image that has a name in ``data/originals.csv`` is left out.

    Args:
        public_set: what the archive holds.
        archive: the zip file; its content is checked first.
        root: the data root.

    Returns:
        A table ``file, original, problem`` with a row for each image: its path below the data root,
        its path in the repository, and why it was left out (empty if it was converted).

    Raises:
        PublicSetError: the archive does not hold the set.
        OSError: the data root cannot be written.
    """
    root = Path(root)
    originals = read_originals()
    known = name_by_original(originals)
    known_blobs = set(originals.git_blob)
    members = read_archive(public_set, archive)
    images = [path for path in members if IMAGE_SUFFIX.fullmatch(PurePosixPath(path).suffix)]
    names = name_images(public_set.name, images, known)
    annotations = {PurePosixPath(path).stem: path for path in members if path.endswith(".xml")}

    with zipfile.ZipFile(archive) as content:

        def convert(path: str) -> str:
            is_known = (public_set.name, path) in known
            if members[path].blob_id in known_blobs and not is_known:
                return f"{path} is a copy of another image of the set."
            output = root / names[path]
            if output.exists():
                return ""
            try:
                _convert_member(
                    content,
                    members=members,
                    path=path,
                    annotations=annotations,
                    output=output,
                    public_set=public_set.name,
                )
            except (ImageError, LabelError) as error:
                return str(error)
            return ""

        results = map_in_threads(convert, images)
        problems = list(
            tqdm(results, desc=f"converting {public_set.name}", total=len(images), unit="image")
        )
    files = [names[path] for path in images]
    return pd.DataFrame({"file": files, "original": images, "problem": problems}, dtype="str")


def _convert_member(
    content: zipfile.ZipFile,
    members: Mapping[str, Member],
    path: str,
    annotations: Mapping[str, str],
    output: Path,
    public_set: str,
) -> None:
    """Convert one image of an archive and its boxes.

    Args:
        content: the archive.
        members: its members by their path in the repository.
        path: the image's path in the repository.
        annotations: paths of the annotations by their stem; empty if the set has none.
        output: the image to write.
        public_set: the name of the set.

    Raises:
        ImageError: the image cannot be read.
        LabelError: its annotation is missing or cannot be read.
    """
    image, _ = decode_image_apart(content.read(members[path].name), path)
    annotation = None
    if annotations:
        annotation_path = annotations.get(PurePosixPath(path).stem)
        if annotation_path is None:
            raise LabelError(f"{path} has no annotation.")
        data = content.read(members[annotation_path].name)
        annotation = parse_annotation(data, annotation_path, public_set)
    write_converted(output, image, annotation, MAX_SIDE[public_set])


def parse_annotation(data: bytes, path: str, public_set: str) -> Annotation:
    """Read the boxes of an original Pascal VOC file, without the classes that are not faces.

    Raises:
        LabelError: it is not XML, or a box is not made of numbers.
    """
    translation = CLASSES_OF.get(public_set)
    class_names = []
    boxes = []
    try:
        for item in ET.fromstring(data).findall("object"):
            name = item.findtext("name", "")
            if translation is not None:
                if name not in translation:
                    continue
                name = translation[name]
            class_names.append(name)
            boxes.append([float(item.findtext(f"bndbox/{tag}", "")) for tag in VOC_TAGS])
    except (ET.ParseError, ValueError) as error:
        raise LabelError(
            f"{path} is not a readable Pascal VOC file ({error}): left out."
        ) from error
    return Annotation(class_names, np.array(boxes, float).reshape(-1, 4))


def write_converted(
    output: Path, image: np.ndarray, annotation: Annotation | None, max_side: int
) -> None:
    """Write the boxes and then the image, at its bounded size: an image that exists is finished."""
    smaller = limit_size(image, max_side)
    height, width = smaller.shape[:2]
    if annotation is not None:
        scale = np.array([width / image.shape[1], height / image.shape[0]] * 2)
        table = pd.DataFrame(annotation.xyxy * scale, columns=BOX_COLUMNS)
        table = table.assign(class_name=annotation.class_names)
        path = output.parent.parent / "annotations" / f"{output.stem}.xml"
        write_voc(path, output.name, (width, height), table)
    write_image(output, smaller)


def convert_kaggle_set(source: str | Path, root: str | Path) -> pd.DataFrame:
    """Check the Kaggle set by its counts, and write it below a data root as ``scenes``.

    Args:
        source: a folder with ``images/*.png`` and ``annotations/*.xml``.
        root: the data root.

    Returns:
        A table ``file, output, problem``, as ``convert_images`` returns it.

    Raises:
        PublicSetError: the counts of images or boxes are not those of version 1.
    """
    source = Path(source)
    images = sorted((source / "images").glob("*.png"))
    boxes: Counter[str] = Counter()
    for path in sorted((source / "annotations").glob("*.xml")):
        annotation = parse_annotation(path.read_bytes(), str(path), "scenes")
        boxes.update(annotation.class_names)
    if len(images) != KAGGLE_IMAGES or dict(boxes) != KAGGLE_BOXES:
        raise PublicSetError(
            f"{source} does not hold version 1 of the Kaggle set: {len(images)} images "
            f"({KAGGLE_IMAGES} expected) and boxes {dict(boxes)} ({KAGGLE_BOXES} expected)."
        )
    return convert_images(source, Path(root) / "scenes", max_side=MAX_SIDE["scenes"])
