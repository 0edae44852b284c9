"""Both models on LiteRT, the runtime of phones and small computers: one pass over an image.

``python -m utils.train export --to litert`` writes the files. ``ai-edge-litert`` runs them without
TensorFlow. The input of the files is fixed, so there are no further passes over tiles or crowds.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.boxes import Detections, clip_boxes
from utils.detect.crops import crop_faces, to_input
from utils.detect.face_detector import MAX_ENLARGEMENT, decode_faces
from utils.detect.grid import PAD
from utils.detect.pipeline import combine_opinions
from utils.images import resize_image

OUTPUTS = ("logits", "distances", "y_prob")  # of the files, in the order in which they are joined


class LiteRTModel:
    """A ``.tflite`` file for one picture of a fixed size.

    The file of a detector has two outputs, ``logits`` and ``distances``, which are joined here: in
    8 bits they need ranges of their own.

    Attributes:
        settings: what the JSON file beside it holds.
        side: width and height of the input, pixels.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], threads: int = 1) -> None:
        """Load a file.

        Args:
            path: the file.
            settings: see the attribute.
            threads: of a run.
        """
        # Only this needs the package, which not everyone has.
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._run = self._interpreter.get_signature_runner()
        (details,) = self._run.get_input_details().values()
        self._outputs = [name for name in OUTPUTS if name in self._run.get_output_details()]
        self.settings = settings
        self.side = int(details["shape"][1])

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Return the output for pictures, (N, ...).

        Args:
            pixels: (N, S, S, 3) float32 RGB in 0-255.
        """
        outputs = []
        for picture in pixels:
            answer = self._run(pixels=picture[None])
            outputs.append(np.concatenate([answer[name] for name in self._outputs], axis=-1))
        return np.concatenate(outputs)


def load_litert_models(
    folder: str | Path, precision: str = "int8", threads: int = 1
) -> tuple[LiteRTModel, LiteRTModel]:
    """Load the detector and the classifier from a folder.

    Args:
        folder: as ``python -m utils.train export --to litert`` writes it.
        precision: int8 or float16.
        threads: of a run.

    Raises:
        FileNotFoundError: a file is missing.
        ImportError: ``ai-edge-litert`` is not installed.
    """
    models = []
    for name in ("face_detector", "mask_classifier"):
        path = Path(folder) / f"{name}_{precision}.tflite"
        settings = path.with_name(f"{name}.json")
        for file in (path, settings):
            if not file.is_file():
                raise FileNotFoundError(
                    f"There is no {file}: write it with `python -m utils.train export --to litert`."
                )
        content = json.loads(settings.read_text(encoding="utf-8"))
        models.append(LiteRTModel(path, content, threads))
    detector, classifier = models
    return detector, classifier


def fit_to_square(image: np.ndarray, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return an image resized and padded to a square, and its size in the square.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: S, pixels.

    Returns:
        (S, S, 3) float32 with the image at the top left; width and height of the image in it.
    """
    height, width = image.shape[:2]
    scale = min(side / max(height, width), MAX_ENLARGEMENT)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.full((side, side, 3), PAD, np.float32)
    square[: size_wh[1], : size_wh[0]] = resize_image(image, size_wh)
    return square, size_wh


def find_faces_litert(
    image: np.ndarray, detector: LiteRTModel, min_confidence: float = 0.5
) -> Detections:
    """Find the faces of an image in one pass.

    Args:
        image: (H, W, 3) uint8 RGB.
        detector: from ``load_litert_models``, or any function of a batch with the same attributes.
        min_confidence: least confidence of a face.

    Returns:
        Detections with the detector's own ``y_prob``.
    """
    square, size_wh = fit_to_square(image, detector.side)
    factor, offset = detector.settings["calibration"]
    found = decode_faces(
        detector(square[None])[0],
        resolution_wh=(detector.side, detector.side),
        strides=detector.settings["strides"],
        min_confidence=min_confidence,
        calibration=(factor, offset),
        vote_confidence=min_confidence,
    )
    height, width = image.shape[:2]
    to_image = np.tile(np.array([width, height], np.float32) / size_wh, 2)
    return replace(found, xyxy=clip_boxes(found.xyxy * to_image, (width, height)))


def detect_masks_litert(
    image: np.ndarray,
    detector: LiteRTModel,
    classifier: LiteRTModel,
    min_confidence: float = 0.5,
) -> Detections:
    """Find the faces of an image and classify each, as ``detect_masks`` does, in one pass.

    Args:
        image: (H, W, 3) uint8 RGB.
        detector: from ``load_litert_models``.
        classifier: from ``load_litert_models``.
        min_confidence: least confidence of a face.

    Returns:
        Detections with ``y_prob`` (N, C) and ``is_unsure`` (N,).
    """
    found = find_faces_litert(image, detector, min_confidence)
    if not len(found):
        return replace(found, is_unsure=np.zeros(0, bool))
    y_prob = classifier(to_input(crop_faces(image, found.xyxy), classifier.side))
    settings = classifier.settings
    return combine_opinions(found, y_prob, settings["threshold"], settings["unsure_below"])
