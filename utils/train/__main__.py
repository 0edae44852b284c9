"""The command ``python -m utils.train``: train on a folder of labelled photographs.

``python -m utils.train --dataset DIR`` trains the mask classifier, and
``python -m utils.train detector --dataset DIR`` the face detector. ``python -m utils.train export
--to litert`` writes the models for phones and small computers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from utils.csv_lines import TableError
from utils.images import ImageError
from utils.messages import UserError
from utils.paths import MODEL_DIR, OUTPUT_DIR
from utils.program import require_packages, run_as_program

INTERRUPTED_CODE = 130  # exit code after Ctrl-C, as shells have it
EPILOG = (
    "Run the same command again to continue an interrupted training. Exit status: 0 the model is "
    "trained, 2 an argument or the folder cannot be used, 130 interrupted."
)
CLASSIFIER = "classifier"  # the command if none is named


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; each subcommand sets ``run``, a function that takes the options."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.train",
        description="Train a model on your own labelled photographs. Without a command, the mask "
        f"classifier is trained: `--help` after {CLASSIFIER} or detector lists the options.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_classifier(commands)
    _add_detector(commands)
    _add_export(commands)
    return parser


def _add_classifier(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand ``classifier``."""
    classifier = commands.add_parser(
        CLASSIFIER,
        help="train the mask classifier (the default)",
        description="Train the mask classifier on a folder of labelled photographs: class folders, "
        "Pascal VOC, COCO or YOLO, whole images or boxes. Near-duplicates stay on one side of the "
        "split into training, validation and test.",
        epilog=EPILOG,
    )
    _add_common(classifier, epochs=None, batch_size=None, model="mask_classifier.keras")
    classifier.add_argument(
        "--recipe",
        choices=("ours", "a", "b", "c", "d", "e"),
        default="ours",
        help="ours, or one of the five recipes of others that notebook 05 compares, which know two "
        "classes (default: %(default)s: 10 epochs, batches of 32)",
    )
    classifier.set_defaults(run=run_classifier)


def _add_detector(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand ``detector``."""
    detector = commands.add_parser(
        "detector",
        help="train the face detector on labelled boxes",
        description="Train the face detector on a folder of photographs with labelled boxes: "
        "Pascal VOC, COCO or YOLO. Near-duplicates stay on one side of the split into training, "
        "validation and test.",
        epilog=EPILOG,
    )
    _add_common(detector, epochs=8, batch_size=8, model="face_detector.keras")
    detector.set_defaults(run=run_detector)


def _add_export(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand ``export``."""
    export = commands.add_parser(
        "export",
        help="write the models for phones and small computers",
        description="Write models as LiteRT files (.tflite) with a fixed input, in half floats and "
        "in 8 bits.",
        epilog="Exit status: 0 written, 2 an argument or a file cannot be used.",
    )
    export.add_argument("--to", choices=("litert",), required=True, help="the form")
    export.add_argument(
        "--model",
        type=Path,
        nargs="+",
        metavar="FILE",
        help=".keras files with their .onnx files beside them (default: both shipped models)",
    )
    export.add_argument(
        "--dataset",
        type=Path,
        metavar="DIR",
        help="labelled training photographs, on which the ranges of 8 bits are measured (default: "
        "data/raw, else the sample)",
    )
    export.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="label table of these photographs with a split, whose train rows are used (default: "
        "data/labels.csv for data/raw)",
    )
    export.add_argument(
        "--output",
        type=Path,
        default=OUTPUT_DIR / "litert",
        metavar="DIR",
        help="where the files are written (default: output/litert)",
    )
    export.set_defaults(run=run_export)


