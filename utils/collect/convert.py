"""Downloaded photographs made usable: the broken found, the others saved upright, in one format, at a bounded size."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.classes import LabelError
from utils.formats import read_voc, write_voc
from utils.images import ImageError, limit_size, list_images, read_image, write_image
from utils.labels import BOX_COLUMNS


def find_broken_images(files: Iterable[str | Path]) -> pd.DataFrame:
    """Read image files, with a progress bar, to find those that cannot be read.

    Returns:
        A table ``file, problem`` of the broken ones, ``file`` as it was given.
    """
    files = list(files)
    problems = _run_all(read_image, [(file,) for file in files], "checking")
    rows = [(str(file), problem) for file, problem in zip(files, problems, strict=True) if problem]
    return pd.DataFrame(rows, columns=["file", "problem"])


def convert_images(
    source_dir: str | Path, target_dir: str | Path, max_side: int = 600, suffix: str = ".jpg"
) -> pd.DataFrame:
    """Save all images of a folder anew, with a progress bar: upright, in one format, no larger than ``max_side``.

    Folders below it are kept, and Pascal VOC files come along, their boxes scaled with the images. An image whose
    target exists is left as it is: nothing is overwritten, and a second call does only what is new. Where images differ
    in their suffix alone, it becomes part of the name: ``a.png`` and ``a.webp`` give ``a_png.jpg`` and ``a_webp.jpg``.

    Args:
        source_dir: the photographs, with ``annotations/`` where ``formats.read_voc_folder`` looks for them.
        target_dir: a folder outside of it.
        max_side: pixels of the longer side; smaller images keep their size.
        suffix: the new format.

    Returns:
        A table ``file, target, problem``, a row an image: its path in ``source_dir`` and in ``target_dir``, and why it
        could not be converted (empty where it could).

    Raises:
        ImageError: there is no such folder, the target lies in it, or its annotations lie outside of it.
    """
    source_dir, target_dir = Path(source_dir), Path(target_dir)
    files = [path.relative_to(source_dir) for path in list_images(source_dir)]
    if target_dir.resolve().is_relative_to(source_dir.resolve()):
        raise ImageError(f"{target_dir} lies in {source_dir}: choose a folder outside of it.")
    if source_dir.name == "images" and (source_dir.parent / "annotations").is_dir():
        raise ImageError(
            f"The annotations of {source_dir} lie beside it: convert {source_dir.parent} as a whole."
        )
    targets = name_targets(files, suffix)
    jobs = [
        (source_dir / file, target_dir / target, max_side)
        for file, target in zip(files, targets, strict=True)
    ]
    table = {
        "file": [file.as_posix() for file in files],
        "target": [target.as_posix() for target in targets],
        "problem": _run_all(_convert_image, jobs, "converting"),
    }
    return pd.DataFrame(table, dtype="str")


def name_targets(files: list[Path], suffix: str) -> list[Path]:
    """A name with the new suffix for each file, no two alike, also where upper and lower case are the same."""
    count = Counter(str(file.with_suffix("")).casefold() for file in files)
    targets: dict[str, Path] = {}
    for file in files:
        alone = count[str(file.with_suffix("")).casefold()] == 1
        target = file.with_name((file.stem if alone else f"{file.stem}_{file.suffix[1:]}") + suffix)
        while str(target).casefold() in targets:
            target = target.with_stem(target.stem + "_")
        targets[str(target).casefold()] = target
    return list(targets.values())


def _convert_image(source: Path, target: Path, max_side: int) -> None:
    if target.exists():
        return
    image = read_image(source)
    smaller = limit_size(image, max_side)
    for folder, target_folder in (
        (source.parent, target.parent),
        (source.parent.parent, target.parent.parent),
    ):
        if (annotation := folder / "annotations" / f"{source.stem}.xml").is_file():
            target_annotation = target_folder / "annotations" / f"{target.stem}.xml"
            _scale_annotation(annotation, target_annotation, (source, image), (target, smaller))
    unfinished = target.with_name(f"{target.stem}.unfinished{target.suffix}")
    write_image(unfinished, smaller).replace(target)  # last and whole: a target that exists is done


def _scale_annotation(
    source: Path, target: Path, old: tuple[Path, np.ndarray], new: tuple[Path, np.ndarray]
) -> None:
    name, resolution_wh, faces = read_voc(source)
    (file, old_wh), (new_file, new_wh) = ((path, image.shape[1::-1]) for path, image in (old, new))
    if name != file.name and (file.parent / name).is_file():
        return  # it belongs to an image that differs in its suffix alone
    if resolution_wh != old_wh:
        raise LabelError(
            f"{source} is for {resolution_wh} pixels, {file} has {old_wh}: label it again."
        )
    boxes = np.array([box for _, box in faces]).reshape(-1, 4) * np.tile(
        np.divide(new_wh, old_wh), 2
    )
    table = pd.DataFrame(boxes, columns=BOX_COLUMNS).assign(
        class_name=[class_name for class_name, _ in faces]
    )
    write_voc(target, new_file.name, new_wh, table)


def _run_all(function: Callable, jobs: list[tuple], what: str) -> list[str]:
    """Call a function with each job on all cores: for each the sentence of its error, empty where there was none."""

    def run(job: tuple) -> str:
        try:
            function(*job)
        except (ImageError, LabelError) as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(
        os.cpu_count()
    ) as pool:  # threads: OpenCV lets others run while it works
        return list(tqdm(pool.map(run, jobs), total=len(jobs), desc=what, unit="image"))
