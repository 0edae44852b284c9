"""A window on the screen, where there is a screen."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import cv2
import numpy as np

from utils.images import limit_size

MAX_SIDE = 1280  # pixels: larger pictures are shown smaller
END_KEYS = (ord("q"), 27)  # q and Esc
PAUSE_KEY, KEEP_KEY = ord(" "), ord("s")
NO_KEY = 0xFF


def has_display() -> bool:
    """Whether a window can be opened. Trying it without a display would end the process, or a kernel."""
    if not sys.platform.startswith("linux"):
        return True
    if not os.environ.get(
        "DISPLAY"
    ):  # OpenCV's wheels speak X11 alone; a Wayland desktop has an X server beside it
        return False
    try:
        library = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True  # cannot be tried: trust the variable
    library.XOpenDisplay.restype, library.XCloseDisplay.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_void_p],
    )
    display = library.XOpenDisplay(None)
    if display:
        library.XCloseDisplay(display)
    return bool(display)


class Window:
    """A window that q, Esc or its own button closes; space pauses it, s keeps the picture."""

    title = "Face masks (q or Esc ends, space pauses, s keeps a picture)"

    def __init__(self, keep: Callable[[np.ndarray], None] = lambda image: None) -> None:
        """Args: keep: takes the picture that is shown when s is pressed."""
        self._keep = keep

    def show(self, image: np.ndarray, wait: bool = False) -> bool:
        """Show an RGB image, and with ``wait``, or once space was pressed, stay until a key is pressed.

        Returns:
            False where the person has closed the window.
        """
        cv2.imshow(self.title, cv2.cvtColor(limit_size(image, MAX_SIDE), cv2.COLOR_RGB2BGR))
        while True:
            key = cv2.waitKey(50 if wait else 1) & 0xFF
            if key in END_KEYS or cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1:
                cv2.destroyAllWindows()
                return False
            if key == KEEP_KEY:
                self._keep(image)
            elif key == PAUSE_KEY and not wait:
                wait = True
            elif key != NO_KEY:
                return True
            if not wait:
                return True