def _add_common(
    parser: argparse.ArgumentParser, epochs: int | None, batch_size: int | None, model: str
) -> None:
    """Add the arguments that both commands have, with their defaults."""
    parser.add_argument(
        "--dataset", type=Path, required=True, metavar="DIR", help="your labelled photographs"
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=OUTPUT_DIR / "trained" / model,
        metavar="FILE",
        help="the .keras file to write, with an .onnx file beside it (default: "
        f"output/trained/{model})",
    )
    parser.add_argument(
        "--from",
        dest="start",
        default="shipped",
        metavar="WEIGHTS",
        help="first weights: shipped (the default, needs no network), imagenet, none, or a .keras "
        "file of this project",
    )
    default = "%(default)s" if epochs else "those of the recipe"
    parser.add_argument(
        "--epochs",
        type=_read_count,
        default=epochs,
        help=f"passes over the photographs (default: {default})",
    )
    parser.add_argument(
        "--batch-size",
        type=_read_count,
        default=batch_size,
        help=f"pictures in a training step (default: {default})",
    )
    parser.add_argument(
        "--learning-rate",
        type=_read_positive,
        metavar="RATE",
        help="the highest one (default: a small one if a trained model is trained further)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split and the training (default: %(default)s)"
    )
    parser.add_argument(
        "--devices",
        type=_read_devices,
        default=1,
        metavar="N",
        help="GPUs that share each batch, or all (default: %(default)s)",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="write the learning curves, such as plot.png"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=OUTPUT_DIR / "runs",
        metavar="DIR",
        help="where each training has its folder (default: output/runs)",
    )


def _read_count(text: str) -> int:
    """Return a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return value


def _read_devices(text: str) -> int:
    """Return a whole number above 0, or 0 for "all"."""
    return 0 if text == "all" else _read_count(text)


def _read_positive(text: str) -> float:
    """Return a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 0 and 1")
    return value


def check_outputs(options: argparse.Namespace) -> None:
    """Check that everything can be written, before the work, and make the folders.

    Raises:
        UserError: a file cannot be written, or it would replace a shipped model.
    """
    if options.model.suffix != ".keras":
        raise UserError(f"--model {options.model} must end with .keras: the .onnx comes beside it.")
    if options.model.resolve().parent == MODEL_DIR:
        raise UserError(
            f"{options.model} would lie among the shipped models: name a file in another folder."
        )
    if options.plot and options.plot.suffix.lower() not in (".png", ".pdf", ".svg", ".jpg"):
        raise UserError(f"--plot {options.plot} is no image file: end it with .png.")
    folders = [options.model.parent, options.runs]
    if options.plot:
        folders.append(options.plot.parent)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UserError(
                f"Nothing can be written to {folder} ({error.strerror}): name another folder."
            ) from error


def run_classifier(options: argparse.Namespace) -> None:
    """Train the classifier as the options say."""
    from utils.train.commands.classifier import ClassifierSettings, train_classifier
    from utils.train.devices import count_gpus

    settings = ClassifierSettings(
        recipe=options.recipe,
        start=options.start,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        devices=options.devices or count_gpus(),
    )
    train_classifier(options.dataset, options.model, options.runs, settings, options.plot)


def run_detector(options: argparse.Namespace) -> None:
    """Train the detector as the options say."""
    from utils.train.commands.detector import DetectorSettings, train_on_boxes
    from utils.train.devices import count_gpus

    settings = DetectorSettings(
        start=options.start,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        devices=options.devices or count_gpus(),
    )
    train_on_boxes(options.dataset, options.model, options.runs, settings, options.plot)


def run_export(options: argparse.Namespace) -> None:
    """Export the models that the options name."""
    from utils.train.commands.litert import SHIPPED, export_models

    export_models(options.model or SHIPPED, options.output, options.dataset, options.labels)


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return the exit status.

    Args:
        arguments: of the command; None: those of the command line.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help"):
        words = [CLASSIFIER, *words]
    options = make_parser().parse_args(words)
    try:
        if options.run is not run_export:
            check_outputs(options)
        _run(options.run, options)
    except (UserError, TableError, ImageError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"{error.filename or 'A file'} cannot be read or written ({error.strerror}): free "
            "space or name another folder, then run the same command again.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "Interrupted: run the same command again to go on after the last finished epoch.",
            file=sys.stderr,
        )
        return INTERRUPTED_CODE
    return 0


def _run(run: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> None:
    """Load what training needs without its log, and run a command."""
    import matplotlib

    from utils import train

    matplotlib.use("Agg")  # plots are files
    train.load_tensorflow()
    run(options)


if __name__ == "__main__":
    require_packages("keras", "tensorflow", "pandas", "sklearn", "onnx", "tf2onnx", "matplotlib")
    run_as_program(main)
