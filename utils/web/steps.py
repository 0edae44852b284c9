"""The steps around the networks of the web page, in ONNX Script.

Functions with the decorator ``script`` are translated into ONNX operators; as Python they never
run. ``FLOAT[...]`` is a tensor of any shape. Each function does what one of ``utils.detect`` or
``utils.boxes`` does, and tests compare the two.
"""

from __future__ import annotations

import onnx
from onnxscript import BOOL, FLOAT, INT64, OnnxFunction, script
from onnxscript import opset15 as op

from utils.classes import MASK_CLASSES, NO_FACE
from utils.detect import DETECTOR_SHARE, PADDING, face_detector

TO_FLOAT = onnx.TensorProto.FLOAT
TO_INT64 = onnx.TensorProto.INT64

# Constants of the steps. ONNX Script copies them into the graphs.
MAX_FACES = face_detector.MAX_FACES
MIN_HEIGHT_TO_WIDTH = face_detector.MIN_HEIGHT_TO_WIDTH
MERGE_OVERLAP = face_detector.MERGE_OVERLAP
MAX_IOU = face_detector.MAX_IOU
VOTE_IOU = face_detector.VOTE_IOU
SMALLEST = 1e-6  # the least probability in ``blend_probabilities``, and other divisors
EDGE = 2.0  # pixels of the network's input: a box that is nearer to the edge of a tile is cut
SIDE_SHARE = 0.5 + PADDING  # of a face's longer side: half the side of its crop
MASK_COUNT = len(MASK_CLASSES)


@script(default_opset=op)
def _measure_areas(xyxy: FLOAT[...]) -> FLOAT[...]:
    """Return the areas (N,) of boxes (N, 4)."""
    sides = op.Max(xyxy[:, 2:4] - xyxy[:, 0:2], 0.0)
    return op.ReduceProd(sides, axes=[1], keepdims=0)


@script(default_opset=op)
def _measure_intersections(a: FLOAT[...], b: FLOAT[...]) -> FLOAT[...]:
    """Return the area that each of N boxes shares with each of M boxes: (N, M)."""
    rows = op.Unsqueeze(a, op.Constant(value_ints=[1]))
    columns = op.Unsqueeze(b, op.Constant(value_ints=[0]))
    top_left = op.Max(rows[:, :, 0:2], columns[:, :, 0:2])
    bottom_right = op.Min(rows[:, :, 2:4], columns[:, :, 2:4])
    sides = op.Max(bottom_right - top_left, 0.0)
    return op.ReduceProd(sides, axes=[2], keepdims=0)


@script(default_opset=op)
def _vote_boxes(xyxy: FLOAT[...], voters: FLOAT[...], weights: FLOAT[...]) -> FLOAT[...]:
    """Move boxes (N, 4) to the weighted mean of the voters (M, 4) that overlap them."""
    shared = _measure_intersections(xyxy, voters)
    areas = op.Unsqueeze(_measure_areas(xyxy), op.Constant(value_ints=[1]))
    union = areas + _measure_areas(voters) - shared
    iou = op.Where(union > 0.0, shared / op.Max(union, SMALLEST), 0.0)
    votes = op.Cast(iou >= VOTE_IOU, to=TO_FLOAT) * weights
    total = op.ReduceSum(votes, op.Constant(value_ints=[1]), keepdims=1)
    mean = op.MatMul(votes, voters) / op.Max(total, 1e-12)
    return op.Where(total > 0.0, mean, xyxy)


@script(default_opset=op)
def _center_cells(length: INT64[...], stride: INT64[...]) -> FLOAT[...]:
    """Return the centres of the cells along one side of the input, (N,) pixels."""
    numbers = op.Range(op.Constant(value_int=0), length / stride, op.Constant(value_int=1))
    return (op.Cast(numbers, to=TO_FLOAT) + 0.5) * op.Cast(stride, to=TO_FLOAT)


@script(default_opset=op)
def _make_level(resolution_wh: INT64[...], stride: INT64[...]) -> FLOAT[...]:
    """Return the grid points of one stride, (P, 3): x, y and the stride."""
    x = op.Unsqueeze(_center_cells(resolution_wh[0], stride), op.Constant(value_ints=[0]))
    y = op.Unsqueeze(_center_cells(resolution_wh[1], stride), op.Constant(value_ints=[1]))
    zeros = (x + y) * 0.0
    rows = op.Concat(zeros + x, zeros + y, zeros + op.Cast(stride, to=TO_FLOAT), axis=0)
    return op.Transpose(op.Reshape(rows, op.Constant(value_ints=[3, -1])), perm=[1, 0])


