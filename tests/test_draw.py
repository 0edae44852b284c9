"""Drawing: boxes in their places, captions that are legible and cover no face."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest

from utils.boxes import Detections
from utils.classes import CLASS_COLORS, CLASS_NAMES, MASK_CLASSES
from utils.draw import (
    BLUR_BLOCKS,
    FACE_COLOR,
    TEXT_COLOR,
    blur_faces,
    draw_detections,
    draw_labels,
    draw_status,
    list_texts,
)

GREY = 128


def make_detections(boxes, class_ids=None) -> Detections:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    class_ids = np.zeros(len(boxes), int) if class_ids is None else class_ids
    y_prob = np.full((len(boxes), len(CLASS_NAMES)), 0.01, np.float32)
    y_prob[np.arange(len(boxes)), class_ids] = 0.97
    return Detections(boxes, np.linspace(0.9, 0.5, len(boxes), dtype=np.float32), y_prob)


def draw(width: int, height: int, boxes, class_ids=None) -> np.ndarray:
    return draw_detections(
        np.full((height, width, 3), GREY, np.uint8), make_detections(boxes, class_ids)
    )


def is_color(canvas: np.ndarray, color) -> np.ndarray:
    return (canvas == np.array(color, np.uint8)).all(axis=-1)


def find_caption(canvas: np.ndarray, color, box) -> tuple[int, int, int, int]:
    """Return the bounding box of all pixels of a colour outside a face's box."""
    outside = is_color(canvas, color)
    x_min, y_min, x_max, y_max = box
    outside[y_min:y_max, x_min:x_max] = False
    rows, columns = np.nonzero(outside)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_no_faces_give_an_equal_copy():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for detections in (Detections.empty(), make_detections([])):
        canvas = draw_detections(image, detections)
        np.testing.assert_array_equal(canvas, image)
        assert not np.shares_memory(canvas, image)


