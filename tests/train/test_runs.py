"""The folders of runs: what is written about a training, and the table that compares trainings."""

import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from utils.csv_lines import TableError
from utils.train.runs import (
    RUN_COLUMNS,
    digest_files,
    find_commit,
    read_runs,
    write_events,
    write_settings,
)

pytestmark = pytest.mark.training

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "loss": [0.9, 0.5, 0.4],
        "val_loss": [0.8, 0.6, 0.7],
        "val_accuracy": [0.5, 0.75, 0.7],
        "seconds": [2.0, 1.0, 1.5],
    }
)


def test_no_runs_give_an_empty_table(tmp_path):
    table = read_runs(tmp_path)
    assert table.empty
    assert table.columns.tolist() == RUN_COLUMNS


def test_each_run_is_a_row_with_its_settings_and_its_last_and_best_epoch(tmp_path):
    for name, rate in (("a", 1e-3), ("b/c", 1e-4)):
        folder = tmp_path / name
        write_settings(folder, {"learning_rate": rate, "folder": tmp_path}, data="0123")
        HISTORY.to_csv(folder / "history.csv", index=False)
    (tmp_path / "without_settings").mkdir()
    HISTORY.head(1).to_csv(tmp_path / "without_settings/history.csv", index=False)

    table = read_runs(tmp_path).set_index("run")
    assert table.index.tolist() == ["a", "b/c", "without_settings"]
    assert table.finished.tolist() == [3, 3, 1]
    assert table.learning_rate.tolist()[:2] == [1e-3, 1e-4]
    assert np.isnan(table.learning_rate["without_settings"])
    row = table.loc["b/c"]
    assert (row.val_loss, row.best_val_loss, row.best_val_accuracy) == (0.7, 0.6, 0.75)
    assert (row.seconds, row.data, row.folder) == (4.5, "0123", str(tmp_path))
    assert row.commit == find_commit() or (row.commit is None and find_commit() is None)


def test_a_run_that_resumes_keeps_its_settings(tmp_path):
    path = write_settings(tmp_path, {"epochs": 3})
    started = json.loads(path.read_text())["started"]
    write_settings(tmp_path, {"epochs": 3})
    content = json.loads(path.read_text())
    assert content["started"] == started
    assert {"python", "keras", "tensorflow"} <= set(content["versions"])


def test_damaged_settings_are_named(tmp_path):
    HISTORY.to_csv(tmp_path / "history.csv", index=False)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(TableError, match=r"settings\.json cannot be read"):
        read_runs(tmp_path)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_tensorflow_reads_the_events_of_a_history(tmp_path, count):
    for rows in range(count + 1):  # the file is written anew after each epoch
        path = write_events(tmp_path, HISTORY.head(rows))
    found = []
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            found.append((event.step, value.tag, value.simple_value))
    names = HISTORY.columns.drop("epoch")
    expected = [
        (row["epoch"], name, pytest.approx(row[name]))
        for row in HISTORY.head(count).to_dict("records")
        for name in names
    ]
    assert found == expected


def test_the_digest_depends_on_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    digest = digest_files(tmp_path, ["a", "b"])
    assert digest == digest_files(tmp_path, ["b", "a"])
    assert digest != digest_files(tmp_path, ["a"])
    (tmp_path / "b").write_text("3")
    assert digest != digest_files(tmp_path, ["a", "b"])
