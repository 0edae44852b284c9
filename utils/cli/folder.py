"""Process many images as a job: on all cores or on a cluster, and after an interruption."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from utils.batch import Job, Outcome
from utils.cli.process import process_image, show_progress
from utils.cli.report import Report
from utils.detect import (
    CLASSIFIER_FILE,
    DETECTOR_FILE,
    Pipeline,
    detect_masks,
    load_models,
    one_at_a_time,
    share_cores,
)
from utils.images import name_copies
from utils.paths import get_version
from utils.program import count_cores

JOB_FOLDER = ".job-"  # how its name begins


@dataclass(frozen=True)
class DetectionTask:
    """Loads the models in a worker, and returns the function that processes an image.

    Attributes:
        detector: name of the detector.
        detector_model: another model file of ``fcos``, or None.
        classifier: another model file of the classifier, or None.
        min_confidence: boxes under it are left out of copies and records.
        possible_confidence: boxes under it are not blurred either.
        blur: whether to make faces unrecognisable in the copies.
        root: the folder that the paths of the images are relative to.
        model_versions: size and time of the model files, so that new models begin a new job.
    """

    detector: str
    detector_model: Path | None
    classifier: Path | None
    min_confidence: float
    possible_confidence: float
    blur: bool
    root: Path
    model_versions: tuple[tuple[int, int], ...]

    def __call__(self) -> Callable[..., dict]:
        """Load the models, each on one core.

        Raises:
            FileNotFoundError, ValueError: as in ``load_models``.
        """
        options = {"path": self.detector_model} if self.detector_model else {}
        with share_cores(count_cores()):
            detector, classifier = load_models(
                self.detector,
                self.possible_confidence,
                self.classifier or CLASSIFIER_FILE,
                **options,
            )
        if self.detector != "fcos":  # a worker of a cluster may have several threads
            detector = one_at_a_time(detector)
        pipeline = partial(detect_masks, detector=detector, classifier=classifier)
        return partial(self._process, pipeline)

    def _process(
        self, pipeline: Pipeline, file: str, copy: str, version: tuple[int, int]
    ) -> dict[str, Any]:
        """Process an image, and return what the report needs, as JSON can hold it."""
        answer = process_image(
            file=self.root / file,
            copy=self.root / copy,
            pipeline=pipeline,
            blur=self.blur,
            min_confidence=self.min_confidence,
        )
        return {
            "record": answer.record | {"file": Path(file).as_posix()},
            "has_several": answer.has_several,
            "problem": answer.problem,
        }


def start_job(
    files: Sequence[Path],
    output: str | Path,
    *,
    detector: str = "fcos",
    detector_model: str | Path | None = None,
    classifier: str | Path = CLASSIFIER_FILE,
    min_confidence: float = 0.5,
    possible_confidence: float | None = None,
    blur: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    is_resumed: bool = False,
) -> Job:
    """Begin to process images, each as ``process_image`` does.

    Args:
        files: the images.
        output: the folder of the annotated copies. The job keeps its results in a hidden folder
            there until ``Job.delete``.
        detector, detector_model, classifier: as the script's arguments.
        min_confidence: boxes under it are left out of copies and records.
        possible_confidence: boxes under it are not blurred either, if another one.
        blur: whether to make faces unrecognisable in the copies.
        workers, scheduler, is_resumed: as in ``Job``.

    Raises:
        JobError, OSError: as in ``Job``.
    """
    copies = name_copies(files, output)
    task = DetectionTask(
        detector=detector,
        detector_model=Path(detector_model).resolve() if detector_model else None,
        classifier=None if classifier == CLASSIFIER_FILE else Path(classifier).resolve(),
        min_confidence=min_confidence,
        possible_confidence=min_confidence if possible_confidence is None else possible_confidence,
        blur=blur,
        # The workers of a cluster run elsewhere. A message of a local worker names the file as the
        # user did.
        root=Path() if scheduler is None else Path.cwd(),
        model_versions=(get_version(detector_model or DETECTOR_FILE), get_version(classifier)),
    )
    names = [(str(file), str(copy)) for file, copy in zip(files, copies, strict=True)]
    digest = hashlib.sha256(repr(names).encode("utf-8", "surrogatepass")).hexdigest()
    return Job(
        task,
        [(file, copy, get_version(file)) for file, copy in names],
        Path(output) / f"{JOB_FOLDER}{digest[:12]}",
        workers=workers,
        scheduler=scheduler,
        is_resumed=is_resumed,
    )


def list_jobs(output: str | Path) -> list[Path]:
    """Return the folders of jobs that are not complete."""
    return sorted(path for path in Path(output).glob(f"{JOB_FOLDER}*") if path.is_dir())


def report_job(job: Job, files: Sequence[Path], output: str | Path, report: Report) -> list[Path]:
    """Wait for the outcomes of a job in the order of the files, and report them.

    Ctrl-C ends the job early: each worker finishes its image.

    Args:
        job: from ``start_job``, with the same files and output.
        files: the images.
        output: the folder of the annotated copies.
        report: gets the counts and problems. Its ``keep_records`` should be False, because
            ``JobRecords`` reads the records when they are needed.

    Returns:
        The annotated copies written.
    """
    written: list[Path] = []
    copies = name_copies(files, output)
    waiting: deque[tuple[int, Outcome]] = deque()
    resumed = 0
    bar = show_progress(None, desc="detecting", unit="image", total=len(files))
    with bar:
        while True:
            try:
                while waiting:
                    position, outcome = waiting.popleft()
                    if _note(outcome, files[position], report):
                        written.append(copies[position])
                    # Images of an earlier run do not count in images a second.
                    if resumed < job.resumed:
                        resumed += 1
                        bar.initial += 1
                    bar.update()
                found = job.take()
                if found is None:
                    break
                waiting.extend(found)
            except KeyboardInterrupt:
                report.interrupted = True
                job.stop()
    return written


def _note(outcome: Outcome, file: Path, report: Report) -> bool:
    """Report the outcome of an image, and return whether its copy was written."""
    if outcome.value is None:
        report.fail(outcome.problem)
        return False
    report.add(outcome.value["record"])
    if outcome.value["problem"]:
        report.fail(outcome.value["problem"])
    if outcome.value["has_several"]:
        report.several.append(file)
    return not outcome.value["problem"]


class JobRecords:
    """The records of a job, read from its files in order each time that they are iterated."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __iter__(self) -> Iterator[dict]:
        for outcome in self._job.read_outcomes():
            if outcome.value is not None:
                yield outcome.value["record"]
