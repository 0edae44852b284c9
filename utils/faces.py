"""Find the faces of an image: detectors behind one callable, and a folder searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from utils.boxes import Detections, as_boxes, box_iou, box_overlap, clip_boxes, nms
from utils.crops import crop_faces as crop_faces  # the crop belongs to faces, for whoever calls from outside
from utils.images import ImageError, read_image, resize_image
from utils.paths import find_model

Detector = Callable[[np.ndarray], Detections]
YUNET_FILE = "face_detection_yunet_2026may.onnx"
RES10_FILES = ("opencv_face_detector_uint8.pb", "opencv_face_detector.pbtxt")


class YuNet:
    """OpenCV's YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023).

    At native size it misses two of five masked faces in scenes; enlarged, it takes a large face for several parts.
    So it looks at the picture in both sizes, and the surest of boxes that cover each other stays.
    """

    def __init__(
        self, min_confidence: float = 0.5, scales: tuple[float, ...] = (1.0, 2.0), max_side: int = 1280
    ) -> None:
        path = str(find_model(YUNET_FILE))
        try:
            self._net = cv2.FaceDetectorYN.create(path, "", (320, 320), min_confidence, 0.45)
        except cv2.error as error:
            raise ValueError(f"The model file {path} is damaged: delete it and run `make models`.") from error
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
        passes = [self._detect(image, scale) for scale in sorted({min(scale, limit) for scale in self.scales})]
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
            raise ValueError(f"The model file {paths[0]} is damaged: delete it and run `make models`.") from error
        self.min_confidence = min_confidence

    def __call__(self, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        # The means are the ones the net was trained with, in BGR order.
        self._net.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0), swapRB=True))
        found = self._net.forward()[0, 0]
        found = found[found[:, 2] >= self.min_confidence]
        xyxy = clip_boxes(found[:, 3:7] * np.array([width, height, width, height]), (width, height))
        return Detections(xyxy, found[:, 2].astype(np.float32))[nms(xyxy, found[:, 2])]


DETECTORS: dict[str, Callable[..., Detector]] = {"yunet": YuNet, "res10": Res10}


def load_detector(name: str = "yunet", min_confidence: float = 0.5, **options: object) -> Detector:
    """A detector by name, with its own options: it takes an RGB image and returns ``Detections`` without ``y_prob``.

    Raises:
        FileNotFoundError: its model file is missing; the sentence says how to get it.
        ValueError: no detector has this name, or its model file is damaged.
    """
    if name not in DETECTORS:
        raise ValueError(f"There is no detector '{name}': use one of {', '.join(DETECTORS)}.")
    return DETECTORS[name](min_confidence=min_confidence, **options)


def find_faces(files: Iterable[str | Path], detector: Detector) -> Iterator[tuple[Path, np.ndarray, Detections]]:
    """Run a detector over files with a progress bar: (file, image, detections) of each that can be read."""
    from tqdm.auto import tqdm  # here alone: one image needs no bar, and is done sooner than this is imported

    for file in tqdm(list(files), desc="finding faces", unit="image"):
        try:
            image = read_image(file)
        except ImageError as error:
            tqdm.write(str(error))
            continue
        yield Path(file), image, detector(image)


def without_known(detections: Detections, xyxy_known: np.ndarray, max_iou: float = 0.05) -> Detections:
    """The detections with no known face at more than ``max_iou``: a detector's mistakes, or faces nobody labelled."""
    iou = box_iou(detections.xyxy, as_boxes(xyxy_known))
    return detections[iou.max(axis=1, initial=0) <= max_iou]