def script_decoder(strides: tuple[int, ...], calibration: tuple[float, float]) -> OnnxFunction:
    """Return the graph from the network's output to the boxes of a pass.

    Args:
        strides: the three strides of the network, pixels.
        calibration: factor and offset of the face logit.
    """
    fine, middle, coarse = strides
    factor, offset = calibration

    @script(default_opset=op)
    def decode(
        output: FLOAT[1, None, 8],
        input_wh: INT64[2],
        min_confidence: FLOAT,
        vote_confidence: FLOAT,
        scale_xy: FLOAT[2],
        tile: FLOAT[4],
        image_wh: FLOAT[2],
        tile_odds: FLOAT,
    ) -> tuple[FLOAT[None, 4], FLOAT[None], FLOAT[None, 3]]:
        """Return boxes (N, 4) in pixels of the image, confidence (N,) and probabilities (N, 3).

        Args:
            output: (1, P, 8), of the network.
            input_wh: width and height of the network's input, pixels.
            min_confidence: least confidence of a face.
            vote_confidence: least confidence of a box that moves others.
            scale_xy: (2,) by which the tile was resized to the input.
            tile: (4,) the part of the image that was searched, pixels; the image's own box if all.
            image_wh: (2,) width and height of the image.
            tile_odds: factor on the odds of each box.
        """
        rows = op.Squeeze(output, op.Constant(value_ints=[0]))
        all_confidence = op.Sigmoid(rows[:, 3] * factor + offset)
        is_chosen = op.Cast(all_confidence >= min_confidence, to=TO_INT64)
        chosen_count = op.Min(op.ReduceSum(is_chosen, keepdims=1), MAX_FACES)
        chosen_confidence, chosen = op.TopK(all_confidence, chosen_count)

        grid = op.Concat(
            _make_level(input_wh, fine),
            _make_level(input_wh, middle),
            _make_level(input_wh, coarse),
            axis=0,
        )
        grid_rows = op.Gather(grid, chosen)
        points = grid_rows[:, 0:2]
        logits = op.Gather(rows, chosen)
        distance = op.Softplus(logits[:, 4:8]) * grid_rows[:, 2:3]
        corners = op.Concat(points - distance[:, 0:2], points + distance[:, 2:4], axis=1)
        input_size = op.Cast(op.Concat(input_wh, input_wh, axis=0), to=TO_FLOAT)
        clipped = op.Min(op.Max(corners, 0.0), input_size)
        sides = clipped[:, 2:4] - clipped[:, 0:2]
        is_tall = sides[:, 1] >= sides[:, 0] * MIN_HEIGHT_TO_WIDTH

        boxes = op.Compress(clipped, is_tall, axis=0)
        confidence = op.Compress(chosen_confidence, is_tall, axis=0)
        y_prob = op.Softmax(op.Compress(logits[:, 0:3], is_tall, axis=0), axis=1)
        selected = op.NonMaxSuppression(
            op.Unsqueeze(boxes, op.Constant(value_ints=[0])),
            op.Unsqueeze(confidence, op.Constant(value_ints=[0, 1])),
            MAX_FACES,
            MAX_IOU,
        )
        kept = selected[:, 2]
        odds = confidence / op.Max(1.0 - confidence, SMALLEST)
        votes = odds * op.Cast(confidence >= vote_confidence, to=TO_FLOAT)
        moved = _vote_boxes(op.Gather(boxes, kept), boxes, votes)

        # From pixels of the input to those of the tile, then to those of the image.
        tile_wh = tile[2:4] - tile[0:2]
        tile_size = op.Concat(tile_wh, tile_wh, axis=0)
        in_tile = op.Min(op.Max(moved / op.Concat(scale_xy, scale_xy, axis=0), 0.0), tile_size)
        in_image = in_tile + op.Concat(tile[0:2], tile[0:2], axis=0)

        # A face that the edge of a tile cuts is whole in the next tile.
        kept_confidence = op.Gather(confidence, kept)
        kept_odds = tile_odds * kept_confidence / op.Max(1.0 - kept_confidence, SMALLEST)
        lowered = op.Where(tile_odds == 1.0, kept_confidence, kept_odds / (1.0 + kept_odds))
        has_neighbour = op.Concat(tile[0:2] > 0.0, tile[2:4] < image_wh, axis=0)
        at_edge = op.Abs(in_image - tile) < EDGE / op.Concat(scale_xy, scale_xy, axis=0)
        cut_sides = op.Cast(op.And(at_edge, has_neighbour), to=TO_FLOAT)
        is_whole = op.ReduceMax(cut_sides, axes=[1], keepdims=0) < 0.5
        is_reported = op.And(is_whole, lowered >= min_confidence)
        pass_boxes = op.Compress(in_image, is_reported, axis=0)
        pass_confidence = op.Compress(lowered, is_reported, axis=0)
        pass_y_prob = op.Compress(op.Gather(y_prob, kept), is_reported, axis=0)
        return pass_boxes, pass_confidence, pass_y_prob

    return decode


