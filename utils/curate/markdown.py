"""Tables and numbers as Markdown, whatever characters their cells hold."""

from __future__ import annotations

import re

import pandas as pd


def escape(value: object) -> str:
    """A value as one line of plain text: a title from a web page must neither end a cell nor become mark-up."""
    return re.sub(r"([\\|`*\[\]<>~&])", r"\\\1", " ".join(str(value).split()))


def say_share(share: float) -> str:
    """``12.3 %``; empty for NaN."""
    return "" if pd.isna(share) else f"{100 * share:.1f} %"


def say_number(count: int, noun: str) -> str:
    """``1 face``, ``2 faces``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def draw_table(table: pd.DataFrame, **names: str) -> str:
    """A table in Markdown, numbers to the right, ``share`` in per cent, other fractions to two places, NaN empty.

    Args:
        table: without its index.
        names: headings, by column, that are not the column's own name.
    """

    def write(value: object) -> str:
        return (
            ("" if pd.isna(value) else f"{value:.2f}")
            if isinstance(value, float)
            else escape(value)
        )

    sides = ["right" if pd.api.types.is_numeric_dtype(table[name]) else "left" for name in table]
    cells = {name: table[name].map(say_share if name == "share" else write) for name in table}
    cells = pd.DataFrame(cells).rename(columns=names)
    return cells.to_markdown(index=False, disable_numparse=True, colalign=sides)
