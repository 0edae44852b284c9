"""Regions drawn in a real window, with the mouse and the keyboard."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks
from tests.desktop import PATIENCE_S, Person
from tests.desktop import display as display  # the fixture
from utils.annotate import regions
from utils.annotate.journal import read_hand_labels, read_journal, record_label
from utils.annotate.regions import draw_regions, label_missed_faces
from utils.classes import CLASS_COLORS, LabelError
from utils.images import write_image
from utils.labels import BOX_COLUMNS

KNOWN = ("without_mask", (100, 10, 130, 50))
MISSED = (20, 40, 60, 90)
# Words in the window's title at each step.
DRAWING = "Drag over"
CLASS = "1: with_mask"
DONE = "Enter: next photo"


@pytest.fixture
def start(display):
    """Return a function that starts a program on the display. The test's end stops it."""
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


@pytest.mark.display
def test_draw_accept_discard_and_undo(start):
    """At full size, with a class for each box; drags start at any corner and cross the edge."""
    person = start(draw_program((1280, 700)))
    person.drag((300, 300, 500, 500), DRAWING)
    person.drag((60, 90, 20, 40), DRAWING)
    person.press("Return", DRAWING)
    person.press("2", CLASS)
    person.drag((1100, 600, 1350, 850), DRAWING)
    person.press("space", DRAWING)
    person.press("1", CLASS)
    for key in ("Return", "Escape"):
        person.drag((200, 200, 250, 250), DRAWING)
        person.press(key, DRAWING)
        person.press("Escape", CLASS)
    person.drag((300, 300, 400, 400), DRAWING)
    person.press("Return", DRAWING)
    person.press("3", CLASS)
    person.press("Return", DRAWING)
    person.press("u", DONE)
    person.drag((300, 300, 400, 400), DRAWING)
    person.press("c", DRAWING)
    person.press("d", DONE)
    person.press("Return", DRAWING)
    person.press("Return", DONE)
    found, goes_on = person.finish()
    assert [name for name, _ in found] == ["without_mask", "with_mask"]
    np.testing.assert_allclose([box for _, box in found], [MISSED, (1100, 600, 1280, 700)], atol=1)
    assert goes_on is True


@pytest.mark.display
@pytest.mark.parametrize(
    ("size", "zoom"), [((160, 120), 2), ((900, 2880), 720 / 2880)], ids=["small", "large"]
)
def test_boxes_are_in_pixels_of_the_image(start, size, zoom):
    box = tuple(
        share * side for share, side in zip((0.125, 0.25, 0.75, 0.5), (*size, *size), strict=True)
    )
    person = start(draw_program(size, "no mask"))
    person.drag(box, DRAWING, zoom)
    person.press("Return", DRAWING)
    person.press("Escape", DRAWING)
    person.press("Escape", DONE)
    ((name, found),), goes_on = person.finish()
    assert (name, goes_on) == ("without_mask", False)
    np.testing.assert_allclose(found, box, atol=2 / zoom)
    assert all(value == round(value) for value in found)


@pytest.mark.display
def test_known_faces_are_drawn_in_the_colour_of_their_class(start, display):
    """Checked on the screen: the colours are RGB and the known box is in its place."""
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
    for number in range(PATIENCE_S):  # the title appears before the picture
        time.sleep(0.5)
        shown = display.read()  # without a window manager, the window is in the corner
        if tuple(shown[300, 500]) == (200, 100, 50):
            break
        # On a busy machine the window may miss the event that it is visible: send it again.
        if number % 4 == 3:
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
        columns = ["file", "x_min", "y_min", "x_max", "y_max"]
        known = pd.DataFrame([("a.png", *{KNOWN[1]!r})], columns=columns)
        journal = {str(root / "new/journal.csv")!r}
        rows = label_missed_faces(files, {str(root)!r}, known, journal, "Ada")
        print(json.dumps([rows.columns.tolist(), rows.to_numpy().tolist()]))
    """


@pytest.mark.display
def test_photos_are_shown_once_and_a_second_run_resumes(start, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / name, draw_blocks(resolution_wh=(1280, 700)))
    (tmp_path / "broken.png").write_bytes(b"")
    journal = tmp_path / "new/journal.csv"

    person = start(label_program(tmp_path))
    person.drag(MISSED, DRAWING)
    person.press("Return", "1 of 4. .*" + DRAWING)
    person.press("3", CLASS)
    person.press("Return", DRAWING)
    person.press("Return", "1 of 4. .*" + DONE)
    person.press("Return", "3 of 4. .*" + DRAWING)
    # Both rows are in the journal before the next photo ends.
    assert [entry.file for entry in read_journal(journal)] == ["a.png"] * 2
    person.press("Escape", DONE)
    text, errors = person.process.communicate(timeout=PATIENCE_S)
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
    text, _ = person.process.communicate(timeout=PATIENCE_S)
    assert json.loads(text.splitlines()[1])[1] == []
    assert len(read_hand_labels(journal)) == 1


NO_FACES = pd.DataFrame(columns=["file", *BOX_COLUMNS])


def test_no_display_is_needed_if_nothing_is_left_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "has_display", lambda: False)
    journal = tmp_path / "journal.csv"
    assert len(label_missed_faces([], tmp_path, NO_FACES, journal, "Ada")) == 0
    assert not journal.exists()
    write_image(tmp_path / "a.png", draw_blocks())
    record_label(journal, "a.png", (), "", "Ada", "regions")
    rows = label_missed_faces([tmp_path / "a.png"], tmp_path, NO_FACES, journal, " Ada ")
    assert len(rows) == 0


def test_only_the_same_annotators_mark_finishes_a_photo(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "has_display", lambda: False)
    journal = tmp_path / "journal.csv"
    write_image(tmp_path / "a.png", draw_blocks())
    record_label(journal, "a.png", (), "", "Grace", "regions")
    record_label(journal, "a.png", (), "", "Ada", "buttons")
    record_label(journal, "a.png", MISSED, "with_mask", "Ada", "regions")
    with pytest.raises(RuntimeError, match="there is no display"):
        label_missed_faces(["a.png"], tmp_path, NO_FACES, journal, "Ada")


def test_error_messages(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(RuntimeError, match="there is no display: run this on a desktop"):
        draw_regions(draw_blocks())
    with pytest.raises(LabelError, match=r"a\.png is not below .*folder"):
        label_missed_faces(
            [tmp_path / "a.png"],
            tmp_path / "folder",
            NO_FACES,
            tmp_path / "journal.csv",
            "Ada",
        )
    monkeypatch.setattr(regions, "has_display", lambda: True)
    with pytest.raises(LabelError, match="the class 'cat' is unknown"):
        draw_regions(draw_blocks(), class_name="cat")
