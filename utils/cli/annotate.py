"""Image files judged one by one: annotated copies, records, a window."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from utils.cli.records import make_record
from utils.cli.report import Report
from utils.detect import Pipeline
from utils.display import Window
from utils.draw import blur_faces, draw_detections
from utils.files import name_copies
from utils.images import ImageError, read_image, write_image


def show_progress(items: Iterable, **options: object) -> Iterable:
    """The same items with a progress bar."""
    from tqdm.auto import (
        tqdm,  # only where there is a bar: one image is done sooner than this is imported
    )

    return tqdm(items, **options)


def annotate_images(
    files: list[Path],
    judge: Pipeline,
    output: str | Path,
    report: Report,
    window: Window | None = None,
    blur: bool = False,
    min_confidence: float = 0.0,
) -> list[Path]:
    """Judge image files one by one, and write an annotated JPEG of each. Ctrl-C ends it early.

    Args:
        files: images; what cannot be read or written is told and left out.
        judge: gives an image's faces.
        output: the folder of the copies.
        report: takes the records and problems.
        window: shows each until a key is pressed; once it is closed, the rest is done without.
        blur: whether faces are made unrecognisable, also those that are left out.
        min_confidence: boxes under it are left out of copies and records.

    Returns:
        The copies written.
    """
    written = []
    pairs = list(zip(files, name_copies(files, output), strict=True))
    try:
        for file, copy in (
            show_progress(pairs, desc="detecting", unit="image") if len(pairs) > 1 else pairs
        ):
            try:
                image = read_image(file)
                detections = judge(image)
                shown = blur_faces(image, detections.xyxy) if blur else image
                detections = detections[detections.confidence >= min_confidence]
                annotated = draw_detections(shown, detections)
                written.append(write_image(copy, annotated))
            except ImageError as error:
                report.fail(str(error))
                continue
            report.add(make_record(file, image.shape[1::-1], detections))
            if window and not window.show(annotated, wait=True):
                window = None
    except KeyboardInterrupt:
        report.interrupted = True
    return written
