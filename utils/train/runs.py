"""The folder of a training run: its settings and history, for people, pandas and TensorBoard.

A run's folder holds ``settings.json`` (settings, digest of the data, git commit, versions),
``history.csv`` and ``events.out.tfevents`` (the history for TensorBoard), and what the training
needs to resume. ``read_runs`` reads the folders of many runs into one table to compare them.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from utils.atomic import write_atomically
from utils.csv_lines import TableError
from utils.paths import ROOT
from utils.tables import read_table, replace_text

HISTORY = "history.csv"
SETTINGS = "settings.json"
EVENTS = "events.out.tfevents.history"  # TensorBoard finds files with this prefix
PACKAGES = ("keras", "tensorflow", "numpy", "opencv-python", "onnx", "onnxruntime", "pandas")
RUN_COLUMNS = ["run", "finished", "seconds", "started", "commit", "data"]


def digest_files(root: str | Path, files: Iterable[str]) -> str:
    """Return a digest of files, 16 hexadecimal digits that depend on their names and contents.

    Args:
        root: the folder that the names are relative to.
        files: POSIX paths.
    """
    total = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256((Path(root) / file).read_bytes()).hexdigest()
        total.update(f"{content} {file}\n".encode())
    return total.hexdigest()[:16]


def write_settings(run_dir: str | Path, settings: Mapping[str, Any], data: str = "") -> Path:
    """Write ``settings.json`` of a run, and return its path. A run that resumes keeps its own.

    Args:
        run_dir: the folder of the run.
        settings: names and values; a value that JSON does not know is written as its text.
        data: digest of the data.
    """
    path = Path(run_dir) / SETTINGS
    if not path.exists():
        content = {
            "settings": dict(settings),
            "data": data,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "commit": find_commit(),
            "versions": _find_versions(),
        }
        replace_text(path, json.dumps(content, indent=2, default=str) + "\n")
    return path


def find_commit() -> str | None:
    """Return the commit of this project, with ``-dirty`` after it if files changed, or None."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude=*"]  # the commit, not a tag near it
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or no repository
        return None
    return done.stdout.strip()


def _find_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a training depends on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # such as opencv-python, where the headless one is installed
            continue
    return versions


def write_events(run_dir: str | Path, history: pd.DataFrame) -> Path:
    """Write a history as TensorBoard's event file, and return its path.

    The file is written anew after each epoch. So it always agrees with ``history.csv``, also after
    a training that was stopped and resumed.

    Args:
        run_dir: the folder of the run.
        history: ``epoch`` and columns of numbers.
    """
    path = Path(run_dir) / EVENTS
    event = tf.compat.v1.Event
    # The time of the events is not known any more once a training resumes, so it is left out.
    records = [event(file_version="brain.Event:2")]
    names = [name for name in history.columns if name != "epoch"]
    for row in history.to_dict("records"):
        values = []
        for name in names:
            values.append(tf.compat.v1.Summary.Value(tag=name, simple_value=float(row[name])))
        summary = tf.compat.v1.Summary(value=values)
        records.append(event(step=int(row["epoch"]), summary=summary))
    with write_atomically(path) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    return path


def read_runs(folder: str | Path) -> pd.DataFrame:
    """Read the runs in a folder and its subfolders, to compare them.

    Args:
        folder: such as ``output/runs``.

    Returns:
        A table with a row per run: ``run`` (its folder), ``finished`` (epochs), ``seconds``,
        ``started``, ``commit``, ``data`` (digest), each setting as a column, and of the history the
        values after the last epoch, such as ``val_loss``, and the best ones, such as
        ``best_val_loss``. Empty if there are no runs.

    Raises:
        TableError: the history or the settings of a run cannot be read.
    """
    folder = Path(folder)
    rows = []
    for path in sorted(folder.glob(f"**/{HISTORY}")):
        history = read_table(path, ["epoch"])
        if history.empty:
            continue
        row = {"run": path.parent.relative_to(folder).as_posix(), "finished": len(history)}
        if "seconds" in history:
            row["seconds"] = history.seconds.sum()
        row |= _read_settings(path.with_name(SETTINGS))
        rows.append(row | _summarize(history))
    table = pd.DataFrame(rows)
    first = [name for name in RUN_COLUMNS if name in table]
    others = [name for name in table if name not in RUN_COLUMNS]
    return table[[*first, *others]] if rows else pd.DataFrame(columns=RUN_COLUMNS)


def _read_settings(path: Path) -> dict[str, Any]:
    """Return what ``settings.json`` says, flat; nothing if there is no such file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(content["settings"])
        return {name: content[name] for name in ("started", "commit", "data")} | settings
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path} cannot be read as the settings of a run: delete it.") from error


def _summarize(history: pd.DataFrame) -> dict[str, float]:
    """Return the last and the best value of each column of a history."""
    summary = {}
    for name in history.columns.drop(["epoch", "seconds"], errors="ignore"):
        values = history[name]
        summary[name] = values.iloc[-1]
        if name.startswith("val_"):
            summary[f"best_{name}"] = values.min() if "loss" in name else values.max()
    return summary
