"""Read a camera or stream in a thread: keep the newest frame only, and reopen after a break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from utils.video.media import square_pixels

# Seconds before a source that broke off is reopened. The wait doubles after each try.
FIRST_WAIT_S = 0.5
MAX_WAIT_S = 15.0
GIVE_UP_S = 120.0  # seconds without a frame after which a source is given up
POLL_S = 0.5  # seconds; on Windows, Ctrl-C is noticed only between two waits for a frame


class LiveReader:
    """Iterates over the frames of a live source as they arrive.

    A consumer that is slower than the source gets the newest frame and skips the older ones.

    Attributes:
        skipped: number of frames skipped.
        reopened: how often the source broke off and came back.
        given_up: whether the source did not come back within ``give_up_s``.
    """

    def __init__(
        self,
        open_capture: Callable[[], cv2.VideoCapture],
        on_message: Callable[[str], None] = lambda message: None,
        name: str = "The source",
        give_up_s: float = GIVE_UP_S,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        """Start reading.

        Args:
            open_capture: opens the source, again after each break; may return a capture that is not
                open.
            on_message: called with a sentence about each break and return.
            name: name of the source in these sentences.
            give_up_s: seconds without a frame after which the source is given up.
            first_wait_s: seconds before the first try to reopen the source.
        """
        self.skipped = 0
        self.reopened = 0
        self.given_up = False
        self._open_capture = open_capture
        self._on_message = on_message
        self._name = name
        self._give_up_s = give_up_s
        self._first_wait_s = first_wait_s
        self._newest: tuple[float, np.ndarray] | None = None
        self._ended = False
        self._changed = threading.Condition()  # guards _newest and _ended
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="live reader")
        self._thread.start()

    def _run(self) -> None:
        """Read frames until the reader is closed or the source is given up."""
        capture = self._open_capture()
        wait_s = self._first_wait_s
        lost_s: float | None = None  # when the source broke off
        try:
            while not self._stopped.is_set():
                is_read, frame = capture.read()
                now = time.monotonic()
                if is_read:
                    if lost_s is not None:
                        self.reopened += 1
                        self._on_message(f"{self._name} is back.")
                    wait_s = self._first_wait_s
                    lost_s = None
                    self._put(now, square_pixels(frame, capture))
                    continue
                capture.release()
                if lost_s is None:
                    lost_s = now
                if now - lost_s + wait_s > self._give_up_s:
                    self._on_message(f"{self._name} sent no frame for {self._give_up_s:.0f} s.")
                    self.given_up = True
                    break
                self._on_message(f"{self._name} broke off: trying again in {wait_s:g} s.")
                self._stopped.wait(wait_s)
                wait_s = min(2 * wait_s, MAX_WAIT_S)
                if not self._stopped.is_set():
                    capture = self._open_capture()
        finally:
            capture.release()
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _put(self, now: float, frame: np.ndarray) -> None:
        """Replace the newest frame."""
        with self._changed:
            if self._newest is not None:
                self.skipped += 1
            self._newest = (now, frame)
            self._changed.notify()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield each frame once, until the source ends.

        Yields:
            The time of arrival in seconds on the monotonic clock, and the (H, W, 3) BGR frame.
        """
        while True:
            with self._changed:
                while self._newest is None and not self._ended:
                    self._changed.wait(timeout=POLL_S)
                if self._newest is None:
                    return
                newest = self._newest
                self._newest = None
            yield newest

    def close(self) -> None:
        """Stop reading; a source that hangs ends by its own time-out."""
        self._stopped.set()
        self._thread.join(timeout=1)
