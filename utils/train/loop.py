"""The training loop, which resumes where it stopped, and the batches it trains on.

A training that was stopped at any moment and started again ends with the same weights as one that
ran through. Two things make this true: ``train_epochs`` writes the whole state after each epoch,
and ``make_batches`` draws every example from its number alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from utils.atomic import write_atomically
from utils.tables import read_table, replace_rows
from utils.train.runs import write_events


def make_run_name(table: pd.DataFrame, *settings: object) -> str:
    """Return a name for trainings on a label table with these settings, 10 hexadecimal digits.

    Another table or setting gives another name, so a checkpoint is never resumed with other data,
    whose test faces it may have been trained on.
    """
    text = table.to_csv(index=False) + repr(settings)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def without_autotune() -> tf.data.Options:
    """Return dataset options that switch TensorFlow's tuner of parallelism off.

    When an epoch ends, the tuner's thread sleeps until its current period is over, up to 80
    seconds, and the epoch waits for it. Our datasets state their parallelism, so there is nothing
    to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def make_batches(
    draw_example: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    batch_size: int,
    first_step: int,
    steps: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Return a dataset of batches that are drawn during the training, on two threads, in order.

    Example number i of a training depends on ``(seed, i)`` alone. A training that is resumed at
    ``first_step`` sees the batches that it would have seen without the stop.

    Args:
        draw_example: takes a random generator and returns an input and its target, both float32.
        shapes: of the input and of the target.
        batch_size: examples per batch.
        first_step: the number of the first batch, 0 at the start of a training.
        steps: number of batches.
        seed: of the training.
    """

    def draw_from_number(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return draw_example(np.random.default_rng((seed, int(number))))

    def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example, target = tf.numpy_function(
            draw_from_number, [number], [tf.float32, tf.float32], stateful=False
        )
        example_shape, target_shape = shapes
        return tf.ensure_shape(example, example_shape), tf.ensure_shape(target, target_shape)

    numbers = tf.data.Dataset.range(first_step * batch_size, (first_step + steps) * batch_size)
    examples = numbers.map(load, num_parallel_calls=2, deterministic=True)
    return examples.batch(batch_size).prefetch(4).with_options(without_autotune())


# In a notebook, a longer text would leave no room for the bar itself.
BAR_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


def warm_up_and_decay(
    learning_rate: float, steps: int, warmup_steps: int
) -> keras.optimizers.schedules.CosineDecay:
    """Return a learning rate that rises linearly and then decays to 0 along half a cosine.

    Args:
        learning_rate: the highest one, reached after the warm-up.
        steps: length of the training.
        warmup_steps: length of the warm-up.
    """
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-6,
        decay_steps=max(1, steps - warmup_steps),
        warmup_target=learning_rate,
        warmup_steps=warmup_steps,
    )


class TrainingStopped(KeyboardInterrupt):
    """An interrupted training. Jupyter shows its message alone, without a traceback."""

    def __init__(self, finished: int, epochs: int) -> None:
        """Say how far the training came.

        Args:
            finished: number of finished epochs.
            epochs: length of the whole training.
        """
        super().__init__(
            f"Stopped after epoch {finished} of {epochs}. Run the cell again to continue."
        )

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython prints instead of a traceback."""
        return [str(self)]


class StepBar(keras.callbacks.Callback):
    """A progress bar that moves with each step of a training and is gone when it ends.

    Use it in a ``with`` block, as a callback of each ``fit`` of the training.
    """

    def __init__(self, name: str, epochs: int, steps_per_epoch: int, disable: bool = False) -> None:
        """Create the bar.

        Args:
            name: of the training.
            epochs: length of the whole training.
            steps_per_epoch: batches per epoch.
            disable: show nothing. A bar that is closed at once would stay on a notebook's page.
        """
        super().__init__()
        self._name = name
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self._disable = disable

    def __enter__(self) -> StepBar:
        total = self._epochs * self._steps_per_epoch
        self.bar = tqdm(total=total, leave=False, bar_format=BAR_FORMAT, disable=self._disable)
        return self

    def __exit__(self, *error: object) -> None:
        # In a notebook, a bar that is closed before its end would turn red and stay.
        self.bar.total = self.bar.n
        self.bar.close()

    def start_epoch(self, epoch: int) -> None:
        """Move the bar to the start of an epoch, numbered from 0."""
        description = f"{self._name}, epoch {epoch + 1} of {self._epochs}"
        # A notebook would break the line at ordinary spaces.
        self.bar.set_description(description.replace(" ", "\N{NO-BREAK SPACE}"), refresh=False)
        done = epoch * self._steps_per_epoch
        if self.bar.n == 0:  # the time that is left follows from the steps of this run
            self.bar.initial = done
            self.bar.last_print_n = done
        self.bar.n = done
        self.bar.refresh()

    def show_figures(self, figures: Mapping[str, float]) -> None:
        """Write the last of an epoch's figures beside the bar, which has room for one."""
        last = list(figures.items())[-1:]
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in last})

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move by one step."""
        self.bar.update()


class KeepWeights(keras.callbacks.Callback):
    """Restore the weights of the last step after ``fit``.

    An optimizer with ``use_ema=True`` keeps a running mean of the weights, and Keras puts this mean
    in the place of the weights whenever ``fit`` ends. ``train_epochs`` calls ``fit`` for each
    epoch, so without this callback every epoch would start from the mean.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keep the weights, which still are those of the last step."""
        self.weights = self.model.get_weights()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Put them back after Keras replaced them."""
        self.model.set_weights(self.weights)


