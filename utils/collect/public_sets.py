"""Fetch the public data sets that trained the models, and bring them into the project's layout.

The GitHub sets are archives of one commit (see ``archives``). kagglehub fetches the Kaggle set,
which is checked by its counts. ``data/public_sets.csv`` lists repositories, commits and digests;
``data/originals.csv`` lists the file names that the split and the label corrections use.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.classes import LabelError
from utils.collect.archives import (
    GITHUB,
    GitHubSet,
    PublicSetError,
    download_archive,
    read_archive,
)
from utils.collect.convert import convert_images
from utils.formats import VOC_TAGS, write_voc
from utils.images import ImageError, decode_image, limit_size, write_image
from utils.labels import BOX_COLUMNS
from utils.paths import DATA_DIR

SETS_FILE = DATA_DIR / "public_sets.csv"
ORIGINALS_FILE = DATA_DIR / "originals.csv"
DOWNLOADS = "downloads"  # folder beside the data root that holds archives until they are converted
KAGGLE_SET = "andrewmvd/face-mask-detection/versions/1"
KAGGLE_PAGE = "https://www.kaggle.com/datasets/andrewmvd/face-mask-detection"
MASKEDFACE_PAGE = "https://github.com/cabani/MaskedFace-Net"
# Images and boxes by class in version 1 of the Kaggle set.
KAGGLE_IMAGES = 853
KAGGLE_BOXES = {"with_mask": 3232, "without_mask": 717, "mask_weared_incorrect": 123}
# Longer side of a converted image in pixels, by set. Label corrections hold boxes at these sizes.
MAX_SIDE = {"faces": 336, "classic": 336, "scenes": 600, "ilc": 640, "wider": 576, "objects": 448}
# Prefix of the names in faces/, by the set that an image comes from.
FACES_PREFIX = {"faces": "web", "classic": "prajnasb"}
# The sets of which each folder below the data root is made, in the order in which they are fetched.
FOLDERS = {
    "scenes": (),
    "faces": ("faces", "classic"),
    "ilc": ("ilc",),
    "wider": ("wider",),
    "objects": ("objects",),
}
# Class names in the annotations of a set, where they are not the project's.
CLASSES_OF = {"wider": {"2": "without_mask"}}
IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|webp|bmp|jpg_\w+)", re.IGNORECASE)


class Annotation(NamedTuple):
    """The labelled faces of one image, from a Pascal VOC file of the original set."""

    class_names: list[str]
    xyxy: np.ndarray  # (N, 4) pixels of the original image


def read_public_sets(path: str | Path = SETS_FILE) -> dict[str, GitHubSet]:
    """Read the table of GitHub sets, by name."""
    table = pd.read_csv(path, dtype={"commit": str, "digest": str})
    sets = {}
    for row in table.to_dict("records"):
        sets[row["set"]] = GitHubSet(
            name=row["set"],
            repository=row["repository"],
            commit=row["commit"],
            count=int(row["files"]),
            digest=row["digest"],
            pattern=row["pattern"],
        )
    return sets


def read_originals(path: str | Path = ORIGINALS_FILE) -> pd.DataFrame:
    """Read the table of original images: ``file, set, original, git_blob``, all text.

    ``file`` is the name that ``data/split.csv`` and the label corrections use.
    """
    return pd.read_csv(path, dtype=str)


def name_by_original(originals: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the project's file name for each original: ``{(set, original path): file}``."""
    keys = zip(originals.set, originals.original, strict=True)
    return dict(zip(keys, originals.file, strict=True))


def name_images(
    public_set: str, paths: Iterable[str], known: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """Return the project's name of each original image of a set, no two alike.

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

    with zipfile.ZipFile(archive) as content, ThreadPoolExecutor() as pool:

        def convert(path: str) -> str:
            target = root / names[path]
            is_copy = (public_set.name, path) not in known and members[path].blob_id in known_blobs
            if is_copy:
                return f"{path} is a copy of another image of the set."
            if target.exists():
                return ""
            try:
                image = decode_image(content.read(members[path].name), path)
                annotation = None
                if annotations:
                    xml = annotations.get(PurePosixPath(path).stem)
                    if xml is None:
                        return f"{path} has no annotation."
                    data = content.read(members[xml].name)
                    annotation = parse_annotation(data, xml, public_set.name)
                write_converted(target, image, annotation, MAX_SIDE[public_set.name])
            except (ImageError, LabelError) as error:
                return str(error)
            return ""

        results = pool.map(convert, images)
        problems = list(
            tqdm(results, desc=f"converting {public_set.name}", total=len(images), unit="image")
        )
    files = [names[path] for path in images]
    return pd.DataFrame({"file": files, "original": images, "problem": problems}, dtype="str")


def parse_annotation(data: bytes, path: str, public_set: str) -> Annotation:
    """Read the boxes of an original Pascal VOC file, without the classes that are not faces.

    Raises:
        LabelError: it is no XML, or a box is not made of numbers.
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
    target: Path, image: np.ndarray, annotation: Annotation | None, max_side: int
) -> None:
    """Write the boxes and the image at its bounded size.

    The image comes last and is renamed when it is complete: an image that exists is finished.
    """
    smaller = limit_size(image, max_side)
    height, width = smaller.shape[:2]
    if annotation is not None:
        scale = np.array([width / image.shape[1], height / image.shape[0]] * 2)
        table = pd.DataFrame(annotation.xyxy * scale, columns=BOX_COLUMNS)
        table = table.assign(class_name=annotation.class_names)
        path = target.parent.parent / "annotations" / f"{target.stem}.xml"
        write_voc(path, target.name, (width, height), table)
    unfinished = target.with_name(f"{target.stem}.unfinished{target.suffix}")
    write_image(unfinished, smaller).replace(target)


