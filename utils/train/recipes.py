"""The recipe of 2020-21 that ours is measured against, as its tutorials have it; nothing else uses it.

MobileNetV2 at 224 pixels, frozen; average pooling, 128 units, dropout; Adam at 1e-4; 20 epochs of batches of 32 with
rotation, zoom, shift, shear and flip; two classes. It runs every image through the frozen base in every epoch.
Source: A. Rosebrock, "COVID-19: Face Mask Detector with OpenCV, Keras/TensorFlow, and Deep Learning", 2020.
"""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm
from tqdm.keras import TqdmCallback

from utils.classes import CLASS_NAMES
from utils.images import read_image, resize_image
from utils.labels import BOX_COLUMNS

INPUT_SIZE = 224
BATCH = 32


def build_classic(weights: str | None = "imagenet") -> keras.Model:
    """The classic model: (N, 224, 224, 3) RGB in 0-255 to (N, 2) probabilities of with_mask and without_mask."""
    pixels = keras.Input((INPUT_SIZE, INPUT_SIZE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    base = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=weights)
    base.trainable = False
    head = keras.layers.Flatten()(keras.layers.AveragePooling2D(7)(base.output))
    head = keras.layers.Dropout(0.5)(keras.layers.Dense(128, activation="relu")(head))
    return keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(head), name="classic")


def select_whole_images(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a label table that the tutorials train on: whole web pictures of two classes."""
    return table[table[BOX_COLUMNS[0]].isna() & table.class_name.isin(CLASS_NAMES[:2])]


def load_whole_images(table: pd.DataFrame, root: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of ``select_whole_images``, (N, 224, 224, 3) uint8, and their (N,) class ids."""
    part = select_whole_images(table)
    images = np.empty((len(part), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    for position, file in enumerate(tqdm(part.file, desc="reading pictures", unit="image")):
        images[position] = resize_image(read_image(Path(root) / file), (INPUT_SIZE, INPUT_SIZE))
    return images, part.class_name.map(CLASS_NAMES.index).to_numpy()


def augment_classic(seed: int = 0) -> keras.Sequential:
    """The classic's augmentation, the ranges as in the tutorials."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(20 / 360, fill_mode="nearest", seed=seed),
            layers.RandomZoom(0.15, fill_mode="nearest", seed=seed),
            layers.RandomTranslation(0.2, 0.2, fill_mode="nearest", seed=seed),
            layers.RandomShear(0.15, 0.15, fill_mode="nearest", seed=seed),
        ]
    )


class _EpochClock(keras.callbacks.Callback):
    """Adds the seconds of each epoch to its logs, before the log file is written."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs["seconds"] = time.perf_counter() - self._started


def train_classic(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    run_dir: str | Path,
    epochs: int = 20,
    weights: str | None = "imagenet",
) -> tuple[keras.Model, pd.DataFrame]:
    """Train the classic recipe; a finished training in ``run_dir`` is loaded, an interrupted one goes on.

    Args:
        train, validation: (N, 224, 224, 3) uint8 images and (N,) class ids, 0 and 1.
        run_dir: a folder of this training alone.
        epochs: 20 in the tutorials.
        weights: as ``build_classic`` takes them.

    Returns:
        The model and its history: ``epoch, loss, accuracy, val_loss, val_accuracy, seconds``.
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    finished, log = run_dir / "classic.keras", run_dir / "history.csv"
    if not finished.exists():
        keras.utils.set_random_seed(0)
        model, augment = build_classic(weights), augment_classic()
        model.compile(
            keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        batches = (
            tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[1]), seed=0).batch(BATCH)
        )
        batches = batches.map(
            lambda image, y: (augment(tf.cast(image, tf.float32), training=True), y)
        ).prefetch(2)
        resume = keras.callbacks.BackupAndRestore(run_dir / "backup")
        keep = keras.callbacks.CSVLogger(log, append=True)
        callbacks = [
            _EpochClock(),
            keep,
            resume,
            TqdmCallback(epochs=epochs, verbose=0, desc="classic"),
        ]
        val = tf.data.Dataset.from_tensor_slices(validation).batch(64)
        model.fit(
            batches,
            validation_data=val,
            epochs=epochs,
            verbose=0,
            shuffle=False,
            callbacks=callbacks,
        )
        model.save(finished)
    history = pd.read_csv(log).assign(epoch=lambda table: table.epoch + 1)
    return keras.models.load_model(finished), history
