"""Train a model epoch by epoch so that it can be stopped at any moment and taken up again to the same result."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm


def without_autotune() -> tf.data.Options:
    """Options of a dataset whose parallelism is stated: when an epoch ends, TensorFlow's tuner sleeps out its current
    period, up to 80 seconds, before it lets the epoch go."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


class KeepWeights(keras.callbacks.Callback):
    """Undo what Keras does at the end of each ``fit``: it puts an optimizer's running mean in the place of the weights,
    so that a training of one ``fit`` an epoch would be held back to the mean every time."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.weights = self.model.get_weights()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.model.set_weights(self.weights)


def draw_batches(
    draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches of examples that are drawn as they are needed, on both cores, in a stated order.

    Example number i of a training is drawn from ``(seed, i)`` alone, so that a training taken up again at
    ``first_step`` sees what it would have seen.

    Args:
        draw: a source of chance to an input and its target, float32.
        shapes: of both.
        batch_size, first_step, steps: what part of the training's examples to give.
        seed: of the training.
    """

    def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        types = [tf.float32, tf.float32]
        drawn = tf.numpy_function(
            lambda i: draw(np.random.default_rng((seed, int(i)))), [number], types, stateful=False
        )
        return tuple(
            tf.ensure_shape(part, shape) for part, shape in zip(drawn, shapes, strict=True)
        )

    numbers = tf.data.Dataset.range(first_step * batch_size, (first_step + steps) * batch_size)
    batches = (
        numbers.map(load, num_parallel_calls=2, deterministic=True).batch(batch_size).prefetch(4)
    )
    return batches.with_options(without_autotune())


def train_epochs(
    model: keras.Model,
    make_steps: Callable[[int, int], tf.data.Dataset],
    validate: Callable[[keras.Model], dict[str, float]],
    run_dir: str | Path,
    epochs: int,
    steps_per_epoch: int,
    name: str = "training",
    before_epoch: Callable[[keras.Model, int], None] = lambda model, epoch: None,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a compiled model, or take up its training in ``run_dir``.

    After each epoch the folder holds the whole state (``checkpoint.keras``), that epoch's weights and the history.

    Args:
        model: compiled; one that ``run_dir`` holds takes its place.
        make_steps: ``(first_step, steps)`` to a dataset that is the same each time it is asked for.
        validate: a model's figures after an epoch.
        run_dir: a folder of this training alone.
        epochs, steps_per_epoch: how long.
        name: of the progress bar.
        before_epoch: sets what the files do not keep, such as the state of chance.

    Returns:
        The model, and the history: ``epoch``, the training's figures, the validation's, ``seconds``.
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    checkpoint, log = run_dir / "checkpoint.keras", run_dir / "history.csv"
    history = []
    if checkpoint.exists():
        model = keras.models.load_model(checkpoint)
        done = (
            int(model.optimizer.iterations) // steps_per_epoch
        )  # the history may be one epoch ahead
        history = pd.read_csv(log).to_dict("records")[:done]
    bar = tqdm(
        range(len(history), epochs), desc=name, unit="epoch", initial=len(history), total=epochs
    )
    for epoch in bar:
        started = time.perf_counter()
        before_epoch(model, epoch)
        steps = make_steps(epoch * steps_per_epoch, steps_per_epoch)
        logs = model.fit(
            steps, epochs=1, verbose=0, shuffle=False, callbacks=[KeepWeights()]
        ).history
        row = {
            "epoch": epoch + 1,
            **{key: values[0] for key, values in logs.items()},
            **validate(model),
        }
        history.append(row | {"seconds": time.perf_counter() - started})
        model.save_weights(run_dir / f"epoch_{epoch + 1:03d}.weights.h5")
        pd.DataFrame(history).to_csv(run_dir / "new.csv", index=False)
        (run_dir / "new.csv").replace(log)  # whole or not at all
        model.save(run_dir / "new.keras")
        (run_dir / "new.keras").replace(
            checkpoint
        )  # last: with it, and only with it, the epoch is done
        bar.set_postfix({key: f"{row[key]:.3f}" for key in row if key not in ("epoch", "seconds")})
    return model, pd.DataFrame(history)
