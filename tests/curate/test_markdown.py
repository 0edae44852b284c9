"""Markdown: what a cell holds is what a reader sees, and a table stays a table."""

import mistune
import numpy as np
import pandas as pd
import pytest

from utils.curate.markdown import draw_table, escape, say_number, say_share

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
def test_a_text_is_shown_as_it_is(text):
    page = RENDER(draw_table(pd.DataFrame({"text": [text, "next"]})))
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert [row.split("</td>")[0].split(">", 1)[1] for row in page.split("<td")[1:]] == [
        shown,
        "next",
    ]


def test_line_breaks_do_not_end_a_row():
    assert escape("a\nb\r\n  c\u2028d") == "a b c d"
    assert draw_table(pd.DataFrame({"text": ["a\nb"]})).count("\n") == 2


def test_numbers_are_written_as_their_kind_asks():
    table = pd.DataFrame(
        {"n": [3, 12], "kappa": [0.4, np.nan], "share": [0.125, np.nan], "name": ["007", None]}
    )
    head, line, *rows = (
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in draw_table(table, n="faces").splitlines()
    )
    assert head == ["faces", "kappa", "share", "name"]
    assert [cell.endswith(":") for cell in line] == [True, True, True, False]
    assert rows[0] == ["3", "0.40", "12.5 %", "007"]
    assert rows[1][:3] == ["12", "", ""]
    assert (say_share(np.nan), say_share(1), say_number(1, "face"), say_number(0, "face")) == (
        "",
        "100.0 %",
        "1 face",
        "0 faces",
    )


def test_a_table_without_rows_is_its_head():
    assert draw_table(pd.DataFrame({"a": [], "b": []})).splitlines()[0].count("|") == 3