@script(default_opset=op)
def merge_passes(
    boxes: FLOAT[None, 4],
    confidence: FLOAT[None],
    y_prob: FLOAT[None, 3],
    large_count: INT64,
    is_single: BOOL,
) -> tuple[FLOAT[None, 4], FLOAT[None], FLOAT[None, 3], FLOAT[None, 4]]:
    """Return the faces of all passes, the most confident first, and the squares to crop.

    Args:
        boxes: (N, 4) of all passes, those of the coarse pass first, pixels; N is at least 1.
        confidence: (N,).
        y_prob: (N, 3), the detector's.
        large_count: the number of boxes of the coarse pass.
        is_single: whether only one pass has found faces; then none is suppressed.

    Returns:
        boxes (M, 4), confidence (M,), y_prob (M, 3), and squares (M, 4) in whole pixels, which may
        reach beyond the image.
    """
    count = op.Shape(confidence)
    numbers = op.Range(op.Constant(value_int=0), op.Squeeze(count), op.Constant(value_int=1))
    rank = confidence + op.Cast(numbers < large_count, to=TO_FLOAT)
    _, by_rank = op.TopK(rank, count)
    ranked = op.Gather(boxes, by_rank)
    areas = _measure_areas(ranked)
    smaller = op.Min(op.Unsqueeze(areas, op.Constant(value_ints=[1])), areas)
    shared = _measure_intersections(ranked, ranked)
    overlap = op.Where(smaller > 0.0, shared / op.Max(smaller, SMALLEST), 0.0)
    is_same = op.And(overlap > MERGE_OVERLAP, op.Not(is_single))

    # Greedy suppression: each box that is still kept removes the later ones that it covers.
    is_kept = numbers >= 0
    for i in range(op.Squeeze(count)):
        is_later = numbers > i
        covers = op.And(op.Gather(is_same, i), op.Gather(is_kept, i))
        is_kept = op.And(is_kept, op.Not(op.And(covers, is_later)))

    merged_boxes = op.Compress(ranked, is_kept, axis=0)
    merged_confidence = op.Compress(op.Gather(confidence, by_rank), is_kept, axis=0)
    merged_y_prob = op.Compress(op.Gather(y_prob, by_rank), is_kept, axis=0)
    _, order = op.TopK(merged_confidence, op.Shape(merged_confidence))
    face_boxes = op.Gather(merged_boxes, order)
    face_confidence = op.Gather(merged_confidence, order)
    face_y_prob = op.Gather(merged_y_prob, order)

    # ``square_boxes`` and the rounding of ``crop_faces``.
    center = (face_boxes[:, 0:2] + face_boxes[:, 2:4]) / 2.0
    sides = face_boxes[:, 2:4] - face_boxes[:, 0:2]
    half = op.ReduceMax(sides, axes=[1], keepdims=1) * SIDE_SHARE
    low = center - half
    high = center + half
    side = op.Round((high - low)[:, 0:1])
    corner = op.Round((low + high - side) / 2.0)
    squares = op.Concat(corner, corner + side, axis=1)
    return face_boxes, face_confidence, face_y_prob, squares


def script_judge(threshold: float, unsure_below: float) -> OnnxFunction:
    """Return the graph from both opinions about a face to its answer.

    Args:
        threshold: a face whose ``no_face`` probability reaches it is none.
        unsure_below: an answer whose sureness is lower is unsure.
    """

    @script(default_opset=op)
    def judge(
        y_prob_classifier: FLOAT[None, 4], y_prob_detector: FLOAT[None, 3]
    ) -> tuple[FLOAT[None, 4], INT64[None], BOOL[None], BOOL[None]]:
        """Return y_prob (N, 4), the answer (N,), is_unsure (N,) and is_face (N,).

        Args:
            y_prob_classifier: (N, 4), the classifier's.
            y_prob_detector: (N, 3), the detector's.
        """
        of_classifier = op.Min(op.Max(y_prob_classifier[:, 0:MASK_COUNT], SMALLEST), 1.0)
        of_detector = op.Min(op.Max(y_prob_detector, SMALLEST), 1.0)
        product = op.Pow(of_classifier, 1.0 - DETECTOR_SHARE) * op.Pow(of_detector, DETECTOR_SHARE)
        total = op.ReduceSum(product, op.Constant(value_ints=[1]), keepdims=1)
        no_face = y_prob_classifier[:, NO_FACE : NO_FACE + 1]
        blended = product / total * (1.0 - no_face)
        y_prob = op.Concat(blended, no_face, axis=1)

        best = op.ArgMax(blended, axis=1, keepdims=1)
        probability = op.GatherElements(blended, best, axis=1)
        opinion = op.GatherElements(y_prob_classifier, best, axis=1)
        mean = (opinion + op.GatherElements(y_prob_detector, best, axis=1)) / 2.0
        one = op.Constant(value_ints=[1])
        answer = op.Squeeze(best, one)
        is_unsure = op.Squeeze(op.Min(probability, mean), one) < unsure_below
        is_face = op.Squeeze(no_face, one) < threshold
        return y_prob, answer, is_unsure, is_face

    return judge