def fetch_kaggle_set() -> Path:
    """Fetch the Kaggle set with kagglehub, which needs no account; return its folder.

    Raises:
        PublicSetError: kagglehub is not installed, or Kaggle cannot be reached.
    """
    try:
        import kagglehub
    except ImportError as error:
        raise PublicSetError(
            "scenes: the package kagglehub is not installed. Run `make data`, which installs it, "
            f"or fetch {KAGGLE_PAGE} by hand and name its folder with --kaggle-folder."
        ) from error
    try:
        return Path(kagglehub.dataset_download(KAGGLE_SET))
    except Exception as error:  # kagglehub raises the errors of several libraries
        raise PublicSetError(
            f"scenes: Kaggle could not be reached ({type(error).__name__}). Run the same command "
            f"again, or fetch {KAGGLE_PAGE} by hand and name its folder with --kaggle-folder."
        ) from error


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


def fetch_public_sets(
    names: Sequence[str],
    root: str | Path,
    server: str = GITHUB,
    kaggle_folder: str | Path | None = None,
    sets_file: str | Path = SETS_FILE,
    report: Callable[[str], None] = print,
) -> list[str]:
    """Fetch, check and convert public sets; return a sentence for each that failed.

    One set that fails does not stop the others. Finished sets and finished images are kept.

    Args:
        names: of ``FOLDERS``; all of them if empty.
        root: the data root, such as ``data/raw``. Archives go to ``downloads`` beside it, and are
            deleted once they are converted.
        server: of the GitHub archives.
        kaggle_folder: a copy of the Kaggle set that is there already.
        sets_file: the table of GitHub sets.
        report: takes one sentence on each set.

    Raises:
        PublicSetError: a name is unknown.
        OSError: a folder cannot be written.
    """
    root = Path(root)
    unknown = [name for name in names if name not in FOLDERS]
    if unknown:
        raise PublicSetError(f"There is no public set '{unknown[0]}': use {', '.join(FOLDERS)}.")
    sets = read_public_sets(sets_file)
    failures = []
    for name in names or FOLDERS:
        left_out = 0
        try:
            if name == "scenes":
                source = Path(kaggle_folder) if kaggle_folder else fetch_kaggle_set()
                left_out += _report_problems(name, convert_kaggle_set(source, root), report)
            for part in FOLDERS[name]:
                table = _fetch_github_set(sets[part], root, server)
                left_out += _report_problems(name, table, report)
        except PublicSetError as error:
            report(str(error))
            failures.append(str(error))
            continue
        count = sum(1 for _ in (root / name).rglob("*.jpg"))
        report(f"{name}: {count} images in {root / name}, {left_out} left out.")
    return failures


def _report_problems(name: str, table: pd.DataFrame, report: Callable[[str], None]) -> int:
    """Report the images that were left out; return how many there are."""
    problems = table.problem[table.problem != ""]
    for problem in problems:
        report(f"{name}: left out: {problem}")
    return len(problems)


def _fetch_github_set(public_set: GitHubSet, root: Path, server: str) -> pd.DataFrame:
    """Fetch and convert one GitHub set, unless all of its images are there already.

    A note beside the archives keeps the result of the conversion, so that a finished set is not
    fetched again.
    """
    downloads = root.parent / DOWNLOADS
    note = downloads / f"{public_set.name}-{public_set.digest[:12]}.csv"
    if note.is_file():
        table = pd.read_csv(note, dtype=str, keep_default_na=False)
        converted = table.file[table.problem == ""]
        if all((root / file).is_file() for file in converted):
            return table
    archive = download_archive(public_set, downloads, server)
    table = convert_archive(public_set, archive, root)
    table.to_csv(note, index=False)
    archive.unlink()
    return table
