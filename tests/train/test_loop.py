"""The training loop: a stopped training resumes to the same end, with its running mean."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from tqdm.notebook import tqdm as notebook_tqdm

from utils.train.detector import compile_detector
from utils.train.loop import StepBar, TrainingStopped, train_epochs, without_autotune
from utils.train.runs import EVENTS

pytestmark = pytest.mark.training

BATCH, STEPS, EPOCHS = 2, 3, 3


def draw_steps(first_step: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images (steps, B, 16, 16, 3) and targets of their four points; a step has one seed."""
    images = []
    targets = []
    for step in range(first_step, first_step + steps):
        rng = np.random.default_rng(step)
        is_face = rng.random((BATCH, 4, 1)) < 0.5
        classes = np.eye(3)[rng.integers(0, 3, (BATCH, 4))] * is_face
        counts = np.ones((BATCH, 4, 1))
        images.append(rng.uniform(0, 255, (BATCH, 16, 16, 3)))
        targets.append(
            np.concatenate([classes, is_face, rng.uniform(0.5, 3, (BATCH, 4, 4)), counts], axis=2)
        )
    return np.array(images, np.float32), np.array(targets, np.float32)


def make_steps(first_step: int, steps: int) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(draw_steps(first_step, steps))


def build_small() -> keras.Model:
    """Return a detector of two layers."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 4, strides=4, activation="relu")(
        keras.layers.Rescaling(1 / 255)(pixels)
    )
    points = keras.layers.Conv2D(8, 2, strides=2, activation="softplus")(maps)
    return keras.Model(pixels, keras.layers.Reshape((4, 8))(points))


def build_compiled() -> keras.Model:
    return compile_detector(build_small(), EPOCHS * STEPS, learning_rate=0.02)


def measure(model: keras.Model) -> dict[str, float]:
    """Return a number that depends on every weight."""
    return {"sum_of_weights": float(sum(np.abs(weights).sum() for weights in model.get_weights()))}


def train(run_dir, epochs=EPOCHS, steps=make_steps, **options) -> tuple[keras.Model, pd.DataFrame]:
    return train_epochs(build_compiled(), steps, measure, run_dir, epochs, STEPS, **options)


def get_state(model: keras.Model) -> list[np.ndarray]:
    """Return weights, moments, running means and the number of steps."""
    return model.get_weights() + [
        keras.ops.convert_to_numpy(variable) for variable in model.optimizer.variables
    ]


def assert_same(first: keras.Model, second: keras.Model) -> None:
    for a, b in zip(get_state(first), get_state(second), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return model, history and folder of a training without interruption."""
    run_dir = tmp_path_factory.mktemp("whole")
    model, history = train(run_dir)
    return model, history, run_dir


def test_no_epochs_change_nothing(tmp_path):
    model, history = train(tmp_path / "new", epochs=0)
    assert_same(model, build_compiled())
    assert len(history) == 0


def test_the_history_has_one_row_per_epoch(whole):
    model, history, run_dir = whole
    assert set(history.columns) == {"epoch", "loss", "sum_of_weights", "seconds"}
    assert history.epoch.tolist() == list(range(1, EPOCHS + 1))
    assert history.seconds.gt(0).all()
    assert history.sum_of_weights.iloc[-1] == pytest.approx(measure(model)["sum_of_weights"])
    pd.testing.assert_frame_equal(pd.read_csv(run_dir / "history.csv"), history)


def test_the_folder_holds_the_state_and_the_weights_of_each_epoch(whole):
    model, history, run_dir = whole
    assert_same(keras.models.load_model(run_dir / "checkpoint.keras"), model)
    for epoch, figure in zip(history.epoch, history.sum_of_weights, strict=True):
        earlier = build_small()
        earlier.load_weights(run_dir / f"epoch_{epoch:03d}.weights.h5", skip_mismatch=False)
        assert measure(earlier)["sum_of_weights"] == pytest.approx(figure)
    assert {path.name for path in run_dir.iterdir()} == {
        "checkpoint.keras",
        "history.csv",
        EVENTS,
        *(f"epoch_{epoch:03d}.weights.h5" for epoch in history.epoch),
    }


class Stop(Exception):
    """Stands for a power cut."""


def stop_before(epoch: int):
    def interrupted(first_step, steps):
        if first_step >= epoch * STEPS:
            raise Stop
        return make_steps(first_step, steps)

    return interrupted


def stop_within(epoch: int):
    """Return steps that end in an error after the first step of an epoch."""

    def interrupted(first_step, steps):
        if first_step < epoch * STEPS:
            return make_steps(first_step, steps)

        def draw():
            yield tuple(array[0] for array in draw_steps(first_step, 1))
            raise Stop

        kinds = (tf.TensorSpec((BATCH, 16, 16, 3)), tf.TensorSpec((BATCH, 4, 9)))
        return tf.data.Dataset.from_generator(draw, output_signature=kinds)

    return interrupted


STOPS = {
    "before the first": stop_before(0),
    "after the first": stop_before(1),
    "within the second": stop_within(1),
}


