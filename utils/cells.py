"""Cells of CSV files that a spreadsheet does not run as formulas.

Names of files come from strangers. A cell that begins with ``=``, ``+``, ``-`` or ``@`` is run by
spreadsheets, so an apostrophe is written before it, and removed when the project reads the cell.
Numbers stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

# Apostrophes are part of the pattern, so that a cell that has one already is read back unchanged.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def make_safe(value: Any) -> Any:
    """Return a value as it is written to a CSV file. Only texts change."""
    if isinstance(value, str) and FORMULA.match(value) and not _is_number(value):
        return f"'{value}"
    return value


def restore(value: Any) -> Any:
    """Return the value that ``make_safe`` made a cell of."""
    if isinstance(value, str) and value.startswith("'") and FORMULA.match(value):
        return value[1:]
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
