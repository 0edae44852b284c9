"""Figures as text."""

import numpy as np
import pandas as pd
import pytest

from utils.evaluate.report import (
    describe_share,
    fill_tables,
    join_intervals,
    read_tables,
    side_by_side,
)
from utils.evaluate.scores import accuracy_table
from utils.paths import MODEL_DIR


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


def test_slices_and_recipes_side_by_side_keep_their_order():
    row = {"n": 10, "accuracy": 0.9, "low": 0.6, "high": 0.98}
    rows = []
    for recipe in ("ours", "classic"):
        for name in ("under 16 px", "16-32 px", "over 32 px"):
            rows.append({"slice": name, "recipe": recipe} | row)
    table = side_by_side(pd.DataFrame(rows))
    assert table.index.tolist() == ["under 16 px", "16-32 px", "over 32 px"]
    assert table.columns.tolist() == ["n", "ours", "classic"]
    assert table.index.name == "slice"


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


TABLES = {
    "numbers": pd.DataFrame({"n": [12, 3], "ap": [0.125, 1.0]}),
    "names": pd.DataFrame({"what": ["with_mask", "none", "NA"], "accuracy": [0.5, 0.25, 0.75]}),
    "missing": pd.DataFrame({"what": ["mean", "face"], "low": [np.nan, 0.5], "note": ["a b", ""]}),
    "intervals": pd.DataFrame({"n": [10], "ours": ["0.900 (0.600-0.980)"]}),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_back_as_it_was_written(tmp_path, name):
    card = tmp_path / "card.md"
    card.write_text(f"# Card\n\n<!-- {name} -->\n<!-- end -->\n\nText | with a bar\n")
    assert read_tables(card)[name].empty
    table = TABLES[name]
    fill_tables(card, {name: table})
    read = read_tables(card)
    assert list(read) == [name]
    expected = table.replace("", np.nan)
    pd.testing.assert_frame_equal(read[name], expected, check_dtype=False)
    indexed = table.set_index(table.columns[0])
    fill_tables(card, {name: indexed})
    pd.testing.assert_frame_equal(read_tables(card)[name], expected, check_dtype=False)


def test_a_page_without_places_has_no_tables(tmp_path):
    (tmp_path / "card.md").write_text("# Card\n\n| a |\n|---|\n| 1 |\n")
    assert read_tables(tmp_path / "card.md") == {}


@pytest.mark.parametrize("card", sorted(MODEL_DIR.glob("*.md")), ids=lambda path: path.stem)
def test_every_table_of_the_model_cards_has_rows_and_numbers(card):
    tables = read_tables(card)
    assert tables
    for table in tables.values():
        assert len(table)
        cells = table.iloc[:, 1:].to_numpy().ravel()
        assert any(character.isdigit() for cell in cells for character in str(cell))


def test_intervals_are_joined_to_text():
    table = pd.DataFrame(
        {
            "n": [3, 2],
            "recall": [0.9, float("nan")],
            "recall_low": [0.6, float("nan")],
            "recall_high": [0.98, float("nan")],
        }
    )
    joined = join_intervals(table)
    assert joined.to_dict("list") == {"n": [3, 2], "recall": ["0.900 (0.600-0.980)", ""]}
    assert "recall_low" in table  # the table itself is not changed
