"""The classes of a face. Separate from ``labels``, so that detection needs no pandas."""

from functools import lru_cache

import numpy as np

from utils.messages import UserError

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
# Spellings of other data sets, in small letters and digits alone, see ``to_class_name``.
SPELLINGS = {
    "with_mask": ("mask", "masked", "facemask", "facewithmask", "wearingmask", "maskon"),
    "without_mask": (
        "nomask", "nonmask", "unmasked", "facenomask", "facewithoutmask", "maskoff", "maskless",
    ),
    "mask_worn_incorrectly": (
        "incorrect", "incorrectly", "incorrectmask", "incorrectlyworn", "incorrectlywornmask",
        "improper", "improperly", "impropermask", "improperlyworn", "maskwearedincorrect",
        "maskwearedincorrectly", "maskwornincorrect", "maskworeincorrectly", "partialmask",
        "partiallymask", "partiallymasked", "facemaskincorrect",
    ),
    "no_face": ("noface", "background"),
}  # fmt: skip


class LabelError(UserError, ValueError):
    """A label or a label file that cannot be used. The message is one sentence for the user."""


def to_class_name(name: str, file: object = "A label") -> str:
    """Return the class that a name stands for, in the spellings of many data sets.

    Letters and digits are compared, without case: "No Mask", "no_mask" and "NoMask" are one.

    Args:
        name: a class name as written.
        file: what the error message names as the place of the label.

    Raises:
        LabelError: no class has this name.
    """
    class_name = _CLASS_BY_KEY.get(_make_key(name))
    if class_name is None:
        raise LabelError(
            f"{file}: the class '{name}' is unknown; use one of {', '.join(CLASS_NAMES)}."
        )
    return class_name


@lru_cache(maxsize=256)
def _make_key(name: str) -> str:
    """Return the letters and digits of a name, in small letters."""
    return "".join(character for character in name.casefold() if character.isalnum())


_CLASS_BY_KEY = {
    _make_key(spelling): class_name
    for class_name in CLASS_NAMES
    for spelling in (class_name, *SPELLINGS[class_name])
}


def decide(y_prob: np.ndarray) -> np.ndarray:
    """Return the class id of each face: the most probable of ``MASK_CLASSES``.

    Args:
        y_prob: (N, C) probabilities.

    Returns:
        (N,) int64 class ids. ``no_face`` is never among them.
    """
    return np.asarray(y_prob)[:, : len(MASK_CLASSES)].argmax(axis=1)
