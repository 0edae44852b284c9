"""Find the faces of an image: detectors behind one callable, and a folder searched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.boxes import (
    Detections,
    as_boxes,
    box_iou,
    box_overlap,
    clip_boxes,
    nms,
    tile_boxes,
    vote_boxes,
)
from utils.classes import CLASS_NAMES
from utils.detect.crops import (
    crop_faces as crop_faces,  # the crop belongs to faces, for whoever calls from outside
)
from utils.detect.grid import PAD, grid_points
from utils.detect.onnx_session import open_session
from utils.detect.opencv_detectors import Res10, YuNet
from utils.images import ImageError, crop_image, read_image, resize_image
from utils.paths import MODEL_DIR

Detector = Callable[[np.ndarray], Detections]
DETECTOR_FILE = (
    MODEL_DIR / "face_detector_int8.onnx"
)  # 8 bits; the float file lies beside it: notebook 04
COARSE = 0.25  # a second look, at so much of the size, for faces that nearly fill the picture ...
LARGE = 0.45  # ... which are those longer than this share of its longer side. Not where there are several faces ...
HINT, SMALL = (
    0.1,
    0.22,
)  # ... and none of this confidence is longer than this share: 96 of 97 that were missed had such
FLAT = 0.78  # height to width of a box that is no face: of 294 found on validation none was so flat, of 54 mistakes two
TILED_UNDER = 0.8  # a picture that is made smaller than this is looked at in tiles too
TINY = 20  # pixels of a face in the whole picture, from which on it is seen there and tiles need not tell of it
CROWD = 10  # so many faces that are tiny: the picture is looked at once more ...
CLOSER = 1.5  # ... enlarged so much, for those that are tinier still: best on validation, and rarely needed
TILE_ODDS = (
    0.4  # more looks are more chances to be wrong: what a tile shows has these odds of its own odds
)
OVERLAP = 0.2  # of neighbouring tiles, as a share of their side
LONGEST = 5120  # pixels of a side; a picture that is larger is looked at in tiles as if it were made so small
MOST = 1000  # faces of one look: where a person asks for every doubtful box, the surest of them must do
MAX_ENLARGED = 2.0  # a small picture is enlarged so much at most


def decode_faces(
    output: np.ndarray,
    resolution_wh: tuple[int, int],
    strides: Sequence[int],
    min_confidence: float = 0.5,
    calibration: tuple[float, float] = (1.0, 0.0),
    max_iou: float = 0.4,
    vote_iou: float = 0.5,
    vote_confidence: float = 0.0,
) -> Detections:
    """The shipped network's answers to faces: decoded and suppressed here and nowhere else.

    Args:
        output: (P, 8) of the network: three class logits, a face logit, and four numbers whose softplus is the distance
            to a side, in strides.
        resolution_wh: width and height of the network's input.
        strides: of the network's levels, fine to coarse.
        min_confidence: boxes under it are left out.
        calibration: factor and offset that turn the face logit into one whose sigmoid is the confidence.
        max_iou: a box that overlaps a surer one by more is left out.
        vote_iou: a box that stays moves to the mean of all that overlap it so much, weighted by their odds.
        vote_confidence: boxes under it move no other.

    Returns:
        Detections in pixels of the input, the most confident first; ``y_prob`` is its own (N, C), whose column
        ``no_face`` is 0.
    """
    confidence = 1 / (1 + np.exp(-(calibration[0] * output[:, 3] + calibration[1])))
    chosen = np.flatnonzero(confidence >= min_confidence)
    chosen = chosen[np.argsort(-confidence[chosen], kind="stable")[:MOST]]
    points, stride_of = grid_points(resolution_wh, strides)
    points, distance = points[chosen], np.logaddexp(0, output[chosen, 4:]) * stride_of[chosen, None]
    xyxy = clip_boxes(
        np.concatenate([points - distance[:, :2], points + distance[:, 2:]], axis=1), resolution_wh
    )
    odds = np.exp(output[chosen, :3] - output[chosen, :3].max(axis=1, keepdims=True))
    y_prob = np.zeros((len(chosen), len(CLASS_NAMES)), np.float32)
    y_prob[:, :3] = odds / odds.sum(axis=1, keepdims=True)
    found = Detections(xyxy, confidence[chosen].astype(np.float32), y_prob)
    size = found.xyxy[:, 2:] - found.xyxy[:, :2]
    found = found[size[:, 1] >= FLAT * size[:, 0]]
    kept = nms(found.xyxy, found.confidence, max_iou)
    odds = (
        found.confidence
        / np.maximum(1 - found.confidence, 1e-6)
        * (found.confidence >= vote_confidence)
    )
    return replace(found[kept], xyxy=vote_boxes(found.xyxy[kept], found.xyxy, odds, vote_iou))


class SSD:
    """The project's own one-stage detector, trained on masked faces (``utils.train.detector``, notebook 04).

    A picture is looked at whole, its longer side at ``side`` pixels, and, unless it shows small faces alone, once more,
    smaller, for a face that fills it, larger than any that the network has learned. A picture that must be made much
    smaller for that is looked at in tiles of its own size too, for faces that would be too small; a tile's edge cuts
    larger ones, which the whole shows. A crowd is looked at again, enlarged. ``tiled=False`` leaves these two out, for
    videos.
    """

    def __init__(
        self,
        min_confidence: float = 0.5,
        tiled: bool = True,
        side: int = 0,
        path: str | Path = DETECTOR_FILE,
    ) -> None:
        self._session, metadata = open_session(path)
        try:
            self.strides, self.calibration = (
                tuple(json.loads(metadata[key])) for key in ("strides", "calibration")
            )
            self.side = side or int(metadata["side"])
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"The model file {path} is damaged or no face detector: restore or train it."
            ) from error
        self.min_confidence, self.tiled = min_confidence, tiled

    def _detect(self, image: np.ndarray, scale: float, min_confidence: float) -> Detections:
        height, width = image.shape[:2]
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        coarsest = self.strides[-1]
        padded_wh = tuple(-(-side // coarsest) * coarsest for side in size)
        pixels = np.full((1, padded_wh[1], padded_wh[0], 3), PAD, np.float32)
        pixels[0, : size[1], : size[0]] = resize_image(image, size)
        (output,) = self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        found = decode_faces(
            output[0],
            padded_wh,
            self.strides,
            min_confidence,
            self.calibration,
            vote_confidence=self.min_confidence,
        )
        xyxy = found.xyxy * np.tile(np.array([width, height], np.float32) / size, 2)
        return replace(found, xyxy=clip_boxes(xyxy, (width, height)))

    def __call__(self, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        scale = min(self.side / max(height, width), MAX_ENLARGED)
        whole = self._detect(image, scale, min(HINT, self.min_confidence))
        large, whole = (
            self._find_large(image, scale, whole),
            whole[whole.confidence >= self.min_confidence],
        )
        native, tiles = 0.0, []
        if self.tiled and scale < TILED_UNDER:
            native = min(1.0, LONGEST / max(height, width))
            tiles = tile_boxes((width, height), self.side / native, OVERLAP)
        elif self.tiled and _count_tiny(whole, scale) >= CROWD:
            native, tiles = CLOSER * scale, as_boxes([0, 0, width, height])
        passes = [large, whole]
        for tile in tiles:
            found = self._detect_tile(image, tile, native)
            passes.append(found[_long_sides(found) * scale < TINY])
        if sum(map(bool, map(len, passes))) < 2:
            return max(passes, key=len)
        xyxy, confidence, y_prob = (
            np.concatenate([getattr(found, name) for found in passes])
            for name in ("xyxy", "confidence", "y_prob")
        )
        rank = confidence + (
            np.arange(len(confidence)) < len(passes[0])
        )  # what lies in a large face is a part of it
        return Detections(xyxy, confidence, y_prob)[nms(xyxy, rank, 0.6, box_overlap)]

    def _find_large(self, image: np.ndarray, scale: float, whole: Detections) -> Detections:
        """The faces that fill an image; ``whole`` is what was found of it in this scale, hints among it."""
        longer, sure = (
            max(image.shape[:2]),
            max(0.5, self.min_confidence),
        )  # a doubtful one must not hide those within
        if (whole.confidence >= 0.5).sum() > 1 and _long_sides(whole).max() < SMALL * longer:
            return whole[:0]
        coarse = self._detect(image, scale * COARSE, self.min_confidence)
        return coarse[(_long_sides(coarse) > LARGE * longer) & (coarse.confidence >= sure)]

    def _detect_tile(self, image: np.ndarray, tile: np.ndarray, scale: float) -> Detections:
        """The faces wholly inside a tile: one that its edge cuts is whole in the next, or in the picture."""
        found = self._detect(crop_image(image, tile), scale, self.min_confidence)
        xyxy = found.xyxy + np.tile(tile[:2], 2)
        inner = np.concatenate(
            [tile[:2] > 0, tile[2:] < image.shape[1::-1]]
        )  # edges with a picture beyond
        cut = (np.abs(xyxy - tile) < 2 / scale) & inner
        odds = TILE_ODDS * found.confidence / np.maximum(1 - found.confidence, 1e-6)
        found = replace(found, xyxy=xyxy, confidence=(odds / (1 + odds)).astype(np.float32))
        return found[~cut.any(axis=1) & (found.confidence >= self.min_confidence)]


def _long_sides(found: Detections) -> np.ndarray:
    return (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(axis=1)


def _count_tiny(found: Detections, scale: float) -> int:
    """How many faces are surely there and tiny in a picture looked at in this scale."""
    return int(((_long_sides(found) * scale < TINY) & (found.confidence >= 0.5)).sum())


DETECTORS: dict[str, Callable[..., Detector]] = {"ssd": SSD, "yunet": YuNet, "res10": Res10}


def load_detector(name: str = "ssd", min_confidence: float = 0.5, **options: object) -> Detector:
    """A detector by name, with its own options: it takes an RGB image and returns ``Detections``; the shipped
    one gives its own ``y_prob``, the others none.

    Raises:
        FileNotFoundError: its model file is missing; the sentence says how to get it.
        ValueError: no detector has this name, or its model file is damaged.
    """
    if name not in DETECTORS:
        raise ValueError(f"There is no detector '{name}': use one of {', '.join(DETECTORS)}.")
    return DETECTORS[name](min_confidence=min_confidence, **options)


def find_faces(
    files: Iterable[str | Path], detector: Detector
) -> Iterator[tuple[Path, np.ndarray, Detections]]:
    """Run a detector over files with a progress bar: (file, image, detections) of each that can be read."""
    from tqdm.auto import (
        tqdm,  # here alone: one image needs no bar, and is done sooner than this is imported
    )

    for file in tqdm(list(files), desc="finding faces", unit="image"):
        try:
            image = read_image(file)
        except ImageError as error:
            tqdm.write(str(error))
            continue
        yield Path(file), image, detector(image)


def without_known(
    detections: Detections, xyxy_known: np.ndarray, max_iou: float = 0.05
) -> Detections:
    """The detections with no known face at more than ``max_iou``: a detector's mistakes, or faces nobody labelled."""
    iou = box_iou(detections.xyxy, as_boxes(xyxy_known))
    return detections[iou.max(axis=1, initial=0) <= max_iou]
