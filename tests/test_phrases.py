import pytest

from utils.phrases import format_count, name_some


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, ("face",), "0 faces"),
        (1, ("face",), "1 face"),
        (2, ("person", "people"), "2 people"),
        (1, ("person", "people"), "1 person"),
    ],
)
def test_a_number_stands_before_its_noun(count, nouns, text):
    assert format_count(count, *nouns) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (range(12), "0, 1, 2, 3, 4 and 7 more"),
    ],
    ids=["none", "one", "as many as are shown", "more"],
)
def test_the_first_names_of_a_list_are_shown(names, text):
    assert name_some(names) == text
