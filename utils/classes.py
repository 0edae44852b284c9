"""What a face can be called. Apart from ``labels``, so that detection needs no pandas."""

import numpy as np

CLASS_NAMES = ("with_mask", "without_mask", "mask_worn_incorrectly", "no_face")
MASK_CLASSES = CLASS_NAMES[
    :3
]  # what a person is told; ``no_face`` is a detector's mistake, and dropped
NO_FACE = CLASS_NAMES.index("no_face")
# RGB, told apart by the colour-blind too (Okabe & Ito, "Color Universal Design", 2008).
CLASS_COLORS = {
    "with_mask": (0, 158, 115),
    "without_mask": (213, 94, 0),
    "mask_worn_incorrectly": (230, 159, 0),
    "no_face": (120, 120, 120),
}
CLASS_ALIASES = {
    "mask_weared_incorrect": "mask_worn_incorrectly",  # the Kaggle set's own spelling
    "incorrect_mask": "mask_worn_incorrectly",
    "withmask": "with_mask",
    "mask": "with_mask",
    "withoutmask": "without_mask",
    "no_mask": "without_mask",
}


class LabelError(ValueError):
    """A label or a label file that cannot be used. Its text is one sentence for a person."""


def to_class_name(name: str, file: object = "A label") -> str:
    """The class a name or one of its known spellings stands for.

    Raises:
        LabelError: no class has this name; the sentence names the file and the classes.
    """
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = CLASS_ALIASES.get(key, key)
    if key not in CLASS_NAMES:
        raise LabelError(
            f"{file}: the class '{name}' is unknown; use one of {', '.join(CLASS_NAMES)}."
        )
    return key


def decide(y_prob: np.ndarray) -> np.ndarray:
    """The class of each face, (N,) int64: the likeliest of the three that a person is told."""
    return np.asarray(y_prob)[:, : len(MASK_CLASSES)].argmax(axis=1)
