"""Five recipes of 2020-21 to compare with: four on MobileNetV2, and a small network from scratch.

Each recipe follows its author's description. What had to change is the same for all:

- Augmentation is drawn with OpenCV instead of Keras's ``ImageDataGenerator``, with its ranges.
- A recipe that trains its head alone computes the features of the frozen base once, for ``COPIES``
  augmented versions of each image. Its author ran every image through the base in every epoch.
- A softmax over two classes with cross-entropy stands for "binary cross-entropy" over two units,
  which has the same gradient.

Recipe b is that of A. Rosebrock, "COVID-19: Face Mask Detector with OpenCV, Keras/TensorFlow, and
Deep Learning", 2020, which most tutorials copy.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers
from tqdm.auto import tqdm

from utils.classes import CLASS_NAMES
from utils.images import read_image, resize_image
from utils.labels import BOX_COLUMNS
from utils.train.loop import make_batches, train_epochs
from utils.train.mobilenet import build_mobilenet, freeze_lower_blocks

CLASS_COUNT = 2  # with_mask and without_mask, the first two of CLASS_NAMES
COPIES = 2  # augmented versions of each image whose features are computed
FEATURE_COUNT = 1280  # channels of MobileNetV2's last layer


@dataclass(frozen=True)
class Recipe:
    """A recipe as its author describes it. The defaults are those of recipe b.

    Attributes:
        key: its letter.
        title: what it is, in a few words.
        claim: what its author reports.
        input_size: pixels.
        hidden: units of the hidden layer; 0: there is none.
        trained: "head", "upper blocks" (of MobileNetV2, and the head) or "all".
        epochs: of the author; None: not reported.
        learning_rate: of the author, or the usual one if it is not reported.
        batch_size: of the author.
        steps_per_epoch: None: one pass over the images.
    """

    key: str
    title: str
    claim: str
    input_size: int = 224
    hidden: int = 128
    trained: str = "head"
    epochs: int | None = 20
    learning_rate: float = 1e-4
    batch_size: int = 32
    steps_per_epoch: int | None = None


RECIPES = {
    "a": Recipe(
        key="a",
        title="frozen MobileNetV2, 64 units",
        claim="0.89-0.90",
        hidden=64,
    ),
    "b": Recipe(
        key="b",
        title="frozen MobileNetV2, 128 units",
        claim="0.99",
    ),
    "c": Recipe(
        key="c",
        title="fine-tuned MobileNetV2",
        claim="0.90",
        hidden=0,
        trained="upper blocks",
        epochs=50,
    ),
    "d": Recipe(
        key="d",
        title="frozen MobileNetV2, drawn masks",
        claim="0.99",
    ),
    "e": Recipe(
        key="e",
        title="four convolutions from scratch",
        claim="0.999",
        input_size=150,
        hidden=512,
        trained="all",
        epochs=None,
        batch_size=20,
        steps_per_epoch=100,
    ),
}


@dataclass(frozen=True)
class RecipeImages:
    """Images to train a recipe on.

    Attributes:
        images: (N, S, S, 3) uint8.
        class_id: (N,) int, 0 for with_mask and 1 for without_mask.
    """

    images: np.ndarray
    class_id: np.ndarray


def build_recipe(key: str, weights: str | Path | None = "imagenet") -> keras.Model:
    """Build the model of a recipe.

    Args:
        key: of ``RECIPES``.
        weights: of MobileNetV2, see ``mobilenet.build_mobilenet``. Recipe e has none.

    Returns:
        A model that takes (N, S, S, 3) RGB in 0-255 and returns (N, 2) probabilities of with_mask
        and without_mask. The layers that always train are one layer, named ``head``, unless the
        whole model trains.
    """
    recipe = RECIPES[key]
    if recipe.trained == "all":
        return _build_small_network(recipe)
    pixels = keras.Input((recipe.input_size, recipe.input_size, 3))
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    base = build_mobilenet(scaled, weights)
    pooled = layers.AveragePooling2D(recipe.input_size // 32)(base.output)
    features = layers.Flatten(name="features")(pooled)
    head = [keras.Input((FEATURE_COUNT,))]
    if recipe.hidden:
        head.append(layers.Dense(recipe.hidden, activation="relu"))
    head.append(layers.Dropout(0.5, name="dropout"))
    head.append(layers.Dense(CLASS_COUNT, activation="softmax"))
    y_prob = keras.Sequential(head, name="head")(features)
    model = keras.Model(pixels, y_prob, name=f"recipe_{key}")
    if recipe.trained == "upper blocks":
        freeze_lower_blocks(model)
    return model


def _build_small_network(recipe: Recipe) -> keras.Model:
    """Build four blocks of convolution and pooling, and one sigmoid unit for without_mask."""
    pixels = keras.Input((recipe.input_size, recipe.input_size, 3))
    maps = layers.Rescaling(1 / 255)(pixels)
    for filters in (32, 64, 128, 128):
        maps = layers.Conv2D(filters, 3, activation="relu")(maps)
        maps = layers.MaxPooling2D(2)(maps)
    hidden = layers.Dense(recipe.hidden, activation="relu")(layers.Flatten()(maps))
    without_mask = layers.Dense(1, activation="sigmoid")(hidden)
    with_mask = layers.Rescaling(-1, offset=1)(without_mask)
    y_prob = layers.Concatenate()([with_mask, without_mask])
    return keras.Model(pixels, y_prob, name=f"recipe_{recipe.key}")


def select_whole_images(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a label table that the tutorials train on: whole images of two classes."""
    has_no_box = table[BOX_COLUMNS[0]].isna()
    return table[has_no_box & table.class_name.isin(CLASS_NAMES[:CLASS_COUNT])]


