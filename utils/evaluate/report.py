"""Figures as text: a sentence, a table of intervals, Markdown tables in README and model cards."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from utils.atomic import write_bytes


def describe_share(row: pd.Series, name: str = "accuracy") -> str:
    """Return a share as text: ``98.1 % (95 % interval 95.2-99.3 %, n = 120)``.

    Args:
        row: a table's row with ``n``, the share and its bounds, ``low`` and ``high`` or
            ``{name}_low`` and ``{name}_high``.
        name: column of the share.
    """
    if not row["n"]:
        return "unknown (n = 0)"
    low = row.get(f"{name}_low", row.get("low"))
    high = row.get(f"{name}_high", row.get("high"))
    interval = f"{100 * low:.1f}-{100 * high:.1f} %"
    return f"{100 * row[name]:.1f} % (95 % interval {interval}, n = {int(row['n'])})"


def format_interval(value: float, low: float, high: float) -> str:
    """Return a score and its interval as text: ``0.900 (0.600-0.980)``."""
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def side_by_side(by_slice: pd.DataFrame) -> pd.DataFrame:
    """Return a ``slice_table`` with a row per slice and a column per recipe.

    Slices and recipes keep their order. A cell is text, such as ``0.900 (0.600-0.980)``: accuracy
    and its interval.
    """
    texts = [format_interval(row.accuracy, row.low, row.high) for row in by_slice.itertuples()]
    table = by_slice.assign(text=texts)
    n = table.groupby("slice").n.first()
    table = table.pivot(index="slice", columns="recipe", values="text")
    table = table.loc[by_slice.slice.unique(), by_slice.recipe.unique()]
    table.insert(0, "n", n)
    return table


def join_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which each score and its interval are one column of text.

    Args:
        table: columns ``x``, ``x_low`` and ``x_high`` become the text ``0.900 (0.600-0.980)`` in
            column ``x``, empty where the score is missing; other columns stay.
    """
    joined = table.copy()
    for name in table.columns:
        bounds = [f"{name}_low", f"{name}_high"]
        if not set(bounds) <= set(table.columns):
            continue
        texts = []
        for value, low, high in table[[name, *bounds]].to_numpy(float):
            texts.append("" if np.isnan(value) else format_interval(value, low, high))
        joined[name] = texts
        joined = joined.drop(columns=bounds)
    return joined


def fill_tables(path: str | Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables into a Markdown file, so that no figure is typed by hand.

    A table replaces what stands between ``<!-- name -->`` and ``<!-- end -->``. Numbers with
    decimals have three of them.

    Args:
        path: the Markdown file.
        tables: by name. Names without a place in the file are ignored. A table without rows leaves
            the file's old table in place.
    """
    text = Path(path).read_text(encoding="utf-8")
    for name, table in tables.items():
        if len(table):
            text = _replace_table(text, name, _to_markdown(table))
    write_bytes(path, text.encode("utf-8"))


def read_tables(path: str | Path) -> dict[str, pd.DataFrame]:
    """Read the tables that ``fill_tables`` wrote into a Markdown file.

    Args:
        path: the Markdown file, such as a model card.

    Returns:
        The tables by name, with the column names of the file, in its order. Whole numbers and
        decimals are numbers, and empty cells are missing values. A place without a table gives an
        empty one.
    """
    text = Path(path).read_text(encoding="utf-8")
    places = re.findall(r"<!-- (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL)
    return {name: _from_markdown(markdown) for name, markdown in places}


def _from_markdown(markdown: str) -> pd.DataFrame:
    """Return a Markdown table as a DataFrame."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    if len(rows) < 2:
        return pd.DataFrame()
    columns, _, *cells = rows  # the second line is the rule below the head
    buffer = io.StringIO()
    pd.DataFrame(cells, columns=columns).to_csv(buffer, index=False)
    buffer.seek(0)
    # Only an empty cell is missing: "none" or "NA" may be a name.
    return pd.read_csv(buffer, keep_default_na=False, na_values=[""])


def _to_markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown, with its index only if the index has a name."""
    # As objects, counts stay whole numbers beside missing values.
    table = table.astype(object).where(table.notna(), None)
    return table.to_markdown(floatfmt=".3f", missingval="", index=table.index.name is not None)


def _replace_table(text: str, name: str, markdown: str) -> str:
    """Return a text in which a table stands between ``<!-- name -->`` and ``<!-- end -->``."""
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)

    def insert(match: re.Match[str]) -> str:
        return f"{match[1]}{markdown}\n{match[2]}"

    return place.sub(insert, text)
