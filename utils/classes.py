"""The classes of a face. Separate from ``labels``, so that detection needs no pandas."""

import numpy as np

from utils.errors import UserError

CLASS_NAMES = ("with_mask", "without_mask", "mask_worn_incorrectly", "no_face")
MASK_CLASSES = CLASS_NAMES[:3]  # what users see; ``no_face`` is a false detection and is dropped
NO_FACE = CLASS_NAMES.index("no_face")
# RGB, chosen for colour-blind readers (Okabe and Ito, "Color Universal Design", 2008).
CLASS_COLORS = {
    "with_mask": (0, 158, 115),
    "without_mask": (213, 94, 0),
    "mask_worn_incorrectly": (230, 159, 0),
    "no_face": (120, 120, 120),
}
# Spellings of other data sets.
CLASS_ALIASES = {
    "mask_weared_incorrect": "mask_worn_incorrectly",  # of the Kaggle data set
    "incorrect_mask": "mask_worn_incorrectly",
    "withmask": "with_mask",
    "mask": "with_mask",
    "withoutmask": "without_mask",
    "no_mask": "without_mask",
}


class LabelError(UserError, ValueError):
    """A label or a label file that cannot be used. The message is one sentence for the user."""


def to_class_name(name: str, file: object = "A label") -> str:
    """Return the class that a name stands for. Case, spaces, hyphens and aliases are accepted.

    Args:
        name: a class name as written.
        file: what the error message names as the place of the label.

    Raises:
        LabelError: no class has this name.
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = CLASS_ALIASES.get(key, key)
    if key not in CLASS_NAMES:
        raise LabelError(
            f"{file}: the class '{name}' is unknown; use one of {', '.join(CLASS_NAMES)}."
        )
    return key


def decide(y_prob: np.ndarray) -> np.ndarray:
    """Return the class id of each face: the most probable of ``MASK_CLASSES``.

    Args:
        y_prob: (N, C) probabilities.

    Returns:
        (N,) int64 class ids. ``no_face`` is never among them.
    """
    return np.asarray(y_prob)[:, : len(MASK_CLASSES)].argmax(axis=1)
