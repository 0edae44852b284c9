"""A command of the user's, run once for each person who wears no mask, or wears it badly."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable

from utils.boxes import Detections
from utils.classes import CLASS_NAMES, decide

STEADY = 1.0  # seconds that a label must last before it is acted upon
CALM = ("with_mask",)  # classes that alert nobody


class Alerts:
    """Runs a command once a track. The words of the command are split before a name is put in, and no shell is asked.

    Attributes:
        count: how many were raised.
    """

    def __init__(self, command: str, tell: Callable[[str], None] = lambda sentence: None) -> None:
        """Take a command such as ``notify-send "{class}" "person {track}"``.

        Raises:
            ValueError: it is empty, or a quotation mark in it is not closed.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ValueError(
                f"--alert {command!r} is no command ({error}): close its quotation marks."
            ) from error
        if not self._words:
            raise ValueError(
                "--alert is empty: name a command, such as 'notify-send {class} {track}'."
            )
        self._tell, self._since, self._done, self.count = tell, {}, set(), 0
        self._running: list[subprocess.Popen] = []

    def update(self, detections: Detections, time_s: float) -> None:
        """Take in a frame's faces, with ``y_prob`` and with ``track_id``, 0 for what does not count.

        The frame does not wait for a command to end.
        """
        detections = detections[detections.track_id > 0]
        self._running = [process for process in self._running if process.poll() is None]
        for track_id, class_id in zip(
            detections.track_id.tolist(), decide(detections.y_prob).tolist(), strict=True
        ):
            name = CLASS_NAMES[class_id]
            last, since = self._since.get(track_id, (None, time_s))
            since = since if name == last else time_s
            self._since[track_id] = name, since
            if name not in CALM and track_id not in self._done and time_s - since >= STEADY:
                self._done.add(track_id)
                self._run(name, track_id)

    def _run(self, name: str, track_id: int) -> None:
        words = [
            word.replace("{class}", name).replace("{track}", str(track_id)) for word in self._words
        ]
        try:
            out = find_stderr()  # what it says must not end up among records on standard output
            self._running.append(
                subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            )
            self.count += 1
        except OSError as error:
            self._tell(f"The alert {words[0]} cannot be run ({error.strerror}): check the command.")


def find_stderr() -> int:
    """The number of the file to which this program tells its problems, or of none where it has no number."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
