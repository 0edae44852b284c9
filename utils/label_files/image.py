"""The labels of one image, in the form that all label formats are written from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from utils.classes import CLASS_NAMES, MASK_CLASSES


@dataclass(frozen=True)
class LabelledImage:
    """The labels of one image.

    Attributes:
        file: POSIX path of the image, relative to the folder of the images.
        resolution_wh: width and height of the upright image, pixels.
        class_names: the class of each face.
        xyxy: (N, 4) boxes in pixels of the upright image; right and bottom are excluded.
        confidence: (N,) confidence of the detector in each face, 0-1; None for labels of a person.
        split: train, val or test; empty if the data set is not divided.
    """

    file: str
    resolution_wh: tuple[int, int]
    class_names: Sequence[str]
    xyxy: np.ndarray
    confidence: np.ndarray | None = None
    split: str = ""


def list_classes(images: Iterable[LabelledImage]) -> list[str]:
    """Return the classes in their fixed order; ``no_face`` is listed only if a box has it."""
    used = {name for image in images for name in image.class_names}
    return [name for name in CLASS_NAMES if name in MASK_CLASSES or name in used]
