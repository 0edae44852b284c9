"""The widgets: the kernel's side by messages alone, and both sides in JupyterLab in Chromium."""

import cv2
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser import PATIENCE_S, open_notebook, reload, run_cell
from utils.annotate.journal import read_hand_labels, read_journal
from utils.annotate.session import LabelSession
from utils.annotate.widgets import (
    FACE_SIDE,
    PREFETCH,
    ContactSheet,
    LabelWidget,
    encode_jpeg,
    read_face_with_context,
)
from utils.classes import CLASS_NAMES
from utils.images import ImageError, write_image
from utils.labels import BOX_COLUMNS

FACES = pd.DataFrame({"file": [f"{number}.jpg" for number in range(8)]})
FACES[BOX_COLUMNS] = [0, 0, 10, 10]
Y_PROB = np.tile([0.125, 0.75, 0.125, 0], (8, 1))


def grey(face: pd.Series) -> np.ndarray:
    """Return a picture whose grey value tells which face it is."""
    if face.file == "3.jpg":
        raise ImageError("3.jpg is cut off.")
    return np.full((20, 30, 3), 20 * int(face.file[0]), np.uint8)


def which(data: bytes) -> int:
    return round(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).mean() / 20)


class Browser:
    """Stand in for the page: send messages and keep the answers."""

    def __init__(self, widget) -> None:
        self.widget, self.answers = widget, []
        widget.send = lambda content, buffers: self.answers.append((content, buffers))

    def ask(self, **message) -> tuple[dict, list[bytes]]:
        self.widget._handle_custom_msg(message, [])
        return self.answers[-1]

    def act(self, *actions: list, have: tuple[int, ...] = ()) -> tuple[dict, list[bytes]]:
        return self.ask(view="v", actions=list(actions), have=list(have))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hand_labels.csv"


def make_browser(path, faces=FACES, **options) -> Browser:
    return Browser(LabelWidget(LabelSession(faces, path, "ann", **options), grey))


def test_no_faces(path):
    answer, buffers = make_browser(path, FACES[:0]).act()
    assert (answer["queue"], answer["total"], answer["left"], buffers) == ([], 0, 0, [])


def test_the_next_faces_are_sent_in_advance_and_only_once(path):
    browser = make_browser(path, suggestions=Y_PROB)
    answer, buffers = browser.act()
    assert (
        answer["queue"] == [face["position"] for face in answer["faces"]] == list(range(PREFETCH))
    )
    assert [which(data) for data in buffers if data] == [0, 1, 2, 4]
    assert [face.get("problem") for face in answer["faces"]] == [
        None,
        None,
        None,
        "3.jpg is cut off.",
        None,
    ]
    assert {face["suggestion"] for face in answer["faces"]} == {"without mask (75%)"}
    answer, buffers = browser.act([2, 0], have=(0, 1, 2, 3, 4))
    assert (
        [face["position"] for face in answer["faces"]]
        == [which(data) for data in buffers]
        == [PREFETCH]
    )
    assert (answer["done"], answer["left"], answer["counts"]) == (1, 7, [0, 0, 1, 0, 0])


# actions in one message; the note, the classes afterwards, and the next face
ACTIONS = {
    "label": ([[0, 0]], "with mask", ["with_mask"], 1),
    "several at once": ([[0, 0], [1, 1], [-1, 2]], "skipped", ["with_mask", "without_mask"], 3),
    "undo": ([[0, 0], [1, 1], ["undo"]], "undone", ["with_mask"], 1),
    "nothing to undo": ([["undo"]], "nothing to undo", [], 0),
    "not the next face": ([[0, 0], [1, 0], [1, 5]], "", ["with_mask"], 1),
    "all": ([[3, number] for number in range(8)], "no face", ["no_face"] * 8, None),
    "one too many": (
        [[3, number] for number in range(8)] + [[3, None]],
        "no face",
        ["no_face"] * 8,
        None,
    ),
}


@pytest.mark.parametrize(
    ("actions", "note", "classes", "position"), ACTIONS.values(), ids=ACTIONS.keys()
)
def test_actions_are_in_the_journal_before_the_answer(path, actions, note, classes, position):
    answer, _ = make_browser(path).act(*actions)
    assert (answer["note"], answer["problem"]) == (note, "")
    assert read_hand_labels(path).class_name.tolist() == classes
    assert answer["queue"][:1] == ([] if position is None else [position])


def test_an_undone_face_is_sent_again_with_its_current_label(path):
    browser = make_browser(path, FACES.assign(class_name="no_face"), review=True)
    assert browser.act()[0]["faces"][0]["label"] == "no face"
    assert browser.act([0, 0], have=range(8))[0]["faces"] == []
    browser.widget.session.queue.insert(0, 0)  # as for another view, which has the old label
    assert browser.act(have=range(1, 8))[0]["faces"][0]["label"] == "with mask"
    answer, _ = browser.act(["undo"], have=range(8))
    assert answer["faces"][0] == {"position": 0, "file": "0.jpg", "label": "no face"}


