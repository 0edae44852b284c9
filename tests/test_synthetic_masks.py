"""Synthetic masks: where they lie on drawn faces of every size and turn, their light, and the table of pictures."""

import cv2
import numpy as np
import pandas as pd
import pytest

from utils import paths
from utils.boxes import Detections, box_iou
from utils.classes import CLASS_NAMES, LabelError
from utils.face_frame import LANDMARKS
from utils.images import read_image, write_image
from utils.labels import COLUMNS
from utils.mask_cloth import COLOURS, KINDS, PATTERNS
from utils.synthetic_masks import WORN, add_mask, make_masked_faces

SKIN = (205, 160, 140)
EYES, NOSE, MOUTH = slice(0, 2), slice(2, 3), slice(3, 5)
# Measured by eye in the enlarged picture: the pupils, the tip of the nose, the corners of the mouth; y of the chin.
ASTRONAUT = np.array([[203, 101], [246, 103], [223, 126], [203, 140], [247, 138]])
ASTRONAUT_CHIN = 178


def draw_face(size: int, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A picture of skin, three faces wide, and the landmarks of a face of ``size`` pixels, turned by radians."""
    cos, sin = np.cos(turn), np.sin(turn)
    turned = LANDMARKS @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    image = np.full((3 * size, 3 * size, 3), SKIN, np.uint8)
    return image, turned[:, :2] * size / 2.2 + np.array([1.5, 1.2]) * size


def change_at(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = np.round(points).astype(int).T
    return np.abs(after[y, x].astype(int) - before[y, x]).max(axis=1)


@pytest.mark.parametrize(("size", "turn"), [(24, 0.0), (24, 0.45), (60, -0.45), (150, 0.45), (400, 0.0)])
@pytest.mark.parametrize(
    ("worn", "covered", "free"),
    [("well", [NOSE, MOUTH], [EYES]), ("under_nose", [MOUTH], [EYES, NOSE]), ("chin", [], [EYES, NOSE, MOUTH])],
)
def test_each_way_to_wear_one_covers_what_it_says(worn, covered, free, size, turn):
    image, landmarks = draw_face(size, turn)
    chin = landmarks[NOSE] + [0, 0.43 * size]  # just above its lower edge
    for seed, kind in enumerate(KINDS if size < 400 else ["cloth"]):
        masked = add_mask(image, landmarks, kind, worn, "navy", rng=np.random.default_rng(seed))
        assert change_at(image, masked, chin).min() > 60
        for part in covered:
            assert change_at(image, masked, landmarks[part]).min() > 60
        for part in free:
            assert change_at(image, masked, landmarks[part]).max() <= (8 if size < 60 else 0)


@pytest.mark.parametrize("worn", WORN)
def test_nothing_changes_above_the_lids_nor_far_from_the_face(worn):
    image, landmarks = draw_face(150)
    changed = (add_mask(image, landmarks, worn=worn, rng=np.random.default_rng(0)) != image).any(axis=2)
    unit, (x, y) = 150 / 2.2, landmarks[EYES].mean(axis=0)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert y < rows[0] and rows[-1] < y + 2.4 * unit
    assert x - 1.4 * unit < columns[0] and columns[-1] < x + 1.4 * unit
    assert changed.sum() > 0.3 * unit**2


def test_on_a_photograph_it_reaches_from_the_nose_to_the_chin():
    image = read_image(paths.EXAMPLES_DIR / "astronaut.jpg")
    masked = add_mask(image, ASTRONAUT, colour="black", rng=np.random.default_rng(0))
    assert (change_at(image, masked, ASTRONAUT[EYES]) == 0).all()
    below = np.column_stack([np.full(5, 223), np.linspace(118, ASTRONAUT_CHIN - 8, 5)])
    assert change_at(image, masked, np.concatenate([ASTRONAUT[2:], below])).min() > 60


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("worn", WORN)
def test_a_turned_picture_gives_the_turned_result(worn, quarters):
    image, landmarks = draw_face(120, 0.3)
    image[:, 200:] //= 2  # a shadow, which turns too
    centre = np.array(image.shape[1::-1]) / 2 - 0.5
    angle = -np.pi / 2 * quarters
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    upright = add_mask(image, landmarks, worn=worn, rng=np.random.default_rng(0))
    turned = add_mask(
        np.rot90(image, quarters).copy(), (landmarks - centre) @ turn + centre, worn=worn, rng=np.random.default_rng(0)
    )
    difference = np.abs(turned.astype(int) - np.rot90(upright, quarters)).max(axis=2)
    assert difference.mean() < 0.5 and np.quantile(difference, 0.99) < 12
    assert np.abs(upright.astype(int) - image).max(axis=2).mean() > 1


def test_a_face_turned_to_one_side_mirrors_one_turned_to_the_other():
    image, landmarks = draw_face(120, 0.4)
    one = add_mask(image, landmarks, colour="black", rng=np.random.default_rng(0)).min(axis=2) < 90
    image, landmarks = draw_face(120, -0.4)
    other = add_mask(image, landmarks, colour="black", rng=np.random.default_rng(0)).min(axis=2) < 90
    middle = 1.5 * 120
    left, right = (np.abs(np.flatnonzero(mask.any(axis=0))[[0, -1]] - middle) for mask in (one, other))
    np.testing.assert_allclose(left, right[::-1], atol=3)  # but for the creases
    assert abs(left[0] - left[1]) > 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_seed_gives_the_same_picture_and_the_image_stays(kind, pattern):
    image, landmarks = draw_face(60)
    one, same, other = (
        add_mask(image, landmarks, kind, "well", "white", pattern, rng=np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and (image == SKIN).all()
    assert one.dtype == np.uint8 and one.shape == image.shape


@pytest.mark.parametrize("colour", COLOURS)
def test_a_mask_has_its_colour(colour):
    image, landmarks = draw_face(100)
    masked = add_mask(image, landmarks, colour=colour, rng=np.random.default_rng(0)).astype(float)
    x, y = landmarks[MOUTH].mean(axis=0).astype(int)
    seen = masked[y - 10 : y + 10, x - 20 : x + 20].mean(axis=(0, 1))
    away = {name: np.linalg.norm(seen - rgb) for name, rgb in COLOURS.items()}
    assert min(away, key=away.get) == colour


def test_a_pattern_has_a_second_colour():
    image, landmarks = draw_face(200)
    spread = {}
    for pattern in PATTERNS:
        masked = add_mask(image, landmarks, "cloth", "well", "navy", pattern, rng=np.random.default_rng(2))
        x, y = landmarks[MOUTH].mean(axis=0).astype(int)
        spread[pattern] = masked[y - 20 : y + 20, x - 40 : x + 40].std(axis=(0, 1)).max()
    assert all(spread[pattern] > 3 * spread["plain"] for pattern in PATTERNS[1:])


@pytest.mark.parametrize("side", [0, 1])
def test_its_light_is_that_of_the_face(side):
    image, landmarks = draw_face(150)
    ramp = np.linspace(0.5, 1.0, image.shape[1])
    image = (image * (ramp[::-1] if side else ramp)[None, :, None]).astype(np.uint8)
    masked = add_mask(image, landmarks, colour="white", rng=np.random.default_rng(0))
    (x, y), reach = landmarks[MOUTH].mean(axis=0).astype(int), 40
    skin, mask = (
        [picture[y - 10 : y + 10, x + shift - 8 : x + shift + 8].mean() for shift in (-reach, reach)]
        for picture in (image, masked)
    )
    assert mask[1] / mask[0] == pytest.approx(skin[1] / skin[0], rel=0.1)
    assert (mask[0] < mask[1]) == (side == 0)


def test_in_the_dark_it_is_darker_and_in_a_grey_picture_grey():
    image, landmarks = draw_face(100)
    x, y = landmarks[2].astype(int)
    bright, dark = (
        add_mask(picture, landmarks, colour="white", rng=np.random.default_rng(0))[y, x].mean()
        for picture in (image, image // 4)
    )
    assert dark < bright - 30
    grey = np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    masked = add_mask(grey, landmarks, colour="red", rng=np.random.default_rng(0))
    assert np.ptp(masked, axis=2).max() <= 1 and (masked != grey).any()


def test_it_is_as_soft_and_as_noisy_as_the_picture():
    image, landmarks = draw_face(150)
    for point in landmarks[EYES].astype(int).tolist():
        cv2.circle(image, point, 8, (20, 20, 20), -1)
    soft = cv2.GaussianBlur(image, (0, 0), 4)
    rng = np.random.default_rng(0)
    noisy = np.clip(image + rng.normal(0, 12, image.shape[:2])[..., None], 0, 255).astype(np.uint8)
    masks = [
        add_mask(p, landmarks, "cloth", "well", "black", rng=np.random.default_rng(1)) for p in (image, soft, noisy)
    ]
    x, y = landmarks[MOUTH].mean(axis=0).astype(int)
    edge, soft_edge, _ = (np.abs(np.diff(m[y : y + 80, x].mean(axis=1))).max() for m in masks)
    assert soft_edge < edge / 2
    grain, _, noisy_grain = (np.diff(m[y - 10 : y + 10, x - 50 : x - 15].mean(axis=2)).std() for m in masks)
    assert grain < 4 and 8 < noisy_grain / 2**0.5 < 16  # a difference of two has twice the variance


@pytest.mark.parametrize("shift", [(-1.6, 0), (1.6, 0), (0, -1.6), (0, 1.4), (-1.3, -1.3), (9, 9), (-9, 0)])
def test_landmarks_may_lie_outside_the_picture(shift):
    image, landmarks = draw_face(80)
    masked = add_mask(image, landmarks + np.array(shift) * 80, rng=np.random.default_rng(0))
    assert masked.shape == image.shape and masked is not image
    assert (masked != image).any() == (max(map(abs, shift)) < 2)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_sliver_of_a_picture_is_no_error(cut):
    image, landmarks = draw_face(300)
    y = int(landmarks[2, 1])
    assert add_mask(image[y : y + cut], landmarks - [0, y], rng=np.random.default_rng(0)).shape == (cut, 900, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "scarf"}, "no kind 'scarf': use one of surgical, cloth, respirator"),
        ({"worn": "upside_down"}, "no worn 'upside_down': use one of well"),
        ({"colour": "tartan"}, "no colour 'tartan': use one of"),
        ({"pattern": "tartan"}, "no pattern 'tartan': use one of"),
        ({"landmarks": LANDMARKS[[1, 0, 2, 4, 3], :2] * 40 + 60}, "no face seen from the front"),
        ({"landmarks": np.full((5, 2), 60.0)}, "no face seen from the front"),
        ({"landmarks": np.full((5, 2), np.nan)}, "no face seen from the front"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_done_is_said_in_a_sentence(changes, sentence):
    image, landmarks = draw_face(60)
    with pytest.raises(ValueError, match=sentence):
        add_mask(image, rng=np.random.default_rng(0), **{"landmarks": landmarks, **changes})


# The table of pictures. Each photograph has a frame of its own colour: a written picture tells where it is from.

FRAMES = [(250, 40, 40), (40, 250, 40), (40, 40, 250), (250, 250, 40)]


@pytest.fixture
def photographs(tmp_path):
    """A data root with four faces and their label table, and what finds their landmarks."""
    image, landmarks = draw_face(80)
    box = np.array([80, 60, 160, 160], np.float32)
    rows = []
    for number, colour in enumerate(FRAMES):
        framed = np.full_like(image, colour)
        framed[60:220, 60:180] = image[60:220, 60:180]
        write_image(tmp_path / "data" / f"{number}.png", framed)
        rows.append((f"{number}.png", "faces", "without_mask", *box, 10 + number, "train"))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "group", "split"])

    def find_landmarks(picture):
        return Detections(box[None] + 1, np.array([0.9], np.float32)), landmarks[None]

    return table, tmp_path / "data", find_landmarks


def test_no_faces_and_no_pictures_give_an_empty_table(photographs, tmp_path):
    table, root, find_landmarks = photographs
    for rows, count in ((table[:0], 5), (table, 0), (table.assign(class_name="with_mask"), 5)):
        made = make_masked_faces(rows, root, tmp_path / "made", find_landmarks, count)
        assert len(made) == 0 and made.columns.tolist() == table.columns.tolist()
    assert not (tmp_path / "made").exists()


def test_pictures_have_the_group_split_and_box_of_their_photographs(photographs, tmp_path):
    table, root, find_landmarks = photographs
    before = {path: path.read_bytes() for path in root.iterdir()}
    made = make_masked_faces(table, root, tmp_path / "made", find_landmarks, 10)
    assert len(made) == 10 == made.file.nunique() and made.columns.tolist() == table.columns.tolist()
    assert (made.dtypes == table.dtypes).all()
    assert (made.source == "synthetic").all() and (made.split == "train").all()
    assert set(made.class_name) <= set(CLASS_NAMES) and set(made.group) == {10, 11, 12, 13}
    for row in made.itertuples():
        picture = read_image(root / row.file)
        colour = picture[2, 2].astype(int)
        assert row.group == 10 + np.abs(np.array(FRAMES) - colour).sum(axis=1).argmin()
        face = np.array([[row.x_min, row.y_min, row.x_max, row.y_max]])
        skin = np.abs(picture.astype(int) - SKIN).max(axis=2) < 40
        left, top = np.flatnonzero(skin.any(axis=0))[0], np.flatnonzero(skin.any(axis=1))[0]
        assert box_iou(face, [[left + 20, top, left + 100, top + 100]])[0, 0] > 0.9  # as it was drawn
        assert WORN[(root / row.file).stem.split("_", 1)[1]] == row.class_name
    assert {path: path.read_bytes() for path in root.iterdir()} == before


def test_the_ways_are_drawn_as_often_as_asked(photographs, tmp_path):
    table, root, find_landmarks = photographs
    made = make_masked_faces(table, root, tmp_path / "made", find_landmarks, 4, {"chin": 1.0})
    assert made.file.str.endswith("_chin.jpg").all() and (made.class_name == "mask_worn_incorrectly").all()
    mixed = make_masked_faces(table, root, tmp_path / "mixed", find_landmarks, 12, {"well": 3, "under_nose": 1})
    assert 6 <= (mixed.class_name == "with_mask").sum() < 12


def test_the_same_seed_gives_the_same_pictures(photographs, tmp_path):
    table, root, find_landmarks = photographs
    folders = [tmp_path / name for name in ("one", "same", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        make_masked_faces(table, root, folder, find_landmarks, 3, seed=seed)
    one, same, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == same != other


@pytest.mark.parametrize("change", [{"split": ["train", "val", "train", "train"]}, {"split": "test"}, None])
def test_only_training_faces_get_masks(photographs, tmp_path, change):
    table, root, find_landmarks = photographs
    table = table.drop(columns="group") if change is None else table.assign(**change)
    with pytest.raises(LabelError, match="training faces alone: give the rows whose split is train"):
        make_masked_faces(table, root, tmp_path / "made", find_landmarks, 2)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("why", ["unsure", "elsewhere", "none", "small", "in profile", "misshapen", "cut"])
def test_faces_that_are_not_clear_are_passed_over(photographs, tmp_path, why):
    table, root, find_landmarks = photographs

    def find(picture):
        found, landmarks = find_landmarks(picture)
        if why == "unsure":
            found = Detections(found.xyxy, found.confidence - 0.2)
        elif why == "elsewhere":
            found = Detections(found.xyxy + 60, found.confidence)
        elif why == "none":
            found, landmarks = Detections.empty(), landmarks[:0]
        elif why == "small":
            landmarks = landmarks.mean(axis=1, keepdims=True) + (landmarks - landmarks.mean(axis=1)) / 8
        elif why == "in profile":
            landmarks = draw_face(80, 1.0)[1][None]
        elif why == "misshapen":
            landmarks = landmarks + np.array([[0, 20], [0, -20], [0, 0], [0, -20], [0, 20]])
        else:
            landmarks = landmarks + np.array([0, 90])  # the chin is below the edge of the picture
        return found, landmarks

    assert len(make_masked_faces(table, root, tmp_path / "made", find, 3)) == 0


def test_a_photograph_that_cannot_be_read_is_named_and_the_others_done(photographs, tmp_path, capsys):
    table, root, find_landmarks = photographs
    (root / "1.png").write_bytes(b"no picture")
    made = make_masked_faces(table, root, tmp_path / "made", find_landmarks, 6)
    assert len(made) == 6 and 11 not in set(made.group)
    assert "1.png is not an image" in capsys.readouterr().out
