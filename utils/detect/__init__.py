"""One image to judged faces: the one inference path of notebooks, script and video."""

from utils.detect.crops import PADDING, crop_faces, to_input
from utils.detect.face_detector import (
    DETECTOR_FILE,
    DETECTORS,
    SSD,
    Detector,
    decode_faces,
    find_faces,
    load_detector,
)
from utils.detect.grid import PAD, grid_points
from utils.detect.mask_classifier import (
    CLASSIFIER_FILE,
    Classifier,
    classify_faces,
    load_classifier,
)
from utils.detect.onnx_session import open_session
from utils.detect.opencv_detectors import RES10_FILES, YUNET_FILE
from utils.detect.pipeline import DETECTOR_SHARE, detect_masks, load_judge, load_models

__all__ = [
    "CLASSIFIER_FILE",
    "Classifier",
    "DETECTORS",
    "DETECTOR_FILE",
    "DETECTOR_SHARE",
    "Detector",
    "PAD",
    "PADDING",
    "RES10_FILES",
    "SSD",
    "YUNET_FILE",
    "classify_faces",
    "crop_faces",
    "decode_faces",
    "detect_masks",
    "find_faces",
    "grid_points",
    "load_classifier",
    "load_detector",
    "load_judge",
    "load_models",
    "open_session",
    "to_input",
]