@pytest.mark.parametrize("steps", STOPS.values(), ids=STOPS.keys())
def test_a_stopped_training_resumes_to_the_same_end(steps, whole, tmp_path):
    with pytest.raises((Stop, tf.errors.OpError)):
        train(tmp_path, steps=steps)
    model, history = train(tmp_path)
    expected, expected_history, _ = whole
    assert_same(model, expected)
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), expected_history.drop(columns="seconds")
    )


def test_the_row_of_an_unfinished_epoch_is_dropped(whole, tmp_path):
    """The state of a stop between writing the second row of the history and its checkpoint."""
    with pytest.raises(Stop):
        train(tmp_path, steps=stop_before(1))
    log = pd.read_csv(tmp_path / "history.csv")
    pd.concat([log, log.assign(epoch=2, loss=-1)]).to_csv(tmp_path / "history.csv", index=False)
    model, history = train(tmp_path)
    assert_same(model, whole[0])
    assert history.loss.tolist() == pytest.approx(whole[1].loss.tolist())


def test_an_interrupted_training_says_where_it_stopped_without_a_traceback(tmp_path):
    def interrupted(first_step, steps):
        if first_step >= 2 * STEPS:
            raise KeyboardInterrupt
        return make_steps(first_step, steps)

    with pytest.raises(TrainingStopped) as stop:
        train(tmp_path, steps=interrupted)
    message = f"Stopped after epoch 2 of {EPOCHS}. Run the cell again to continue."
    assert str(stop.value) == message
    shell = InteractiveShell.instance()
    shell.user_ns["stop"] = stop.value
    with capture_output() as captured:
        shell.run_cell("raise stop")
    assert captured.stdout.strip() == message
    assert captured.stderr == ""


def test_the_bar_moves_with_each_step_and_names_the_epoch(tmp_path, capsys):
    bar = StepBar("training 1 of 2", epochs=EPOCHS, steps_per_epoch=STEPS)
    moves = []
    with bar:
        for epoch in range(1, EPOCHS):  # the first epoch was trained before
            bar.start_epoch(epoch)
            for step in range(STEPS):
                bar.on_train_batch_end(step)
                moves.append(bar.bar.n)
        assert bar.bar.desc == "training\xa01\xa0of\xa02,\xa0epoch\xa03\xa0of\xa03: "
    assert moves == list(range(STEPS + 1, EPOCHS * STEPS + 1))
    assert capsys.readouterr().err.endswith("\r")  # it is gone


def test_a_stopped_training_leaves_no_red_bar_in_a_notebook(monkeypatch):
    monkeypatch.setattr("utils.train.loop.tqdm", notebook_tqdm)
    monkeypatch.setattr("tqdm.notebook.display", lambda container: None)
    with pytest.raises(KeyboardInterrupt), StepBar("training", EPOCHS, STEPS) as bar:
        bar.start_epoch(0)
        bar.on_train_batch_end(0)
        raise KeyboardInterrupt
    assert bar.bar.container.children[1].bar_style == ""
    assert bar.bar.container.layout.visibility == "hidden"


def test_a_finished_training_is_loaded(whole):
    expected, expected_history, run_dir = whole
    model, history = train(run_dir, steps=stop_before(0))
    assert_same(model, expected)
    pd.testing.assert_frame_equal(history, expected_history)


def test_each_epoch_takes_its_own_steps_after_its_callback(tmp_path):
    taken = []
    announced = []

    def note_steps(first_step, steps):
        taken.append((first_step, steps))
        return make_steps(first_step, steps)

    options = {"steps": note_steps, "before_epoch": lambda model, epoch: announced.append(epoch)}
    train(tmp_path, epochs=2, **options)
    train(tmp_path, epochs=3, **options)  # resumes where the other ended
    assert announced == [0, 1, 2]
    assert taken == [(epoch * STEPS, STEPS) for epoch in announced]


@pytest.mark.parametrize("use_ema", [False, True], ids=["plain", "with a running mean"])
def test_the_steps_are_those_of_train_on_batch(tmp_path, use_ema):
    """Keras would replace the weights by their running mean after each epoch."""

    def make_plain_steps(first_step, steps):
        return make_steps(first_step, steps).map(lambda image, target: (image, target[..., :8]))

    model = build_small()
    expected = build_small()
    for each in (model, expected):
        each.compile(keras.optimizers.Adam(1e-2, use_ema=use_ema, ema_momentum=0.9), "mse")
    model, history = train_epochs(model, make_plain_steps, lambda model: {}, tmp_path, 2, STEPS)
    for epoch in range(2):
        images, targets = draw_steps(epoch * STEPS, STEPS)
        losses = [
            expected.train_on_batch(image, target[..., :8])
            for image, target in zip(images, targets, strict=True)
        ]
        assert history.loss[epoch] == pytest.approx(np.mean(losses), rel=1e-4)
    for found, wanted in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_without_autotune_the_data_are_the_same():
    numbers = tf.data.Dataset.range(20).map(
        lambda number: number * 2, num_parallel_calls=2, deterministic=True
    )
    untuned = numbers.with_options(without_autotune())
    assert list(untuned.as_numpy_iterator()) == list(range(0, 40, 2))
    assert untuned.options().autotune.enabled is False
