"""labelImg in its own process, as the notebook starts it: boxes are drawn, saved and read back."""

import json
import os
import pickle
import sys
import textwrap

import cv2  # noqa: F401 - its import sets the variables that must not reach labelImg
import numpy as np
import pytest

from tests.conftest import draw_blocks
from tests.cut_writes import ENDS, requires_limits
from utils.annotate.labelimg import open_labelimg, write_annotations
from utils.classes import MASK_CLASSES
from utils.formats import read_voc
from utils.images import write_image
from utils.labels import BOX_COLUMNS, make_label_table

BLOCK = ("with_mask", (20, 40, 60, 90))
KNOWN = ("without_mask", (100, 10, 130, 50))
# Python imports this text in labelImg's process before anything else. When the event loop starts,
# it runs `drive`, which sends mouse and key events. Mouse moves are sent as QMouseEvents, because
# QTest's are not delivered while a button is held on the offscreen platform.
DRIVER = '''
    import faulthandler, os, sys, traceback
    from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
    from PyQt5.QtGui import QMouseEvent
    from PyQt5.QtTest import QTest
    from PyQt5.QtWidgets import QApplication

    LEFT = Qt.LeftButton

    class NoDistutils:
        """Hide distutils, as on Python 3.12 and later."""

        def find_spec(name, path=None, target=None):
            if name.startswith("distutils"):
                raise ModuleNotFoundError(f"No module named {name!r}")

    def place(canvas, x, y):
        point = (QPointF(x, y) + canvas.offset_to_center()) * canvas.scale
        return QPoint(round(point.x()), round(point.y()))

    def move(canvas, x, y, held=Qt.NoButton):
        event = QMouseEvent(
            QEvent.MouseMove, QPointF(place(canvas, x, y)), Qt.NoButton, held, Qt.NoModifier
        )
        QApplication.sendEvent(canvas, event)
        canvas.grab()  # paints, which fails without our repairs on Python 3.10 and later

    def drag(canvas, box):
        x_min, y_min, x_max, y_max = box
        move(canvas, x_min, y_min)
        QTest.mousePress(canvas, LEFT, Qt.NoModifier, place(canvas, x_min, y_min))
        for share in (0.3, 0.7, 1):
            move(canvas, x_min + share * (x_max - x_min), y_min + share * (y_max - y_min), LEFT)
        QTest.mouseRelease(canvas, LEFT, Qt.NoModifier, place(canvas, x_max, y_max))

    def press(window, key):
        # The offscreen platform does not do this when a dialog closes.
        QApplication.setActiveWindow(window)
        QTest.keyClick(window, key)

    def choose(position, offered):
        dialog = QApplication.activeModalWidget()
        items = dialog.list_widget
        offered += [items.item(row).text() for row in range(items.count())]
        dialog.list_item_double_click(items.item(position))

    def draw(window, box, position, offered):
        press(window, Qt.Key_W)
        # The timer runs while the dialog is open and `drag` waits for it.
        QTimer.singleShot(300, lambda: choose(position, offered))
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
def driver(tmp_path, monkeypatch):
    """Return a function that takes the body of `drive(window)`, to run in labelImg's process."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()

    def make(drive: str) -> None:
        (tmp_path / "driver").mkdir()
        text = (
            textwrap.dedent(DRIVER)
            + "\ndef drive(window):\n"
            + textwrap.indent(textwrap.dedent(drive), "    ")
        )
        (tmp_path / "driver/sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "driver"))

    return make


@pytest.fixture
def photos(tmp_path):
    """Return a folder with two subfolders; the second has its images in ``images``."""
    for name in ("one/a.png", "one/b.png", "two/images/a.png"):
        write_image(tmp_path / "photos" / name, draw_blocks(BLOCK, KNOWN))
    return tmp_path / "photos"


@pytest.mark.slow
def test_boxes_are_drawn_shown_and_saved(driver, photos, tmp_path):
    row = {
        "file": "one/b.png",
        "source": "one",
        "class_name": KNOWN[0],
        **dict(zip(BOX_COLUMNS, KNOWN[1], strict=True)),
    }
    assert write_annotations(make_label_table([row]), photos) == 1
    # A crop that an extraction made, not a photograph.
    write_image(photos / "crops/one/a_png_0.png", draw_blocks(BLOCK))
    (photos / "faces.csv").touch()
    driver(
        f"""
        import json
        offered, seen = [], []
        for _ in range(3):
            shapes = window.canvas.shapes
            seen.append([(s.label, s[0].x(), s[0].y(), s[2].x(), s[2].y()) for s in shapes])
            for x in (3, 40, 110, 157):  # over the background, the blocks and the edge
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


@pytest.mark.slow
def test_drawn_boxes_and_photos_are_not_lost(driver, photos, tmp_path):
    """Not by the file list, an error in labelImg, closing it, or the key that deletes photos."""
    (tmp_path / "home/.labelImgSettings.pkl").write_bytes(
        pickle.dumps({"autosave": False, "savedir": "/"})
    )
    before = (tmp_path / "home/.labelImgSettings.pkl").read_bytes()
    driver(
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


@requires_limits
@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_a_save_that_stops_within_the_write_leaves_the_old_file(driver, photos, end):
    row = {"file": "one/a.png", "source": "one", "class_name": KNOWN[0]}
    row |= dict(zip(BOX_COLUMNS, KNOWN[1], strict=True))
    write_annotations(make_label_table([row]), photos)
    path = photos / "one/annotations/a.xml"
    old = path.read_bytes()
    driver(
        f"""
        from tests.cut_writes import limit_files
        draw(window, {BLOCK[1]}, 0, [])
        errors = []
        window.error_message = lambda *texts: errors.append(texts)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a file, which is limited too
        limit_files(150, {end!r})
        window.save_file()
        assert "a.xml" in errors[0][1], errors
        window.dirty = False
        window.close()
        """
    )
    if end == "killed":
        with pytest.raises(RuntimeError, match="labelImg ended with an error"):
            open_labelimg(photos)
    else:
        assert open_labelimg(photos).returncode == 0
    assert path.read_bytes() == old


FAILURES = {
    "last line": ("Qt is broken", r"Qt is broken"),
    "libraries": (
        'Could not load the Qt platform plugin "xcb" in',
        r"Qt needs .* `apt-get install libxcb-\S+ .*`",
    ),
}


@pytest.mark.parametrize(("stderr", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_an_error_of_labelimg_is_one_line(driver, photos, stderr, message):
    driver(f"print({stderr!r}, file=sys.stderr)\nos._exit(7)")
    with pytest.raises(
        RuntimeError,
        match=rf"^labelImg ended with an error \(({message})\); annotations .* are kept\.$",
    ):
        open_labelimg(photos)


def test_labelimg_stays_open_without_wait(driver, photos, tmp_path):
    driver(f"""
        while not os.path.exists({str(tmp_path / "go")!r}):
            QTest.qWait(20)
        window.close()
    """)
    process = open_labelimg(photos, wait=False)
    assert process.poll() is None
    if sys.platform != "win32":  # another session, so that Ctrl+C in the kernel does not reach it
        assert os.getsid(process.pid) != os.getsid(0)
    (tmp_path / "go").touch()
    assert process.wait(60) == 0
