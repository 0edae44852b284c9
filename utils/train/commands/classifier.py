"""Train the mask classifier on a folder of labelled photographs: ``python -m utils.train``.

The steps are those of notebook 02, at the size of a hundred photographs. Three things keep what the
shipped model has learned: a small learning rate, the frozen lower half of the network, and weights
that are in the end a mean of those before and after. Earlier photographs are repeated if they are
in ``data/raw``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from utils import curate, evaluate
from utils.classes import CLASS_NAMES, NO_FACE
from utils.detect import load_classifier, to_input
from utils.messages import UserError, format_count
from utils.paths import MODEL_DIR
from utils.train.classifier import (
    add_calibration,
    blend_weights,
    build_classifier,
    extract_features,
    fine_tune,
    train_head,
)
from utils.train.commands.dataset import (
    Dataset,
    Earlier,
    check_split,
    describe_split,
    load_earlier,
    open_dataset,
    open_run,
    select_labelled,
    split_dataset,
)
from utils.train.commands.report import report_classifier
from utils.train.data.crops import (
    FaceCrops,
    draw_negative_crops,
    join_crops,
    load_crops,
    load_inference_faces,
    make_face_dataset,
    sample_weights,
)
from utils.train.data.negatives import Negatives, find_fonts
from utils.train.devices import check_batch, choose_strategy, copy_to_one_device
from utils.train.export import export_classifier, write_unsure_level
from utils.train.loop import save_model
from utils.train.mobilenet import copy_weights, find_start
from utils.train.recipes import (
    CLASS_COUNT,
    RECIPES,
    RecipeImages,
    resize_all,
    train_recipe,
)

SHIPPED = MODEL_DIR / "mask_classifier.keras"
INPUT_SIZE = 112  # pixels
# The shares of the drawn faces, as in notebook 02; drawn pages without a face come on top.
CLASS_SHARES = {
    "with_mask": 0.33,
    "without_mask": 0.33,
    "mask_worn_incorrectly": 0.22,
    "no_face": 0.12,
}
NEGATIVES = 200  # crops of rendered pages
NEGATIVE_SHARE = 0.07
REPEATED_SHARE = 0.5  # of the drawn faces, if there are earlier photographs to repeat
EPOCHS = 10
BATCH_SIZE = 32
STEPS_PER_EPOCH = (10, 120)  # least and most
TUNING_RATE = 1e-4  # learning rate from a trained classifier
LEARNING_RATE = 4e-4  # and from other weights, as in notebook 02
HEAD_EPOCHS = 20
# Of the weights before the training in those after it. After a training on 200 photographs without
# a bare face, the accuracy on validation faces of `wider` was 0.73 with 0, 0.94 with 0.4, 0.98 with
# 0.6 and 0.99 before. On 200 photographs that were darkened and blurred, a training gained as much
# with 0.5 as with 0.
KEPT_SHARE = 0.6
NO_FACE_SHARE = 0.05  # of a detector's boxes, see notebook 02
FACES_LOST = 0.001  # greatest share of faces that the threshold of no_face may drop
# Validation faces from which on temperature and threshold are chosen anew. With fewer, those of the
# model that the training started from are better than a fit on a handful of mistakes.
CALIBRATION_FACES = 300
THRESHOLD = 0.5  # without validation faces to choose it, and without a model that has one


@dataclass(frozen=True)
class ClassifierSettings:
    """What determines a training of the classifier beside its data.

    Attributes:
        recipe: "ours" or a key of ``recipes.RECIPES``.
        start: "shipped", "imagenet", "none" or the path of a ``.keras`` file.
        epochs: of the training; None: ``EPOCHS``, or the author's of another recipe.
        batch_size: faces; None: ``BATCH_SIZE``. Other recipes have their own.
        learning_rate: the highest one; None: ``TUNING_RATE`` or ``LEARNING_RATE``.
        seed: of the split, the drawn faces and new layers.
        devices: that share each batch.
    """

    recipe: str = "ours"
    start: str = "shipped"
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    devices: int = 1


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        model: with calibrated probabilities.
        history: the table of its epochs.
        threshold: the probability of ``no_face`` from which a box is dropped.
        class_names: the columns of its output.
    """

    model: keras.Model
    history: pd.DataFrame
    threshold: float
    class_names: tuple[str, ...] = CLASS_NAMES


