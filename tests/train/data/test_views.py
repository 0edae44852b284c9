"""Views and mosaics: boxes follow the pixels, and decoding the targets gives the boxes back."""

import numpy as np
import pandas as pd
import pytest

from utils.boxes import box_iou
from utils.classes import MASK_CLASSES
from utils.detect import PAD, decode_faces, grid_points
from utils.images import write_image
from utils.labels import BOX_COLUMNS, make_label_table
from utils.train.data import views
from utils.train.data.targets import TARGET_SIZE, assign_faces, encode_targets
from utils.train.data.views import (
    MAX_SIDE,
    MIN_FACE_SIDE,
    Photograph,
    cut_view,
    load_photographs,
    make_mosaic,
    make_view_dataset,
    view_weights,
)

SIZE = 128  # of a view
COLOURS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
)  # of the block that stands for a face, by class


def draw_photograph(xyxy, class_id=(0, 1, 2), ignored=(), resolution_wh=(300, 200)) -> Photograph:
    """Return a black photograph with a block for each face, at most one of each colour."""
    image = np.zeros((*resolution_wh[::-1], 3), np.uint8)
    for (x_min, y_min, x_max, y_max), number in zip(xyxy, class_id, strict=False):
        image[y_min:y_max, x_min:x_max] = COLOURS[number]
    boxes = np.array(xyxy, np.float32).reshape(-1, 4)
    unknown = np.array(ignored, np.float32).reshape(-1, 4)
    return Photograph(image, boxes, np.array(class_id[: len(boxes)]), unknown)


PHOTOGRAPHS = {
    "three faces": draw_photograph([(20, 30, 60, 80), (120, 60, 200, 170), (230, 20, 250, 50)]),
    "small ones": draw_photograph([(30, 30, 42, 46), (150, 90, 170, 112), (270, 180, 288, 200)]),
    "at the corners": draw_photograph([(0, 0, 50, 40), (260, 150, 300, 200), (250, 0, 300, 60)]),
    "one face fills it": draw_photograph([(0, 0, 90, 110)], resolution_wh=(90, 110)),
    "a narrow image": draw_photograph(
        [(0, 20, 24, 50), (2, 300, 22, 330)], resolution_wh=(24, 400)
    ),
    "larger than a view": draw_photograph([(200, 100, 500, 480)], resolution_wh=(640, 500)),
}


def find_colour(image: np.ndarray, class_id: int) -> np.ndarray | None:
    """Return the box around the pixels that have mostly the colour of a class."""
    pixels = image.astype(int)
    others = np.delete(pixels, class_id, axis=2).max(axis=2)
    rows, columns = np.nonzero(pixels[:, :, class_id] - others > 127)
    return (
        np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        if len(rows)
        else None
    )


@pytest.mark.parametrize("photo", PHOTOGRAPHS.values(), ids=PHOTOGRAPHS.keys())
def test_boxes_follow_the_pixels(photo):
    orders = set()
    kept = 0
    for seed in range(150):
        view = cut_view(photo, SIZE, np.random.default_rng(seed))
        assert (view.image.shape, view.image.dtype) == ((SIZE, SIZE, 3), np.uint8)
        assert len(view.xyxy) == len(view.class_id)
        for box, class_id in zip(view.xyxy, view.class_id, strict=True):
            np.testing.assert_allclose(
                box, find_colour(view.image, class_id), atol=1.5, err_msg=f"seed {seed}"
            )
        kept += len(view.xyxy)
        if {0, 1} <= set(view.class_id.tolist()):
            first, second = (view.xyxy[view.class_id == number][0, 0] for number in (0, 1))
            orders.add(bool(first < second))
    assert kept >= 100  # most views keep the face they are drawn around
    if len(photo.xyxy) == 3:
        assert orders == {True, False}  # mirrored and not


@pytest.mark.parametrize("photo", PHOTOGRAPHS.values(), ids=PHOTOGRAPHS.keys())
def test_a_visible_face_is_kept_or_ignored(photo):
    """The visible part of a face lies in a kept or an ignored box: none becomes background."""
    cut = 0
    for seed in range(150):
        view = cut_view(photo, SIZE, np.random.default_rng(seed))
        assert (np.max(view.xyxy[:, 2:] - view.xyxy[:, :2], axis=1) >= MIN_FACE_SIDE).all()
        for class_id in set(photo.class_id.tolist()) - set(view.class_id.tolist()):
            block = find_colour(view.image, class_id)
            if block is not None and (block[2:] - block[:2]).min() > 3:
                inside = (view.ignored[:, :2] <= block[:2] + 1.5) & (
                    view.ignored[:, 2:] >= block[2:] - 1.5
                )
                assert inside.all(axis=1).any(), seed
                cut += 1
    assert cut or len(photo.xyxy) < 3