def save_model(model: keras.Model, path: str | Path) -> Path:
    """Write a model as a ``.keras`` file, whole or not at all, and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path, suffix=".keras") as part:
        model.save(part)
    return path


def train_epochs(
    model: keras.Model,
    make_steps: Callable[[int, int], tf.data.Dataset],
    validate: Callable[[keras.Model], dict[str, float]],
    run_dir: str | Path,
    epochs: int,
    steps_per_epoch: int,
    name: str = "training",
    before_epoch: Callable[[keras.Model, int], None] | None = None,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a compiled model, or resume its training from ``run_dir``.

    After each epoch the folder holds the whole state (``checkpoint.keras``), the weights of that
    epoch (``epoch_001.weights.h5``, ...) and the history, as ``history.csv`` and for TensorBoard.

    Args:
        model: a compiled model; the checkpoint in ``run_dir`` replaces it if there is one.
        make_steps: takes a first step and a number of steps, and returns their batches, the same at
            each call.
        validate: takes the model after an epoch and returns the validation's columns of the
            history.
        run_dir: a folder for this training alone.
        epochs: length of the whole training.
        steps_per_epoch: batches per epoch.
        name: of the progress bar.
        before_epoch: called with the model and the epoch's number (from 0), to set what a
            checkpoint does not hold, such as the state of random generators.

    Returns:
        The model, and the history with the columns ``epoch``, those of ``fit``, those of
        ``validate``, ``seconds``.

    Raises:
        TrainingStopped: someone interrupted the training.
    """
    # Keras's BackupAndRestore and CSVLogger do not do this. BackupAndRestore writes the weights and
    # the epoch's number into two files, so a stop between them repeats an epoch on weights that
    # have already had it. CSVLogger keeps the row of such an epoch too. Here one file is the whole
    # state, and it is replaced in one step.
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = run_dir / "checkpoint.keras"
    log = run_dir / "history.csv"
    history: list[dict[str, Any]] = []
    if checkpoint.exists():
        model = keras.models.load_model(checkpoint)
        finished = int(model.optimizer.iterations) // steps_per_epoch
        rows = read_table(log, ["epoch"]).to_dict("records")
        # If the training stopped between writing the history and the checkpoint, there is one row
        # more than finished epochs.
        history = rows[:finished]
    finished = len(history)
    is_finished = finished >= epochs
    with StepBar(name, epochs, steps_per_epoch, disable=is_finished) as bar:
        try:
            for epoch in range(finished, epochs):
                started = time.perf_counter()
                bar.start_epoch(epoch)
                if before_epoch is not None:
                    before_epoch(model, epoch)
                steps = make_steps(epoch * steps_per_epoch, steps_per_epoch)
                fitted = model.fit(
                    steps, epochs=1, verbose=0, shuffle=False, callbacks=[KeepWeights(), bar]
                )
                row: dict[str, Any] = {"epoch": epoch + 1}
                for key, values in fitted.history.items():
                    row[key] = values[0]
                figures = validate(model)
                row.update(figures)
                row["seconds"] = time.perf_counter() - started
                history.append(row)

                weights = run_dir / f"epoch_{epoch + 1:03d}.weights.h5"
                with write_atomically(weights, suffix=".weights.h5") as part:
                    model.save_weights(part)
                replace_rows(log, pd.DataFrame(history))
                write_events(run_dir, pd.DataFrame(history))
                # The checkpoint comes last: the epoch counts as finished from here on.
                save_model(model, checkpoint)
                finished = epoch + 1
                bar.show_figures(figures)
        except KeyboardInterrupt:
            raise TrainingStopped(finished, epochs) from None
    return model, pd.DataFrame(history)
