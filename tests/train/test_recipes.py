"""The five recipes: their layers by formula, what they train, and that they learn and resume."""

import keras
import numpy as np
import pytest

from tests.small_data import make_small_data
from utils.formats import read_labels
from utils.train.loop import TrainingStopped
from utils.train.recipes import (
    RECIPES,
    RecipeImages,
    augment_image,
    build_recipe,
    load_whole_images,
    train_recipe,
)

pytestmark = pytest.mark.training

MOBILENET = 2_257_984  # parameters of MobileNetV2 without its last layer (keras.io)


def count_dense(inputs: int, units: int) -> int:
    """Return the parameters of a dense layer: a weight per input and unit, a bias per unit."""
    return inputs * units + units


def count_conv(channels: int, filters: int) -> int:
    """Return the parameters of a convolution with 3 x 3 weights per channel and filter."""
    return 9 * channels * filters + filters


# 150 pixels become 148, 74, 72, 36, 34, 17, 15 and at last 7.
SMALL_NETWORK = (
    count_conv(3, 32)
    + count_conv(32, 64)
    + count_conv(64, 128)
    + count_conv(128, 128)
    + count_dense(7 * 7 * 128, 512)
    + count_dense(512, 1)
)
PARAMETERS = {
    "a": MOBILENET + count_dense(1280, 64) + count_dense(64, 2),
    "b": MOBILENET + count_dense(1280, 128) + count_dense(128, 2),
    "c": MOBILENET + count_dense(1280, 2),
    "d": MOBILENET + count_dense(1280, 128) + count_dense(128, 2),
    "e": SMALL_NETWORK,
}


@pytest.fixture(scope="module")
def models() -> dict[str, keras.Model]:
    return {key: build_recipe(key, weights=None) for key in RECIPES}


def make_images(size: int, count: int = 16) -> RecipeImages:
    """Return dark images of class 0 and bright ones of class 1."""
    class_id = np.arange(count) % 2
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (count, size, size, 3), np.uint8)
    images[class_id == 1] += 180
    return RecipeImages(images, class_id)


@pytest.mark.parametrize("key", RECIPES)
def test_parameters_are_those_of_the_description(models, key):
    assert models[key].count_params() == PARAMETERS[key]
    recipe = RECIPES[key]
    pixels = make_images(recipe.input_size, 2).images.astype(np.float32)
    y_prob = models[key].predict(pixels, verbose=0)
    assert y_prob.shape == (2, 2)
    np.testing.assert_allclose(y_prob.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("key", ["a", "b", "d"])
def test_a_frozen_recipe_trains_its_head_only(models, key):
    head = models[key].get_layer("head")
    assert len(models[key].trainable_weights) == len(head.trainable_weights) == 4


def test_fine_tuning_trains_no_batch_norm_and_no_lower_block(models):
    trained = [layer for layer in models["c"].layers if layer.trainable_weights]
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in trained)
    names = [layer.name for layer in trained]
    assert "head" in names and "block_16_expand" in names
    assert "Conv1" not in names and "block_2_expand" not in names


@pytest.mark.parametrize(("key", "epochs"), [("b", 6), ("e", 2)])
def test_it_learns_dark_from_bright(tmp_path, key, epochs):
    images = make_images(RECIPES[key].input_size)
    model, history = train_recipe(
        key, images, images, tmp_path, epochs=epochs, weights=None, steps_per_epoch=10
    )
    assert history.epoch.tolist() == list(range(1, epochs + 1))
    assert (history.seconds > 0).all()
    assert history.loss.iloc[-1] < history.loss.iloc[0]
    if key == "e":
        y_prob = model.predict(images.images.astype(np.float32), verbose=0)
        np.testing.assert_array_equal(y_prob.argmax(axis=1), images.class_id)


def test_a_stopped_training_resumes_and_ends_with_the_same_weights(tmp_path, monkeypatch):
    images = make_images(RECIPES["a"].input_size, 8)
    options = {"weights": None, "steps_per_epoch": 2}
    whole, expected = train_recipe("a", images, images, tmp_path / "w", epochs=3, **options)
    fit = keras.Model.fit
    finished = []

    def fit_or_stop(model, *arguments, **settings):
        if len(finished) == 2:
            raise KeyboardInterrupt
        finished.append(1)
        return fit(model, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "fit", fit_or_stop)
        with pytest.raises(TrainingStopped, match="Stopped after epoch 2 of 3"):
            train_recipe("a", images, images, tmp_path / "s", epochs=3, **options)
    resumed, history = train_recipe("a", images, images, tmp_path / "s", epochs=3, **options)
    assert history.epoch.tolist() == [1, 2, 3]
    np.testing.assert_allclose(history.val_loss, expected.val_loss, rtol=1e-5)
    for first, second in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_it_reads_whole_images_of_two_classes(tmp_path):
    root = make_small_data(tmp_path / "small")
    table, _ = read_labels(root)
    found = load_whole_images(table, root, size=96)
    assert len(found.images) == len(table[table.source == "faces"]) == len(found.class_id)
    assert found.images.shape[1:] == (96, 96, 3) and set(found.class_id) == {0, 1}


def test_augmentation_moves_the_middle_by_a_fifth_of_the_side_at_most():
    image = np.zeros((101, 101, 3), np.uint8)
    image[48:53, 48:53] = 255
    sides = set()
    for seed in range(200):
        changed = augment_image(image, np.random.default_rng(seed))
        assert changed.shape == image.shape and changed.dtype == np.uint8
        rows, columns = np.nonzero(changed[:, :, 0] > 100)
        assert abs(rows.mean() - 50) <= 21 and abs(columns.mean() - 50) <= 21
        sides.add((round(rows.mean()), round(columns.mean())))
    assert len(sides) > 100


def test_augmentation_mirrors_one_image_in_two():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    is_mirrored = []
    for seed in range(300):
        changed = augment_image(image, np.random.default_rng(seed)).astype(int)
        is_mirrored.append(changed[:, :32].mean() > changed[:, 32:].mean())
    assert 0.4 < np.mean(is_mirrored) < 0.6
