"""Two public face detectors that OpenCV runs, for comparison. Neither was trained on masks."""

from __future__ import annotations

import cv2
import numpy as np

from utils.boxes import Detections, box_overlap, clip_boxes, nms
from utils.images import resize_image
from utils.paths import find_model

YUNET_FILE = "face_detection_yunet_2026may.onnx"
RES10_FILES = ("opencv_face_detector_uint8.pb", "opencv_face_detector.pbtxt")
MAX_OVERLAP = 0.45  # largest overlap of two boxes that are both kept


class YuNet:
    """OpenCV's YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023).

    At the image's own size it misses two of five masked faces in scenes; enlarged, it splits a
    large face into several boxes. So it searches the image at both sizes, and the most confident
    of overlapping boxes is kept.

    Args:
        min_confidence: least confidence of a face.
        scales: sizes to search, relative to the image's own.
        max_side: largest side that is searched, pixels.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: the model file is damaged.
    """

    def __init__(
        self,
        min_confidence: float = 0.5,
        scales: tuple[float, ...] = (1.0, 2.0),
        max_side: int = 1280,
    ) -> None:
        path = str(find_model(YUNET_FILE))
        try:
            # The input size is set for each image.
            self._net = cv2.FaceDetectorYN.create(path, "", (320, 320), min_confidence, MAX_OVERLAP)
        except cv2.error as error:
            raise ValueError(
                f"The model file {path} is damaged: delete it and run `make detectors`."
            ) from error
        self.scales = scales
        self.max_side = max_side

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces of an (H, W, 3) uint8 RGB image."""
        limit = self.max_side / max(image.shape[:2])
        scales = sorted({min(scale, limit) for scale in self.scales})
        passes = [self._detect_at(image, scale) for scale in scales]
        if len(passes) == 1:
            return passes[0]
        xyxy = np.concatenate([found.xyxy for found in passes])
        confidence = np.concatenate([found.confidence for found in passes])
        kept = nms(xyxy, confidence, MAX_OVERLAP, overlap=box_overlap)
        return Detections(xyxy, confidence)[kept]

    def _detect_at(self, image: np.ndarray, scale: float) -> Detections:
        """Find the faces of an image that is resized by a factor."""
        height, width = image.shape[:2]
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._net.setInputSize(size_wh)
        bgr = cv2.cvtColor(resize_image(image, size_wh), cv2.COLOR_RGB2BGR)
        # A row is x, y, width, height, ten coordinates of landmarks, confidence.
        _, rows = self._net.detect(bgr)
        if rows is None:
            return Detections.empty()  # type: ignore[unreachable]  # the stubs leave out None
        corners = rows[:, :2]
        sizes = rows[:, 2:4]
        xyxy = np.concatenate([corners, corners + sizes], axis=1) / scale
        return Detections(clip_boxes(xyxy, (width, height)), rows[:, 14].astype(np.float32))


class Res10:
    """OpenCV's ResNet-10 SSD (2017) at 300 x 300 pixels, the detector of many tutorials.

    Args:
        min_confidence: least confidence of a face.

    Raises:
        FileNotFoundError: there is no model file.
        ValueError: a model file is damaged.
    """

    def __init__(self, min_confidence: float = 0.5) -> None:
        weights, graph = (str(find_model(name)) for name in RES10_FILES)
        try:
            self._net = cv2.dnn.readNetFromTensorflow(weights, graph)
        except cv2.error as error:
            raise ValueError(
                f"The model file {weights} is damaged: delete it and run `make detectors`."
            ) from error
        self.min_confidence = min_confidence

    def __call__(self, image: np.ndarray) -> Detections:
        """Find the faces of an (H, W, 3) uint8 RGB image."""
        height, width = image.shape[:2]
        # The means are the ones the network was trained with, in BGR order.
        means = (104.0, 177.0, 123.0)
        self._net.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), means, swapRB=True))
        # A row is image, class, confidence and the box as shares of width and height.
        rows = self._net.forward()[0, 0]
        rows = rows[rows[:, 2] >= self.min_confidence]
        confidence = rows[:, 2].astype(np.float32)
        xyxy = rows[:, 3:7] * np.array([width, height, width, height])
        xyxy = clip_boxes(xyxy, (width, height))
        return Detections(xyxy, confidence)[nms(xyxy, confidence, MAX_OVERLAP)]