def test_ignored_boxes_follow_the_pixels_too():
    """The green block has no label; its box is among the ignored ones."""
    drawn = draw_photograph([(40, 40, 90, 100), (150, 50, 210, 120)])
    photo = Photograph(drawn.image, drawn.xyxy[:1], drawn.class_id[:1], drawn.xyxy[1:])
    seen = 0
    for seed in range(100):
        view = cut_view(photo, SIZE, np.random.default_rng(seed))
        block = find_colour(view.image, 1)
        if block is None or (block[2:] - block[:2]).min() <= 3:
            continue
        assert np.abs(view.ignored - block).max(axis=1).min() <= 1.5, seed
        assert 1 not in view.class_id
        seen += 1
    assert seen > 20


def test_outside_the_photograph_a_view_is_grey():
    photo = draw_photograph([(0, 0, 30, 30)], resolution_wh=(30, 30))  # one face fills it
    shares = []
    for seed in range(60):
        view = cut_view(photo, SIZE, np.random.default_rng(seed))
        grey = (view.image == PAD).all(axis=2)
        block = find_colour(view.image, 0)
        outside = np.ones((SIZE, SIZE), bool)
        outside[block[1] : block[3], block[0] : block[2]] = False
        np.testing.assert_array_equal(grey, outside)
        shares.append(grey.mean())
    assert max(shares) > 0.5


def test_changing_a_view_does_not_change_its_photograph():
    photo = PHOTOGRAPHS["three faces"]
    before = photo.image.copy(), photo.xyxy.copy()
    for seed in range(10):
        view = cut_view(photo, SIZE, np.random.default_rng(seed))
        view.image[:] = 7
        view.xyxy[:] = 7
    np.testing.assert_array_equal(photo.image, before[0])
    np.testing.assert_array_equal(photo.xyxy, before[1])


@pytest.mark.parametrize("cells", [1, 2, 4])
def test_a_mosaic_holds_views_side_by_side(cells):
    photos = (list(PHOTOGRAPHS.values()) * 3)[: cells**2]
    side = SIZE // cells
    corners = [(column * side, row * side) for row in range(cells) for column in range(cells)]
    for seed in range(40):
        mosaic, rng = (
            make_mosaic(photos, SIZE, np.random.default_rng(seed)),
            np.random.default_rng(seed),
        )
        assert mosaic.image.shape == (SIZE, SIZE, 3)
        views = [cut_view(photo, side, rng) for photo in photos]
        for view, (x, y) in zip(views, corners, strict=True):
            np.testing.assert_array_equal(mosaic.image[y : y + side, x : x + side], view.image)
        for name in ("xyxy", "ignored"):
            parts = [
                getattr(view, name) + np.tile(at, 2)
                for view, at in zip(views, corners, strict=True)
            ]
            np.testing.assert_allclose(getattr(mosaic, name), np.concatenate(parts), rtol=1e-5)
        assert mosaic.class_id.tolist() == [number for view in views for number in view.class_id]


SPARSE = [(10, 12, 34, 40), (70, 8, 120, 60), (20, 70, 60, 122), (90, 90, 99, 100)]


@pytest.mark.parametrize("strides", [(8, 16, 32), (4, 8, 16, 32), (4, 8, 16)], ids=str)
@pytest.mark.parametrize("count", [0, 1, 4])
def test_decoding_perfect_outputs_gives_the_faces_back(strides, count):
    boxes = np.array(SPARSE[:count], np.float32).reshape(-1, 4)
    class_id = np.arange(count) % 3
    target = encode_targets(
        Photograph(np.zeros((SIZE, SIZE, 3), np.uint8), boxes, class_id, boxes[:0]), strides
    )
    assert target.shape == (len(grid_points((SIZE, SIZE), strides)[0]), TARGET_SIZE)
    assert (target.dtype, set(np.unique(target[:, 8]))) == (np.float32, {1})
    reach = np.log(np.expm1(np.maximum(target[:, 4:8], 1e-3)))  # the inverse of softplus
    output = np.concatenate([9 * target[:, :3], 18 * target[:, 3:4] - 9, reach], axis=1)
    found = decode_faces(output, (SIZE, SIZE), strides)
    assert len(found) == count
    if count:
        iou = box_iou(boxes, found.xyxy)
        np.testing.assert_allclose(found.xyxy[iou.argmax(axis=1)], boxes, atol=1e-3)
        assert found.y_prob[iou.argmax(axis=1)].argmax(axis=1).tolist() == class_id.tolist()
        np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-6)


