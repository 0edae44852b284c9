"""Boxes: geometry against counting pixels and against OpenCV."""

import cv2
import numpy as np
import pytest

from utils.boxes import (
    Detections,
    as_boxes,
    box_area,
    box_iou,
    box_overlap,
    clip_boxes,
    nms,
    sample_background,
    share_inside,
    square_boxes,
    tile_boxes,
    vote_boxes,
)

SIDE = 40  # pixels, of the canvas on which pixels are counted


def paint(box) -> np.ndarray:
    """Return the mask of the pixels in a box with whole coordinates."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return (columns >= box[0]) & (columns < box[2]) & (rows >= box[1]) & (rows < box[3])


def draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return random boxes with whole coordinates; some are empty."""
    corners = rng.integers(0, SIDE + 1, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


@pytest.mark.parametrize("nothing", [[], (), np.zeros((0, 4)), np.zeros(0)], ids=repr)
def test_no_boxes_give_no_boxes(nothing):
    assert as_boxes(nothing).shape == (0, 4)
    assert clip_boxes(nothing, (9, 9)).shape == (0, 4)
    assert square_boxes(nothing).shape == (0, 4)
    assert box_area(nothing).shape == (0,)
    assert nms(nothing, []).shape == (0,)
    assert box_iou(nothing, [[0, 0, 1, 1]]).shape == (0, 1)
    assert box_iou([[0, 0, 1, 1]], nothing).shape == (1, 0)
    assert len(Detections.empty()) == 0
    assert len(Detections.empty()[[]]) == 0


def test_area_and_iou_match_counted_pixels():
    boxes = draw_boxes(np.random.default_rng(0), 60)
    painted = [paint(box) for box in boxes]
    np.testing.assert_array_equal(box_area(boxes), [pixels.sum() for pixels in painted])
    expected = [[(a & b).sum() / max(1, (a | b).sum()) for b in painted] for a in painted]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, atol=1e-6)


def test_overlap_is_the_share_of_the_smaller_box_inside_the_other():
    boxes = draw_boxes(np.random.default_rng(4), 60)
    painted = [paint(box) for box in boxes]
    expected = [[(a & b).sum() / max(1, min(a.sum(), b.sum())) for b in painted] for a in painted]
    np.testing.assert_allclose(box_overlap(boxes, boxes), expected, atol=1e-6)


def test_a_box_of_negative_size_has_no_area():
    assert box_area([[5, 5, 1, 9], [5, 5, 1, 1]]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((2, 3, 5, 7), (2, 3, 5, 7)),
        ((-4, -5, 50, 60), (0, 0, 20, 30)),
        ((-9, 4, -2, 8), (0, 4, 0, 8)),
        ((25, 35, 40, 50), (20, 30, 20, 30)),
    ],
    ids=["inside", "around", "left of the image", "right and below"],
)
def test_boxes_are_clipped_to_the_image(box, expected):
    assert clip_boxes([box], (20, 30)).tolist() == [list(expected)]


def test_squares_have_the_centre_and_the_longer_side_of_the_box():
    boxes = draw_boxes(np.random.default_rng(1), 50)
    for padding in (0.0, 0.2):
        squares = square_boxes(boxes, padding)
        np.testing.assert_allclose(
            squares[:, :2] + squares[:, 2:], boxes[:, :2] + boxes[:, 2:], atol=1e-4
        )
        longer = np.max(boxes[:, 2:] - boxes[:, :2], axis=1)
        for axis in (0, 1):
            np.testing.assert_allclose(
                squares[:, 2 + axis] - squares[:, axis], longer * (1 + 2 * padding), atol=1e-4
            )


@pytest.mark.parametrize("iou_threshold", [0.2, 0.45, 0.8])
def test_nms_keeps_what_opencv_keeps(iou_threshold):
    rng = np.random.default_rng(2)
    for _ in range(20):
        corner = rng.uniform(0, 60, (40, 2))
        size = rng.uniform(5, 40, (40, 2))
        confidence = rng.uniform(0.1, 1, 40).astype(np.float32)
        xywh = np.concatenate([corner, size], axis=1)
        expected = cv2.dnn.NMSBoxes(xywh.tolist(), confidence.tolist(), 0.0, iou_threshold)
        kept = nms(np.concatenate([corner, corner + size], axis=1), confidence, iou_threshold)
        assert kept.tolist() == np.ravel(expected).tolist()


@pytest.mark.parametrize("overlap", [box_iou, box_overlap])
def test_nms_keeps_the_most_confident_of_overlapping_boxes(overlap):
    rng = np.random.default_rng(5)
    boxes = draw_boxes(rng, 80)
    confidence = rng.uniform(0, 1, 80)
    kept = nms(boxes, confidence, 0.5, overlap)
    assert 1 < len(kept) < 80
    assert (np.diff(confidence[kept]) < 0).all()
    shared = overlap(boxes, boxes) > 0.5
    for index in range(80):
        more_confident = kept[confidence[kept] > confidence[index]]
        assert shared[index, more_confident].any() == (index not in kept)


