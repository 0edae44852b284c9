"""The window: its keys, and when there is no display."""

import ctypes
import sys

import cv2
import numpy as np
import pytest

from utils import display
from utils.display import MAX_SIDE, Window, has_display

IMAGE = np.zeros((30, 3 * MAX_SIDE, 3), np.uint8)
IMAGE[..., 0] = 200


class Screen:
    """A fake OpenCV window. Keys come from a list; -1 means that no key was pressed in time."""

    def __init__(self, keys: list[int], closed_after: int = 100) -> None:
        self.keys = iter(keys)
        self.closed_after = closed_after
        self.shown = []
        self.asked = 0
        self.is_open = True

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
    "q in a video": ([ord("q")], False, False),
    "no key in a video": ([-1], False, True),
    "another key": ([-1, -1, ord(" ")], True, True),
    "space in a video waits for the next key": ([ord(" "), -1, -1, ord("x")], False, True),
    "space twice in a video": ([ord(" "), -1, ord(" ")], False, True),
    "q while a video is paused": ([ord(" "), -1, ord("q")], False, False),
    "a video goes on after s": ([ord("s")], False, True),
    "an image stays after s": ([ord("s"), -1, ord("x")], True, True),
    "q after a while": ([-1, -1, ord("q")], True, False),
}


@pytest.mark.parametrize(("keys", "wait", "stays"), KEYS.values(), ids=KEYS.keys())
def test_q_and_esc_end_and_other_keys_continue(make_screen, keys, wait, stays):
    screen = make_screen(keys)
    assert Window().show(IMAGE, wait) is stays
    assert (screen.asked, screen.is_open) == (len(keys), stays)


def test_s_saves_the_shown_image(make_screen):
    make_screen([-1, ord("s"), ord("x"), ord("s")])
    kept = []
    shown = Window(kept.append)
    shown.show(IMAGE, wait=True)
    assert len(kept) == 1 and kept[0] is IMAGE
    shown.show(IMAGE[:9])
    assert len(kept) == 2 and kept[1].shape == (9, *IMAGE.shape[1:])


@pytest.mark.parametrize("wait", [True, False])
def test_closing_the_window_ends(make_screen, wait):
    screen = make_screen([-1] * 9, closed_after=3 if wait else 1)
    assert Window().show(IMAGE, wait) is False
    assert not screen.is_open


def test_a_wide_image_is_shown_smaller_in_the_same_colours(make_screen):
    screen = make_screen([-1])
    Window().show(IMAGE)
    (shown,) = screen.shown
    assert shown.shape == (10, MAX_SIDE, 3)
    assert (shown == (0, 0, 200)).all()  # OpenCV shows BGR


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only X11 can be missing")
class TestDisplay:
    @pytest.mark.parametrize("name", [None, "", ":4242", "localhost:4242.0"])
    def test_there_is_no_display_without_a_server(self, monkeypatch, name):
        monkeypatch.delenv("DISPLAY", raising=False)
        if name is not None:
            monkeypatch.setenv("DISPLAY", name)
        if name:
            try:
                ctypes.CDLL("libX11.so.6")
            except OSError:
                pytest.skip("libX11 is not installed, so has_display cannot ask a server.")
        assert has_display() is False

    def test_the_display_variable_is_trusted_without_libx11(self, monkeypatch):
        def fail(name):
            raise OSError

        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(display.ctypes, "CDLL", fail)
        assert has_display() is True


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_windows_and_macos_always_have_a_display(monkeypatch, system):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    assert has_display() is True
