"""Find broken images, and save the others upright, in one format and at a limited size."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.batch import Batch, map_files
from utils.classes import LabelError
from utils.formats import UNKNOWN_SIZE, describe_wrong_size, read_voc, write_voc
from utils.images import (
    ImageError,
    PassedOver,
    describe_passed_over,
    limit_size,
    list_for_table,
    measure_image_apart,
    read_image_apart,
    write_image,
)
from utils.labels import BOX_COLUMNS


def find_broken_images(
    files: str | Path | Iterable[str | Path], batch: Batch | None = None
) -> pd.DataFrame:
    """Return the image files that cannot be read. Shows a progress bar.

    Args:
        files: the files, or a folder of them. Of a folder, image-like files of other formats, such
            as HEIC, are broken too.
        batch: other processes or a cluster that read them.

    Returns:
        A table ``file`` (as given), ``problem``.

    Raises:
        JobError: the batch cannot be used.
    """
    passed_over: list[PassedOver] = []
    if isinstance(files, str | Path):
        files, passed_over = list_for_table(files)
    files = list(files)
    problems = _find_problems(_check_image, [(file,) for file in files], "checking files", batch)
    for item in passed_over:
        files.append(item.file)
        problems.append(describe_passed_over([item])[0])
    table = pd.DataFrame({"file": [str(file) for file in files], "problem": problems}, dtype="str")
    return table[table.problem != ""].reset_index(drop=True)


def _check_image(file: str | Path) -> None:
    """Raise an ``ImageError`` if an image cannot be read."""
    measure_image_apart(file)


def convert_images(
    source_dir: str | Path,
    output_dir: str | Path,
    max_side: int = 600,
    suffix: str = ".jpg",
    batch: Batch | None = None,
) -> pd.DataFrame:
    """Save all images of a folder upright, in one format, with sides of at most ``max_side``.

    Subfolders are kept, and Pascal VOC files are copied with their boxes scaled. Existing outputs
    are not written again, so a second call converts only new images. Images that differ only in
    their suffix keep it in their name: ``a.png`` and ``a.webp`` become ``a_png.jpg`` and
    ``a_webp.jpg``. Shows a progress bar.

    Args:
        source_dir: the images, with ``annotations/`` as ``formats.read_voc_folder`` expects.
        output_dir: a folder outside of ``source_dir``.
        max_side: largest width and height in pixels; smaller images keep their size.
        suffix: the new format.
        batch: other processes or a cluster that convert them.

    Returns:
        A table with a row per image: ``file`` (path in ``source_dir``), ``output`` (path in
        ``output_dir``; empty for a format that cannot be read) and ``problem`` (why it could not be
        converted; empty if it was).

    Raises:
        ImageError: ``source_dir`` does not exist, contains ``output_dir``, or has its annotations
            beside it.
        JobError: the batch cannot be used.
    """
    source_dir = Path(source_dir)
    output_dir = Path(output_dir)
    images, passed_over = list_for_table(source_dir)
    files = [path.relative_to(source_dir) for path in images]
    if output_dir.resolve().is_relative_to(source_dir.resolve()):
        raise ImageError(f"{output_dir} lies in {source_dir}: choose a folder outside of it.")
    if source_dir.name == "images" and (source_dir.parent / "annotations").is_dir():
        raise ImageError(
            f"The annotations of {source_dir} lie beside it:"
            f" convert {source_dir.parent} as a whole."
        )
    outputs = name_outputs(files, suffix)
    jobs = [
        (source_dir / file, Path(os.path.abspath(output_dir / output)), max_side)
        for file, output in zip(files, outputs, strict=True)
    ]
    table: dict[str, list[str]] = {
        "file": [file.as_posix() for file in files],
        "output": [output.as_posix() for output in outputs],
        "problem": _find_problems(
            _convert_image, jobs, "converting files", batch, is_intact=_has_output
        ),
    }
    for item in passed_over:
        table["file"].append(item.file.relative_to(source_dir).as_posix())
        table["output"].append("")
        table["problem"].append(describe_passed_over([item])[0])
    return pd.DataFrame(table, dtype="str")


def name_outputs(files: list[Path], suffix: str) -> list[Path]:
    """Return an output name with the new suffix for each file.

    No two names are equal, even on a file system that ignores case.
    """
    count = Counter(str(file.with_suffix("")).casefold() for file in files)
    outputs: dict[str, Path] = {}
    for file in files:
        stem = file.stem
        if count[str(file.with_suffix("")).casefold()] > 1:
            stem = f"{file.stem}_{file.suffix[1:]}"
        output = file.with_name(stem + suffix)
        while str(output).casefold() in outputs:
            output = output.with_stem(output.stem + "_")
        outputs[str(output).casefold()] = output
    return list(outputs.values())


def _convert_image(source: str | Path, output: Path, max_side: int) -> None:
    """Convert an image and its annotations, unless the output exists."""
    source = Path(source)
    if output.exists():
        return
    image = read_image_apart(source)
    smaller = limit_size(image, max_side)
    folders = [
        (source.parent, output.parent),
        (source.parent.parent, output.parent.parent),
    ]
    for source_folder, output_folder in folders:
        annotation = source_folder / "annotations" / f"{source.stem}.xml"
        if annotation.is_file():
            _scale_annotation(
                annotation,
                output_folder / "annotations" / f"{output.stem}.xml",
                image_file=source,
                image_wh=image.shape[1::-1],
                output_file=output,
                output_wh=smaller.shape[1::-1],
            )
    write_image(output, smaller)  # last: an image that has its output is done


def _scale_annotation(
    source: Path,
    output: Path,
    image_file: Path,
    image_wh: tuple[int, int],
    output_file: Path,
    output_wh: tuple[int, int],
) -> None:
    """Write a Pascal VOC file for a resized image.

    Args:
        source: the annotation of the original image.
        output: the annotation to write.
        image_file: the original image.
        image_wh: its width and height in pixels.
        output_file: the resized image.
        output_wh: its width and height in pixels.

    Raises:
        LabelError: the annotation cannot be read, or is for an image of another size.
    """
    name, resolution_wh, faces = read_voc(source)
    if name != image_file.name and (image_file.parent / name).is_file():
        return  # it belongs to another image, which differs only in its suffix
    if resolution_wh not in (image_wh, UNKNOWN_SIZE):
        raise LabelError(describe_wrong_size(source, resolution_wh, image_file, image_wh))
    boxes = np.array([box for _, box in faces]).reshape(-1, 4)
    scale_wh = np.divide(output_wh, image_wh)
    table = pd.DataFrame(boxes * np.tile(scale_wh, 2), columns=BOX_COLUMNS)
    table["class_name"] = [class_name for class_name, _ in faces]
    write_voc(output, output_file.name, output_wh, table)


def _has_output(item: tuple, value: None) -> bool:
    """Return whether the output of an item of ``_convert_image`` is there."""
    output: Path = item[1]
    return output.is_file()


def _find_problems(
    function: Callable[..., None],
    items: list[tuple],
    description: str,
    batch: Batch | None,
    is_intact: Callable[[tuple, None], bool] | None = None,
) -> list[str]:
    """Call a function with the values of each item; return its errors as sentences.

    A call without an error gives an empty string. The last argument is that of ``map_files``.
    """
    with closing(map_files(function, items, batch, is_intact)) as outcomes:
        bar = tqdm(outcomes, description, total=len(items), unit="image", leave=False)
        return [outcome.problem for outcome in bar]