def test_nms_keeps_the_most_confident_of_equal_boxes():
    assert nms([[0, 0, 5, 5]] * 3, [0.5, 0.9, 0.7]).tolist() == [1]


@pytest.mark.parametrize(
    "index", [np.array([False, True, True]), slice(1, 3), [1, 2]], ids=["mask", "slice", "list"]
)
def test_arrays_of_detections_are_indexed_together(index):
    xyxy = np.arange(12, dtype=np.float32).reshape(3, 4)
    confidence = np.array([0.3, 0.2, 0.1], np.float32)
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
def test_arrays_of_different_lengths_are_an_error(arrays):
    with pytest.raises(ValueError, match="of one length"):
        Detections(*arrays)


TILED = {
    "one pixel": ((1, 1), 64, 0.2),
    "smaller than a tile": ((50, 40), 64, 0.2),
    "as large as a tile": ((64, 64), 64, 0.2),
    "one pixel larger than a tile": ((65, 64), 64, 0.2),
    "a strip": ((500, 3), 64, 0.2),
    "a column": ((3, 500), 64, 0.5),
    "several rows and columns": ((333, 257), 64, 0.2),
    "no overlap": ((256, 128), 64, 0.0),
    "tiles with a fractional side": ((301, 207), 62.7, 0.3),
}


@pytest.mark.parametrize(("resolution_wh", "side", "overlap"), TILED.values(), ids=TILED.keys())
def test_tiles_cover_every_pixel_and_overlap_enough(resolution_wh, side, overlap):
    width, height = resolution_wh
    tiles = tile_boxes(resolution_wh, side, overlap)
    np.testing.assert_array_equal(tiles, tiles.round())
    np.testing.assert_array_equal(tiles, clip_boxes(tiles, resolution_wh))
    covered = np.zeros((height, width), bool)
    for x_min, y_min, x_max, y_max in tiles.astype(int):
        assert (x_max - x_min, y_max - y_min) == pytest.approx(
            (min(width, side), min(height, side)), abs=1
        )
        covered[y_min:y_max, x_min:x_max] = True
    assert covered.all()
    assert len(np.unique(tiles, axis=0)) == len(tiles)
    assert tiles.tolist() == sorted(
        tiles.tolist(), key=lambda tile: (tile[1], tile[0])
    )  # row by row
    for axis, length in enumerate(resolution_wh):
        starts = np.unique(tiles[:, axis])
        step = side * (1 - overlap)
        assert (np.diff(starts) <= step + 1).all()
        assert (
            len(starts) == 1 or side + (len(starts) - 2) * step < length
        )  # one tile fewer would not cover the image


def test_background_boxes_are_inside_and_touch_no_face():
    rng = np.random.default_rng(3)
    faces = np.array([[10, 10, 40, 45], [70.5, 20.2, 90.1, 60.9]])
    boxes = sample_background(faces, (120, 80), 30, rng, (8, 40))
    assert len(boxes) == 30
    np.testing.assert_array_equal(boxes, clip_boxes(boxes, (120, 80)))
    sides = boxes[:, 2:] - boxes[:, :2]
    assert np.abs(sides[:, 0] - sides[:, 1]).max() <= 1  # square except for rounding
    assert 7 <= sides.min() < sides.max() <= 41
    assert not box_iou(boxes, faces).any()


@pytest.mark.parametrize(
    ("faces", "count"),
    [([[0, 0, 50, 50]], 5), ([], 0)],
    ids=["a face everywhere", "count is 0"],
)
def test_there_may_be_no_background_boxes(faces, count):
    assert sample_background(faces, (50, 50), count, np.random.default_rng(0), (8, 20)).shape == (
        0,
        4,
    )


def test_an_image_smaller_than_the_smallest_size_has_no_background_boxes():
    assert sample_background([], (7, 90), 5, np.random.default_rng(0), (8, 20)).shape == (0, 4)


def test_boxes_move_to_the_weighted_mean_and_boxes_without_area_stay():
    boxes = np.array(
        [[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60], [70, 70, 70, 80]], np.float32
    )
    moved = vote_boxes(boxes[[0, 2, 3]], boxes, np.array([3, 1, 1, 1]))
    np.testing.assert_allclose(moved, [[0.5, 0, 10.5, 10], [50, 50, 60, 60], [70, 70, 70, 80]])
    assert vote_boxes(as_boxes([]), as_boxes([]), np.zeros(0)).shape == (0, 4)


def test_the_share_of_a_box_inside_regions_agrees_with_counted_pixels():
    boxes = [(0, 0, 10, 10), (5, 5, 15, 25), (30, 30, 30, 40)]
    regions = [(0, 0, 5, 10), (8, 8, 40, 40)]
    expected = []
    for x_min, y_min, x_max, y_max in boxes:
        row = []
        for region in regions:
            mask = np.zeros((50, 50), bool)
            mask[region[1] : region[3], region[0] : region[2]] = True
            part = mask[y_min:y_max, x_min:x_max]
            row.append(part.mean() if part.size else 0)
        expected.append(row)
    np.testing.assert_allclose(share_inside(boxes, regions), expected)
    assert share_inside([], regions).shape == (0, 2)
    assert share_inside(boxes, []).shape == (3, 0)
