"""Figures as text."""

import numpy as np
import pandas as pd

from utils.evaluate.report import describe_share, fill_tables, side_by_side
from utils.evaluate.scores import accuracy_table


def test_a_share_of_zero_faces_is_unknown():
    table = accuracy_table([], [], pd.Series(dtype=object))
    assert np.isnan(table.accuracy["all"])
    assert describe_share(table.loc["all"]) == "unknown (n = 0)"


def test_a_share_is_described_with_interval_and_n():
    row = pd.Series({"n": 120, "accuracy": 0.981, "low": 0.952, "high": 0.993})
    assert describe_share(row) == "98.1 % (95 % interval 95.2-99.3 %, n = 120)"
    named = pd.Series({"n": 400, "macro_f1": 0.5, "macro_f1_low": 0.4, "macro_f1_high": 0.6})
    text = "50.0 % (95 % interval 40.0-60.0 %, n = 400)"
    assert describe_share(named, "macro_f1") == text


def test_a_column_per_recipe_holds_accuracy_and_interval():
    row = {"slice": "scenes", "n": 10, "accuracy": 0.9, "low": 0.6, "high": 0.98}
    table = side_by_side(
        pd.DataFrame([row | {"recipe": "ours"}, row | {"recipe": "classic", "accuracy": 0.7}])
    )
    assert table.loc["scenes"].to_dict() == {
        "n": 10,
        "ours": "0.900 (0.600-0.980)",
        "classic": "0.700 (0.600-0.980)",
    }


def test_tables_are_replaced_and_the_rest_of_the_file_is_kept(tmp_path):
    card = tmp_path / "card.md"
    card.write_text(
        "before\n<!-- scores -->\nold\n<!-- end -->\nafter\n<!-- other -->\nkept\n<!-- end -->\n"
    )
    table = pd.DataFrame({"slice": ["a"], "n": [12], "accuracy": [0.98765]})
    for _ in range(2):  # a second time changes nothing more
        fill_tables(card, {"scores": table, "not in the card": table, "other": table.head(0)})
    text = card.read_text()
    assert "12 |" in text and "12.000" not in text
    assert text.startswith("before\n<!-- scores -->\n|") and "after\n<!-- other -->\nkept\n" in text
    assert "0.988" in text and "old" not in text and text.count("| a") == 1
