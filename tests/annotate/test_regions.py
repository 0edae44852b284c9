"""Regions drawn in a real window: an X server without a screen, a mouse and a keyboard by xdotool."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks
from utils.annotate import regions
from utils.annotate.journal import read_hand_labels, read_journal, record_label
from utils.annotate.regions import draw_regions, label_missed_faces
from utils.classes import CLASS_COLORS, LabelError
from utils.images import write_image
from utils.labels import BOX_COLUMNS
from utils.paths import ROOT

KNOWN, MISSED = ("without_mask", (100, 10, 130, 50)), (20, 40, 60, 90)
DRAWING, CLASS, DONE = (
    "Drag over",
    "1: with_mask",
    "Enter: next photo",
)  # what the title says, one after another
PATIENCE = 60  # seconds


class Display:
    """An X server without a screen, whose picture lies in a file."""

    def __init__(self, folder: Path) -> None:
        options = [
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1400x900x24",
            "-fbdir",
            folder,
            "-nolisten",
            "tcp",
        ]
        options += [
            "-noreset"
        ]  # else it begins anew after its last client, and refuses the next one meanwhile
        self.server = subprocess.Popen(
            ["Xvfb", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.name = f":{self.server.stdout.readline().decode().strip()}"
        self.file = folder / "Xvfb_screen0"

    def read(self) -> np.ndarray:
        """What is shown, RGB; the file is an X window dump."""
        dump = self.file.read_bytes()
        header = np.frombuffer(dump[:100], ">u4")
        width, height, line, colors = (int(header[place]) for place in (4, 5, 12, 19))
        pixels = np.frombuffer(dump[int(header[0]) + 12 * colors :], np.uint8)[: height * line]
        return pixels.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    """A display of its own for this file."""
    display = Display(tmp_path_factory.mktemp("display"))
    yield display
    display.server.terminate()
    display.server.wait(10)
    display.server.stdout.close()


class Person:
    """Somebody at the screen, who looks at the title before the next step."""

    def __init__(self, display: str, program: str) -> None:
        environment = {
            "DISPLAY": display,
            "QT_QPA_PLATFORM": "xcb",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
        }
        self.environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def xdotool(self, *words: object) -> str:
        return subprocess.run(
            ["xdotool", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        ).stdout.strip()

    def wait(self, title: str) -> str:
        """The window, once its title has these words."""
        for _ in range(10 * PATIENCE):
            if found := self.xdotool("search", "--name", title).split():
                return found[0]
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.1)
        raise AssertionError(f"No window says '{title}'.")

    def press(self, key: str, title: str) -> None:
        """Press a key where the title asks for it."""
        window = self.wait(title)
        time.sleep(0.3)  # the title comes a moment before the program listens
        self.xdotool("windowfocus", window)
        self.xdotool("key", key)

    def drag(self, box: tuple, zoom: float = 1) -> None:
        """Draw a box of the photo, which is shown at ``zoom``."""
        window = self.wait(DRAWING)
        time.sleep(0.3)
        x_min, y_min, x_max, y_max = (round(zoom * value) for value in box)
        self.xdotool("mousemove", "--window", window, x_min, y_min, "mousedown", 1)
        for share in (0.5, 1):
            x, y = round(x_min + share * (x_max - x_min)), round(y_min + share * (y_max - y_min))
            time.sleep(0.1)
            self.xdotool("mousemove", "--window", window, x, y)
        time.sleep(0.1)
        self.xdotool("mouseup", 1)
        time.sleep(0.1)

    def finish(self) -> list:
        """What the program printed, as JSON."""
        text, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors
        return json.loads(text)


@pytest.fixture
def start(display):
    """Start a program on the display; it is ended with the test."""
    people = []

    def make(program: str) -> Person:
        people.append(Person(display.name, program))
        return people[-1]

    yield make
    for person in people:
        person.process.kill()
        person.process.communicate()


def draw_program(size: tuple[int, int], class_name: str = "") -> str:
    return f"""
        import json
        import numpy as np
        from utils.annotate.regions import draw_regions

        image = np.full(({size[1]}, {size[0]}, 3), 128, np.uint8)
        found, goes_on = draw_regions(image, [{KNOWN!r}], {class_name!r}, "photo")
        print(json.dumps([[[name, box.tolist()] for name, box in found], goes_on]))
    """


def test_drawn_accepted_left_out_and_taken_back(start):
    """At full size; the class is asked for, a drag is drawn anew, from any corner, over the edge."""
    person = start(draw_program((1280, 700)))
    person.drag((300, 300, 500, 500))
    person.drag((60, 90, 20, 40))
    person.press("Return", DRAWING)
    person.press("2", CLASS)
    person.drag((1100, 600, 1350, 850))
    person.press("space", DRAWING)
    person.press("1", CLASS)
    for key in ("Return", "Escape"):
        person.drag((200, 200, 250, 250))
        person.press(key, DRAWING)
        person.press("Escape", CLASS)
    person.drag((300, 300, 400, 400))
    person.press("Return", DRAWING)
    person.press("3", CLASS)
    person.press("Return", DRAWING)
    person.press("u", DONE)
    person.drag((300, 300, 400, 400))
    person.press("c", DRAWING)
    person.press("d", DONE)
    person.press("Return", DRAWING)
    person.press("Return", DONE)
    found, goes_on = person.finish()
    assert [name for name, _ in found] == ["without_mask", "with_mask"]
    np.testing.assert_allclose([box for _, box in found], [MISSED, (1100, 600, 1280, 700)], atol=1)
    assert goes_on is True


@pytest.mark.parametrize(
    ("size", "zoom"), [((160, 120), 2), ((900, 2880), 720 / 2880)], ids=["small", "large"]
)
def test_a_box_is_in_the_pixels_of_the_photo_and_not_of_the_window(start, size, zoom):
    box = tuple(
        share * side for share, side in zip((0.125, 0.25, 0.75, 0.5), (*size, *size), strict=True)
    )
    person = start(draw_program(size, "no mask"))
    person.drag(box, zoom)
    person.press("Return", DRAWING)
    person.press("Escape", DRAWING)
    person.press("Escape", DONE)
    ((name, found),), goes_on = person.finish()
    assert (name, goes_on) == ("without_mask", False)
    np.testing.assert_allclose(found, box, atol=2 / zoom)
    assert all(value == round(value) for value in found)


def test_the_window_shows_known_faces_in_their_classes_colours(start, display):
    """Read back from the display itself: RGB, with the known box where it belongs."""
    person = start(
        f"""
        import json
        import numpy as np
        from utils.annotate.regions import draw_regions

        image = np.full((400, 1280, 3), (200, 100, 50), np.uint8)
        found, goes_on = draw_regions(image, [("{KNOWN[0]}", {KNOWN[1]})], "with_mask")
        print(json.dumps([]))
        """
    )
    window = person.wait(DRAWING)
    for number in range(PATIENCE):  # it has its title before it is painted
        time.sleep(0.5)
        shown = display.read()  # without a window manager, a window begins in the corner
        if tuple(shown[300, 500]) == (200, 100, 50):
            break
        if (
            number % 4 == 3
        ):  # nor does anyone tell it that it can be seen, where that was missed on a busy machine
            person.xdotool("windowunmap", "--sync", window, "windowmap", "--sync", window)
    assert tuple(shown[300, 500]) == (200, 100, 50)
    assert tuple(shown[30, KNOWN[1][0]]) == CLASS_COLORS[KNOWN[0]]
    assert tuple(shown[30, 115]) == (200, 100, 50)
    person.press("Return", DRAWING)
    person.press("Return", DONE)
    person.finish()


def label_program(root: Path) -> str:
    return f"""
        import json
        import pandas as pd
        from utils.annotate.regions import label_missed_faces

        files = ["a.png", "broken.png", "b.png", "c.png"]
        known = pd.DataFrame([("a.png", *{KNOWN[1]!r})], columns=["file", "x_min", "y_min", "x_max", "y_max"])
        rows = label_missed_faces(files, {str(root)!r}, known, {str(root / "new/journal.csv")!r}, "Ada")
        print(json.dumps([rows.columns.tolist(), rows.to_numpy().tolist()]))
    """


def test_photos_are_gone_through_once_and_a_stop_is_taken_up_again(start, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / name, draw_blocks(resolution_wh=(1280, 700)))
    (tmp_path / "broken.png").write_bytes(b"")
    journal = tmp_path / "new/journal.csv"

    person = start(label_program(tmp_path))
    person.drag(MISSED)
    person.press("Return", "1 of 4. .*" + DRAWING)
    person.press("3", CLASS)
    person.press("Return", DRAWING)
    person.press("Return", "1 of 4. .*" + DONE)
    person.press("Return", "3 of 4. .*" + DRAWING)
    assert [row.file for row in read_journal(journal)] == [
        "a.png"
    ] * 2  # before the next photo is left
    person.press("Escape", DONE)
    text, errors = person.process.communicate(timeout=PATIENCE)
    assert person.process.returncode == 0, errors
    sentence, table = text.splitlines()
    assert "broken.png is not an image" in sentence
    columns, rows = json.loads(table)
    assert columns == ["file", *BOX_COLUMNS, "class_name", "way"]
    ((file, *box, class_name, way),) = rows
    assert (file, class_name, way) == ("a.png", "mask_worn_incorrectly", "regions")
    np.testing.assert_allclose(box, MISSED, atol=1)
    labels = read_hand_labels(journal)
    assert labels[BOX_COLUMNS].to_numpy().tolist() == [box]
    assert set(labels.labeller) == {"Ada"}

    person = start(label_program(tmp_path))
    person.press("Return", "2 of 3. .*" + DRAWING)
    person.press("Return", "2 of 3. .*" + DONE)
    person.press("Return", "3 of 3. .*" + DRAWING)
    person.press("Return", DONE)
    text, _ = person.process.communicate(timeout=PATIENCE)
    assert json.loads(text.splitlines()[1])[1] == []
    assert len(read_hand_labels(journal)) == 1


NOTHING_KNOWN = pd.DataFrame(columns=["file", *BOX_COLUMNS])


def test_without_photos_or_with_all_done_no_window_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "has_display", lambda: False)
    journal = tmp_path / "journal.csv"
    assert len(label_missed_faces([], tmp_path, NOTHING_KNOWN, journal, "Ada")) == 0
    assert not journal.exists()
    write_image(tmp_path / "a.png", draw_blocks())
    record_label(journal, "a.png", (), "", "Ada", "regions")
    assert (
        len(label_missed_faces([tmp_path / "a.png"], tmp_path, NOTHING_KNOWN, journal, " Ada "))
        == 0
    )


def test_done_is_the_same_labellers_word_on_the_whole_photo(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "has_display", lambda: False)
    journal = tmp_path / "journal.csv"
    write_image(tmp_path / "a.png", draw_blocks())
    record_label(journal, "a.png", (), "", "Grace", "regions")
    record_label(journal, "a.png", (), "", "Ada", "buttons")
    record_label(journal, "a.png", MISSED, "with_mask", "Ada", "regions")
    with pytest.raises(RuntimeError, match="there is no display"):
        label_missed_faces(["a.png"], tmp_path, NOTHING_KNOWN, journal, "Ada")


def test_what_cannot_be_drawn_is_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(
        RuntimeError, match="there is no display: run this where you have a desktop"
    ):
        draw_regions(draw_blocks())
    with pytest.raises(LabelError, match=r"a\.png is not below .*folder"):
        label_missed_faces(
            [tmp_path / "a.png"],
            tmp_path / "folder",
            NOTHING_KNOWN,
            tmp_path / "journal.csv",
            "Ada",
        )
    monkeypatch.setattr(regions, "has_display", lambda: True)
    with pytest.raises(LabelError, match="the class 'cat' is unknown"):
        draw_regions(draw_blocks(), class_name="cat")
