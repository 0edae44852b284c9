"""The command ``python -m utils.evaluate PREDICTIONS TRUTH``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from utils.boxes import BOX_COLUMNS
from utils.classes import LabelError
from utils.csv_lines import TableError
from utils.evaluate.scorecard import (
    Answers,
    FileMatcher,
    Truth,
    read_answers,
    read_truth,
    score_answers,
)
from utils.images import ImageError
from utils.messages import format_count, name_some
from utils.program import run_as_program
from utils.tables import read_table, replace_text

COUNTS = ("right", "wrong_label", "false_face", "missed")
SHARES = ("precision", "recall", "f1")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.evaluate",
        description="Score the answers of any program about labelled photographs: AP of faces and "
        "of the three classes by size, F1, precision, recall and counts, with 95 % intervals.",
        epilog="Photographs without an answer count as missed. Answers about other images do not "
        "count. Both are named. Exit status: 0 scored, 1 scored, but labels or answers were left "
        "out (each is named), 2 an argument is wrong or nothing could be scored.",
    )
    parser.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS",
        help="COCO results (.json), the script's --json file, or a folder of YOLO text files with "
        "a confidence in each line",
    )
    parser.add_argument(
        "truth",
        type=Path,
        metavar="TRUTH",
        help="a folder of COCO, YOLO or Pascal VOC with its images, or a COCO .json file alone",
    )
    parser.add_argument(
        "--min-confidence",
        type=_read_share,
        default=0.5,
        metavar="SHARE",
        help="confidence at which boxes are counted (default: %(default)s); AP uses all boxes",
    )
    parser.add_argument(
        "--ignore",
        type=Path,
        metavar="FILE",
        help=f"CSV with the columns file, {', '.join(BOX_COLUMNS)}: regions in which a box without "
        "a labelled face is not wrong",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all figures to a CSV file")
    return parser


def _read_share(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def run_scoring(arguments: list[str] | None = None) -> int:
    """Run the command, print the figures and what was left out; return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        truth = read_truth(options.truth)
        answers = read_answers(options.predictions, truth)
        ignored = truth.ignored
        strange: list[str] = []
        if options.ignore:
            more, strange = _read_regions(options.ignore, truth)
            ignored = more if ignored.empty else pd.concat([ignored, more])
    except (LabelError, TableError, ImageError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename} cannot be read ({error.strerror}).", file=sys.stderr)
        return 2
    scores = score_answers(
        answers.found, truth.labels, min_confidence=options.min_confidence, ignored=ignored
    )
    is_complete = _report(truth, answers, strange)
    _print_scores(scores, options.min_confidence)
    if options.csv:
        try:
            replace_text(options.csv, scores.to_csv(index=False))
        except OSError as error:
            print(f"{options.csv} cannot be written ({error.strerror}).", file=sys.stderr)
            return 2
        print(f"\nWrote {options.csv}.")
    return 0 if is_complete else 1


def _read_regions(path: Path, truth: Truth) -> tuple[pd.DataFrame, list[str]]:
    """Read regions from a CSV file; return them, and the images that the truth does not list."""
    if not path.is_file():
        raise LabelError(f"There is no file {path}: check the path.")
    columns = ["file", *BOX_COLUMNS]
    table = read_table(path, columns)[columns]
    boxes = table[BOX_COLUMNS].apply(pd.to_numeric, errors="coerce")
    if boxes.isna().any(axis=None):
        raise LabelError(f"{path} has a region without four numbers: mend it.")
    table[BOX_COLUMNS] = boxes
    matcher = FileMatcher(truth.files)
    file_of_name = {str(name): matcher.find(str(name))[0] for name in table.file.unique()}
    strange = [name for name, file in file_of_name.items() if file is None]
    table["file"] = table.file.astype(str).map(file_of_name)
    return table[table.file.notna()], strange