def train_classifier(
    folder: Path, model_file: Path, runs: Path, settings: ClassifierSettings, plot: Path | None
) -> None:
    """Train on a folder, write the model, its plots and its tables, and print how good it is.

    Args:
        folder: labelled photographs.
        model_file: the ``.keras`` file to write; the ``.onnx`` file is written beside it.
        runs: the folder of all runs; this one gets a folder of its own in it, and resumes there.
        settings: of the training.
        plot: the file of the learning curves; None: in the folder of the run.

    Raises:
        UserError: the folder or the model to start from cannot be used. A sentence says why.
    """
    if settings.recipe != "ours" and (settings.batch_size or settings.learning_rate):
        raise UserError(
            f"Recipe {settings.recipe} has its author's batch size and learning rate: leave out "
            "--batch-size and --learning-rate."
        )
    if settings.recipe != "ours" and settings.devices > 1:
        raise UserError(f"Recipe {settings.recipe} is trained on one device: leave out --devices.")
    choose_strategy(settings.devices)  # an early error if there are fewer devices
    check_batch(settings.batch_size or BATCH_SIZE, settings.devices)
    dataset = open_dataset(folder)
    start = load_start(settings.start)
    run_dir = open_run(dataset, runs, "classifier", asdict(settings))
    table = split_dataset(dataset, run_dir, settings.seed)
    check_split(table, folder)
    print(describe_split(table))
    earlier = load_earlier(dataset, table, settings.seed)
    if settings.recipe == "ours":
        trained = train_ours(dataset, table, earlier, start, settings, run_dir)
    else:
        trained = train_other(dataset, table, settings, run_dir)
    onnx_file = export_trained(trained, model_file, table)
    report_classifier(
        onnx_file,
        trained.history,
        dataset,
        table,
        earlier,
        curves=plot or run_dir / "training.png",
        run_dir=run_dir,
    )


def load_start(start: str) -> keras.Model | None:
    """Return the classifier that a training starts from; None for ImageNet's or random weights.

    Raises:
        UserError: the file is missing or no classifier of this project, or ImageNet's weights
            cannot be had.
    """
    path = find_start(start, SHIPPED)
    if path is None:
        return None
    try:
        model = keras.models.load_model(path, compile=False)
        is_classifier = model.get_layer("logits").units == len(CLASS_NAMES)
    except Exception as error:  # Keras raises many kinds for files that are none of its own
        raise UserError(
            f"{path} is no classifier of this project: --from takes a .keras file that notebook 02 "
            "or this command wrote."
        ) from error
    if not is_classifier:
        raise UserError(
            f"{path} has other classes than {', '.join(CLASS_NAMES)}: choose another file for "
            "--from."
        )
    return model


