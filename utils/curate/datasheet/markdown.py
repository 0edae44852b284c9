"""Numbers, texts and tables as Markdown: the filters of the datasheet's template."""

from __future__ import annotations

import re

import pandas as pd


def escape(value: object) -> str:
    """Return a value as one line of text in which no character has a meaning in Markdown."""
    line = " ".join(str(value).split())
    return re.sub(r"([\\|`*\[\]<>~&])", r"\\\1", line)


def format_percent(share: float) -> str:
    """Return a share as "12.3 %", or an empty text for NaN."""
    return "" if pd.isna(share) else f"{100 * share:.1f} %"


def _format_cell(value: object) -> str:
    """Return a cell of a table as text."""
    if not isinstance(value, float):
        return escape(value)
    return "" if pd.isna(value) else f"{value:.2f}"


def format_table(table: pd.DataFrame, **headings: str) -> str:
    """Return a table in Markdown, with numbers aligned to the right.

    The column ``share`` is in per cent. Other fractions have two decimals, and NaN is an empty
    cell.

    Args:
        table: the table; its index is left out.
        headings: heading by column, where it is not the column's name.
    """
    cells = {}
    sides = []
    for name in table.columns:
        format_value = format_percent if name == "share" else _format_cell
        cells[headings.get(name, name)] = table[name].map(format_value)
        sides.append("right" if pd.api.types.is_numeric_dtype(table[name]) else "left")
    return pd.DataFrame(cells).to_markdown(index=False, disable_numparse=True, colalign=sides)