def test_a_reloaded_page_gets_the_current_state(path):
    browser = make_browser(path)
    browser.act([0, 0])
    answer, buffers = browser.act()
    assert (answer["queue"][0], which(buffers[0])) == (1, 1)


def test_a_label_that_cannot_be_stored_is_reported(path):
    browser = make_browser(path)
    path.mkdir()
    answer, _ = browser.act([0, 0], [1, 1])
    assert "cannot be written" in answer["problem"]
    assert (answer["queue"][0], answer["done"]) == (0, 0)


def test_any_error_of_read_crop_is_reported(path):
    widget = LabelWidget(LabelSession(FACES[:1], path, "ann"), lambda face: face.nothing)
    assert "nothing" in Browser(widget).act()[0]["faces"][0]["problem"]


@pytest.mark.parametrize("size", [(20, 30), (900, 600)])
def test_jpeg_colours_and_size(size):
    image = np.full((*size, 3), (200, 30, 30), np.uint8)
    found = cv2.imdecode(np.frombuffer(encode_jpeg(image), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert max(found.shape) == min(FACE_SIDE, max(size))
    assert np.abs(found.astype(int) - (200, 30, 30)).max() < 12


# a box in an image of 100 x 80; the face's width and height as shares of the picture
CONTEXTS = {
    "small": ((30, 30, 40, 40), (0.5, 0.5)),
    "tall": ((30, 20, 50, 60), (0.25, 0.5)),
    "beyond the edge": ((5, 5, 25, 25), (0.5, 0.5)),
}


@pytest.mark.parametrize(("box", "expected"), CONTEXTS.values(), ids=CONTEXTS.keys())
def test_a_face_is_shown_with_context_and_a_frame(tmp_path, box, expected):
    image = np.full((80, 100, 3), 128, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = (230, 20, 20)
    write_image(tmp_path / "a.png", image)
    shown = read_face_with_context(
        tmp_path, pd.Series({"file": "a.png", **dict(zip(BOX_COLUMNS, box, strict=True))})
    )
    assert shown.shape == (FACE_SIDE, FACE_SIDE, 3)
    red = np.ptp(shown.astype(int), axis=2) > 90
    sides = [np.ptp(np.flatnonzero(red.any(axis=axis))) / FACE_SIDE for axis in (0, 1)]
    assert sides == pytest.approx(expected, abs=0.04)
    assert (shown == 255).all(axis=2).sum() > FACE_SIDE / 2  # the frame


def test_a_face_without_a_box_is_the_whole_image(tmp_path):
    write_image(tmp_path / "a.png", np.full((80, 100, 3), 128, np.uint8))
    face = pd.Series({"file": "a.png", **dict.fromkeys(BOX_COLUMNS, np.nan)})
    assert read_face_with_context(tmp_path, face).shape == (80, 100, 3)


def make_sheet(count: int, **options) -> Browser:
    crops = [np.full((40, 40, 3), 20 * (number % 10), np.uint8) for number in range(count)]
    return Browser(ContactSheet(crops, **options))


# pictures, requested page; shown page, number of pages, positions on it
PAGES = {
    "none": (0, 0, 0, 1, []),
    "one": (3, 0, 0, 1, [0, 1, 2]),
    "the last": (7, 2, 2, 3, [6]),
    "beyond the last": (7, 9, 2, 3, [6]),
    "before the first": (7, -1, 0, 3, [0, 1, 2]),
}


@pytest.mark.parametrize(
    ("count", "asked", "page", "pages", "shown"), PAGES.values(), ids=PAGES.keys()
)
def test_contact_sheet_pages(count, asked, page, pages, shown):
    answer, buffers = make_sheet(count, page_size=3, captions=range(count)).ask(
        type="show", page=asked
    )
    assert (answer["page"], answer["pages"], answer["total"]) == (page, pages, count)
    assert (
        [int(caption) for caption in answer["captions"]]
        == [which(data) for data in buffers]
        == shown
    )
    assert answer["states"] == [[position, True] for position in shown]


def test_a_change_is_stored_at_once(tmp_path):
    stored, kept = [], np.array([True, False, True])
    browser = make_sheet(3, kept=kept, on_change=lambda *change: stored.append(change))
    answer, buffers = browser.ask(type="keep", position=2, kept=False)
    assert (stored, answer["states"], answer["kept"], buffers) == (
        [(2, False)],
        [[2, False]],
        1,
        [],
    )
    browser.ask(type="keep", position=1, kept=True)
    assert browser.widget.kept.tolist() == [True, True, False]
    assert kept.tolist() == [True, False, True]  # the caller's array is not changed


def test_a_change_that_cannot_be_stored_is_reported_and_not_made():
    def refuse(position: int, kept: bool) -> None:
        raise OSError("the disk is full")

    browser = make_sheet(3, on_change=refuse)
    answer, _ = browser.ask(type="keep", position=1, kept=False)
    assert (answer["problem"], answer["states"], browser.widget.kept.all()) == (
        "the disk is full",
        [[1, True]],
        True,
    )


def test_contact_sheet_of_files(tmp_path):
    write_image(tmp_path / "a.png", np.full((40, 40, 3), 60, np.uint8))
    browser = Browser(ContactSheet([tmp_path / "a.png", tmp_path / "gone.png"]))
    answer, buffers = browser.ask(type="show", page=0)
    assert which(buffers[0]) == 3 and buffers[1] == b"" and "gone.png" in answer["captions"][1]


def test_contact_sheet_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError, match="2 pictures"):
        make_sheet(2, captions=["a"])


LABEL_CELL = """
from functools import partial
import pandas as pd
from utils.annotate.session import LabelSession
from utils.formats import read_voc_folder
from utils.paths import EXAMPLES_DIR
from utils.annotate.widgets import ContactSheet, LabelWidget, read_face_with_context
faces, _ = read_voc_folder(EXAMPLES_DIR)
faces = pd.concat([faces.assign(x_max=faces.x_max + number) for number in range(3)])
faces = faces.drop(columns="class_name")
session = LabelSession(faces, "hand_labels.csv", "ann")
LabelWidget(session, partial(read_face_with_context, EXAMPLES_DIR))
"""
SHEET_CELL = """
from pathlib import Path
crops = [read_face_with_context(EXAMPLES_DIR, face) for _, face in faces.iterrows()]
ContactSheet(crops, on_change=lambda *change: Path("changes.txt").open("a").write(f"{change}\\n"))
"""
NO_PICTURES_CELL = "ContactSheet([])"
NO_FACES_CELL = 'LabelWidget(LabelSession(faces[:0], "none.csv", "ann"), None)'


def expect_count(page: Page, text: str, widget: str = "label") -> None:
    expect(page.locator(f".fmd-{widget} .fmd-count")).to_have_text(text, timeout=1000 * PATIENCE_S)


@pytest.mark.browser
def test_widgets_in_jupyterlab(tmp_path):
    path = tmp_path / "hand_labels.csv"
    with open_notebook(tmp_path, [LABEL_CELL, SHEET_CELL, NO_PICTURES_CELL, NO_FACES_CELL]) as page:
        run_cell(page)
        expect_count(page, "0 of 24 done, 24 left")
        page.locator(".fmd-label .fmd-face img").wait_for()
        expect(page.locator(".fmd-label")).not_to_be_focused()
        expect(page.locator(".fmd-keys")).to_have_text("Click here to use the keys.")
        page.locator(".fmd-label .fmd-face").click()
        for key in "1234s12":  # faster than the kernel answers
            page.keyboard.press(key)
            page.locator(".fmd-label .fmd-face img").wait_for()
        expect_count(page, "7 of 24 done, 17 left")
        page.keyboard.press("u")
        expect_count(page, "6 of 24 done, 18 left")
        page.keyboard.press("Control+z")
        expect_count(page, "5 of 24 done, 19 left")
        page.locator(".fmd-label button", has_text="mask worn incorrectly").click()
        expect_count(page, "6 of 24 done, 18 left")
        seen = page.locator(".fmd-label").get_attribute("data-position")

        reload(page)
        run_cell(page)
        expect_count(page, "5 of 24 done, 19 left")  # the skipped face is in the queue again, last
        assert page.locator(".fmd-label").get_attribute("data-position") == seen == "6"
        page.locator(".fmd-label .fmd-face").click()
        for done in range(6, 25):
            page.keyboard.press("2")
            expect_count(
                page,
                f"{done} of 24 done, {24 - done} left" if done < 24 else "All 24 faces are done",
            )
        expect(page.locator(".fmd-summary")).to_contain_text("20 without mask")
        assert page.locator(".jp-CodeCell").count() == 4  # the keys did not reach JupyterLab

        run_cell(page, 1)
        expect_count(page, "24 of 24 kept, 0 left out", "sheet")
        page.locator(".fmd-grid button").nth(2).click()
        expect_count(page, "23 of 24 kept, 1 left out", "sheet")
        for key, count in [("ArrowRight", 23), (" ", 22), ("Enter", 23)]:
            page.keyboard.press(key)
            expect_count(page, f"{count} of 24 kept, {24 - count} left out", "sheet")
        assert page.locator(".fmd-grid button").nth(2).get_attribute("aria-pressed") == "false"

        for cell, widget, text in [(2, "sheet", "no pictures"), (3, "label", "no faces")]:
            run_cell(page, cell)
            count = page.locator(f".fmd-{widget} .fmd-count").nth(1)
            expect(count).to_have_text(f"There are {text} here yet", timeout=1000 * PATIENCE_S)

    labels = read_hand_labels(path)
    first = [
        "with_mask",
        "without_mask",
        "mask_worn_incorrectly",
        "no_face",
        "mask_worn_incorrectly",
    ]
    assert labels.class_name.tolist() == first + ["without_mask"] * 19
    assert [entry.method for entry in read_journal(path)].count("undo") == 2
    assert set(labels.class_name) <= set(CLASS_NAMES)
    assert (tmp_path / "changes.txt").read_text().splitlines() == [
        "(2, False)",
        "(3, False)",
        "(3, True)",
    ]
