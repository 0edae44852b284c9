"""Phrases that messages share: numbers with their nouns, and the first names of a list."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN_NAMES = 5  # of a list, before "and 2 more"


def format_count(count: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 face", "2 faces".

    Args:
        count: the number.
        singular: the noun of one.
        plural: the noun of several, where it is not the singular with an "s".
    """
    if count == 1:
        return f"{count} {singular}"
    return f"{count} {plural or singular + 's'}"


def name_some(names: Iterable[object]) -> str:
    """Return the first names of a list, and how many more there are: "a, b and 3 more"."""
    texts = [str(name) for name in names]
    text = ", ".join(texts[:SHOWN_NAMES])
    more = len(texts) - SHOWN_NAMES
    return f"{text} and {more} more" if more > 0 else text
