"""Training faces: crops agree with inference, shares are met, and batches can be resumed."""

import cv2
import numpy as np
import pandas as pd
import pytest

from utils.boxes import square_boxes
from utils.classes import CLASS_NAMES
from utils.detect import PADDING, crop_faces, to_input
from utils.images import read_image, resize_image, write_image
from utils.labels import BOX_COLUMNS, make_label_table
from utils.train.data.augment import augment_face
from utils.train.data.crops import (
    BOX_VISIBLE_SHARE,
    MAX_SIDE,
    FaceCrops,
    draw_negative_crops,
    join_crops,
    load_crops,
    load_inference_faces,
    make_face_dataset,
    sample_weights,
)
from utils.train.data.negatives import Negatives

BOXES = [
    (30, 20, 60, 50),
    (100, 80, 180, 200),
    (0, 0, 40, 30),
    (350, 250, 400, 300),
    (20, 10, 320, 290),
]
INPUT_SIZE = 32


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write two smooth images, in which a shift of one pixel changes little."""
    folder = tmp_path_factory.mktemp("data")
    for name, seed in (("scene", 0), ("face", 1)):
        clouds = np.random.default_rng(seed).uniform(0, 255, (5, 6, 3)).astype(np.float32)
        write_image(folder / f"{name}.png", cv2.resize(clouds, (400, 300)).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def table():
    rows = [
        {
            "file": "scene.png",
            "source": "a",
            "class_name": "without_mask",
            **dict(zip(BOX_COLUMNS, box, strict=True)),
        }
        for box in BOXES
    ]
    return make_label_table(
        [{"file": "face.png", "source": "b", "class_name": "no_face"}, *rows]
    ).iloc[::-1]


@pytest.fixture(scope="module")
def crops(table, root):
    return load_crops(table, root)


def read_batches(dataset) -> tuple[np.ndarray, np.ndarray]:
    images, targets = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(targets)


def test_no_labels_give_no_faces(root):
    assert len(load_crops(make_label_table([]), root)) == 0
    assert load_inference_faces(make_label_table([]), root) == []


def test_crops_keep_the_order_of_the_table(crops, table):
    assert [CLASS_NAMES[class_id] for class_id in crops.class_id] == table.class_name.tolist()
    assert len(crops) == len(table) == len(crops.visible_share)
    assert all(max(image.shape) <= MAX_SIDE for image in crops.images)


def test_the_inner_part_of_a_crop_is_what_inference_sees(crops, table, root):
    expected = to_input(load_inference_faces(table, root), INPUT_SIZE)
    for image, view, face in zip(crops.images, crops.visible_share, expected, strict=True):
        height, width = image.shape[:2]
        margin = np.array([width, height]) * (1 - view) / 2
        inner = np.concatenate([margin, (width, height) - margin]).round().astype(int)
        seen = resize_image(
            image[inner[1] : inner[3], inner[0] : inner[2]], (INPUT_SIZE, INPUT_SIZE)
        )
        assert np.abs(seen - face).mean() < 2  # of 255: shifted by less than a pixel


def test_inference_faces_are_those_of_crop_faces(table, root):
    scene = read_image(root / "scene.png")
    face = read_image(root / "face.png")
    expected = [*crop_faces(scene, np.array(BOXES[::-1])), face]
    for found, face in zip(load_inference_faces(table, root), expected, strict=True):
        np.testing.assert_array_equal(found, face)
    sides = square_boxes(BOXES, PADDING)
    assert [len(face) for face in expected[:-1]] == (sides[:, 2] - sides[:, 0]).round().astype(int)[
        ::-1
    ].tolist()


def make_labels(**count) -> pd.DataFrame:
    """Return a shuffled label table with this number of rows for each ``class__source``."""
    names = [name.split("__") for name, number in count.items() for _ in range(number)]
    table = make_label_table(
        [{"file": "face.png", "source": source, "class_name": name} for name, source in names]
    )
    return table.sample(frac=1, random_state=0)


LABELS = make_labels(with_mask__a=80, with_mask__b=10, without_mask__a=20, no_face__b=5)
SHARES = {
    "sources alike": (
        {},
        {("with_mask", "a"): 0.25, ("with_mask", "b"): 0.25, ("without_mask", "a"): 0.3},
    ),
    "one source rarer": (
        {"b": 0.25},
        {("with_mask", "a"): 0.4, ("with_mask", "b"): 0.1, ("without_mask", "a"): 0.3},
    ),
    "a source at 0": (
        {"a": 0},
        {("with_mask", "a"): 0, ("with_mask", "b"): 5 / 7, ("no_face", "b"): 2 / 7},
    ),
}


@pytest.mark.parametrize(("source_share", "expected"), SHARES.values(), ids=SHARES.keys())
def test_weights_give_classes_and_sources_their_shares(source_share, expected):
    weights = sample_weights(
        LABELS, {"with_mask": 0.5, "without_mask": 0.3, "no_face": 0.2}, source_share
    )
    assert weights.sum() == pytest.approx(1)
    found = pd.Series(weights).groupby([LABELS.class_name.to_numpy(), LABELS.source.to_numpy()])
    assert found.sum()[list(expected)].to_dict() == pytest.approx(expected)
    assert found.nunique().max() == 1  # equal within a class and source


def test_a_class_without_a_share_is_never_drawn():
    weights = sample_weights(LABELS, {"with_mask": 1.0}, {})
    assert ((weights > 0) == (LABELS.class_name == "with_mask")).all()


def test_drawn_faces_have_the_shares_of_their_weights(root):
    crops = load_crops(LABELS, root)
    shares = {"with_mask": 0.5, "without_mask": 0.3, "no_face": 0.2}
    images, targets = read_batches(
        make_face_dataset(crops, sample_weights(LABELS, shares, {}), INPUT_SIZE, 50, 0, 40)
    )
    assert (images.shape, images.dtype) == ((2000, INPUT_SIZE, INPUT_SIZE, 3), np.float32)
    assert (0 <= images.min()) and (100 < images.max() <= 255)
    assert (targets.sum(axis=1) == 1).all()
    deviation = np.sqrt(0.5 * 0.5 / len(targets))
    expected = [shares.get(name, 0) for name in CLASS_NAMES]
    np.testing.assert_allclose(targets.mean(axis=0), expected, atol=4 * deviation)


def test_a_resumed_training_sees_the_same_faces(crops):
    weights = np.full(len(crops), 1 / len(crops))
    images, targets = read_batches(
        make_face_dataset(crops, weights, INPUT_SIZE, 4, first_step=0, steps=6, seed=5)
    )
    for batch_size, first_step, steps in ((4, 0, 6), (4, 4, 2), (8, 1, 2)):
        again = read_batches(
            make_face_dataset(crops, weights, INPUT_SIZE, batch_size, first_step, steps, seed=5)
        )
        part = slice(batch_size * first_step, batch_size * (first_step + steps))
        np.testing.assert_array_equal(again[0], images[part])
        np.testing.assert_array_equal(again[1], targets[part])
    other, _ = read_batches(
        make_face_dataset(crops, weights, INPUT_SIZE, 4, first_step=0, steps=6, seed=6)
    )
    assert not any(np.array_equal(image, same) for image, same in zip(images, other, strict=True))
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(
        images
    )  # all views differ


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (40, 40), (300, 200)], ids=str)
def test_the_same_seed_gives_the_same_view(size):
    rng = np.random.default_rng(0)
    image, other = (rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(2))
    before = image.copy()
    for seed in range(40):
        first, again = (
            augment_face(image, 0.7, other, INPUT_SIZE, np.random.default_rng(seed))
            for _ in range(2)
        )
        assert (first.shape, first.dtype) == ((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(image, before)


def test_views_stay_close_to_the_crop_of_inference():
    """A white face in black context: views are mostly white, most of all in the middle."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[15:85, 15:85] = 255
    crops = FaceCrops([image], np.array([0.7]), np.array([0]))
    views, _ = read_batches(make_face_dataset(crops, np.ones(1), INPUT_SIZE, 50, 0, 8))
    bright = views.mean(axis=(0, 3)) / views.max()
    middle = INPUT_SIZE // 2
    assert bright[middle, middle] > 0.7 > bright[0, 0]
    assert bright.mean() > 0.5


def test_drawn_negatives_are_no_faces_and_are_the_same_again():
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    negatives = Negatives(images=[picture])
    drawn = draw_negative_crops(negatives, 3, side=40)
    again = draw_negative_crops(negatives, 3, side=40)
    assert [image.shape for image in drawn.images] == [(40, 40, 3)] * 3
    assert drawn.class_id.tolist() == [CLASS_NAMES.index("no_face")] * 3
    assert drawn.visible_share.tolist() == [BOX_VISIBLE_SHARE] * 3
    np.testing.assert_array_equal(drawn.images, again.images)


def test_joined_crops_keep_their_order(crops):
    picture = np.zeros((50, 50, 3), np.uint8)
    drawn = draw_negative_crops(Negatives(images=[picture]), 2, side=40)
    joined = join_crops(crops, drawn)
    assert len(joined) == len(crops) + 2
    assert joined.class_id.tolist() == crops.class_id.tolist() + drawn.class_id.tolist()
    assert joined.images[-1] is drawn.images[-1]
    assert joined.visible_share[0] == crops.visible_share[0]