@pytest.mark.parametrize(
    "change", [np.ascontiguousarray, np.flipud, np.asfortranarray], ids=lambda f: f.__name__
)
def test_the_image_itself_does_not_change(change):
    image = change(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    image.setflags(write=False)
    before = image.copy()
    canvas = draw_detections(image, make_detections([[30, 40, 70, 80]]))
    np.testing.assert_array_equal(image, before)
    assert canvas.shape == image.shape and (canvas != image).any()


@pytest.mark.parametrize("name", MASK_CLASSES)
def test_a_box_has_the_colour_of_its_class_and_excludes_right_and_bottom_edges(name):
    canvas = draw(400, 300, [[120, 150, 200, 250]], [CLASS_NAMES.index(name)])
    drawn = is_color(canvas, CLASS_COLORS[name])
    assert drawn[249, 120:200].all()
    assert drawn[150:250, 120].all()
    assert drawn[150:250, 199].all()
    assert (canvas[150:, 200] == GREY).all()
    assert (canvas[250] == GREY).all()
    assert (canvas[150:, 119] == GREY).all()
    assert (canvas[155:245, 125:195] == GREY).all()


def test_faces_that_are_not_classified_have_their_own_colour():
    found = Detections(np.array([[50, 60, 90, 99]], np.float32), np.array([0.8], np.float32))
    canvas = draw_detections(np.full((120, 160, 3), GREY, np.uint8), found)
    assert is_color(canvas, FACE_COLOR)[98, 50:90].all()
    assert FACE_COLOR not in CLASS_COLORS.values()


SIZES = {
    "one pixel": ((1, 1), (0, 0, 1, 1)),
    "20 pixels": ((20, 20), (5, 5, 15, 15)),
    "small": ((100, 80), (30, 40, 60, 70)),
    "a column": ((40, 900), (0, 0, 40, 40)),
    "a panorama": ((20_000, 200), (19_950, 90, 20_000, 150)),
    "large": ((4000, 3000), (3500, 2500, 4000, 3000)),
}


@pytest.mark.parametrize(("resolution_wh", "box"), SIZES.values(), ids=SIZES.keys())
def test_images_of_any_size_are_drawn_on(resolution_wh, box):
    canvas = draw(*resolution_wh, [box])
    assert canvas.shape == (*resolution_wh[::-1], 3)
    assert is_color(canvas, CLASS_COLORS[CLASS_NAMES[0]])[box[3] - 1, box[0] : box[2]].all()


@pytest.mark.parametrize(
    "box", [(0, 0, 60, 60), (340, 0, 400, 60), (0, 240, 60, 300), (340, 240, 400, 300)], ids=str
)
def test_a_caption_in_a_corner_is_complete(box):
    in_corner = is_color(draw(400, 300, [box]), TEXT_COLOR).sum()
    in_middle = is_color(draw(400, 300, [(170, 120, 230, 180)]), TEXT_COLOR).sum()
    assert in_corner == in_middle > 0


def test_letters_grow_with_the_image_and_stay_legible_on_small_ones():
    heights = []
    for scale in (1, 2, 8, 20):
        box = np.array([80, 80, 140, 140]) * scale
        _, y_min, _, y_max = find_caption(
            draw(200 * scale, 150 * scale, [box]), CLASS_COLORS[CLASS_NAMES[0]], box
        )
        heights.append(y_max - y_min)
    assert heights[0] >= 11
    assert heights == sorted(heights)
    assert heights[3] / heights[2] == pytest.approx(20 / 8, rel=0.1)


def test_a_caption_without_room_is_shortened_and_then_left_out():
    color = CLASS_COLORS["mask_worn_incorrectly"]
    box = (10, 30, 30, 50)
    full = find_caption(draw(300, 80, [box], [2]), color, box)
    width = full[2] - full[0]
    short = find_caption(draw(width - 8, 80, [box], [2]), color, box)
    assert 0 < short[2] - short[0] < width - 8
    assert not is_color(draw(24, 80, [(4, 30, 20, 50)], [2]), TEXT_COLOR).any()


def test_a_caption_never_has_the_percentage_without_the_class():
    for texts in list_texts(make_detections([(0, 0, 9, 9)] * 3, [0, 1, 2])):
        assert all(text.startswith(MASK_CLASSES) for text in texts)


def test_labels_have_the_colour_and_the_name_of_their_class_and_no_percentage(monkeypatch):
    written = []
    monkeypatch.setattr(cv2, "putText", lambda canvas, text, *rest: written.append(text))
    image = np.full((300, 400, 3), GREY, np.uint8)
    boxes = np.array([[20, 150, 100, 250], [220, 150, 300, 250]])
    canvas = draw_labels(image, boxes, ["mask_worn_incorrectly", "face"])
    assert written == ["mask_worn_incorrectly", "face"]
    assert is_color(canvas, CLASS_COLORS["mask_worn_incorrectly"])[249, 20:100].all()
    assert is_color(canvas, FACE_COLOR)[249, 220:300].all()
    np.testing.assert_array_equal(draw_labels(image, np.zeros((0, 4)), []), image)
    written.clear()
    draw_labels(image, boxes, ["mask_worn_incorrectly", "face"], captions=False)
    assert written == []


def test_no_caption_in_a_crowd_covers_a_face_or_another_caption():
    boxes = [(x, y, x + 16, y + 20) for x in range(6, 380, 30) for y in range(20, 240, 45)]
    class_ids = np.arange(len(boxes)) % len(MASK_CLASSES)
    canvas = draw(400, 267, boxes, class_ids)
    for x_min, y_min, x_max, y_max in boxes:
        assert (canvas[y_min + 2 : y_max - 2, x_min + 2 : x_max - 2] == GREY).all()
    alone = [
        draw(400, 267, [box], [class_id]) for box, class_id in zip(boxes, class_ids, strict=True)
    ]
    letters_alone = sum(is_color(one, TEXT_COLOR).sum() for one in alone)
    assert 0 < is_color(canvas, TEXT_COLOR).sum() < letters_alone


def luminance(color) -> float:
    """Return the relative luminance as defined by WCAG 2."""
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("color", [*CLASS_COLORS.values(), FACE_COLOR], ids=str)
def test_captions_have_the_contrast_required_by_wcag(color):
    lighter, darker = sorted((luminance(color), luminance(TEXT_COLOR)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


# Linear RGB as colour-blind people see it (Machado, Oliveira and Fernandes, 2009, severity 1).
SIGHT = {
    "normal sight": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("matrix", SIGHT.values(), ids=SIGHT.keys())
def test_the_colours_of_the_classes_can_be_told_apart(matrix):
    linear = (np.array([CLASS_COLORS[name] for name in MASK_CLASSES]) / 255) ** 2.2
    seen = np.clip(linear @ np.transpose(matrix), 0, 1) ** (1 / 2.2)
    lab = cv2.cvtColor(seen.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    distances = [np.linalg.norm(a - b) for a, b in combinations(lab, 2)]
    assert min(distances) > 15  # a distance of about 2 is just noticeable


@pytest.mark.parametrize("side", [12, 60, 300])
def test_a_blurred_face_has_few_colours_and_the_rest_stays(side):
    image = np.random.default_rng(0).integers(0, 255, (400, 500, 3), np.uint8)
    box = np.array([50, 40, 50 + side, 40 + side])
    blurred = blur_faces(image, box[None])
    changed = np.argwhere((blurred != image).any(axis=2))
    margin = 0.15 * side + 1
    assert (changed.min(axis=0) >= box[[1, 0]] - margin).all() and (
        changed.max(axis=0) < box[[3, 2]] + margin
    ).all()
    assert (
        len(np.unique(blurred[40 : 40 + side, 50 : 50 + side].reshape(-1, 3), axis=0))
        <= BLUR_BLOCKS**2
    )


def test_no_faces_and_faces_over_the_edge_can_be_blurred():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    np.testing.assert_array_equal(blur_faces(image, []), image)
    np.testing.assert_array_equal(blur_faces(image, [[200, 200, 240, 240]]), image)
    assert (blur_faces(image, [[-20, -20, 20, 20]])[:20, :20] != image[:20, :20]).any()


@pytest.mark.parametrize("resolution_wh", [(400, 300), (640, 480), (1920, 1080)])
def test_a_status_line_is_in_the_upper_left_corner(resolution_wh):
    image = np.full((*resolution_wh[::-1], 3), 200, np.uint8)
    drawn = draw_status(image, "25 frames/s, 3 people: 2 with_mask, 1 without_mask")
    changed = np.argwhere((drawn != image).any(axis=2))
    assert changed.min(axis=0).tolist() == [0, 0]
    assert changed[:, 0].max() < max(20, resolution_wh[1] / 15)
    assert (image == 200).all()


def test_a_long_status_is_broken_into_lines(monkeypatch):
    written = []
    put_text = cv2.putText

    def record(canvas, text, *rest):
        written.append(text)
        return put_text(canvas, text, *rest)

    monkeypatch.setattr(cv2, "putText", record)
    image = np.full((480, 300, 3), 200, np.uint8)
    text = "25 frames/s, 3 people: 2 with_mask, 1 without_mask, 2 too close"
    drawn = draw_status(image, text)
    assert len(written) == 2
    assert " ".join(written) == text
    changed = (drawn != image).any(axis=2)
    assert changed[:20].any()
    assert changed[24:38].any()
    assert not changed[60:].any()
    letters = (drawn > 220).all(axis=2)
    assert letters.any()
    assert not letters[:, 295:].any()  # all letters are inside the image
    assert draw_status(np.zeros((20, 30, 3), np.uint8), text).shape == (20, 30, 3)


def test_a_caption_begins_with_the_track_and_ends_with_the_remark(monkeypatch):
    written = []
    monkeypatch.setattr(cv2, "putText", lambda canvas, text, *rest: written.append(text))
    found = Detections(
        xyxy=np.array([[200, 200, 300, 300], [500, 200, 600, 300]], np.float32),
        confidence=np.ones(2, np.float32),
        y_prob=np.array([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0]], np.float32),
        track_id=np.array([7, 0]),
    )
    draw_detections(np.zeros((480, 900, 3), np.uint8), found, ["", "too close"])
    assert sorted(written) == ["7: with_mask 90 %", "without_mask 80 %, too close"]


@pytest.mark.parametrize(
    ("probability", "text"), [(0.0, "0 %"), (0.984, "98 %"), (0.9999, "99 %"), (1.0, "99 %")]
)
def test_no_caption_claims_certainty(probability, text):
    rest = (1 - probability) / (len(CLASS_NAMES) - 1)
    y_prob = np.full((1, len(CLASS_NAMES)), rest, np.float32)
    y_prob[0, 0] = probability
    detections = Detections(
        np.array([[10, 10, 50, 60]], np.float32), np.array([probability], np.float32)
    )
    assert list_texts(detections)[0] == [f"face {text}", "face"]
    if probability > 0.5:
        assert list_texts(replace(detections, y_prob=y_prob))[0][0] == f"with_mask {text}"


def test_the_caption_of_an_unsure_face_ends_with_a_question_mark():
    detections = make_detections([(0, 0, 9, 9), (20, 0, 29, 9)])
    detections = replace(detections, is_unsure=np.array([True, False]))
    expected = [["with_mask 97 %?", "with_mask?"], ["with_mask 97 %", "with_mask"]]
    assert list_texts(detections) == expected


def test_threads_draw_what_one_alone_draws():
    """Pictures of different sizes have letters of different sizes."""
    images = [np.full((side, side, 3), GREY, np.uint8) for side in (300, 900, 1500)] * 40
    found = make_detections([(100, 100, 180, 190), (200, 100, 280, 190)])
    expected = [draw_detections(image, found) for image in images[:3]]
    with ThreadPoolExecutor(3) as executor:
        drawn = list(executor.map(lambda image: draw_detections(image, found), images))
    different = [
        number
        for number, picture in enumerate(drawn)
        if not np.array_equal(picture, expected[number % 3])
    ]
    assert different == []
