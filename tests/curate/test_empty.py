"""Pictures without people: those that show people are left out and named."""

import numpy as np
import pandas as pd

from utils.curate.empty import PEOPLE_FILE, read_empty
from utils.curate.prepare import SPLIT_FILE
from utils.images import write_image


def test_pictures_without_people_have_a_side_and_name_what_is_left_out(tmp_path):
    """Two pictures of a public set, of which one shows people, and one that is new."""
    people = pd.read_csv(PEOPLE_FILE)
    sides = pd.read_csv(SPLIT_FILE).set_index("file").split
    objects = sides[sides.index.str.startswith("objects/") & ~sides.index.isin(people.file)]
    in_test = objects[objects == "test"].index[0]
    for file in (people.file[0], in_test, "objects/images/new.jpg", "scenes/images/a.jpg"):
        write_image(tmp_path / file, np.zeros((8, 8, 3), np.uint8))
    table, left_out = read_empty(tmp_path)
    assert dict(zip(table.file, table.split, strict=True)) == {
        in_test: "test",
        "objects/images/new.jpg": "train",
    }
    assert set(table.source) == {"objects"}
    assert left_out.file.tolist() == [people.file[0]]
    empty, none_left_out = read_empty(tmp_path / "scenes")
    assert empty.empty and none_left_out.empty


def test_pictures_with_people_are_each_named_once_and_in_the_split():
    people = pd.read_csv(PEOPLE_FILE)
    assert people.file.is_unique and people.why.notna().all()
    assert people.file.isin(pd.read_csv(SPLIT_FILE).file).all()
