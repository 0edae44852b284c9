"""The classic recipe of 2020-21, to compare with: a frozen MobileNetV2 on whole web images.

MobileNetV2 at 224 pixels, frozen; average pooling, 128 units, dropout; Adam at 1e-4; 20 epochs with
batches of 32 and rotation, zoom, shift, shear and flip. Every epoch runs every image through the
frozen base, as in the tutorials. Source: A. Rosebrock, "COVID-19: Face Mask Detector with OpenCV,
Keras/TensorFlow, and Deep Learning", 2020.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES
from utils.images import read_image, resize_image
from utils.labels import BOX_COLUMNS
from utils.tables import read_table, replace_rows
from utils.train.loop import StepBar, TrainingStopped, save_model
from utils.train.mobilenet import build_mobilenet

CLASSIC_INPUT_SIZE = 224  # pixels
BATCH_SIZE = 32
LEARNING_RATE = 1e-4


def build_classic(weights: str | Path | None = "imagenet") -> keras.Model:
    """Build the classic model.

    Args:
        weights: of the base, see ``mobilenet.build_mobilenet``.

    Returns:
        A model that takes (N, 224, 224, 3) RGB in 0-255 and returns (N, 2) probabilities of
        with_mask and without_mask.
    """
    pixels = keras.Input((CLASSIC_INPUT_SIZE, CLASSIC_INPUT_SIZE, 3))
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    base = build_mobilenet(scaled, weights)
    # Each layer takes a seed when it is made, so the order of these lines determines the weights.
    flatten = layers.Flatten()
    pooled = layers.AveragePooling2D(7)(base.output)
    dropout = layers.Dropout(0.5)
    hidden = layers.Dense(128, activation="relu")
    output = layers.Dense(2, activation="softmax")
    y_prob = output(dropout(hidden(flatten(pooled))))
    return keras.Model(pixels, y_prob, name="classic")


def select_whole_images(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a label table that the tutorials train on: whole images of two classes."""
    has_no_box = table[BOX_COLUMNS[0]].isna()
    return table[has_no_box & table.class_name.isin(CLASS_NAMES[:2])]


def load_whole_images(table: pd.DataFrame, root: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the images of ``select_whole_images``: (N, 224, 224, 3) uint8 and (N,) class ids."""
    rows = select_whole_images(table)
    images = np.empty((len(rows), CLASSIC_INPUT_SIZE, CLASSIC_INPUT_SIZE, 3), np.uint8)
    files = tqdm(rows.file, desc="reading images", unit="image", leave=False)
    for position, file in enumerate(files):
        image = read_image(Path(root) / file)
        images[position] = resize_image(image, (CLASSIC_INPUT_SIZE, CLASSIC_INPUT_SIZE))
    return images, rows.class_name.map(CLASS_NAMES.index).to_numpy()


def augment_classic(seed: int = 0) -> keras.Sequential:
    """Return the classic augmentation as layers, with the tutorials' ranges."""
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(20 / 360, fill_mode="nearest", seed=seed),
            layers.RandomZoom(0.15, fill_mode="nearest", seed=seed),
            layers.RandomTranslation(0.2, 0.2, fill_mode="nearest", seed=seed),
            layers.RandomShear(0.15, 0.15, fill_mode="nearest", seed=seed),
        ]
    )


class _EpochSaver(keras.callbacks.Callback):
    """Move the bar to each epoch, and save the history and the whole state after it.

    Keras's ``BackupAndRestore`` cannot resume after a stop while it writes. Here the state is one
    file that is replaced in one step. It comes last: the epoch counts as finished from then on.

    Attributes:
        finished: number of finished epochs.
    """

    def __init__(self, bar: StepBar, run_dir: Path, rows: list[dict[str, Any]]) -> None:
        super().__init__()
        self.finished = len(rows)
        self._bar = bar
        self._run_dir = run_dir
        self._rows = list(rows)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._bar.start_epoch(epoch)
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        figures = {**(logs or {}), "seconds": time.perf_counter() - self._started}
        row = {"epoch": epoch} | {name: figures[name] for name in sorted(figures)}
        self._rows.append(row)
        replace_rows(self._run_dir / "history.csv", pd.DataFrame(self._rows))
        save_model(self.model, self._run_dir / "checkpoint.keras")
        self.finished = epoch + 1


def train_classic(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    run_dir: str | Path,
    epochs: int = 20,
    weights: str | Path | None = "imagenet",
) -> tuple[keras.Model, pd.DataFrame]:
    """Train the classic recipe.

    A finished training in ``run_dir`` is loaded, and an interrupted one resumes.

    Args:
        train: (N, 224, 224, 3) uint8 images and (N,) class ids, 0 or 1.
        validation: images and class ids to validate on, in the same form.
        run_dir: a folder for this training alone.
        epochs: 20 in the tutorials.
        weights: as in ``build_classic``.

    Returns:
        The model and its history, ``epoch, loss, accuracy, val_loss, val_accuracy, seconds``.

    Raises:
        TrainingStopped: someone interrupted the training.
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    finished = run_dir / "classic.keras"
    log = run_dir / "history.csv"
    checkpoint = run_dir / "checkpoint.keras"
    if not finished.exists():
        keras.utils.set_random_seed(0)
        rows: list[dict[str, Any]] = []
        if checkpoint.exists():
            model = keras.models.load_model(checkpoint)
            steps_done = int(model.optimizer.iterations)
            epochs_done = steps_done // math.ceil(len(train[1]) / BATCH_SIZE)
            # A stop before the checkpoint was written leaves one row more.
            rows = read_table(log, ["epoch"]).to_dict("records")[:epochs_done]
        else:
            model = build_classic(weights)
            model.compile(
                optimizer=keras.optimizers.Adam(LEARNING_RATE),
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
            )
        augmentation = augment_classic()

        def augment(images: tf.Tensor, class_id: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return augmentation(tf.cast(images, tf.float32), training=True), class_id

        images, class_id = train
        dataset = tf.data.Dataset.from_tensor_slices((images, class_id))
        dataset = dataset.shuffle(len(class_id), seed=0).batch(BATCH_SIZE).map(augment).prefetch(2)
        with StepBar("the classic recipe", epochs, steps_per_epoch=len(dataset)) as bar:
            saver = _EpochSaver(bar, run_dir, rows)
            try:
                model.fit(
                    dataset,
                    validation_data=tf.data.Dataset.from_tensor_slices(validation).batch(64),
                    initial_epoch=len(rows),
                    epochs=epochs,
                    verbose=0,
                    shuffle=False,
                    callbacks=[saver, bar],
                )
            except KeyboardInterrupt:
                raise TrainingStopped(saver.finished, epochs) from None
        save_model(model, finished)
        checkpoint.unlink(missing_ok=True)
    history = read_table(log, ["epoch"])
    history["epoch"] += 1  # Keras numbers epochs from 0
    return keras.models.load_model(finished), history
