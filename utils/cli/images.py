"""Process images: annotated copies, records, and a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from utils.cli.records import make_record
from utils.cli.report import Report
from utils.detect import Pipeline
from utils.display import Window
from utils.draw import blur_faces, draw_detections
from utils.images import (
    ImageError,
    name_copies,
    read_image,
    read_image_apart,
    start_reader,
    write_image,
)
from utils.program import describe_failure

# With at least this share of --min-confidence, a box can continue a track and is blurred.
POSSIBLE_SHARE = 0.5
AHEAD = 2  # images in work or waiting for their turn in the report, for each worker


class Answer(NamedTuple):
    """What comes of an image.

    Attributes:
        record: from ``make_record``.
        annotated: the annotated image, if it is needed.
        has_several: whether the file holds several pictures.
        problem: why the copy could not be written, or "".
    """

    record: dict
    annotated: np.ndarray | None
    has_several: bool
    problem: str


class _Pending(NamedTuple):
    """An image in work: its file, its annotated copy, and what comes of it."""

    file: Path
    copy: Path
    future: Future[Answer]


def show_progress(items: Iterable | None, **options: Any) -> Any:
    """Return a progress bar around the items, if any; the options are those of ``tqdm``."""
    # Imported here because the import takes longer than the detection in one image.
    from tqdm.auto import tqdm

    return tqdm(items, **options)


def get_possible_confidence(min_confidence: float, blur: bool) -> float:
    """Return the least confidence of the boxes that the detector finds in images."""
    return min_confidence * (POSSIBLE_SHARE if blur else 1)


def get_detector_options(detector_model: Path | None) -> dict[str, Path]:
    """Return the options of ``load_models`` for another model file of the detector, if any."""
    return {"path": detector_model} if detector_model else {}


def process_image(
    file: Path,
    copy: Path,
    pipeline: Pipeline,
    blur: bool = False,
    min_confidence: float = 0.0,
    read: Callable[..., np.ndarray] = read_image_apart,
) -> Answer:
    """Detect in an image file, and write its annotated JPEG.

    Args:
        file: the image.
        copy: the JPEG to write.
        pipeline, blur, min_confidence: as in ``process_images``.
        read: reads the image.

    Raises:
        ImageError: the image cannot be read.
    """
    pages: list[int] = []
    image = read(file, pages.append)
    detections = pipeline(image)
    shown = blur_faces(image, detections.xyxy) if blur else image
    detections = detections[detections.confidence >= min_confidence]
    resolution_wh = (image.shape[1], image.shape[0])
    record = make_record(file, resolution_wh, detections)
    annotated = draw_detections(shown, detections)
    problem = ""
    try:
        write_image(copy, annotated)
    except ImageError as error:
        problem = str(error)
    return Answer(record=record, annotated=annotated, has_several=bool(pages), problem=problem)


def process_images(
    files: list[Path],
    pipeline: Pipeline,
    output: str | Path,
    report: Report,
    window: Window | None = None,
    blur: bool = False,
    min_confidence: float = 0.0,
    workers: int = 1,
) -> list[Path]:
    """Detect in image files, and write an annotated JPEG of each. Ctrl-C ends it early.

    The order of the records, problems and copies is that of the files, with any number of workers.

    Args:
        files: images; one that cannot be processed is reported and skipped. An image whose copy
            cannot be written is reported, and has its record.
        pipeline: returns the classified faces of an image.
        output: the folder of the annotated copies.
        report: gets the records and problems.
        window: shows each image until a key is pressed. After the user closes it, the run goes on.
        blur: whether to make faces unrecognisable, including those under ``min_confidence``.
        min_confidence: boxes under it are left out of copies and records.
        workers: number of images to process at once. More than one needs a pipeline that several
            threads may use. A window shows one image at a time, so it has one worker.

    Returns:
        The annotated copies written.
    """
    written: list[Path] = []
    if window is not None:
        workers = 1
    ahead = 1 if workers == 1 else workers * AHEAD
    read = read_image
    if len(files) > 1:  # for one image, starting a process would take a third of the time
        read = read_image_apart
        start_reader()

    def process(file: Path, copy: Path) -> Answer:
        answer = process_image(file, copy, pipeline, blur, min_confidence, read)
        # Waiting answers would otherwise hold many large images.
        return answer if window is not None else answer._replace(annotated=None)

    def note(image: _Pending) -> None:
        nonlocal window
        try:
            answer = image.future.result()
        except ImageError as error:
            report.fail(str(error))
            return
        except Exception as error:  # one image must not cost the records of the others
            report.fail(describe_failure(image.file, error))
            return
        if not answer.problem:
            written.append(image.copy)
        report.add(answer.record)
        if answer.problem:
            report.fail(answer.problem)
        if answer.has_several:
            report.several.append(image.file)
        if window is None or answer.annotated is None:
            return
        if not window.show(answer.annotated, wait=True):
            window = None

    waiting: Iterator[tuple[Path, Path]]
    waiting = zip(files, name_copies(files, output), strict=True)
    pending: deque[_Pending] = deque()
    bar = None
    if len(files) > 1:
        bar = show_progress(None, desc="detecting", unit="image", total=len(files))
    with ThreadPoolExecutor(workers) as executor:
        try:
            while True:
                for file, copy in islice(waiting, ahead - len(pending)):
                    pending.append(_Pending(file, copy, executor.submit(process, file, copy)))
                if not pending:
                    break
                wait([pending[0].future])
                note(pending.popleft())
                if bar is not None:
                    bar.update()
        except KeyboardInterrupt:
            report.interrupted = True
            # The images in work are finished, so that each copy has its record.
            executor.shutdown(cancel_futures=True)
            for image in pending:
                if not image.future.cancelled():
                    note(image)
    if bar is not None:
        bar.close()
    return written
