"""Detections (parallel arrays) and the geometry of boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class Detections:
    """The faces found in one image, as parallel arrays of length N.

    Attributes:
        xyxy: (N, 4) float32 boxes in pixels.
        confidence: (N,) float32, the detector's score in 0-1.
        y_prob: (N, C) float32, the classifier's probabilities, or None before faces are classified.
        track_id: (N,) int64, who is who between frames, or None.
    """

    xyxy: np.ndarray
    confidence: np.ndarray
    y_prob: np.ndarray | None = None
    track_id: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {
            len(value) for field in fields(self) if (value := getattr(self, field.name)) is not None
        }
        if len(lengths) != 1 or self.xyxy.shape[1:] != (4,):
            raise ValueError(
                f"xyxy must be (N, 4) and all arrays of one length, not {self.xyxy.shape} and {lengths}."
            )

    @classmethod
    def empty(cls) -> Detections:
        """No faces."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: np.ndarray | slice | list[int]) -> Detections:
        """The detections a mask, a slice or a list of positions selects."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: value[index] for name, value in chosen.items() if value is not None}
        )


def as_boxes(xyxy: object) -> np.ndarray:
    """Anything box-like as an (N, 4) float32 array; an empty list becomes (0, 4)."""
    return np.asarray(xyxy, dtype=np.float32).reshape(-1, 4)


def clip_boxes(xyxy: np.ndarray, resolution_wh: tuple[int, int]) -> np.ndarray:
    """Boxes cut at the edges of an image. A box wholly outside becomes empty (area 0)."""
    width, height = resolution_wh
    return np.clip(as_boxes(xyxy), 0, np.array([width, height, width, height], np.float32))


def square_boxes(xyxy: np.ndarray, padding: float = 0.0) -> np.ndarray:
    """The square about each box's centre whose side is the box's longer side, padded.

    Args:
        xyxy: (N, 4) boxes.
        padding: added on each of the four sides, as a share of the longer side.

    Returns:
        (N, 4) float32 boxes, which may reach outside the image.
    """
    xyxy = as_boxes(xyxy)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    half = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, keepdims=True, initial=0) * (0.5 + padding)
    return np.concatenate([centre - half, centre + half], axis=1)


def box_area(xyxy: np.ndarray) -> np.ndarray:
    """Areas (N,) in square pixels; a box turned inside out has area 0."""
    xyxy = as_boxes(xyxy)
    return np.prod(np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None), axis=1)


def _intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.prod(np.clip(sides, 0, None), axis=2)


def box_iou(xyxy_a: np.ndarray, xyxy_b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of one set with every box of another: (N, M), 0 where both are empty."""
    a, b = as_boxes(xyxy_a), as_boxes(xyxy_b)
    intersection = _intersection(a, b)
    union = box_area(a)[:, None] + box_area(b)[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def box_overlap(xyxy_a: np.ndarray, xyxy_b: np.ndarray) -> np.ndarray:
    """Intersection over the smaller of two boxes, (N, M): 1 where one lies inside the other."""
    a, b = as_boxes(xyxy_a), as_boxes(xyxy_b)
    smaller = np.minimum(box_area(a)[:, None], box_area(b)[None])
    return np.divide(_intersection(a, b), smaller, out=np.zeros_like(smaller), where=smaller > 0)


def nms(
    xyxy: np.ndarray, confidence: np.ndarray, threshold: float = 0.45, overlap: Callable = box_iou
) -> np.ndarray:
    """Greedy non-maximum suppression: positions of the boxes kept, the most confident first.

    Args:
        xyxy: (N, 4) boxes.
        confidence: (N,).
        threshold: a box that overlaps a kept one by more is dropped.
        overlap: ``box_iou``, or ``box_overlap`` to drop parts of a face too.
    """
    xyxy, kept = as_boxes(xyxy), []
    order = np.argsort(-np.asarray(confidence), kind="stable")
    while order.size:
        kept.append(int(order[0]))
        rest = order[1:]
        order = rest[overlap(xyxy[order[:1]], xyxy[rest])[0] <= threshold]
    return np.array(kept, dtype=np.int64)


def vote_boxes(
    xyxy: np.ndarray, voters: np.ndarray, weights: np.ndarray, min_iou: float = 0.5
) -> np.ndarray:
    """Boxes moved to the weighted mean of all that overlap them (box voting: Gidaris and Komodakis, 2015).

    Args:
        xyxy: (N, 4) boxes to move.
        voters: (M, 4) boxes, those of ``xyxy`` among them.
        weights: (M,) above 0.
        min_iou: how much a voter must overlap.
    """
    votes = (box_iou(xyxy, voters) >= min_iou) * np.asarray(weights)
    total = votes.sum(axis=1, keepdims=True)  # 0 where a box has no area
    return as_boxes(
        np.where(total > 0, votes @ as_boxes(voters) / np.maximum(total, 1e-12), as_boxes(xyxy))
    )


def tile_boxes(resolution_wh: tuple[int, int], side: float, overlap: float = 0.2) -> np.ndarray:
    """Square tiles, evenly spaced, that cover an image.

    Args:
        resolution_wh: width and height of the image.
        side: of a tile in pixels; one that is larger than the image is cut at its edges.
        overlap: the share of its side that a tile has in common with the next, at least.

    Returns:
        (N, 4) float32 boxes of whole pixels, row by row.
    """
    starts = []
    for length in resolution_wh:
        count = 1 + max(0, int(np.ceil((length - side) / (side * (1 - overlap)))))
        starts.append(np.linspace(0, max(0, length - side), count).round())
    x, y = (grid.ravel() for grid in np.meshgrid(*starts))
    return clip_boxes(np.stack([x, y, x + side, y + side], axis=1).round(), resolution_wh)


def sample_background(
    xyxy: np.ndarray,
    resolution_wh: tuple[int, int],
    count: int,
    rng: np.random.Generator,
    sizes: tuple[int, int],
) -> np.ndarray:
    """Square boxes that touch no face: what a detector might take for one.

    Args:
        xyxy: (N, 4) faces to keep away from.
        resolution_wh: width and height of the image.
        count: how many to draw; fewer come back where the image is full of faces.
        rng: the source of chance.
        sizes: smallest and largest side in pixels, drawn on a logarithmic scale.

    Returns:
        (M, 4) float32 boxes inside the image, M <= count.
    """
    width, height = resolution_wh
    largest = min(sizes[1], width, height)
    if largest < sizes[0]:
        return as_boxes([])
    side = np.exp(rng.uniform(np.log(sizes[0]), np.log(largest), (20 * count, 1)))
    corner = rng.uniform(0, 1, (20 * count, 2)) * (np.array([width, height]) - side)
    boxes = np.concatenate([corner, corner + side], axis=1).round().astype(np.float32)
    free = box_iou(boxes, square_boxes(xyxy, 0.1)).max(axis=1, initial=0) == 0
    return boxes[free][:count]
