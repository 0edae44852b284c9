"""Process many images as a job: on all cores or on a cluster, and after an interruption."""

from __future__ import annotations

from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from utils.batch import Job, JobError, Outcome, list_results
from utils.cli.images import (
    get_detector_options,
    get_possible_confidence,
    process_image,
    show_progress,
)
from utils.cli.outputs import JOB_FOLDER, NOTHING_DONE
from utils.cli.report import Report
from utils.detect import (
    CLASSIFIER_FILE,
    DETECTOR_FILE,
    RES10_FILES,
    YUNET_FILE,
    Pipeline,
    detect_masks,
    load_models,
    one_at_a_time,
    share_cores,
)
from utils.images import ImageError, SourceError, name_copies, names_folder
from utils.messages import format_count
from utils.paths import find_model, get_version
from utils.program import count_cores

RESUME = "The same command with --resume goes on from here."
# An image, the name of its copy, and the version of the image.
ImageItem = tuple[str, str, tuple[int, int]]


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
        output: the folder of the annotated copies.
        model_versions: size and time of the model files, so that no result of others is used.
    """

    detector: str
    detector_model: Path | None
    classifier: Path | None
    min_confidence: float
    possible_confidence: float
    blur: bool
    root: Path
    output: Path
    model_versions: tuple[tuple[int, int], ...]

    def __call__(self) -> Callable[..., Outcome]:
        """Load the models, each on one core.

        Raises:
            FileNotFoundError, ValueError: as in ``load_models``.
        """
        with share_cores(count_cores()):
            detector, classifier = load_models(
                self.detector,
                self.possible_confidence,
                self.classifier or CLASSIFIER_FILE,
                **get_detector_options(self.detector_model),
            )
        if self.detector != "fcos":  # a worker of a cluster may have several threads
            detector = one_at_a_time(detector)
        pipeline = partial(detect_masks, detector=detector, classifier=classifier)
        return partial(self._process, pipeline)

    def _process(
        self, pipeline: Pipeline, file: str, copy: str, version: tuple[int, int]
    ) -> Outcome:
        """Process an image, and return what the report needs, as JSON can hold it.

        The problem of the outcome is why the copy could not be written.

        Raises:
            ImageError: the image cannot be read.
        """

        image_file = self.root / file
        copy_file = self.root / self.output / copy

        def name_as_given(message: str) -> str:
            """Return a message with the paths as the user gave them."""
            message = message.replace(str(image_file), file)
            return message.replace(str(copy_file), str(self.output / copy))

        try:
            answer = process_image(
                file=image_file,
                copy=copy_file,
                pipeline=pipeline,
                blur=self.blur,
                min_confidence=self.min_confidence,
            )
        except ImageError as error:
            raise ImageError(name_as_given(str(error))) from error
        value = {
            "record": answer.record | {"file": Path(file).as_posix()},
            "has_several": answer.has_several,
            "copy_version": get_version(copy_file),
        }
        return Outcome(value, name_as_given(answer.problem))


def has_copy(output: Path, item: ImageItem, value: dict[str, Any]) -> bool:
    """Return whether the annotated copy of an image is the file that was written."""
    _, copy, _ = item
    try:
        return get_version(output / copy) == tuple(value["copy_version"])
    except (KeyError, TypeError):  # a damaged result
        return False


def run_job(
    args: Namespace,
    report: Report,
    files: Sequence[Path],
    output: Path,
    write_tables: Callable[[Iterable[dict]], bool],
    write_labels: Callable[[Iterable[dict]], bool],
) -> list[Path]:
    """Process images with local processes or a cluster, and return the annotated copies.

    Args:
        args: the arguments of the script.
        report: gets the counts and problems.
        files: the images.
        output: the folder of the annotated copies. The job keeps its results in a hidden folder
            there until it is complete.
        write_tables, write_labels: write records, and return False if they cannot. Labels are
            written when all else is, because no label file is ever replaced.

    Raises:
        SourceError: ``--resume`` cannot be used with this folder.
        JobError: as in ``Job``, before any image was processed.
        FileNotFoundError, ValueError: as in ``load_models``.
    """
    is_resumable = not names_folder(args.image, output)
    if args.resume and not is_resumable:
        raise SourceError(
            f"--resume cannot tell images from annotated copies, because {output} holds both: name "
            "another folder with --output."
        )
    report.keep_records = False  # the job has them in its files
    copies = name_copies(files, output)
    job = _start_job(args, report, files, copies, output)
    try:
        with job:
            _compare_with_earlier_run(args, report, job, output)
            written = report_job(job, files, copies, report)
    except BaseException:  # Ctrl-C too, while the job starts
        _keep_results(report, job)
        raise
    report.warn_of_files()
    if job.resumed:
        report.warn(
            f"{job.resumed} of {format_count(len(files), 'image')} were done by an earlier run."
        )
    if report.interrupted and not report.counts["images"]:
        report.warn(NOTHING_DONE)
        _keep_results(report, job)
        return written
    is_complete = not report.interrupted and len(written) == report.counts["images"]
    is_written = write_tables(JobRecords(job))
    if is_complete and is_written:
        is_written = write_labels(JobRecords(job))
    elif args.labels:
        report.warn("The labels are not written, because the run is not complete.")
    if not is_resumable:
        job.delete_own()
        if report.interrupted:
            report.warn(
                f"This run cannot be resumed, because {output} holds images and annotated copies."
            )
    elif not (is_complete and is_written):
        report.warn(RESUME)
    elif args.resume and job.results_fit:
        job.delete()  # what did not fit was of this list before it changed
    else:
        job.delete_own()
        warn_of_unfinished(report, output)
    return written


def warn_of_unfinished(report: Report, output: Path) -> None:
    """Say if a run over many images left results in the folder of the copies."""
    folder = output / JOB_FOLDER
    if any(list_results(folder)):
        report.warn(
            f"{folder} has the results of another run, which goes on or ended early: to finish it, "
            "run its command with --resume."
        )


def _keep_results(report: Report, job: Job) -> None:
    """Keep what was done for ``--resume``; delete the folder of the job if nothing was."""
    if job.has_results():
        report.warn(RESUME)
    else:
        job.delete()


def _start_job(
    args: Namespace, report: Report, files: Sequence[Path], copies: Sequence[Path], output: Path
) -> Job:
    """Begin to process images, each as ``process_image`` does."""
    workers = args.workers
    cores = count_cores()
    if workers and workers > cores:
        report.warn(
            f"--workers {workers} is more than this machine has cores: at most "
            f"{format_count(cores, 'process', 'processes')} will work."
        )
        workers = cores
    task = DetectionTask(
        detector=args.detector,
        detector_model=args.detector_model.resolve() if args.detector_model else None,
        # A worker of a cluster may have this project, and so this file, in another folder.
        classifier=None if args.model == CLASSIFIER_FILE else args.model.resolve(),
        min_confidence=args.min_confidence,
        possible_confidence=get_possible_confidence(args.min_confidence, args.blur_faces),
        blur=args.blur_faces,
        # The workers of a cluster run elsewhere. Local ones read files as the user named them.
        root=Path() if args.scheduler is None else Path.cwd(),
        output=output,
        model_versions=tuple(get_version(file) for file in _list_model_files(args)),
    )
    items: list[ImageItem] = [
        (str(file), copy.name, get_version(file)) for file, copy in zip(files, copies, strict=True)
    ]
    return Job(
        task,
        items,
        output / JOB_FOLDER,
        workers=workers,
        scheduler=args.scheduler,
        # So that a cluster can go on with what local processes began, and the other way round.
        key=replace(task, root=Path(), output=Path()),
        is_resumed=args.resume,
        is_intact=partial(has_copy, output),
    )


def _list_model_files(args: Namespace) -> list[Path]:
    """Return the model files that the results depend on."""
    files = [args.model]
    if args.detector == "fcos":
        files.append(args.detector_model or DETECTOR_FILE)
    elif args.detector == "yunet":
        files.append(find_model(YUNET_FILE))
    else:
        files += [find_model(name) for name in RES10_FILES]
    return files


def _compare_with_earlier_run(args: Namespace, report: Report, job: Job, output: Path) -> None:
    """Say what becomes of the results of an earlier run."""
    if args.resume and not job.results_found:
        report.warn(
            f"--resume: {output} has no results of a run that ended early, so all images are "
            "processed."
        )
    elif args.resume and not job.results_fit:
        report.warn(
            f"--resume: the results in {output} are of other images, options or models, or of "
            "another version of this project, so all images are processed."
        )
    elif job.results_fit and not args.resume:
        report.warn(
            "An earlier run over these images ended early. This run begins anew; with --resume it "
            "would go on."
        )


def report_job(
    job: Job, files: Sequence[Path], copies: Sequence[Path], report: Report
) -> list[Path]:
    """Wait for the outcomes of a job in the order of the files, and report them.

    Ctrl-C ends the job early: each worker finishes its image. If the workers cannot go on, what was
    done until then is reported too.

    Args:
        job: over the files.
        files: the images.
        copies: the annotated copy of each.
        report: gets the counts and problems. Its ``keep_records`` should be False, because
            ``JobRecords`` reads the records when they are needed.

    Returns:
        The annotated copies written.

    Raises:
        JobError: the workers cannot go on, and no image was done.
    """
    written: list[Path] = []
    waiting: deque[tuple[int, Outcome]] = deque()
    resumed = 0
    failure: JobError | None = None
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
            except JobError as error:
                failure = error  # several workers may say the same
                job.stop()
    if failure is not None:
        if not report.counts["images"]:
            raise failure
        report.fail(str(failure))
        report.interrupted = True
    return written


def _note(outcome: Outcome, file: Path, report: Report) -> bool:
    """Report the outcome of an image, and return whether its copy was written."""
    if outcome.value is None:
        report.fail(outcome.problem)
        return False
    report.add(outcome.value["record"])
    if outcome.problem:
        report.fail(outcome.problem)
    if outcome.value["has_several"]:
        report.several.append(file)
    return not outcome.problem


class JobRecords:
    """The records of a job, read from its files in order each time that they are iterated."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __iter__(self) -> Iterator[dict]:
        for outcome in self._job.read_outcomes():
            if outcome.value is not None:
                yield outcome.value["record"]
