"""Faces to label, and a person who labels them by keys."""

import numpy as np
import pandas as pd

from utils.annotate.session import LabelSession
from utils.classes import CLASS_NAMES
from utils.labels import BOX_COLUMNS

FACES = pd.DataFrame({"file": ["a.jpg", "a.jpg", "b.jpg", "c.jpg"], "source": ["x", "x", "y", "y"]})
FACES[BOX_COLUMNS] = [[0.1, 0, 9, 9], [10, 0, 19, 9], [0, 0, 9, 9], [np.nan] * 4]
KEYS = dict(zip("1234", CLASS_NAMES, strict=True))


def press(session: LabelSession, keys: str) -> list[int | None]:
    """Do what the keys mean; return the next face after each."""
    positions = []
    for key in keys:
        if key == "s":
            positions.append(session.skip())
        elif key == "u":
            positions.append(session.undo())
        else:
            positions.append(session.label(KEYS[key]))
    return positions
