"""FCOS, the project's face detector on ONNX Runtime: search passes and the decoding of boxes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.boxes import Detections, as_boxes, box_overlap, clip_boxes, nms, tile_boxes, vote_boxes
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.detect.grid import PAD, grid_points
from utils.detect.onnx_session import open_session, share_cores
from utils.images import crop_image, resize_image
from utils.paths import MODEL_DIR, get_version
from utils.program import count_cores

# The 8-bit model. The float model lies beside it; notebook 04 compares the two.
DETECTOR_FILE = MODEL_DIR / "face_detector_int8.onnx"

# Decoding.
# Smallest height of a box as a share of its width. On validation, none of 294 correct boxes was
# flatter, and 2 of 54 false boxes were.
MIN_HEIGHT_TO_WIDTH = 0.78
MAX_FACES = 1000  # most confident boxes of one pass that are kept before suppression
MAX_IOU = 0.4  # largest IoU of two boxes of one pass that are both kept
VOTE_IOU = 0.5  # least IoU of a box that moves another

# Passes that follow the whole-image pass. Notebook 04 measures what each finds and what it costs.
EXTRA_PASSES = ("coarse", "tiles", "crowd")
FAST_PASSES = ("coarse",)  # for videos, which must keep up

# Whole-image pass.
MAX_ENLARGEMENT = 2.0  # largest factor by which a small image is enlarged

# Coarse pass, for a face that fills the image.
COARSE_SCALE = 0.25  # size of the coarse pass relative to the whole-image pass
LARGE = 0.45  # least length of a box that this pass reports, as a share of the image's longer side
# A hint is a box of the whole-image pass that points to such a face. Of 97 large faces that were
# missed without the coarse pass, 96 left a hint.
HINT = 0.1  # least confidence of a hint
SMALL = 0.22  # least length of a hint, as a share of the image's longer side

# Tiles, for small faces in a large image.
# Scale of the whole-image pass below which an image is also searched in tiles. On validation, tiles
# of images that are reduced less add false boxes and find no face more.
TILED_BELOW = 0.6
MAX_SIDE = 5120  # pixels; a larger image is reduced to this side before it is cut into tiles
TILE_OVERLAP = 0.2  # least overlap of neighbouring tiles, as a share of their side
TINY = 20  # pixels in the whole-image pass; tiles and crowds report only shorter faces
# Factor on the odds of each box in a tile: more passes give more chances of a false box.
TILE_ODDS = 0.4

# Crowds.
CROWD = 10  # number of tiny faces from which on the image is also searched enlarged
CROWD_ENLARGEMENT = 1.5  # relative to the whole-image pass; best on validation

# Choosing and merging passes.
FACE_CONFIDENCE = 0.5  # least confidence of a box that counts when passes are chosen
MERGE_OVERLAP = 0.6  # overlap of boxes of two passes above which they are one face


def decode_faces(
    output: np.ndarray,
    resolution_wh: tuple[int, int],
    strides: Sequence[int],
    min_confidence: float = 0.5,
    calibration: tuple[float, float] = (1.0, 0.0),
    max_iou: float = MAX_IOU,
    vote_iou: float = VOTE_IOU,
    vote_confidence: float = 0.0,
) -> Detections:
    """Decode the network's output into faces and suppress duplicates.

    Args:
        output: (P, 8), a row per grid point: three class logits, a face logit, and four numbers
            whose softplus is the distance to the left, top, right and bottom side, in strides.
        resolution_wh: width and height of the network's input, pixels.
        strides: strides of the network's levels, pixels, fine to coarse.
        min_confidence: least confidence of a face.
        calibration: factor and offset of the face logit before the sigmoid (Platt scaling).
        max_iou: largest IoU of two boxes that are both kept.
        vote_iou: a kept box moves to the mean of all boxes with at least this IoU, weighted by
            their odds.
        vote_confidence: least confidence of a box that moves others.

    Returns:
        Detections in pixels of the input, the most confident first. ``y_prob`` (N, C) is the
        detector's own; its column ``no_face`` is 0.
    """
    factor, offset = calibration
    with np.errstate(over="ignore"):  # of a logit far below 0; the confidence is then 0
        confidence = 1 / (1 + np.exp(-(factor * output[:, 3] + offset)))
    chosen = np.flatnonzero(confidence >= min_confidence)
    chosen = chosen[np.argsort(-confidence[chosen], kind="stable")[:MAX_FACES]]

    found = Detections(
        xyxy=_decode_boxes(output, chosen, resolution_wh, strides),
        confidence=confidence[chosen].astype(np.float32),
        y_prob=_decode_classes(output[chosen]),
    )
    width = found.xyxy[:, 2] - found.xyxy[:, 0]
    height = found.xyxy[:, 3] - found.xyxy[:, 1]
    found = found[height >= MIN_HEIGHT_TO_WIDTH * width]

    kept = nms(found.xyxy, found.confidence, max_iou)
    odds = found.confidence / np.maximum(1 - found.confidence, 1e-6)
    odds = odds * (found.confidence >= vote_confidence)
    xyxy = vote_boxes(found.xyxy[kept], voters=found.xyxy, weights=odds, min_iou=vote_iou)
    return replace(found[kept], xyxy=xyxy)


def _decode_boxes(
    output: np.ndarray,
    chosen: np.ndarray,
    resolution_wh: tuple[int, int],
    strides: Sequence[int],
) -> np.ndarray:
    """Return the boxes (N, 4) that the network predicts at the chosen grid points."""
    points, stride_of = grid_points(resolution_wh, strides)
    points = points[chosen]
    distance = np.logaddexp(0, output[chosen, 4:]) * stride_of[chosen, None]  # softplus
    xyxy = np.concatenate([points - distance[:, :2], points + distance[:, 2:]], axis=1)
    return clip_boxes(xyxy, resolution_wh)


def _decode_classes(output: np.ndarray) -> np.ndarray:
    """Return class probabilities (N, C): the softmax of the three class logits, 0 for no_face."""
    count = len(MASK_CLASSES)
    logits = output[:, :count]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    y_prob = np.zeros((len(output), len(CLASS_NAMES)), np.float32)
    y_prob[:, :count] = odds / odds.sum(axis=1, keepdims=True)
    return y_prob


def _open_again(
    min_confidence: float,
    passes: tuple[str, ...],
    side: int,
    path: Path,
    version: tuple[int, int],
) -> FCOS:
    """Return a detector in a process beside others. The version tells a new model from an old."""
    with share_cores(count_cores()):
        return FCOS(min_confidence, passes, side, path)


class FCOS:
    """The project's one-stage, anchor-free face detector, trained on masked faces.

    The network follows Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection" (2019).
    A MobileNetV2 backbone gives feature maps at several strides (pixels per cell), a top-down neck
    adds the coarse maps to the fine ones, and the heads predict at each grid point the class, a
    face logit and the distances to the four sides of the box. There are no anchor boxes.
    ``decode_faces`` turns the output into boxes; ``utils.train`` and notebook 04 train the network.

    An image is searched in up to four passes, and their boxes are merged:

    - whole: the longer side resized to ``side`` pixels.
    - coarse: a quarter of that size, for a face larger than any that the network was trained on.
      Skipped if the whole image shows only small faces.
    - tiles: overlapping tiles at the image's own size, for faces that are tiny in the whole pass.
      Only for images that the whole pass reduces much.
    - crowd: the image enlarged, if the whole pass found many tiny faces and there are no tiles.

    A detector of this class may be used by several threads at once. It can be pickled: another
    process opens the model file anew, and uses one core for an image.

    Args:
        min_confidence: least confidence of a face.
        passes: those of ``EXTRA_PASSES`` that follow the whole-image pass.
        side: longer side of the image in the whole pass, pixels; 0 for the value in the model file.
        path: model file.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: a pass is unknown, or the model file is damaged or is not a face detector.
    """

    def __init__(
        self,
        min_confidence: float = 0.5,
        passes: Sequence[str] = EXTRA_PASSES,
        side: int = 0,
        path: str | Path = DETECTOR_FILE,
    ) -> None:
        unknown = set(passes) - set(EXTRA_PASSES)
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ValueError(f"Unknown passes: {names}. Choose from {', '.join(EXTRA_PASSES)}.")
        self._path = Path(path).resolve()
        self._session, metadata = open_session(path)
        try:
            self.strides: tuple[int, ...] = tuple(json.loads(metadata["strides"]))
            factor, offset = json.loads(metadata["calibration"])
            self.calibration: tuple[float, float] = (factor, offset)
            self.side = side or int(metadata["side"])
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"The model file {path} is damaged or not a face detector: "
                "restore it with `git checkout` or train it anew."
            ) from error
        self.min_confidence = min_confidence
        self.passes = tuple(passes)

    def __reduce__(self) -> tuple:
        version = get_version(self._path)
        return _open_again, (self.min_confidence, self.passes, self.side, self._path, version)

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces of an image.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            Detections with the detector's own ``y_prob``.
        """
        scale = min(self.side / max(image.shape[:2]), MAX_ENLARGEMENT)
        # Hints only decide whether the coarse pass runs. They are not reported as faces.
        hinted = self._detect_at(image, scale, min_confidence=min(HINT, self.min_confidence))
        whole = hinted[hinted.confidence >= self.min_confidence]
        large = hinted[:0]  # no face, with the columns that the other passes have
        if "coarse" in self.passes:
            large = self._detect_large(image, scale, hinted)

        tiny: list[Detections] = []
        if scale < TILED_BELOW:
            if "tiles" in self.passes:
                tiny = self._detect_in_tiles(image, scale)
        elif "crowd" in self.passes and _count_tiny(whole, scale) >= CROWD:
            tiny = [self._detect_in_crowd(image, scale)]
        return _merge_passes(large, [whole, *tiny])

    def _detect_at(self, image: np.ndarray, scale: float, min_confidence: float) -> Detections:
        """Find the faces of an image that is resized by a factor and padded to whole cells."""
        height, width = image.shape[:2]
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        padded_wh = _round_up(size_wh, self.strides[-1])
        pixels = np.full((1, padded_wh[1], padded_wh[0], 3), PAD, np.float32)
        pixels[0, : size_wh[1], : size_wh[0]] = resize_image(image, size_wh)

        input_name = self._session.get_inputs()[0].name
        (output,) = self._session.run(None, {input_name: pixels})
        found = decode_faces(
            output[0],
            resolution_wh=padded_wh,
            strides=self.strides,
            min_confidence=min_confidence,
            calibration=self.calibration,
            vote_confidence=self.min_confidence,
        )
        to_image = np.tile(np.array([width, height], np.float32) / size_wh, 2)
        return replace(found, xyxy=clip_boxes(found.xyxy * to_image, (width, height)))

    def _detect_large(self, image: np.ndarray, scale: float, hinted: Detections) -> Detections:
        """Coarse pass: find a face that fills the image.

        Skip the pass if several faces are found and no box above ``HINT`` is longer than ``SMALL``
        x the longer side.

        Args:
            image: (H, W, 3) uint8 RGB.
            scale: scale of the whole-image pass.
            hinted: boxes of the whole-image pass, hints included.
        """
        longer_side = max(image.shape[:2])
        several = np.count_nonzero(hinted.confidence >= FACE_CONFIDENCE) > 1
        if several and _long_sides(hinted).max() < SMALL * longer_side:
            return hinted[:0]
        found = self._detect_at(image, scale * COARSE_SCALE, self.min_confidence)
        is_large = _long_sides(found) > LARGE * longer_side
        # A large box suppresses the boxes inside it, so it must be a face.
        is_face = found.confidence >= max(FACE_CONFIDENCE, self.min_confidence)
        return found[is_large & is_face]

    def _detect_in_tiles(self, image: np.ndarray, scale: float) -> list[Detections]:
        """Tile pass: find, at the image's own size, the faces that are tiny in the whole pass."""
        height, width = image.shape[:2]
        tile_scale = min(1.0, MAX_SIDE / max(height, width))
        passes = []
        for tile in tile_boxes((width, height), self.side / tile_scale, TILE_OVERLAP):
            found = self._detect_in_tile(image, tile, tile_scale)
            passes.append(found[_long_sides(found) * scale < TINY])
        return passes

    def _detect_in_crowd(self, image: np.ndarray, scale: float) -> Detections:
        """Crowd pass: find tiny faces in the enlarged image."""
        height, width = image.shape[:2]
        (whole_image,) = as_boxes([0, 0, width, height])
        found = self._detect_in_tile(image, whole_image, CROWD_ENLARGEMENT * scale)
        return found[_long_sides(found) * scale < TINY]

    def _detect_in_tile(self, image: np.ndarray, tile: np.ndarray, scale: float) -> Detections:
        """Find the faces that lie wholly inside a tile, with a confidence lowered by ``TILE_ODDS``.

        A face that the edge of a tile cuts is whole in the next tile or in the whole-image pass.
        """
        height, width = image.shape[:2]
        found = self._detect_at(crop_image(image, tile), scale, self.min_confidence)
        xyxy = found.xyxy + np.tile(tile[:2], 2)
        odds = TILE_ODDS * found.confidence / np.maximum(1 - found.confidence, 1e-6)
        confidence = (odds / (1 + odds)).astype(np.float32)
        found = replace(found, xyxy=xyxy, confidence=confidence)

        left, top, right, bottom = tile
        has_neighbour = np.array([left > 0, top > 0, right < width, bottom < height])
        at_edge = np.abs(xyxy - tile) < 2 / scale  # within two pixels of the network's input
        is_cut = (at_edge & has_neighbour).any(axis=1)
        return found[~is_cut & (confidence >= self.min_confidence)]