def train_ours(
    dataset: Dataset,
    table: pd.DataFrame,
    earlier: Earlier,
    start: keras.Model | None,
    settings: ClassifierSettings,
    run_dir: Path,
) -> Trained:
    """Train the recipe of notebook 02 on a split label table.

    Args:
        dataset: the folder.
        table: its label table with ``split``.
        earlier: photographs to repeat.
        start: from ``load_start``.
        settings: of the training.
        run_dir: the folder of the run.
    """
    train_table = table[table.split == "train"]
    val_table = table[table.split == "val"]
    crops, weights = draw_training_faces(dataset, train_table, earlier, settings.seed)
    size = INPUT_SIZE if start is None else start.input_shape[1]
    strategy = choose_strategy(settings.devices)
    with strategy.scope():
        model = build_classifier(
            size, weights="imagenet" if settings.start == "imagenet" else None, seed=settings.seed
        )
        has_begun = (run_dir / "checkpoint.keras").exists()
        if start is not None:
            copy_weights(start, model)
        elif not has_begun:
            features = extract_features(model, to_input(crops.images, size))
            train_head(model, features, crops.class_id, weights, HEAD_EPOCHS, seed=settings.seed)
        before = model.get_weights()

    val_faces = to_input(load_inference_faces(val_table, dataset.root), size)
    y_val = val_table.class_name.map(CLASS_NAMES.index).to_numpy()
    least, most = STEPS_PER_EPOCH
    batch_size = settings.batch_size or BATCH_SIZE
    steps = int(np.clip(2 * len(train_table) // batch_size, least, most))
    learning_rate = settings.learning_rate
    if learning_rate is None:
        learning_rate = LEARNING_RATE if start is None else TUNING_RATE
    make_steps = partial(make_face_dataset, crops, weights, size, batch_size, seed=settings.seed)
    with strategy.scope():
        model, history = fine_tune(
            model,
            make_steps,
            validation=(val_faces, np.eye(len(CLASS_NAMES), dtype=np.float32)[y_val]),
            run_dir=run_dir,
            epochs=settings.epochs or EPOCHS,
            steps_per_epoch=steps,
            learning_rate=learning_rate,
            name="training",
        )
    if settings.devices > 1:
        model = copy_to_one_device(model)
    if start is not None:
        blend_weights(model, before, KEPT_SHARE)
    logits = model.predict(val_faces, batch_size=64, verbose=0)
    temperature, bias, threshold = calibrate(logits, y_val, start)
    return Trained(add_calibration(model, temperature, bias), history, threshold)


def train_other(
    dataset: Dataset, table: pd.DataFrame, settings: ClassifierSettings, run_dir: Path
) -> Trained:
    """Train a recipe of others, which knows two classes, on a split label table.

    Args:
        dataset: the folder.
        table: its label table with ``split``.
        settings: of the training.
        run_dir: the folder of the run.
    """
    names = CLASS_NAMES[:CLASS_COUNT]
    faces = select_labelled(table, dataset)
    others = int((~faces.class_name.isin(names)).sum())
    if others:
        print(
            f"Recipe {settings.recipe} knows {' and '.join(names)} alone: it leaves out "
            f"{format_count(others, 'other face')}."
        )
    faces = faces[faces.class_name.isin(names)]
    parts = {}
    for side in ("train", "val"):
        rows = faces[faces.split == side]
        needed = set(names) if side == "train" else set()
        if rows.empty or not needed <= set(rows.class_name):
            raise UserError(
                f"{dataset.root} has too few faces of {' and '.join(names)} for recipe "
                f"{settings.recipe}: add photographs of both."
            )
        images = resize_all(
            load_inference_faces(rows, dataset.root),
            RECIPES[settings.recipe].input_size,
            len(rows),
        )
        class_id = rows.class_name.map(CLASS_NAMES.index).to_numpy()
        parts[side] = RecipeImages(images, class_id)
    weights: str | Path | None = settings.start
    if settings.start != "imagenet":
        weights = find_start(settings.start, SHIPPED)
    model, history = train_recipe(
        settings.recipe,
        parts["train"],
        parts["val"],
        run_dir,
        epochs=settings.epochs,
        weights=weights,
        seed=settings.seed,
    )
    return Trained(model, history, THRESHOLD, names)


def draw_training_faces(
    dataset: Dataset, train_table: pd.DataFrame, earlier: Earlier, seed: int
) -> tuple[FaceCrops, np.ndarray]:
    """Return the faces to train on, and how often each is drawn.

    They are those of the folder, drawn pages without a face, and earlier faces to repeat.
    """
    crops = load_crops(train_table, dataset.root)
    weights = sample_weights(train_table, CLASS_SHARES, {})
    if len(earlier.train):
        crops = join_crops(crops, load_crops(earlier.train, earlier.root))
        repeated = sample_weights(earlier.train, CLASS_SHARES, {})
        weights = np.concatenate([(1 - REPEATED_SHARE) * weights, REPEATED_SHARE * repeated])
    pages = draw_negative_crops(Negatives(fonts=find_fonts()), NEGATIVES, seed=seed)
    of_pages = np.full(NEGATIVES, NEGATIVE_SHARE / NEGATIVES)
    return join_crops(crops, pages), np.concatenate([(1 - NEGATIVE_SHARE) * weights, of_pages])


def calibrate(
    logits: np.ndarray, y_true: np.ndarray, start: keras.Model | None
) -> tuple[float, np.ndarray, float]:
    """Return temperature, bias and the threshold of ``no_face``.

    They are chosen on validation, or those of the model that the training started from if there are
    fewer than ``CALIBRATION_FACES``.

    Args:
        logits: (N, C) of validation.
        y_true: (N,) classes.
        start: from ``load_start``.
    """
    if np.count_nonzero(y_true != NO_FACE) >= CALIBRATION_FACES and (y_true == NO_FACE).any():
        temperature = evaluate.fit_temperature(logits, y_true)
        bias = evaluate.prior_bias(y_true, NO_FACE, NO_FACE_SHARE)
        y_prob = evaluate.apply_calibration(logits, temperature, bias)
        costs = evaluate.threshold_table(
            y_true == NO_FACE, y_prob[:, NO_FACE], np.linspace(0.1, 0.99, 90)
        )
        allowed = costs.threshold[costs.faces_lost <= FACES_LOST]
        return temperature, bias, allowed.min() if len(allowed) else costs.threshold.max()
    if start is None:
        return 1.0, np.zeros(len(CLASS_NAMES)), THRESHOLD
    kept = start.get_layer("calibration")
    return 1 / kept.scale, np.array(kept.offset), load_classifier().threshold


def export_trained(trained: Trained, model_file: Path, table: pd.DataFrame) -> Path:
    """Write the ``.keras`` file and the ``.onnx`` file beside it; return the path of the latter."""
    save_model(trained.model, model_file)
    onnx_file = export_classifier(
        trained.model,
        model_file.with_suffix(".onnx"),
        trained.threshold,
        split=curate.digest_split(table),
        sources=sorted(set(table.source)),
        class_names=trained.class_names,
    )
    write_unsure_level([onnx_file], load_classifier().unsure_below)
    print(f"Wrote {model_file} and {onnx_file}.")
    return onnx_file
