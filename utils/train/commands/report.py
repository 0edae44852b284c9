"""Say how good a trained model is: on the test photographs of its folder and on earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from utils import evaluate, plots
from utils.classes import CLASS_NAMES, MASK_CLASSES, decide
from utils.detect import CLASSIFIER_FILE, FCOS, Classifier, classify_faces, load_classifier
from utils.labels import BOX_COLUMNS
from utils.messages import format_count
from utils.tables import replace_text
from utils.train.commands.dataset import Dataset, Earlier, describe_earlier, select_faces
from utils.train.data.crops import load_inference_faces

LEAST_CONFIDENCE = 0.05  # of the boxes that average precision looks at


def report_classifier(
    onnx_file: Path,
    history: pd.DataFrame,
    dataset: Dataset,
    table: pd.DataFrame,
    earlier: Earlier,
    curves: Path,
    run_dir: Path,
) -> None:
    """Print how good a classifier is on its own test photographs and on earlier ones; plot it.

    Args:
        onnx_file: the model, as detection runs it.
        history: of its training.
        dataset: the folder.
        table: its label table with ``split``.
        earlier: photographs of the shipped model's data.
        curves: the file of the learning curves.
        run_dir: the folder of the run, which gets the tables.
    """
    models = {"shipped": load_classifier(CLASSIFIER_FILE), "trained": load_classifier(onnx_file)}
    faces = select_faces(table[table.split == "test"])
    y_true, answers = judge_faces(models, faces, dataset.root)
    by_class = evaluate.classification_table(y_true, answers["trained"])
    counts = evaluate.confusion_table(y_true, answers["trained"], CLASS_NAMES)
    counts = counts.loc[list(MASK_CLASSES), list(MASK_CLASSES)]
    print(f"\nClassification report on {format_count(len(faces), 'test face')} of {dataset.root}\n")
    print(by_class.round(3).to_string())
    print("\nConfusion matrix: rows are the labels, columns the answers\n")
    print(counts.to_string())

    rows = [compare_models(y_true, answers, faces, names="this folder, test")]
    if len(earlier.test):
        y_earlier, of_earlier = judge_faces(models, earlier.test, earlier.root)
        names = earlier.test.source.to_numpy()
        rows.append(compare_models(y_earlier, of_earlier, earlier.test, names=names))
    before_after = pd.concat(rows)
    print("\nBefore and after: accuracy, and recall of faces without a mask, with 95 % intervals\n")
    print(before_after.to_string())
    print(describe_earlier(earlier))

    plots.save_figure(plots.plot_history(history, "Training", "train, augmented"), curves)
    matrix = onnx_file.with_name(f"{onnx_file.stem}_confusion.png")
    plots.save_figure(plots.plot_confusion(counts, "test"), matrix)
    replace_text(run_dir / "test_by_class.csv", by_class.to_csv())
    replace_text(run_dir / "before_after.csv", before_after.to_csv())
    print(f"\nLearning curves: {curves}. Confusion matrix: {matrix}.")
    print(f"Use it: python 03-detect_face_using_mask.py --model {onnx_file} --image PHOTOS")


def judge_faces(
    models: Mapping[str, Classifier], faces: pd.DataFrame, root: Path
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the classes of the faces of a label table, and the answers of models about them."""
    crops = load_inference_faces(faces, root)
    y_true = faces.class_name.map(CLASS_NAMES.index).to_numpy()
    answers = {}
    for name, classifier in models.items():
        answers[name] = decide(classify_faces(classifier, crops))
    return y_true, answers


def compare_models(
    y_true: np.ndarray,
    answers: dict[str, np.ndarray],
    faces: pd.DataFrame,
    names: str | np.ndarray,
) -> pd.DataFrame:
    """Return accuracy and bare recall of models side by side, a row per name of photographs."""
    source = np.broadcast_to(np.asarray(names, object), len(faces))
    scores = evaluate.compare_sources(y_true, answers, faces.group.to_numpy(), source)
    scores = evaluate.join_intervals(scores).reset_index()
    table = scores.pivot(index="source", columns="training", values=["accuracy", "bare_recall"])
    table.columns = [f"{score} {training}" for score, training in table.columns]
    table.insert(0, "n", scores.groupby("source").n.first())
    return table.rename_axis("photographs")


def report_detector(
    int8_file: Path, dataset: Dataset, table: pd.DataFrame, earlier: Earlier, run_dir: Path
) -> None:
    """Print how good a detector is on its own test photographs and on earlier ones.

    Args:
        int8_file: the detector.
        dataset: the folder.
        table: its boxes with ``split``.
        earlier: photographs of the shipped detector's data.
        run_dir: the folder of the run, which gets the tables.
    """
    systems = {
        "shipped": FCOS(LEAST_CONFIDENCE),
        "trained": FCOS(LEAST_CONFIDENCE, path=int8_file),
    }
    test = table[table.split == "test"].assign(source="this folder, test")
    parts = [(test, dataset.root), (earlier.test.dropna(subset=BOX_COLUMNS), earlier.root)]
    tables = []
    for labels, root in parts:
        if labels.empty:
            continue
        files = labels.file.unique()
        found = {}
        for name, detector in systems.items():
            found[name] = evaluate.run_pipeline(files, root, detector, f"testing {name}")
        if root == dataset.root:
            by_class = evaluate.average_precision_table(found["trained"], labels)
        scores = evaluate.compare_systems(found, labels, min_ious=(0.5,))
        tables.append(evaluate.spread_systems(scores[scores.source != "all"]))
    before_after = pd.concat(tables)
    print("\nAverage precision on the test photographs of this folder, with 95 % intervals\n")
    print(by_class.round(3).to_string())
    print("\nBefore and after, with 95 % intervals; F1 at a confidence of 0.5\n")
    print(before_after.to_string())
    print(describe_earlier(earlier))
    replace_text(run_dir / "test_by_class.csv", by_class.to_csv())
    replace_text(run_dir / "before_after.csv", before_after.to_csv())