def _merge_passes(large: Detections, others: list[Detections]) -> Detections:
    """Merge the boxes of several passes; a box that lies inside a large face is a part of it."""
    passes = [found for found in [large, *others] if len(found)]
    if not passes:
        return large
    if len(passes) == 1:
        return passes[0]
    xyxy = np.concatenate([found.xyxy for found in passes])
    confidence = np.concatenate([found.confidence for found in passes])
    y_prob = np.concatenate([found.y_prob for found in passes])
    # Above 1, so that a large face comes before every other box and suppresses those inside it.
    rank = confidence.copy()
    rank[: len(large)] += 1
    kept = nms(xyxy, rank, MERGE_OVERLAP, overlap=box_overlap)
    return Detections(xyxy, confidence, y_prob)[kept]


def _round_up(size_wh: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Return a width and a height rounded up to multiples of a number."""
    width, height = size_wh
    return math.ceil(width / multiple) * multiple, math.ceil(height / multiple) * multiple


def _long_sides(found: Detections) -> np.ndarray:
    """Return the longer side of each box, (N,), pixels."""
    return (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(axis=1)


def _count_tiny(found: Detections, scale: float) -> int:
    """Count the faces that are tiny in an image resized by ``scale``."""
    is_tiny = _long_sides(found) * scale < TINY
    return int(np.count_nonzero(is_tiny & (found.confidence >= FACE_CONFIDENCE)))
