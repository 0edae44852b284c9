"""The window: its keys, and the displays that are none."""

import ctypes
import sys

import cv2
import numpy as np
import pytest

from utils import display as window
from utils.display import MAX_SIDE, Window, has_display

IMAGE = np.zeros((30, 3 * MAX_SIDE, 3), np.uint8)
IMAGE[..., 0] = 200


class Screen:
    """Takes the place of OpenCV's window: keys come from a list, and -1 is no key within the time."""

    def __init__(self, keys: list[int], closed_after: int = 100) -> None:
        self.keys, self.closed_after = iter(keys), closed_after
        self.shown, self.asked, self.is_open = [], 0, True

    def imshow(self, title: str, image: np.ndarray) -> None:
        self.shown.append(image)

    def waitKey(self, milliseconds: int) -> int:
        self.asked += 1
        return next(self.keys)

    def getWindowProperty(self, title: str, which: int) -> float:
        return float(self.asked < self.closed_after)

    def destroyAllWindows(self) -> None:
        self.is_open = False


@pytest.fixture
def make_screen(monkeypatch):
    def make(*args, **options) -> Screen:
        screen = Screen(*args, **options)
        for name in ("imshow", "waitKey", "getWindowProperty", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, getattr(screen, name))
        return screen

    return make


KEYS = {
    "q": ([ord("q")], True, False),
    "Esc": ([27], True, False),
    "q in a film": ([ord("q")], False, False),
    "no key in a film": ([-1], False, True),
    "another key": ([-1, -1, ord(" ")], True, True),
    "space in a film waits for the next key": ([ord(" "), -1, -1, ord("x")], False, True),
    "space in a film, and again": ([ord(" "), -1, ord(" ")], False, True),
    "q while it waits": ([ord(" "), -1, ord("q")], False, False),
    "s in a film goes on": ([ord("s")], False, True),
    "s before a picture stays": ([ord("s"), -1, ord("x")], True, True),
    "q after a while": ([-1, -1, ord("q")], True, False),
}


@pytest.mark.parametrize(("keys", "wait", "stays"), KEYS.values(), ids=KEYS.keys())
def test_q_and_esc_end_and_other_keys_go_on(make_screen, keys, wait, stays):
    screen = make_screen(keys)
    assert Window().show(IMAGE, wait) is stays
    assert (screen.asked, screen.is_open) == (len(keys), stays)


def test_s_keeps_the_picture_that_is_shown(make_screen):
    make_screen([-1, ord("s"), ord("x"), ord("s")])
    kept = []
    shown = Window(kept.append)
    shown.show(IMAGE, wait=True)
    assert len(kept) == 1 and kept[0] is IMAGE
    shown.show(IMAGE[:9])
    assert len(kept) == 2 and kept[1].shape == (9, *IMAGE.shape[1:])


@pytest.mark.parametrize("wait", [True, False])
def test_a_window_closed_by_its_button_ends(make_screen, wait):
    screen = make_screen([-1] * 9, closed_after=3 if wait else 1)
    assert Window().show(IMAGE, wait) is False
    assert not screen.is_open


def test_a_wide_picture_is_shown_smaller_in_its_colours(make_screen):
    screen = make_screen([-1])
    Window().show(IMAGE)
    (shown,) = screen.shown
    assert shown.shape == (10, MAX_SIDE, 3)
    assert (shown == (0, 0, 200)).all()  # OpenCV shows BGR


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only X11 can be missing")
class TestDisplay:
    @pytest.mark.parametrize("name", [None, "", ":4242", "localhost:4242.0"])
    def test_without_a_server_there_is_no_display(self, monkeypatch, name):
        monkeypatch.delenv("DISPLAY", raising=False)
        if name is not None:
            monkeypatch.setenv("DISPLAY", name)
        if name:
            try:
                ctypes.CDLL("libX11.so.6")
            except OSError:
                pytest.skip("libX11 is not installed, so that a server cannot be asked.")
        assert has_display() is False

    def test_a_server_that_cannot_be_asked_is_trusted(self, monkeypatch):
        def fail(name):
            raise OSError

        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(window.ctypes, "CDLL", fail)
        assert has_display() is True


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_windows_and_macos_always_have_a_display(monkeypatch, system):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    assert has_display() is True
