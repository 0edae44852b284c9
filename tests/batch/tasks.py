"""Tasks for jobs in tests. Worker processes import them, so they are in a module of their own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from utils.messages import UserError


class TooLarge(UserError, ValueError):
    """A number that cannot be squared."""


@dataclass(frozen=True)
class Square:
    """Squares the number that a file holds, and notes each call in a file.

    Attributes:
        log: gets a line for each call, with the name of the file.
        seconds: that each call takes.
        deadly: names of files that kill the process.
    """

    log: Path
    seconds: float = 0.0
    deadly: tuple[str, ...] = ()

    def __call__(self) -> Callable[[str], int]:
        return self.square

    def square(self, file: str) -> int:
        time.sleep(self.seconds)
        with open(self.log, "a") as log:
            log.write(f"{file} {os.getpid()}\n")
        name = Path(file).name
        if name in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        number = int(Path(file).read_text())
        if number > 10_000:
            raise TooLarge(f"{name} is too large: write a smaller number.")
        return number**2

    def list_calls(self) -> list[str]:
        """Return the names of the files in the order of the calls."""
        if not self.log.exists():
            return []
        return [Path(line.split()[0]).name for line in self.log.read_text().splitlines()]


@dataclass(frozen=True)
class Unready:
    """A task that cannot be loaded."""

    def __call__(self) -> Callable[[str], int]:
        raise FileNotFoundError("The model file is missing: restore it.")


@dataclass(frozen=True)
class Unwritable:
    """A task whose answers JSON cannot hold."""

    def __call__(self) -> Callable[[str], set]:
        return self.answer

    def answer(self, file: str) -> set:
        return {file}
