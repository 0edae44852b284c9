"""Labels and detections to score."""

import numpy as np
import pandas as pd

from utils.boxes import Detections
from utils.classes import MASK_CLASSES
from utils.labels import BOX_COLUMNS, make_label_table

RESOLUTION_WH = (400, 300)


def make_labels(faces: dict[str, list[tuple[str, tuple]]]) -> pd.DataFrame:
    """Return a label table of each file's (class_name, box)."""
    rows = []
    for file, faces_of_file in faces.items():
        for name, box in faces_of_file:
            row = {"file": file, "class_name": name}
            rows.append(row | dict(zip(BOX_COLUMNS, box, strict=True)))
    return make_label_table(rows)


def draw_answers(seed: int, photographs: int = 25) -> tuple[dict[str, Detections], pd.DataFrame]:
    """Draw labelled faces of 6-90 pixels and the detections of a mediocre detector.

    Its boxes are shifted, doubled, missed and false, in random order.
    """
    rng = np.random.default_rng(seed)
    found = {}
    faces = {}
    for number in range(photographs):
        count = rng.integers(0, 7)
        sides = np.exp(rng.uniform(np.log(6), np.log(90), (count, 2)))
        corners = rng.uniform(0, 1, (count, 2)) * (RESOLUTION_WH - sides)
        true = np.concatenate([corners, corners + sides], axis=1).round()
        class_id = rng.choice(3, count, p=[0.5, 0.3, 0.2])

        shift = rng.normal(0, 0.12, (2 * count, 4)) * np.tile(sides, 2).repeat(2, axis=0)
        near = true.repeat(2, axis=0) + shift
        is_missed = rng.random(2 * count) < 0.4
        false_corners = rng.uniform(0, 250, (rng.integers(0, 4), 2))
        false_sides = rng.uniform(6, 60, false_corners.shape)
        false = np.concatenate([false_corners, false_corners + false_sides], axis=1)
        xyxy = np.concatenate([near[~is_missed], false])

        y_prob = rng.dirichlet(np.ones(4), len(xyxy))
        class_of_near = class_id.repeat(2)[~is_missed]
        y_prob[np.arange(len(class_of_near)), class_of_near] += 0.5
        confidence_near = rng.uniform(0.2, 1, (~is_missed).sum())
        confidence_false = rng.uniform(0, 0.9, len(false))
        confidence = np.concatenate([confidence_near, confidence_false])

        order = rng.permutation(len(xyxy))
        file = f"{number:02}.jpg"
        detections = Detections(xyxy.astype(np.float32), confidence.astype(np.float32), y_prob)
        found[file] = detections[order]
        names = [MASK_CLASSES[value] for value in class_id]
        faces[file] = [(name, tuple(box)) for name, box in zip(names, true, strict=True)]
    return found, make_labels(faces)
