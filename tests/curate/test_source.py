"""The photographs that a notebook runs on are chosen in one place, and named in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils.classes import LabelError
from utils.curate import DataSource, open_data, source
from utils.curate.source import PEOPLE_FILE, USE_SAMPLE, read_empty
from utils.curate.split import SPLIT_FILE
from utils.images import write_image

PIXEL = np.zeros((1, 1, 3), np.uint8)


@pytest.fixture
def project(monkeypatch, tmp_path):
    """A project with a sample and without photographs; the notebooks' folder is the current one."""
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(project / "notebooks")
    monkeypatch.delenv(USE_SAMPLE, raising=False)
    monkeypatch.setattr(source, "DATA_DIR", project / "data")
    monkeypatch.setattr(source, "RAW_DIR", project / "data/raw")
    monkeypatch.setattr(source, "SAMPLE_DIR", project / "data/sample")
    monkeypatch.setattr(source, "OUTPUT_DIR", project / "output")
    for number in range(2):
        write_image(project / f"data/sample/faces/with_mask/{number}.jpg", PIXEL)
    return project


SAMPLE = DataSource(Path("../data/sample"), is_sample=True, output=Path("../output"))
RAW = DataSource(Path("../data/raw"), is_sample=False, output=Path("../data"))


def test_without_photographs_the_sample_is_used(project, capsys):
    assert open_data(None) == SAMPLE
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Photographs: data/sample, 2 drawn examples.")
    assert "mean nothing" in line
    assert "`make data` or notebook 01" in line


def test_an_empty_data_raw_counts_as_none(project):
    (project / "data/raw/faces/with_mask").mkdir(parents=True)
    assert open_data() == SAMPLE


def test_data_raw_comes_before_the_sample(project, capsys):
    for number in range(1200):
        path = project / f"data/raw/faces/with_mask/{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert open_data(None) == RAW
    assert capsys.readouterr().out == "Photographs: data/raw (1,200 files).\n"


def test_the_environment_can_choose_the_sample(project, monkeypatch):
    write_image(project / "data/raw/faces/with_mask/1.jpg", PIXEL)
    monkeypatch.setenv(USE_SAMPLE, "1")
    assert open_data() == SAMPLE
    assert open_data("../data/raw") == RAW
    assert open_data(create=True) == RAW
    monkeypatch.setenv(USE_SAMPLE, "")
    assert open_data() == RAW


def test_a_folder_is_used_as_it_is_named(project, tmp_path, capsys):
    mine = tmp_path / "mine"
    write_image(mine / "faces/with_mask/1.jpg", PIXEL)
    assert open_data(str(mine)) == DataSource(mine, is_sample=False, output=Path("../data"))
    assert capsys.readouterr().out == f"Photographs: {mine} (1 file).\n"
    assert open_data("../data/sample") == SAMPLE
    write_image(project / "data/raw/faces/with_mask/1.jpg", PIXEL)
    assert open_data("../data/raw") == RAW
    assert open_data("../data/sample") == SAMPLE


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_photographs_is_an_error_that_says_where_to_get_some(project, name):
    Path("empty").mkdir()
    message = rf"{name}.*`make data`.*notebook 01 \(see README"
    with pytest.raises(LabelError, match=message) as error:
        open_data(name)
    assert "\n" not in str(error.value)


def test_a_folder_to_be_filled_is_made(project, capsys):
    for _ in range(2):
        assert open_data("../data/raw", create=True) == RAW
    assert (project / "data/raw").is_dir()
    assert open_data(None, create=True) == RAW
    assert open_data(None) == SAMPLE


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
