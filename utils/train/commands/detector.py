"""Train the face detector on a folder of labelled boxes: ``python -m utils.train detector``.

The steps are those of notebook 04, at the size of a hundred photographs. What keeps the shipped
detector's knowledge is the same as for the classifier, see ``classifier``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from utils import curate, evaluate, plots
from utils.detect import FCOS, open_session
from utils.labels import BOX_COLUMNS
from utils.messages import UserError
from utils.paths import DATA_DIR, MODEL_DIR
from utils.tables import read_table
from utils.train.classifier import blend_weights
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
from utils.train.commands.report import report_detector
from utils.train.data.negatives import Negatives, find_fonts
from utils.train.data.views import Photograph, load_photographs, make_view_dataset, view_weights
from utils.train.detector import build_detector, train_detector
from utils.train.devices import check_batch, choose_strategy, copy_to_one_device
from utils.train.export import FIRST_BLOCK, export_detector, quantize_onnx
from utils.train.loop import save_model
from utils.train.mobilenet import find_start, freeze_lower_blocks

SHIPPED = MODEL_DIR / "face_detector.keras"
SHIPPED_ONNX = MODEL_DIR / "face_detector.onnx"
VIEW = 320  # pixels, the side of a training view
NEGATIVE_SHARE = 0.25  # of views and of cells of mosaics without a face, as in notebook 04
REPEATED_SHARE = 0.5  # of the views, if there are earlier photographs to repeat
STEPS_PER_EPOCH = (10, 60)  # least and most
VALIDATION_STEPS = 3
EAGER_STEPS = 15  # a training of so few steps is not compiled, see ``compile_detector``
QUANTIZATION_BATCHES = 6  # of 8 views, on which the ranges of the 8-bit file are measured
TUNING_RATE = 1e-4  # learning rate from a trained detector
LEARNING_RATE = 1.2e-3  # and from other weights, as in notebook 04
KEPT_SHARE = 0.6  # of the weights before the training in those after it
EARLIER_PER_SOURCE = 40  # photographs of each earlier source that are tested
# Validation faces from which on the confidence is calibrated anew, see ``classifier``.
CALIBRATION_FACES = 300


@dataclass(frozen=True)
class DetectorSettings:
    """What determines a training of the detector beside its data.

    Attributes:
        start: "shipped", "imagenet", "none" or the path of a ``.keras`` file.
        epochs: length of the training.
        batch_size: views.
        learning_rate: the highest one; None: ``TUNING_RATE`` or ``LEARNING_RATE``.
        seed: of the split and of the drawn views.
        devices: that share each batch.
    """

    start: str = "shipped"
    epochs: int = 8
    batch_size: int = 8
    learning_rate: float | None = None
    seed: int = 0
    devices: int = 1


@dataclass(frozen=True)
class Shape:
    """What the file of a detector says beside its weights.

    Attributes:
        strides: of its levels, pixels.
        side: pixels, the longer side at which it looks at an image.
        calibration: factor and offset of the face logit.
    """

    strides: tuple[int, ...]
    side: int
    calibration: tuple[float, float]


def train_on_boxes(
    folder: Path, model_file: Path, runs: Path, settings: DetectorSettings, plot: Path | None
) -> None:
    """Train on a folder, write the model, its plots and its tables, and print how good it is.

    Args:
        folder: photographs with labelled boxes.
        model_file: the ``.keras`` file to write; two ``.onnx`` files are written beside it.
        runs: the folder of all runs; this one gets a folder of its own in it, and resumes there.
        settings: of the training.
        plot: the file of the learning curves; None: in the folder of the run.

    Raises:
        UserError: the folder or the model to start from cannot be used. A sentence says why.
    """
    strategy = choose_strategy(settings.devices)
    check_batch(settings.batch_size, settings.devices)
    dataset = open_dataset(folder)
    shape = read_shape(SHIPPED_ONNX)
    with strategy.scope():
        model = load_start(settings, shape)
    run_dir = open_run(dataset, runs, "detector", asdict(settings))
    table = select_boxes(split_dataset(dataset, run_dir, settings.seed), dataset)
    check_split(table, folder, boxed=True)
    print(describe_split(table))
    earlier = load_earlier(dataset, table, settings.seed, per_source=EARLIER_PER_SOURCE)
    photographs, weights = load_training(dataset, table, earlier)
    with strategy.scope():
        model, history = train_from(
            model, shape, dataset, table, photographs, weights, settings, run_dir
        )
    if settings.devices > 1:
        model = copy_to_one_device(model)
    views = make_view_dataset(
        photographs, weights, shape.side, shape.strides, 8, 0, QUANTIZATION_BATCHES
    )
    pixels = [batch.numpy() for batch, _ in views]
    int8_file = export_trained(model, model_file, shape, dataset, table, pixels)
    report_detector(int8_file, dataset, table, earlier, run_dir)
    curves = plot or run_dir / "training.png"
    plots.save_figure(plots.plot_history(history, "Training"), curves)
    print(f"\nLearning curves: {curves}.")
    print(
        f"Use it: python 03-detect_face_using_mask.py --detector-model {int8_file} --image PHOTOS"
    )


def read_shape(path: Path) -> Shape:
    """Return the settings that a detector's ONNX file holds."""
    _, metadata = open_session(path)
    factor, offset = json.loads(metadata["calibration"])
    return Shape(
        strides=tuple(json.loads(metadata["strides"])),
        side=int(metadata["side"]),
        calibration=(factor, offset),
    )