def load_whole_images(table: pd.DataFrame, root: str | Path, size: int = 224) -> RecipeImages:
    """Read the images of ``select_whole_images`` and resize them to ``size`` pixels."""
    rows = select_whole_images(table)
    images = (read_image(Path(root) / file) for file in rows.file)
    resized = resize_all(images, size, len(rows))
    return RecipeImages(resized, rows.class_name.map(CLASS_NAMES.index).to_numpy())


def resize_all(images: Iterable[np.ndarray], size: int, count: int) -> np.ndarray:
    """Return ``count`` images, each resized to a square, as (N, S, S, 3) uint8."""
    resized = np.empty((count, size, size, 3), np.uint8)
    bar = tqdm(images, desc="reading images", total=count, unit="image", leave=False)
    for number, image in enumerate(bar):
        resized[number] = resize_image(image, (size, size))
    return resized


def augment_image(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image with the augmentation of the recipes' authors.

    Rotation up to 20 degrees, zoom and shear up to 0.15, shifts up to 0.2 of the side, and a mirror
    image for one in two. The border is repeated (``fill_mode="nearest"``).

    Args:
        image: (S, S, 3) uint8.
        rng: source of the random numbers.
    """
    size = len(image)
    angle = np.deg2rad(rng.uniform(-20, 20))
    zoom = rng.uniform(0.85, 1.15, 2)
    shear = np.tan(rng.uniform(-0.15, 0.15))
    shift = rng.uniform(-0.2, 0.2, 2) * size
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag(zoom)
    if rng.random() < 0.5:
        linear[:, 0] *= -1
    center = np.full(2, (size - 1) / 2)
    matrix = np.column_stack([linear, center - linear @ center + shift])
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def train_recipe(
    key: str,
    train: RecipeImages,
    validation: RecipeImages,
    run_dir: str | Path,
    epochs: int | None = None,
    weights: str | Path | None = "imagenet",
    steps_per_epoch: int | None = None,
    seed: int = 0,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a recipe, or resume its training from ``run_dir``.

    Args:
        key: of ``RECIPES``.
        train: images to train on, resized to the recipe's input.
        validation: images for the validation's columns of the history.
        run_dir: a folder for this training alone.
        epochs: None: the author's, or 10 if the author reports none.
        weights: as in ``build_recipe``.
        steps_per_epoch: None: the recipe's.
        seed: of the training.

    Returns:
        The model and its history: ``epoch, loss, accuracy, val_loss, val_accuracy, seconds``. For a
        frozen base, ``seconds`` includes one pass of the images through it, as its author had.

    Raises:
        TrainingStopped: someone interrupted the training.
    """
    recipe = RECIPES[key]
    keras.utils.set_random_seed(seed)
    model = build_recipe(key, weights)
    trained = model
    inputs: np.ndarray = train.images[None]
    validation_inputs = validation.images
    seconds_of_base = 0.0
    if recipe.trained == "head":
        base = keras.Model(model.input, model.get_layer("features").output)
        started = time.perf_counter()
        inputs = _extract_copies(base, train.images, seed)
        seconds_of_base = (time.perf_counter() - started) / COPIES
        validation_inputs = base.predict(validation.images, batch_size=32, verbose=0)
        trained = model.get_layer("head")
    is_image = recipe.trained != "head"

    def draw_example(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        number = rng.integers(len(train.class_id))
        example = inputs[rng.integers(len(inputs)), number]
        if is_image:
            example = augment_image(example, rng)
        target = np.zeros(CLASS_COUNT, np.float32)
        target[train.class_id[number]] = 1
        return example.astype(np.float32), target

    if steps_per_epoch is None:
        one_pass = int(np.ceil(len(train.class_id) / recipe.batch_size))
        steps_per_epoch = recipe.steps_per_epoch or one_pass
    example_shape = inputs.shape[2:]

    def make_steps(first_step: int, steps: int) -> tf.data.Dataset:
        return make_batches(
            draw_example,
            shapes=(example_shape, (CLASS_COUNT,)),
            batch_size=recipe.batch_size,
            first_step=first_step,
            steps=steps,
            seed=seed,
        )

    validation_targets = np.eye(CLASS_COUNT, dtype=np.float32)[validation.class_id]

    def validate(model: keras.Model) -> dict[str, float]:
        loss, accuracy = model.evaluate(
            validation_inputs, validation_targets, batch_size=32, verbose=0
        )
        return {"val_loss": float(loss), "val_accuracy": float(accuracy)}

    def seed_dropout(model: keras.Model, epoch: int) -> None:
        # A checkpoint does not hold the state of the dropout's random generator.
        if recipe.trained != "all":
            head = model if recipe.trained == "head" else model.get_layer("head")
            head.get_layer("dropout").seed_generator.state.assign([seed, epoch])

    optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(recipe.learning_rate)
    if recipe.trained == "all":
        optimizer = keras.optimizers.RMSprop(recipe.learning_rate)
    trained.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    finished, history = train_epochs(
        trained,
        make_steps,
        validate,
        run_dir,
        epochs=epochs or recipe.epochs or 10,
        steps_per_epoch=steps_per_epoch,
        name=f"recipe {key}",
        before_epoch=seed_dropout,
    )
    trained.set_weights(finished.get_weights())
    history["seconds"] += seconds_of_base
    return model, history


def _extract_copies(base: keras.Model, images: np.ndarray, seed: int) -> np.ndarray:
    """Return the features of ``COPIES`` augmented versions of images, (COPIES, N, F) float32."""
    features = np.empty((COPIES, len(images), FEATURE_COUNT), np.float32)
    chunk = 64
    total = COPIES * len(images)
    with tqdm(total=total, desc="computing features", unit="image", leave=False) as bar:
        for copy in range(COPIES):
            for first in range(0, len(images), chunk):
                augmented = []
                for number in range(first, min(first + chunk, len(images))):
                    rng = np.random.default_rng((seed, copy * len(images) + number))
                    augmented.append(augment_image(images[number], rng))
                batch = np.stack(augmented).astype(np.float32)
                features[copy, first : first + len(batch)] = base.predict_on_batch(batch)
                bar.update(len(batch))
    return features