def _report(truth: Truth, answers: Answers, strange: list[str]) -> bool:
    """Print what is scored and what is left out; return whether nothing is left out."""
    for problem in truth.problems:
        print(problem, file=sys.stderr)
    if answers.unknown:
        images = format_count(len(answers.unknown), "image")
        boxes = format_count(answers.unknown.total(), "box", "boxes")
        print(
            f"Not counted, because the labels do not list them: {images} with {boxes}: "
            f"{name_some(answers.unknown)}.",
            file=sys.stderr,
        )
    if answers.no_face:
        boxes = format_count(answers.no_face, "box", "boxes")
        print(f"Not counted: {boxes} of the class no_face.", file=sys.stderr)
    if strange:
        images = format_count(len(strange), "image")
        print(
            f"Regions to ignore of {images} that the labels do not list: {name_some(strange)}.",
            file=sys.stderr,
        )
    faces = format_count(len(truth.labels), "face")
    photographs = format_count(len(truth.files), "photograph")
    boxes = format_count(sum(len(found) for found in answers.found.values()), "box", "boxes")
    print(f"{photographs} with {faces}; {boxes} in the answers.")
    if answers.unanswered:
        count = format_count(len(answers.unanswered), "photograph has", "photographs have")
        missed = int(truth.labels.file.isin(answers.unanswered).sum())
        names = name_some(answers.unanswered)
        print(f"{count} no answer, so {format_count(missed, 'face')} of theirs missed: {names}.")
    has_boxes = any(len(found) for found in answers.found.values())
    if has_boxes and any(found.y_prob is None for found in answers.found.values()):
        print("Some answers name no mask class, so faces alone are scored.")
    return not (truth.problems or answers.unknown or strange)


def _print_scores(scores: pd.DataFrame, min_confidence: float) -> None:
    """Print the figures as three tables."""
    ious = list(dict.fromkeys(scores.iou.dropna()))
    texts = scores.assign(text=scores.apply(_format_score, axis="columns"))
    head = [f"at IoU {iou:g}" for iou in ious]

    print("\nAverage precision, in brackets the 95 % interval over photographs")
    ap = texts[texts.score == "ap"]
    for size in ap["size"].unique():
        of_size = ap[ap["size"] == size]
        rows = of_size.pivot(index="what", columns="iou", values="text")
        n = of_size.drop_duplicates("what").set_index("what").n
        print()
        _print_row(size, "n", head)
        for name in ap.what.unique():
            _print_row(f"  {name}", str(n[name]), rows.loc[name, ious].tolist())

    print(f"\nAt a confidence of {min_confidence:g}\n")
    _print_row("", "", head)
    counted = texts[texts.score.isin([*COUNTS, *SHARES])]
    for what in counted.what.unique():
        for score in counted[counted.what == what].score.unique():
            is_row = (counted.what == what) & (counted.score == score)
            label = f"{score.replace('_', ' ')}, {what}"
            _print_row(label, "", counted[is_row].set_index("iou").text[ious].tolist())

    empty = texts[texts.what == "pictures without faces"]
    if len(empty):
        print(f"\n{format_count(int(empty.n.iloc[0]), 'picture')} without faces\n")
        for row in empty.itertuples():
            _print_row(row.score, "", [row.text])


def _format_score(row: pd.Series) -> str:
    """Return a score and its interval as text."""
    if pd.isna(row["value"]):
        return "-"
    if row["score"] in COUNTS:
        return str(int(row["value"]))
    digits = 1 if row["score"] == "false faces per 1,000" else 3
    value = f"{row['value']:.{digits}f}"
    if pd.isna(row["low"]):
        return value
    return f"{value} ({row['low']:.{digits}f}-{row['high']:.{digits}f})"


def _print_row(name: str, n: str, cells: list[str]) -> None:
    """Print a row of a table."""
    print(f"{name:<28}{n:>7}  {''.join(f'{cell:<24}' for cell in cells)}".rstrip())


if __name__ == "__main__":
    run_as_program(run_scoring)