def load_start(settings: DetectorSettings, shape: Shape) -> keras.Model:
    """Return the detector that a training starts from.

    Raises:
        UserError: the file is missing or no detector of this project, or ImageNet's weights
            cannot be had.
    """
    path = find_start(settings.start, SHIPPED)
    synchronized = settings.devices > 1
    if path is None:
        keras.utils.set_random_seed(settings.seed)
        weights = "imagenet" if settings.start == "imagenet" else None
        return build_detector(shape.strides, weights=weights, synchronized=synchronized)
    wanted = build_detector(shape.strides, weights=None, synchronized=synchronized)
    try:
        model = keras.models.load_model(path, compile=False)
        wanted.set_weights(model.get_weights())
    except Exception as error:  # Keras raises many kinds for files that are none of its own
        raise UserError(
            f"{path} is no detector of this project: --from takes a .keras file that notebook 04 "
            "or this command wrote."
        ) from error
    freeze_lower_blocks(wanted)
    return wanted


def select_boxes(table: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return the rows of a split table whose boxes a person drew."""
    return select_labelled(table, dataset).dropna(subset=BOX_COLUMNS).reset_index(drop=True)


def load_training(
    dataset: Dataset, table: pd.DataFrame, earlier: Earlier
) -> tuple[list[Photograph], np.ndarray]:
    """Return the photographs to train on, and how often each is drawn."""
    photographs = load_photographs(table[table.split == "train"], dataset.root)
    repeated: list[Photograph] = []
    boxes = earlier.train.dropna(subset=BOX_COLUMNS)
    if len(boxes):
        unlabelled = read_table(DATA_DIR / "unlabelled_faces.csv")
        repeated = load_photographs(boxes, earlier.root, unlabelled, "reading earlier photographs")
    everything = photographs + repeated
    return everything, view_weights(everything, 1 - REPEATED_SHARE, len(repeated))


def train_from(
    model: keras.Model,
    shape: Shape,
    dataset: Dataset,
    table: pd.DataFrame,
    photographs: Sequence[Photograph],
    weights: np.ndarray,
    settings: DetectorSettings,
    run_dir: Path,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a detector, or resume its training; return it and its history.

    Args:
        model: from ``load_start``.
        shape: strides and side.
        dataset: the folder.
        table: its boxes with ``split``.
        photographs: to train on.
        weights: how often each is drawn.
        settings: of the training.
        run_dir: the folder of the run.
    """
    before = model.get_weights()
    is_trained = settings.start not in ("imagenet", "none")
    val_photographs = load_photographs(table[table.split == "val"], dataset.root)
    validation = make_view_dataset(
        val_photographs,
        view_weights(val_photographs, 1.0, 0),
        VIEW,
        shape.strides,
        settings.batch_size,
        first_step=0,
        steps=VALIDATION_STEPS,
    )
    make_steps = partial(
        make_view_dataset,
        photographs,
        weights,
        VIEW,
        shape.strides,
        settings.batch_size,
        seed=settings.seed,
        draw_negative=Negatives(fonts=find_fonts()),
        negative_share=NEGATIVE_SHARE,
    )
    learning_rate = settings.learning_rate
    if learning_rate is None:
        learning_rate = TUNING_RATE if is_trained else LEARNING_RATE
    least, most = STEPS_PER_EPOCH
    steps = int(np.clip(len(photographs) // settings.batch_size, least, most))
    model, history = train_detector(
        model,
        make_steps,
        validation.cache(),
        run_dir,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        learning_rate=learning_rate,
        name="training the detector",
        eager=settings.devices == 1 and settings.epochs * steps <= EAGER_STEPS,
    )
    if is_trained:
        blend_weights(model, before, KEPT_SHARE)
    return model, history


def export_trained(
    model: keras.Model,
    model_file: Path,
    shape: Shape,
    dataset: Dataset,
    table: pd.DataFrame,
    views: Sequence[np.ndarray],
) -> Path:
    """Write the ``.keras`` file and two ``.onnx`` files; return the one of eight bits.

    Args:
        model: trained.
        model_file: the ``.keras`` file to write.
        shape: strides, side and the shipped calibration.
        dataset: the folder.
        table: its boxes with ``split``.
        views: batches of training views, (N, S, S, 3) float32.
    """
    save_model(keras.Model(model.input, model.output), model_file)
    float_file = model_file.with_suffix(".onnx")
    calibration = shape.calibration
    val_table = table[table.split == "val"]
    if len(val_table) >= CALIBRATION_FACES:
        export_detector(model, float_file, shape.strides, shape.side)
        raw = FCOS(0.2, path=float_file)
        found = evaluate.run_pipeline(val_table.file.unique(), dataset.root, raw, "validation")
        factor, offset, _ = evaluate.fit_confidence(evaluate.match_faces(found, val_table))
        calibration = (factor, offset)
    export_detector(
        model,
        float_file,
        shape.strides,
        shape.side,
        calibration=calibration,
        split=curate.digest_split(table),
        sources=sorted(set(table.source)),
    )
    int8_file = float_file.with_name(f"{float_file.stem}_int8.onnx")
    quantize_onnx(float_file, int8_file, views, FIRST_BLOCK)
    print(f"Wrote {model_file}, {float_file} and, in eight bits, {int8_file}.")
    return int8_file
