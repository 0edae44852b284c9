"""The running script: its window and keys, and the signals that end it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.desktop import PATIENCE_S, Display, Person
from tests.desktop import display as display  # the fixture
from tests.films import FILMS, FPS, draw_film
from utils.classes import CLASS_COLORS, MASK_CLASSES
from utils.display import Window
from utils.images import read_image
from utils.paths import ROOT
from utils.video import Video, VideoWriter

SCRIPT = ROOT / "03-detect_face_using_mask.py"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A video of four standing people, four minutes long; no test waits for its end."""
    frames = [image for image, _ in draw_film(FILMS["four stand"], 1.0)]
    with VideoWriter(tmp_path_factory.mktemp("film") / "film.mp4", FPS) as writer:
        for number in range(6000):
            writer.add(frames[number % len(frames)], number / FPS)
    return writer.path


def list_arguments(film: Path) -> list[str]:
    return [
        str(SCRIPT),
        "--video",
        str(film),
        "--output",
        "out",
        "--json",
        "a.json",
        "--csv",
        "people.csv",
    ]


def count_records(folder: Path) -> int:
    """Return the number of frames in the JSON file, which is complete at any time."""
    path = folder / "a.json"
    return (
        len(json.loads(path.read_text())["images"]) if path.exists() and path.stat().st_size else 0
    )


def wait_for_records(folder: Path, more_than: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while count_records(folder) <= more_than:
        assert time.monotonic() < deadline, "No frame is processed."
        time.sleep(0.1)


def wait_for_boxes(display: Display) -> None:
    """Wait until boxes of all classes are shown. A frame is recorded before it is painted."""
    deadline = time.monotonic() + PATIENCE_S
    missing = set(MASK_CLASSES)
    while missing:
        assert time.monotonic() < deadline, f"No boxes are shown of {sorted(missing)}."
        shown = display.read().astype(int)
        for name in MASK_CLASSES:
            is_color = np.abs(shown - CLASS_COLORS[name]).max(axis=2) < 3
            if is_color.sum() > 200:  # pixels of boxes and captions
                missing.discard(name)


def check_files(folder: Path) -> None:
    """Check that the copy can be played, and that the tables and the JSON belong to it."""
    count = count_records(folder)
    copied = len(list(Video(folder / "out" / "film.mp4")))
    assert 0 <= count - copied <= 1
    people = pd.read_csv(folder / "people.csv")
    intervals = pd.read_csv(folder / "people-intervals.csv")
    assert (len(people), intervals.people.tolist()) == (4, [4])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without a signal")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_leaves_complete_files(film, tmp_path, name):
    # In the background of a shell, SIGINT is ignored, and children would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, *list_arguments(film), "--no-show"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for_records(tmp_path, more_than=20)
            process.send_signal(getattr(signal, name))
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in err) == (1, False)
    assert out.rstrip().endswith("stopped before the end.")
    check_files(tmp_path)


@pytest.fixture
def person(display: Display, film: Path, tmp_path: Path):
    """A user who runs the script with a window."""
    program = f"""
        import os, runpy, sys
        os.chdir({str(tmp_path)!r})
        sys.argv = {list_arguments(film)!r}
        runpy.run_path(sys.argv[0], run_name="__main__")
    """
    person = Person(display.name, program)
    yield person
    person.process.kill()
    person.process.communicate()


@pytest.mark.display
@pytest.mark.parametrize("key", ["q", "Escape"])
def test_window_pauses_saves_an_image_and_ends(person, display, tmp_path, key):
    title = Window.title.split("(")[0]
    person.wait(title)
    wait_for_records(tmp_path, more_than=20)
    wait_for_boxes(display)
    person.press("space", title)
    time.sleep(1.0)
    paused = count_records(tmp_path)
    person.press("s", title)
    time.sleep(1.0)
    assert count_records(tmp_path) == paused
    (kept,) = (tmp_path / "out").glob("snapshot_*.jpg")
    assert read_image(kept).shape == (480, 640, 3)
    person.press("space", title)
    wait_for_records(tmp_path, more_than=paused)
    person.press(key, title)
    out, err = person.process.communicate(timeout=PATIENCE_S)
    assert (person.process.returncode, "Traceback" in err) == (0, False)
    assert f"Saved {kept.relative_to(tmp_path)}." in err
    assert "4 people: 2 with_mask, 1 without_mask, 1 mask_worn_incorrectly" in out
    check_files(tmp_path)
