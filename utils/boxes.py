"""Detections and the geometry of boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BOX_COLUMNS = ["x_min", "y_min", "x_max", "y_max"]  # of a table with a box in each row
# Faces keep this distance from a background box, as a share of the longer side of the face.
BACKGROUND_PADDING = 0.1
# Random boxes drawn for each background box to return, because many touch a face.
BACKGROUND_TRIES = 20


@dataclass(frozen=True)
class Detections:
    """The faces found in one image, as parallel arrays of length N.

    Attributes:
        xyxy: (N, 4) float32 boxes in pixels.
        confidence: (N,) float32, the detector's scores in 0-1.
        y_prob: (N, C) float32, the classifier's probabilities; None before faces are classified.
        track_id: (N,) int64, the same number for the same person in all frames; None without
            tracking.
        is_unsure: (N,) bool, whether the class is in doubt, see ``detect.detect_masks``; None if
            that is not known.
    """

    xyxy: np.ndarray
    confidence: np.ndarray
    y_prob: np.ndarray | None = None
    track_id: np.ndarray | None = None
    is_unsure: np.ndarray | None = None

    def __post_init__(self) -> None:
        arrays = (self.xyxy, self.confidence, self.y_prob, self.track_id, self.is_unsure)
        lengths = {len(array) for array in arrays if array is not None}
        if len(lengths) != 1 or self.xyxy.shape[1:] != (4,):
            raise ValueError(
                "xyxy must be (N, 4) and all arrays of one length, "
                f"not {self.xyxy.shape} and {lengths}."
            )

    @classmethod
    def empty(cls) -> Detections:
        """Return detections without any face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: np.ndarray | slice | list[int]) -> Detections:
        """Return the detections that a mask, a slice or a list of positions selects."""
        return Detections(
            xyxy=self.xyxy[index],
            confidence=self.confidence[index],
            y_prob=None if self.y_prob is None else self.y_prob[index],
            track_id=None if self.track_id is None else self.track_id[index],
            is_unsure=None if self.is_unsure is None else self.is_unsure[index],
        )


def as_boxes(xyxy: ArrayLike) -> np.ndarray:
    """Return boxes as an (N, 4) float32 array. An empty list becomes (0, 4)."""
    return np.asarray(xyxy, dtype=np.float32).reshape(-1, 4)


