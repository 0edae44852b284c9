"""Run a command once for each person without a mask, or with a mask worn incorrectly."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable

from utils.boxes import Detections
from utils.classes import CLASS_NAMES, decide
from utils.messages import hide_secrets
from utils.video.tracker import split_tracks

STABLE_S = 1.0  # seconds that a label must last before it raises an alert
FIELDS = ("{class}", "{track}")  # of a command; replaced by the class and the number of the track
FIELD = re.compile(r"\{\w+\}")
NO_ALERT = ("with_mask",)  # classes that raise no alert


class Alerts:
    """Runs a command once per track.

    The command is split into words before the class and the track are filled in, and runs without a
    shell.

    Attributes:
        count: number of alerts raised.
    """

    def __init__(
        self, command: str, on_message: Callable[[str], None] = lambda message: None
    ) -> None:
        """Prepare a command such as ``notify-send "{class}" "person {track}"``.

        Args:
            command: ``{class}`` and ``{track}`` in it are replaced by the class and the number of
                the track.
            on_message: called with a sentence if the command cannot be run.

        Raises:
            ValueError: the command is empty, it has an unknown field, or a quotation mark in it is
                not closed.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ValueError(
                f"The command of --alert cannot be read ({error}): close its quotation marks."
            ) from error
        if not self._words:
            raise ValueError(
                "--alert is empty: name a command, such as 'notify-send {class} {track}'."
            )
        unknown = [field for field in FIELD.findall(command) if field not in FIELDS]
        if unknown:
            raise ValueError(
                f"--alert has the unknown field {unknown[0]}: use {' and '.join(FIELDS)}."
            )
        self.count = 0
        self._on_message = on_message
        self._labels: dict[int, tuple[str, float]] = {}  # by track: (label, time it began)
        self._alerted: set[int] = set()
        self._running: list[subprocess.Popen] = []

    def update(self, tracks: Detections, time_s: float) -> None:
        """Raise the alerts of one frame, without waiting for their commands to end.

        Args:
            tracks: the faces of the frame, from ``Tracker.update``.
            time_s: time of the frame, seconds.
        """
        self._running = [process for process in self._running if process.poll() is None]
        track_ids, y_prob = split_tracks(tracks)
        for track_id, class_id in zip(track_ids.tolist(), decide(y_prob).tolist(), strict=True):
            if track_id == 0:  # does not count yet
                continue
            name = CLASS_NAMES[class_id]
            last_name, since = self._labels.get(track_id, (None, time_s))
            if name != last_name:
                since = time_s
            self._labels[track_id] = (name, since)
            if name in NO_ALERT or track_id in self._alerted:
                continue
            if time_s - since >= STABLE_S:
                self._alerted.add(track_id)
                self._run(name, track_id)

    def _run(self, name: str, track_id: int) -> None:
        """Start the command for a track of this class."""
        words = []
        for word in self._words:
            word = word.replace("{class}", name)
            words.append(word.replace("{track}", str(track_id)))
        output = _find_stderr()  # standard output may carry JSON or CSV
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            self._on_message(
                f"The alert {hide_secrets(words[0])} cannot be run ({error.strerror}): "
                "check the command."
            )
            return
        self._running.append(process)
        self.count += 1


def _find_stderr() -> int:
    """Return the file number of this program's standard error, or of no file if it has none."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
