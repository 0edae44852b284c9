"""labelImg as the notebook starts it: in a process of its own, where a box is drawn, saved and read back."""

import json
import os
import pickle
import sys
import textwrap
from pathlib import Path

import cv2  # sets the variables that must not reach labelImg
import numpy as np
import pytest

from tests.conftest import draw_blocks
from utils.annotate import labelimg
from utils.annotate.annotations import write_annotations
from utils.annotate.labelimg import make_environment, open_labelimg
from utils.classes import MASK_CLASSES, LabelError
from utils.formats import read_voc
from utils.images import ImageError, write_image
from utils.labels import BOX_COLUMNS, make_label_table

BLOCK = ("with_mask", (20, 40, 60, 90))
KNOWN = ("without_mask", (100, 10, 130, 50))
# Python imports this in the child before anything else. It sends labelImg what a hand would: when the program's event
# loop starts, the steps of `drive` run one after another. Mouse moves go as QMouseEvents: QTest's are not delivered
# while a button is held on the offscreen platform.
HAND = '''
    import faulthandler, os, sys, traceback
    from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
    from PyQt5.QtGui import QMouseEvent
    from PyQt5.QtTest import QTest
    from PyQt5.QtWidgets import QApplication

    LEFT = Qt.LeftButton

    class NoDistutils:
        """As on Python 3.12 and later, on every Python."""

        def find_spec(name, path=None, target=None):
            if name.startswith("distutils"):
                raise ModuleNotFoundError(f"No module named {name!r}")

    def place(canvas, x, y):
        point = (QPointF(x, y) + canvas.offset_to_center()) * canvas.scale
        return QPoint(round(point.x()), round(point.y()))

    def move(canvas, x, y, held=Qt.NoButton):
        event = QMouseEvent(QEvent.MouseMove, QPointF(place(canvas, x, y)), Qt.NoButton, held, Qt.NoModifier)
        QApplication.sendEvent(canvas, event)
        canvas.grab()  # paint, which is where labelImg fails on Python 3.10 and later

    def drag(canvas, box):
        x_min, y_min, x_max, y_max = box
        move(canvas, x_min, y_min)
        QTest.mousePress(canvas, LEFT, Qt.NoModifier, place(canvas, x_min, y_min))
        for share in (0.3, 0.7, 1):
            move(canvas, x_min + share * (x_max - x_min), y_min + share * (y_max - y_min), LEFT)
        QTest.mouseRelease(canvas, LEFT, Qt.NoModifier, place(canvas, x_max, y_max))

    def press(window, key):
        QApplication.setActiveWindow(window)  # the offscreen platform does not when a dialog closes
        QTest.keyClick(window, key)

    def choose(position, offered):
        dialog = QApplication.activeModalWidget()
        items = dialog.list_widget
        offered += [items.item(row).text() for row in range(items.count())]
        dialog.list_item_double_click(items.item(position))

    def draw(window, box, position, offered):
        press(window, Qt.Key_W)
        QTimer.singleShot(300, lambda: choose(position, offered))  # the dialog holds the program until then
        drag(window.canvas, box)

    def run():
        try:
            window, = (w for w in QApplication.topLevelWidgets() if hasattr(w, "canvas"))
            drive(window)
        except BaseException:
            traceback.print_exc()
            os._exit(3)

    def exec_(*_, loop=QApplication.exec_):
        QTimer.singleShot(300, run)
        return loop()

    if "utils.annotate.labelimg_app" in sys.orig_argv:
        faulthandler.dump_traceback_later(60, exit=True)
        sys.meta_path.insert(0, NoDistutils)
        QApplication.exec_ = exec_
'''


@pytest.fixture
def hand(tmp_path, monkeypatch):
    """Give labelImg a hand: the text of a function `drive(window)` that runs in its process."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()

    def make(drive: str) -> None:
        (tmp_path / "hand").mkdir()
        text = (
            textwrap.dedent(HAND)
            + "\ndef drive(window):\n"
            + textwrap.indent(textwrap.dedent(drive), "    ")
        )
        (tmp_path / "hand/sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hand"))

    return make


@pytest.fixture
def photos(tmp_path):
    """Two phrases' folders, the second with photos in ``images``."""
    for name in ("one/a.png", "one/b.png", "two/images/a.png"):
        write_image(tmp_path / "photos" / name, draw_blocks(BLOCK, KNOWN))
    return tmp_path / "photos"


def faces_of(path: Path) -> list[tuple[str, list[float]]]:
    return [(name, box.tolist()) for name, box in read_voc(path)[2]]


