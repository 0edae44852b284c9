"""Markdown: a reader sees each cell as it is, and a table stays a table."""

import mistune
import numpy as np
import pandas as pd
import pytest

from utils.curate.datasheet.markdown import escape, format_percent, format_table

RENDER = mistune.create_markdown(plugins=["table", "strikethrough"])
TEXTS = [
    "",
    "plain",
    "a | b",
    "\\|",
    "*b* **c**",
    "`d`",
    "<script>e</script>",
    "[f](http://g)",
    "~~h~~",
    "&lt;",
    "マスク",
    "1e5",
]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_any_text_is_rendered_as_it_is(text):
    page = RENDER(format_table(pd.DataFrame({"text": [text, "next"]})))
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert [row.split("</td>")[0].split(">", 1)[1] for row in page.split("<td")[1:]] == [
        shown,
        "next",
    ]


def test_line_breaks_do_not_end_a_row():
    assert escape("a\nb\r\n  c\u2028d") == "a b c d"
    assert format_table(pd.DataFrame({"text": ["a\nb"]})).count("\n") == 2


def test_numbers_have_the_format_of_their_column():
    table = pd.DataFrame(
        {"n": [3, 12], "kappa": [0.4, np.nan], "share": [0.125, np.nan], "name": ["007", None]}
    )
    head, line, *rows = (
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in format_table(table, n="faces").splitlines()
    )
    assert head == ["faces", "kappa", "share", "name"]
    assert [cell.endswith(":") for cell in line] == [True, True, True, False]
    assert rows[0] == ["3", "0.40", "12.5 %", "007"]
    assert rows[1][:3] == ["12", "", ""]
    assert (
        format_percent(np.nan),
        format_percent(1),
    ) == (
        "",
        "100.0 %",
    )


def test_a_table_without_rows_is_its_header():
    assert format_table(pd.DataFrame({"a": [], "b": []})).splitlines()[0].count("|") == 3
