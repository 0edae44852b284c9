"""Boxes: geometry against counting pixels and against OpenCV."""

import cv2
import numpy as np
import pytest

from utils.boxes import Detections, as_boxes, box_area, box_iou, clip_boxes, nms, sample_background, square_boxes

SIDE = 40  # of the canvas that pixels are counted on


def paint(box) -> np.ndarray:
    """The pixels of a box with whole coordinates, one by one."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return (columns >= box[0]) & (columns < box[2]) & (rows >= box[1]) & (rows < box[3])


def draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.integers(0, SIDE + 1, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


@pytest.mark.parametrize("nothing", [[], (), np.zeros((0, 4)), np.zeros(0)], ids=repr)
def test_no_boxes_give_no_boxes(nothing):
    assert as_boxes(nothing).shape == clip_boxes(nothing, (9, 9)).shape == square_boxes(nothing).shape == (0, 4)
    assert box_area(nothing).shape == nms(nothing, []).shape == (0,)
    assert box_iou(nothing, [[0, 0, 1, 1]]).shape == (0, 1)
    assert box_iou([[0, 0, 1, 1]], nothing).shape == (1, 0)
    assert len(Detections.empty()[[]]) == len(Detections.empty()) == 0


def test_area_and_iou_are_those_of_counted_pixels():
    boxes = draw_boxes(np.random.default_rng(0), 60)
    painted = [paint(box) for box in boxes]
    np.testing.assert_array_equal(box_area(boxes), [pixels.sum() for pixels in painted])
    expected = [[(a & b).sum() / max(1, (a | b).sum()) for b in painted] for a in painted]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, atol=1e-6)


def test_a_box_turned_inside_out_has_no_area():
    assert box_area([[5, 5, 1, 9], [5, 5, 1, 1]]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((2, 3, 5, 7), (2, 3, 5, 7)),
        ((-4, -5, 50, 60), (0, 0, 20, 30)),
        ((-9, 4, -2, 8), (0, 4, 0, 8)),
        ((25, 35, 40, 50), (20, 30, 20, 30)),
    ],
    ids=["inside", "around", "left of it", "right and below"],
)
def test_clipping_cuts_at_the_edges(box, expected):
    assert clip_boxes([box], (20, 30)).tolist() == [list(expected)]


def test_squares_share_their_centres_with_the_boxes_and_have_the_longer_side():
    boxes = draw_boxes(np.random.default_rng(1), 50)
    for padding in (0.0, 0.2):
        squares = square_boxes(boxes, padding)
        np.testing.assert_allclose(squares[:, :2] + squares[:, 2:], boxes[:, :2] + boxes[:, 2:], atol=1e-4)
        longer = np.max(boxes[:, 2:] - boxes[:, :2], axis=1)
        for axis in (0, 1):
            np.testing.assert_allclose(squares[:, 2 + axis] - squares[:, axis], longer * (1 + 2 * padding), atol=1e-4)


@pytest.mark.parametrize("iou_threshold", [0.2, 0.45, 0.8])
def test_nms_keeps_what_opencv_keeps(iou_threshold):
    rng = np.random.default_rng(2)
    for _ in range(20):
        corner, size = rng.uniform(0, 60, (40, 2)), rng.uniform(5, 40, (40, 2))
        confidence = rng.uniform(0.1, 1, 40).astype(np.float32)
        xywh = np.concatenate([corner, size], axis=1)
        expected = cv2.dnn.NMSBoxes(xywh.tolist(), confidence.tolist(), 0.0, iou_threshold)
        kept = nms(np.concatenate([corner, corner + size], axis=1), confidence, iou_threshold)
        assert kept.tolist() == np.ravel(expected).tolist()


def test_of_equal_boxes_nms_keeps_the_most_confident():
    assert nms([[0, 0, 5, 5]] * 3, [0.5, 0.9, 0.7]).tolist() == [1]


@pytest.mark.parametrize("index", [np.array([False, True, True]), slice(1, 3), [1, 2]], ids=["mask", "slice", "list"])
def test_detections_are_chosen_together(index):
    xyxy, confidence = np.arange(12, dtype=np.float32).reshape(3, 4), np.array([0.3, 0.2, 0.1], np.float32)
    chosen = Detections(xyxy, confidence, track_id=np.array([7, 8, 9]))[index]
    np.testing.assert_array_equal(chosen.xyxy, xyxy[1:])
    np.testing.assert_array_equal(chosen.confidence, confidence[1:])
    assert chosen.track_id.tolist() == [8, 9]
    assert chosen.y_prob is None


@pytest.mark.parametrize(
    "arrays",
    [
        (np.zeros((2, 4)), np.zeros(3)),
        (np.zeros((2, 5)), np.zeros(2)),
        (np.zeros((2, 4)), np.zeros(2), np.zeros((1, 4))),
    ],
    ids=["confidence", "columns", "y_prob"],
)
def test_detections_of_different_lengths_are_refused(arrays):
    with pytest.raises(ValueError, match="of one length"):
        Detections(*arrays)


def test_background_lies_inside_and_touches_no_face():
    rng = np.random.default_rng(3)
    faces = np.array([[10, 10, 40, 45], [70.5, 20.2, 90.1, 60.9]])
    boxes = sample_background(faces, (120, 80), 30, rng, (8, 40))
    assert len(boxes) == 30
    np.testing.assert_array_equal(boxes, clip_boxes(boxes, (120, 80)))
    sides = boxes[:, 2:] - boxes[:, :2]
    assert np.abs(sides[:, 0] - sides[:, 1]).max() <= 1  # square but for rounding
    assert 7 <= sides.min() < sides.max() <= 41
    assert not box_iou(boxes, faces).any()


@pytest.mark.parametrize(
    ("faces", "count"), [([[0, 0, 50, 50]], 5), ([], 0)], ids=["a face everywhere", "none asked for"]
)
def test_background_may_be_nothing(faces, count):
    assert sample_background(faces, (50, 50), count, np.random.default_rng(0), (8, 20)).shape == (0, 4)


def test_an_image_smaller_than_the_smallest_background_has_none():
    assert sample_background([], (7, 90), 5, np.random.default_rng(0), (8, 20)).shape == (0, 4)