def test_boxes_are_drawn_shown_and_saved(hand, photos, tmp_path):
    row = {
        "file": "one/b.png",
        "source": "one",
        "class_name": KNOWN[0],
        **dict(zip(BOX_COLUMNS, KNOWN[1], strict=True)),
    }
    assert write_annotations(make_label_table([row]), photos) == 1
    write_image(
        photos / "crops/one/a_png_0.png", draw_blocks(BLOCK)
    )  # of an extraction: no photograph
    (photos / "faces.csv").touch()
    hand(
        f"""
        import json
        offered, seen = [], []
        for _ in range(3):
            seen.append([(s.label, s[0].x(), s[0].y(), s[2].x(), s[2].y()) for s in window.canvas.shapes])
            for x in (3, 40, 110, 157):  # over nothing, the blocks and the edge
                move(window.canvas, x, 45)
            draw(window, {BLOCK[1]}, 2, offered)
            press(window, Qt.Key_D)
        window.zoom_request(120)
        window.scroll_request(120, Qt.Vertical)
        window.set_fit_width(True)
        window.canvas.grab()
        names = [os.path.basename(os.path.dirname(name)) for name in window.m_img_list]
        with open({str(tmp_path / "seen.json")!r}, "w") as file:
            json.dump([seen, offered, names, dict(os.environ)], file)
        window.close()
        """
    )
    assert open_labelimg(photos).returncode == 0
    seen, offered, names, environment = json.loads((tmp_path / "seen.json").read_text())
    assert names == ["one", "one", "images"]
    assert seen == [[], [[KNOWN[0], *KNOWN[1]]], []]
    assert offered == [*MASK_CLASSES] * 3
    drawn = ("mask_worn_incorrectly", BLOCK[1])
    for folder, stem, expected in (
        ("one", "a", [drawn]),
        ("one", "b", [KNOWN, drawn]),
        ("two", "a", [drawn]),
    ):
        _, resolution_wh, faces = read_voc(photos / folder / f"annotations/{stem}.xml")
        assert resolution_wh == (160, 120)
        assert [name for name, _ in faces] == [name for name, _ in expected]
        np.testing.assert_allclose([box for _, box in faces], [box for _, box in expected], atol=1)
    assert {name for name in environment if name.startswith("QT_QPA_")} == {"QT_QPA_PLATFORM"}
    assert not list((tmp_path / "home").iterdir())


def test_nothing_that_was_drawn_is_lost_and_no_photo_is(hand, photos, tmp_path):
    """By the list of files, by an error in labelImg, by closing it, by a key that deletes photos."""
    (tmp_path / "home/.labelImgSettings.pkl").write_bytes(
        pickle.dumps({"autosave": False, "savedir": "/"})
    )
    before = (tmp_path / "home/.labelImgSettings.pkl").read_bytes()
    hand(
        f"""
        draw(window, {BLOCK[1]}, 0, [])
        QTimer.singleShot(0, lambda: 1 / 0)
        window.file_item_double_clicked(window.file_list_widget.item(1))
        QTest.qWait(50)
        QApplication.setActiveWindow(window)
        QTest.keyClick(window, Qt.Key_D, Qt.ControlModifier | Qt.ShiftModifier)
        draw(window, {KNOWN[1]}, 1, [])
        window.close()
        """
    )
    assert open_labelimg(photos).returncode == 0
    for stem, (name, box) in (("a", BLOCK), ("b", KNOWN)):
        ((found, xyxy),) = read_voc(photos / f"one/annotations/{stem}.xml")[2]
        assert found == name
        np.testing.assert_allclose(xyxy, box, atol=1)
    assert len(list(photos.rglob("*.png"))) == 3
    assert not (photos / "two/annotations").exists()  # nothing was drawn there
    assert (tmp_path / "home/.labelImgSettings.pkl").read_bytes() == before


FAILURES = {
    "its last line": ("Qt is broken", r"Qt is broken"),
    "libraries": (
        'Could not load the Qt platform plugin "xcb" in',
        r"Qt lacks .* `apt-get install libxcb-\S+ .*`",
    ),
}


@pytest.mark.parametrize(("said", "sentence"), FAILURES.values(), ids=FAILURES.keys())
def test_an_error_of_labelimg_is_one_sentence(hand, photos, said, sentence):
    hand(f"print({said!r}, file=sys.stderr)\nos._exit(7)")
    with pytest.raises(
        RuntimeError,
        match=rf"^labelImg ended with an error \(({sentence})\); annotations .* are kept\.$",
    ):
        open_labelimg(photos)


def test_it_is_left_open_for_a_notebook_that_goes_on(hand, photos, tmp_path):
    hand(f"""
        while not os.path.exists({str(tmp_path / "go")!r}):
            QTest.qWait(20)
        window.close()
    """)
    process = open_labelimg(photos, wait=False)
    assert process.poll() is None
    assert sys.platform == "win32" or os.getsid(process.pid) != os.getsid(
        0
    )  # an interrupted kernel's signal stays away
    (tmp_path / "go").touch()
    assert process.wait(60) == 0


def make_empty(photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.unlink()


def make_same_stem(photos: Path) -> None:
    (photos / "one/a.JPG").touch()


WRONG = {
    "no folder": (
        lambda photos: photos.rename(photos.parent / "moved"),
        ImageError,
        "There is no folder",
    ),
    "no images": (make_empty, ImageError, "There are no images in .*photos"),
    "one file for two": (make_same_stem, LabelError, r"a\.(JPG|png) and a\.(JPG|png) would share"),
}


@pytest.mark.parametrize(("spoil", "error", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_folder_that_cannot_be_labelled_is_named(photos, spoil, error, sentence):
    spoil(photos)
    with pytest.raises(error, match=sentence):
        open_labelimg(photos)


def test_without_a_display_or_labelimg_a_sentence_says_so(photos, monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setattr(labelimg, "has_display", lambda: False)
    with pytest.raises(RuntimeError, match="labelImg needs a display"):
        open_labelimg(photos)
    monkeypatch.setattr(labelimg.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="labelImg is not installed"):
        open_labelimg(photos)


@pytest.mark.parametrize("platform", [None, "offscreen", "xcb"])
def test_the_variables_of_opencv_are_left_out_and_the_users_kept(monkeypatch, platform):
    assert cv2.__version__
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", "of cv2")
    monkeypatch.setenv("QT_QPA_FONTDIR", "of cv2")
    if platform:
        monkeypatch.setenv("QT_QPA_PLATFORM", platform)
    left_out = {"QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"}
    assert make_environment() == {
        name: value for name, value in os.environ.items() if name not in left_out
    }
