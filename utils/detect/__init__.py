"""Detection: find the faces of an image and classify how each wears a mask.

``load_models`` loads the detector and the classifier, and ``detect_masks`` runs both on one image.
The notebooks, the script and the videos all use this one path. The steps are also available one by
one: ``load_detector``, ``crop_faces``, ``classify_faces``. ``decode_faces`` turns the output of the
detector's network into boxes.
"""

from utils.detect.crops import PADDING, crop_faces, to_input
from utils.detect.face_detector import (
    DETECTOR_FILE,
    EXTRA_PASSES,
    FAST_PASSES,
    FCOS,
    decode_faces,
)
from utils.detect.grid import PAD, grid_points
from utils.detect.litert import (
    LiteRTModel,
    detect_masks_litert,
    find_faces_litert,
    fit_to_square,
    load_litert_models,
)
from utils.detect.mask_classifier import (
    CLASSIFIER_FILE,
    UNSURE_BELOW,
    Classifier,
    blend_probabilities,
    classify_faces,
    load_classifier,
    measure_sureness,
)
from utils.detect.onnx_session import open_session, share_cores
from utils.detect.opencv_detectors import RES10_FILES, YUNET_FILE, Res10, YuNet
from utils.detect.pipeline import (
    DETECTOR_SHARE,
    DETECTOR_SYNONYMS,
    DETECTORS,
    Detector,
    Pipeline,
    detect_masks,
    find_faces,
    load_detector,
    load_models,
    load_pipeline,
    one_at_a_time,
)

__all__ = [
    "CLASSIFIER_FILE",
    "Classifier",
    "DETECTORS",
    "DETECTOR_FILE",
    "DETECTOR_SHARE",
    "DETECTOR_SYNONYMS",
    "Detector",
    "EXTRA_PASSES",
    "FAST_PASSES",
    "FCOS",
    "LiteRTModel",
    "PAD",
    "PADDING",
    "Pipeline",
    "RES10_FILES",
    "Res10",
    "UNSURE_BELOW",
    "YUNET_FILE",
    "YuNet",
    "blend_probabilities",
    "classify_faces",
    "crop_faces",
    "decode_faces",
    "detect_masks",
    "detect_masks_litert",
    "find_faces",
    "find_faces_litert",
    "fit_to_square",
    "grid_points",
    "load_classifier",
    "load_detector",
    "load_litert_models",
    "load_models",
    "load_pipeline",
    "measure_sureness",
    "one_at_a_time",
    "open_session",
    "share_cores",
    "to_input",
]
