"""A live source read in a thread of its own: the newest frame alone is kept, and a source that breaks is reopened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

FIRST_WAIT, MAX_WAIT = (
    0.5,
    15.0,
)  # seconds before a source that broke is tried again, doubled each time
PATIENCE = 120.0  # seconds without a frame after which a source is given up


class LiveReader:
    """Frames as they arrive. Whoever is slower than the source gets the newest, never one from a queue.

    Attributes:
        skipped: frames that came and went unread.
        reopened: how often the source broke and came back.
        given_up: whether it stayed away.
    """

    def __init__(
        self,
        open_capture: Callable[[], cv2.VideoCapture],
        tell: Callable[[str], None] = lambda sentence: None,
        name: str = "The source",
        patience: float = PATIENCE,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        """Begin to read.

        Args:
            open_capture: opens the source, again after each break; what it gives need not be open.
            tell: takes a sentence for a person about each break and return.
            name: of the source in them.
            patience: seconds without a frame after which the source has ended.
            first_wait: seconds before the first try to reopen.
        """
        self.skipped, self.reopened, self.given_up = 0, 0, False
        self._open, self._tell, self._name, self._patience, self._first_wait = (
            *(open_capture, tell, name, patience, first_wait),
        )
        self._newest: tuple[float, np.ndarray] | None = None
        self._changed, self._stopped, self._ended = threading.Condition(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, daemon=True, name="live reader")
        self._thread.start()

    def _run(self) -> None:
        capture, wait, lost_s = self._open(), self._first_wait, None
        try:
            while not self._stopped.is_set():
                good, frame = capture.read()
                now = time.monotonic()
                if good:
                    if lost_s is not None:
                        self.reopened += 1
                        self._tell(f"{self._name} is back.")
                    wait, lost_s = self._first_wait, None
                    with self._changed:
                        self.skipped += self._newest is not None
                        self._newest = now, frame
                        self._changed.notify()
                    continue
                capture.release()
                lost_s = now if lost_s is None else lost_s
                if now - lost_s + wait > self._patience:
                    self._tell(f"{self._name} gave nothing for {self._patience:.0f} s.")
                    self.given_up = True
                    break
                self._tell(f"{self._name} broke off: trying again in {wait:g} s.")
                self._stopped.wait(wait)
                wait = min(2 * wait, MAX_WAIT)
                if not self._stopped.is_set():
                    capture = self._open()
        finally:
            capture.release()
            with self._changed:
                self._ended = True
                self._changed.notify()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """(arrival in seconds on the monotonic clock, (H, W, 3) BGR frame), each frame once, until the end."""
        while True:
            with self._changed:
                while not self._changed.wait_for(
                    lambda: self._newest is not None or self._ended, timeout=0.5
                ):
                    pass  # on Windows Ctrl-C is heard between two waits alone
                if self._newest is None:
                    return
                newest, self._newest = self._newest, None
            yield newest

    def close(self) -> None:
        """End the reading; a source that hangs is left to its own time-out."""
        self._stopped.set()
        self._thread.join(timeout=1)