def test_targets_agree_with_the_assignment():
    strides = (8, 16, 32)
    boxes = np.array(SPARSE[:2], np.float32)
    ignored = np.array([[10, 60, 70, 120]], np.float32)
    view = Photograph(np.zeros((SIZE, SIZE, 3), np.uint8), boxes, np.array([2, 1]), ignored)
    face, ignore = assign_faces(boxes, *grid_points((SIZE, SIZE), strides), ignored)
    target = encode_targets(view, strides)
    np.testing.assert_array_equal(target[:, 3], face >= 0)
    np.testing.assert_array_equal(target[:, 8], ~ignore)
    assert ignore.any()
    np.testing.assert_array_equal(
        target[face >= 0, :3].argmax(axis=1), np.array([2, 1])[face[face >= 0]]
    )
    assert (target[face >= 0, :3].sum(axis=1) == 1).all()
    assert (target[face >= 0, 4:8] > 0).all()  # a point lies inside its face
    assert not target[face < 0, :8].any()


def make_rows(file: str, *boxes: tuple, class_name: str = "with_mask") -> list[dict]:
    row = {"file": file, "source": "a", "class_name": class_name}
    return [row | dict(zip(BOX_COLUMNS, box, strict=True)) for box in boxes]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name, resolution_wh in {
        "small": (300, 200),
        "large": (2 * MAX_SIDE, 900),
        "face": (50, 50),
    }.items():
        write_image(
            folder / f"{name}.png",
            draw_photograph([(40, 60, 120, 180)], (1,), (), resolution_wh).image,
        )
    return folder


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"file": "face.png", "class_name": "with_mask"}],
        make_rows("small.png", (1, 1, 9, 9), class_name="no_face"),
    ],
    ids=["no rows", "no box", "no_face alone"],
)
def test_without_boxes_there_are_no_photographs(rows, root):
    assert load_photographs(make_label_table(rows), root) == []


def test_photographs_are_read_with_their_faces(root):
    rows = [
        *make_rows("small.png", (40, 60, 120, 180), class_name="without_mask"),
        *make_rows("large.png", (40, 60, 120, 180)),
        *make_rows("small.png", (200, 10, 220, 30)),
        *make_rows("small.png", (5, 5, 15, 15), class_name="no_face"),
        {"file": "face.png", "source": "b", "class_name": "with_mask"},
    ]
    ignored = pd.DataFrame(make_rows("large.png", (400, 500, 440, 560)))
    small, large = load_photographs(make_label_table(rows), root, ignored)
    np.testing.assert_array_equal(small.xyxy, [(40, 60, 120, 180), (200, 10, 220, 30)])
    assert small.class_id.tolist() == [
        MASK_CLASSES.index("without_mask"),
        MASK_CLASSES.index("with_mask"),
    ]
    assert (small.ignored.shape, small.image.shape) == ((0, 4), (200, 300, 3))
    assert large.image.shape == (450, MAX_SIDE, 3)  # half its size, as are its boxes
    np.testing.assert_allclose(large.xyxy, [(20, 30, 60, 90)])
    np.testing.assert_allclose(large.ignored, [(200, 250, 220, 280)])
    np.testing.assert_allclose(find_colour(large.image, 1), large.xyxy[0], atol=1)


def test_crowds_and_rare_classes_are_drawn_more_often():
    def with_classes(*class_id):
        boxes = np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(class_id), 1))
        return Photograph(np.zeros((9, 9, 3), np.uint8), boxes, np.array(class_id), boxes[:0])

    one, four, bare, badly = (
        with_classes(0),
        with_classes(0, 0, 0, 0),
        with_classes(1),
        with_classes(2),
    )
    weights = view_weights([one, four, bare, badly, one, one], share=0.6, others=2)
    assert weights.sum() == pytest.approx(1)
    assert weights[4:].tolist() == pytest.approx([0.2, 0.2])  # the others, evenly
    assert weights[:4].sum() == pytest.approx(0.6)
    assert weights[0] < weights[1] and weights[0] < weights[2] < weights[3]
    assert view_weights([one, four], share=0.6, others=0).sum() == pytest.approx(
        1
    )  # no others: the first part gets all