def clip_boxes(xyxy: ArrayLike, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Return boxes clipped to an image.

    Args:
        xyxy: (N, 4) boxes.
        resolution_wh: width and height of the image.

    Returns:
        (N, 4) float32 boxes. A box that is wholly outside gets an area of 0.
    """
    width, height = resolution_wh
    return np.clip(as_boxes(xyxy), 0, np.array([width, height, width, height], np.float32))


def square_boxes(xyxy: ArrayLike, padding: float = 0.0) -> np.ndarray:
    """Return squares with the centre and the longer side of each box, padded.

    Args:
        xyxy: (N, 4) boxes.
        padding: added on each of the four sides, as a share of the longer side.

    Returns:
        (N, 4) float32 boxes, which may reach outside the image.
    """
    xyxy = as_boxes(xyxy)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    longer_side = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, keepdims=True, initial=0)
    half = longer_side * (0.5 + padding)
    return np.concatenate([centre - half, centre + half], axis=1)


def box_area(xyxy: ArrayLike) -> np.ndarray:
    """Return the areas (N,) of boxes in square pixels; 0 for a negative width or height."""
    xyxy = as_boxes(xyxy)
    sides = np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]


def _intersection_area(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the area that each of N boxes shares with each of M boxes: (N, M)."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0, None)
    return sides[..., 0] * sides[..., 1]


def box_iou(xyxy_a: ArrayLike, xyxy_b: ArrayLike) -> np.ndarray:
    """Return the intersection over union of each pair of boxes.

    Args:
        xyxy_a: (N, 4) boxes.
        xyxy_b: (M, 4) boxes.

    Returns:
        (N, M) float32 in 0-1; 0 where both boxes have no area.
    """
    a = as_boxes(xyxy_a)
    b = as_boxes(xyxy_b)
    intersection = _intersection_area(a, b)
    union = box_area(a)[:, None] + box_area(b)[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_overlap(xyxy_a: ArrayLike, xyxy_b: ArrayLike) -> np.ndarray:
    """Return the intersection over the smaller box of each pair.

    Args:
        xyxy_a: (N, 4) boxes.
        xyxy_b: (M, 4) boxes.

    Returns:
        (N, M) float32 in 0-1; 1 where one box is inside the other, 0 where one has no area.
    """
    a = as_boxes(xyxy_a)
    b = as_boxes(xyxy_b)
    smaller = np.minimum(box_area(a)[:, None], box_area(b)[None])
    return np.divide(
        _intersection_area(a, b), smaller, out=np.zeros_like(smaller), where=smaller > 0
    )


def share_inside(xyxy: ArrayLike, regions: ArrayLike) -> np.ndarray:
    """Return the share of each box that is in each region.

    Args:
        xyxy: (N, 4) boxes.
        regions: (M, 4) boxes.

    Returns:
        (N, M) float32 in 0-1; 0 for a box without area.
    """
    boxes = as_boxes(xyxy)
    inside = _intersection_area(boxes, as_boxes(regions))
    area = box_area(boxes)[:, None]
    return np.divide(inside, area, out=np.zeros_like(inside), where=area > 0)


def nms(
    xyxy: ArrayLike,
    confidence: ArrayLike,
    threshold: float = 0.45,
    overlap: Callable[[np.ndarray, np.ndarray], np.ndarray] = box_iou,
) -> np.ndarray:
    """Select boxes by greedy non-maximum suppression.

    Args:
        xyxy: (N, 4) boxes.
        confidence: (N,) scores.
        threshold: a box whose overlap with a kept box is larger is dropped.
        overlap: ``box_iou``, or ``box_overlap`` to drop boxes of parts of a face too.

    Returns:
        (K,) int64 positions of the kept boxes, the most confident first.
    """
    xyxy = as_boxes(xyxy)
    kept = []
    order = np.argsort(-np.asarray(confidence), kind="stable")
    while order.size:
        best = order[:1]
        rest = order[1:]
        kept.append(int(best[0]))
        order = rest[overlap(xyxy[best], xyxy[rest])[0] <= threshold]
    return np.array(kept, dtype=np.int64)


def vote_boxes(
    xyxy: ArrayLike, voters: ArrayLike, weights: ArrayLike, min_iou: float = 0.5
) -> np.ndarray:
    """Move each box to the weighted mean of the boxes that overlap it.

    This is box voting: Gidaris and Komodakis, "Object detection via a multi-region and semantic
    segmentation-aware CNN model", 2015.

    Args:
        xyxy: (N, 4) boxes to move.
        voters: (M, 4) boxes, among them those of ``xyxy``.
        weights: (M,) weights above 0.
        min_iou: the least IoU of a voter.

    Returns:
        (N, 4) float32 boxes. A box without area has no voter and stays.
    """
    xyxy = as_boxes(xyxy)
    voters = as_boxes(voters)
    votes = (box_iou(xyxy, voters) >= min_iou) * np.asarray(weights)
    total = votes.sum(axis=1, keepdims=True)
    mean = votes @ voters / np.maximum(total, 1e-12)  # 1e-12: no division by 0
    return as_boxes(np.where(total > 0, mean, xyxy))


def tile_boxes(resolution_wh: tuple[int, int], side: float, overlap: float = 0.2) -> np.ndarray:
    """Return evenly spaced square tiles that cover an image.

    Args:
        resolution_wh: width and height of the image.
        side: of a tile, in pixels. A tile that is larger than the image is clipped to it.
        overlap: least overlap of neighbouring tiles, as a share of their side.

    Returns:
        (N, 4) float32 boxes of whole pixels, row by row.
    """
    starts = []
    for length in resolution_wh:
        count = 1 + max(0, int(np.ceil((length - side) / (side * (1 - overlap)))))
        starts.append(np.linspace(0, max(0, length - side), count).round())
    columns, rows = np.meshgrid(*starts)
    x = columns.ravel()
    y = rows.ravel()
    tiles = np.stack([x, y, x + side, y + side], axis=1).round()
    return clip_boxes(tiles, resolution_wh)


def sample_background(
    xyxy: ArrayLike,
    resolution_wh: tuple[int, int],
    count: int,
    rng: np.random.Generator,
    sizes: tuple[int, int],
) -> np.ndarray:
    """Draw random square boxes that touch no face.

    Args:
        xyxy: (N, 4) faces to keep away from.
        resolution_wh: width and height of the image.
        count: how many boxes to draw.
        rng: the random generator.
        sizes: smallest and largest side in pixels. Sides are uniform on a logarithmic scale.

    Returns:
        (M, 4) float32 boxes inside the image. M is less than ``count`` if the image is full of
        faces.
    """
    width, height = resolution_wh
    smallest = sizes[0]
    largest = min(sizes[1], width, height)
    if largest < smallest:
        return as_boxes([])
    tries = BACKGROUND_TRIES * count
    side = np.exp(rng.uniform(np.log(smallest), np.log(largest), (tries, 1)))
    corner = rng.uniform(0, 1, (tries, 2)) * (np.array([width, height]) - side)
    boxes = np.concatenate([corner, corner + side], axis=1).round().astype(np.float32)
    to_avoid = square_boxes(xyxy, BACKGROUND_PADDING)
    is_free = box_iou(boxes, to_avoid).max(axis=1, initial=0) == 0
    return boxes[is_free][:count]
