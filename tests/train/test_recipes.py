"""The classic recipe trains its head only, and a finished training is loaded."""

from pathlib import Path

import keras
import numpy as np
import pytest

from utils.formats import read_labels
from utils.train.loop import TrainingStopped
from utils.train.recipes import build_classic, load_whole_images, train_classic

pytestmark = pytest.mark.training


def test_it_trains_its_head_only_and_a_finished_training_is_loaded(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 255, (4, 224, 224, 3), np.uint8), np.array([0, 1, 0, 1])
    before = build_classic(weights=None)
    model, history = train_classic(data, data, tmp_path, epochs=1, weights=None)
    assert [weight.path for weight in before.trainable_weights] and len(
        model.trainable_weights
    ) == 4
    assert history.epoch.tolist() == [1] and (history.seconds > 0).all()
    again, same = train_classic(data, data, tmp_path, epochs=1, weights=None)
    assert same.equals(history)
    for first, second in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_it_reads_whole_images_of_two_classes(tmp_path):
    from tests.small_data import make_small_data

    root = make_small_data(tmp_path / "small")
    table, _ = read_labels(root)
    images, class_id = load_whole_images(table, root)
    assert len(images) == len(table[table.source == "faces"]) == len(class_id)
    assert images.shape[1:] == (224, 224, 3) and set(class_id) == {0, 1}


def test_an_interrupted_training_says_where_it_stopped(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "fit", interrupt)
    data = np.zeros((2, 224, 224, 3), np.uint8), np.array([0, 1])
    with pytest.raises(TrainingStopped, match="Stopped after epoch 0 of 2"):
        train_classic(data, data, tmp_path, epochs=2, weights=None)


@pytest.mark.parametrize("stop", ["history.csv", "checkpoint.keras", "classic.keras"])
def test_a_training_stopped_before_any_of_its_files_resumes(tmp_path, monkeypatch, stop):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 255, (4, 224, 224, 3), np.uint8), np.array([0, 1, 0, 1])
    replace = Path.replace
    written = []

    def replace_or_stop(part, path):
        written.append(path.name)
        if path.name == stop and (stop == "classic.keras" or written.count(stop) == 2):
            raise SystemExit
        return replace(part, path)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Path, "replace", replace_or_stop)
        train_classic(data, data, tmp_path, epochs=2, weights=None)
    _, history = train_classic(data, data, tmp_path, epochs=2, weights=None)
    assert history.epoch.tolist() == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classic.keras", "history.csv"]