def read_batches(*args, **options) -> tuple[np.ndarray, np.ndarray]:
    images, targets = zip(*make_view_dataset(*args, **options).as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(targets)


def test_a_resumed_training_sees_the_same_views():
    photos = list(PHOTOGRAPHS.values())
    strides = (8, 16, 32)
    draw = (photos, np.ones(len(photos)), 64, strides)
    images, targets = read_batches(*draw, batch_size=4, first_step=0, steps=6, seed=5)
    assert (images.shape, images.dtype) == ((24, 64, 64, 3), np.float32)
    assert (targets.shape, targets.dtype) == ((24, 64 + 16 + 4, TARGET_SIZE), np.float32)
    assert 0 <= images.min() < images.max() <= 255
    for batch_size, first_step, steps in ((4, 4, 2), (8, 1, 2)):
        again = read_batches(
            *draw, batch_size=batch_size, first_step=first_step, steps=steps, seed=5
        )
        part = slice(batch_size * first_step, batch_size * (first_step + steps))
        np.testing.assert_array_equal(again[0], images[part])
        np.testing.assert_array_equal(again[1], targets[part])
    other, _ = read_batches(*draw, batch_size=4, first_step=0, steps=6, seed=6)
    assert not any(np.array_equal(image, same) for image, same in zip(images, other, strict=True))


def test_photographs_are_drawn_with_their_weights():
    """Of two photographs of one face each, one is drawn three times as often."""
    photos = [draw_photograph([(40, 40, 90, 100)], (number,)) for number in (0, 2)]
    _, targets = read_batches(
        photos, np.array([3, 1]), 64, (8, 16, 32), batch_size=50, first_step=0, steps=8
    )
    classes = targets[:, :, :3].max(axis=1)
    alone = classes[classes.sum(axis=1) == 1]
    assert len(alone) > 200
    assert 0.65 < alone[:, 0].mean() < 0.9  # a mosaic of four seldom has the rarer one only
    assert not classes[:, 1].any()
    none = read_batches(
        photos, np.array([0, 1]), 64, (8, 16, 32), batch_size=20, first_step=0, steps=2
    )[1]
    assert not none[:, :, 0].any() and none[:, :, 2].any()


NO_FACE = Photograph(
    np.full((8, 8, 3), 255, np.uint8),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.int64),
    np.zeros((0, 4), np.float32),
)


def draw_white(size, rng):
    """Return a white view without a face, as a source of negatives."""
    return Photograph(
        np.full((size, size, 3), 255, np.uint8), NO_FACE.xyxy, NO_FACE.class_id, NO_FACE.ignored
    )


@pytest.mark.training
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_the_cells_holds_no_face(share, monkeypatch):
    """Light and noise are left out, so that a white cell is a negative one."""
    monkeypatch.setattr(views, "color_jitter", lambda image, rng: image)
    monkeypatch.setattr(views, "darken", lambda image, rng: image)
    monkeypatch.setattr(views, "degrade", lambda image, rng: image)
    dataset = make_view_dataset(
        [PHOTOGRAPHS["three faces"]],
        np.ones(1),
        size=64,
        strides=(8,),
        batch_size=8,
        first_step=0,
        steps=40,
        draw_negative=draw_white,
        negative_share=share,
    )
    whole = []
    empty = []
    for pixels, target in dataset:
        white = (pixels.numpy() == 255).all(axis=3)
        whole.extend(white.mean(axis=(1, 2)))
        empty.extend(target.numpy()[..., 3].sum(axis=1) == 0)
    assert np.mean(whole) == pytest.approx(share, abs=0.06)
    is_white = np.array(whole) == 1
    assert np.array(empty)[is_white].all()  # a white view teaches no face
    assert is_white.mean() >= 0.9 * min(share, 0.15) - 0.05


@pytest.mark.training
def test_without_a_share_the_views_stay_the_same():
    """Trainings of earlier versions can be resumed and repeated."""
    settings = dict(size=64, strides=(8,), batch_size=4, first_step=3, steps=2, seed=5)
    photographs = [PHOTOGRAPHS["three faces"], PHOTOGRAPHS["small ones"]]
    plain = make_view_dataset(photographs, np.ones(2), **settings)
    zero = make_view_dataset(photographs, np.ones(2), **settings, draw_negative=draw_white)
    for (first, _), (second, _) in zip(plain, zero, strict=True):
        np.testing.assert_array_equal(first, second)
