"""Two public face detectors that OpenCV runs, trained before masks: kept to compare with."""

from __future__ import annotations

import cv2
import numpy as np

from utils.boxes import Detections, box_overlap, clip_boxes, nms
from utils.images import resize_image
from utils.paths import find_model

YUNET_FILE = "face_detection_yunet_2026may.onnx"
RES10_FILES = ("opencv_face_detector_uint8.pb", "opencv_face_detector.pbtxt")


class YuNet:
    """OpenCV's YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023).

    At native size it misses two of five masked faces in scenes; enlarged, it takes a large face for several parts.
    So it looks at the picture in both sizes, and the surest of boxes that cover each other stays.
    """

    def __init__(
        self,
        min_confidence: float = 0.5,
        scales: tuple[float, ...] = (1.0, 2.0),
        max_side: int = 1280,
    ) -> None:
        path = str(find_model(YUNET_FILE))
        try:
            self._net = cv2.FaceDetectorYN.create(path, "", (320, 320), min_confidence, 0.45)
        except cv2.error as error:
            raise ValueError(
                f"The model file {path} is damaged: delete it and run `make models`."
            ) from error
        self.scales, self.max_side = scales, max_side

    def _detect(self, image: np.ndarray, scale: float) -> Detections:
        height, width = image.shape[:2]
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._net.setInputSize(size)
        _, found = self._net.detect(cv2.cvtColor(resize_image(image, size), cv2.COLOR_RGB2BGR))
        if found is None:
            return Detections.empty()
        xyxy = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], axis=1) / scale
        return Detections(clip_boxes(xyxy, (width, height)), found[:, 14].astype(np.float32))

    def __call__(self, image: np.ndarray) -> Detections:
        limit = self.max_side / max(image.shape[:2])
        passes = [
            self._detect(image, scale)
            for scale in sorted({min(scale, limit) for scale in self.scales})
        ]
        if len(passes) == 1:
            return passes[0]
        xyxy = np.concatenate([found.xyxy for found in passes])
        confidence = np.concatenate([found.confidence for found in passes])
        return Detections(xyxy, confidence)[nms(xyxy, confidence, 0.45, box_overlap)]


class Res10:
    """OpenCV's ResNet-10 SSD of 2017 at 300 x 300, the detector of the classic pipeline: kept to compare with."""

    def __init__(self, min_confidence: float = 0.5) -> None:
        paths = [str(find_model(name)) for name in RES10_FILES]
        try:
            self._net = cv2.dnn.readNetFromTensorflow(*paths)
        except cv2.error as error:
            raise ValueError(
                f"The model file {paths[0]} is damaged: delete it and run `make models`."
            ) from error
        self.min_confidence = min_confidence

    def __call__(self, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        # The means are the ones the network was trained with, in BGR order.
        self._net.setInput(
            cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0), swapRB=True)
        )
        found = self._net.forward()[0, 0]
        found = found[found[:, 2] >= self.min_confidence]
        xyxy = clip_boxes(found[:, 3:7] * np.array([width, height, width, height]), (width, height))
        return Detections(xyxy, found[:, 2].astype(np.float32))[nms(xyxy, found[:, 2])]
