"""Classes: all known spellings are accepted, and others are an error."""

import pytest

from utils.classes import (
    CLASS_COLORS,
    CLASS_NAMES,
    MASK_CLASSES,
    NO_FACE,
    LabelError,
    to_class_name,
)


def test_mask_classes_are_all_classes_except_no_face():
    assert (*MASK_CLASSES, CLASS_NAMES[NO_FACE]) == CLASS_NAMES
    assert CLASS_NAMES[NO_FACE] == "no_face"
    assert set(CLASS_COLORS) == set(CLASS_NAMES)
    assert len(set(CLASS_COLORS.values())) == len(CLASS_NAMES)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_case_spaces_and_hyphens_do_not_matter(name):
    spellings = [
        name,
        name.upper(),
        f" {name}\n",
        name.replace("_", " ").title(),
        name.replace("_", "-"),
    ]
    assert {to_class_name(spelling) for spelling in spellings} == {name}


ALIASES = {
    "with_mask": ["mask", "withmask", "masked", "face_mask", "FaceMask", "With  Mask", "with.mask"],
    "without_mask": [
        "no_mask", "NoMask", "Non Mask", "non-mask", "unmasked", "withoutmask", "face_no_mask",
    ],
    "mask_worn_incorrectly": [
        "mask_weared_incorrect", "mask_weared_incorrectly", "incorrect_mask", "incorrect",
        "improperly_worn", "partially_mask", "Mask Worn Incorrectly",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("alias", "name"), [(alias, name) for name, aliases in ALIASES.items() for alias in aliases]
)
def test_an_alias_stands_for_a_class(alias, name):
    assert to_class_name(alias) == name
    assert alias not in CLASS_NAMES


@pytest.mark.parametrize("name", ["", " ", "cat", "with", "with_mask2", "masque", "0"], ids=repr)
def test_an_unknown_name_is_an_error_with_the_file_and_the_classes(name):
    with pytest.raises(LabelError) as error:
        to_class_name(name, "scenes/a.xml")
    message = str(error.value)
    assert message.startswith("scenes/a.xml: ")
    assert f"'{name}'" in message
    assert all(class_name in message for class_name in CLASS_NAMES)
