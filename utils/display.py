"""A window on the screen, if there is a screen."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import cv2
import numpy as np

from utils.images import limit_size

MAX_SIDE = 1280  # pixels; larger images are shown smaller
END_KEYS = (ord("q"), 27)  # q and Esc
PAUSE_KEY = ord(" ")
SAVE_KEY = ord("s")
NO_KEY = 0xFF  # the lowest byte of cv2.waitKey's -1
WAIT_MS = 50  # how long one check for a key takes while an image stays


def has_display() -> bool:
    """Return whether a window can be opened. Opening one without a display ends the process."""
    if not sys.platform.startswith("linux"):
        return True
    # OpenCV's wheels need X11. A Wayland desktop offers an X server too.
    if not os.environ.get("DISPLAY"):
        return False
    try:
        library = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True  # the server cannot be asked, so trust DISPLAY
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = library.XOpenDisplay(None)
    if display:
        library.XCloseDisplay(display)
    return bool(display)


class Window:
    """A window. q, Esc or its close button end it, space pauses a video, s saves the image."""

    title = "Face masks (q or Esc ends, space pauses, s saves a picture)"

    def __init__(self, on_save: Callable[[np.ndarray], None] | None = None) -> None:
        """Create the window; it opens with the first image.

        Args:
            on_save: called with the shown image when s is pressed.
        """
        self._on_save = on_save

    def show(self, image: np.ndarray, wait: bool = False) -> bool:
        """Show an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            wait: whether to stay until a key is pressed. Space makes a video wait too.

        Returns:
            False if the user has closed the window.
        """
        shown = limit_size(image, MAX_SIDE)
        cv2.imshow(self.title, cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
        while True:
            key = cv2.waitKey(WAIT_MS if wait else 1) & 0xFF
            is_closed = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1
            if key in END_KEYS or is_closed:
                cv2.destroyAllWindows()
                return False
            if key == SAVE_KEY:
                if self._on_save is not None:
                    self._on_save(image)
            elif key == PAUSE_KEY and not wait:
                wait = True
            elif key != NO_KEY:
                return True
            if not wait:
                return True
