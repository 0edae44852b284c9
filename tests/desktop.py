"""A desktop for tests of windows: an X server without a screen, and a user driven by xdotool."""

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from utils.paths import ROOT

PATIENCE_S = 60  # longest wait for a window or a program, on a busy machine


class Display:
    """An X server that writes its screen to a file (Xvfb).

    Attributes:
        name: the value of ``DISPLAY`` for programs.
    """

    def __init__(self, folder: Path) -> None:
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1400x900x24"]
        command += ["-fbdir", str(folder), "-nolisten", "tcp"]
        # Without this option the server resets after its last client, and refuses the next one.
        command += ["-noreset"]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.name = f":{self.server.stdout.readline().decode().strip()}"
        self.file = folder / "Xvfb_screen0"

    def read(self) -> np.ndarray:
        """Return the screen as an RGB image. The file is an X window dump."""
        dump = self.file.read_bytes()
        header = np.frombuffer(dump[:100], ">u4")
        width, height, line, colors = (int(header[place]) for place in (4, 5, 12, 19))
        pixels = np.frombuffer(dump[int(header[0]) + 12 * colors :], np.uint8)[: height * line]
        return pixels.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]

    def close(self) -> None:
        """Stop the server."""
        self.server.terminate()
        self.server.wait(10)
        self.server.stdout.close()


@pytest.fixture(scope="module")
def display(tmp_path_factory) -> Iterator[Display]:
    """A display for the tests of one module; import it there to use it."""
    display = Display(tmp_path_factory.mktemp("display"))
    yield display
    display.close()


class Person:
    """A program in a window, and a user who reads the window's title before each step."""

    def __init__(self, display: str, program: str) -> None:
        self.environment = {
            "DISPLAY": display,
            "QT_QPA_PLATFORM": "xcb",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def xdotool(self, *words: object) -> str:
        """Run xdotool with these arguments; return what it prints."""
        result = subprocess.run(
            ["xdotool", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        return result.stdout.strip()

    def wait(self, title: str) -> str:
        """Wait until a window's title contains these words; return the window's id."""
        for _ in range(10 * PATIENCE_S):
            found = self.xdotool("search", "--name", title).split()
            if found:
                return found[0]
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.1)
        raise AssertionError(f"No window has the title '{title}'.")

    def press(self, key: str, title: str) -> None:
        """Press a key once the title contains these words."""
        window = self.wait(title)
        time.sleep(0.3)  # the title changes a moment before the program reads keys
        self.xdotool("windowfocus", window)
        self.xdotool("key", key)

    def drag(self, box: tuple, title: str, zoom: float = 1) -> None:
        """Drag from one corner of a box to the other, once the title contains these words.

        Args:
            box: two corners, in pixels of the image.
            title: words of the window's title.
            zoom: pixels of the window per pixel of the image.
        """
        window = self.wait(title)
        time.sleep(0.3)
        x_start, y_start, x_end, y_end = (round(zoom * value) for value in box)
        self.xdotool("mousemove", "--window", window, x_start, y_start, "mousedown", 1)
        for share in (0.5, 1):
            x = round(x_start + share * (x_end - x_start))
            y = round(y_start + share * (y_end - y_start))
            time.sleep(0.1)
            self.xdotool("mousemove", "--window", window, x, y)
        time.sleep(0.1)
        self.xdotool("mouseup", 1)
        time.sleep(0.1)

    def finish(self) -> list:
        """Wait for the program; return what it printed, read as JSON."""
        text, errors = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, errors
        return json.loads(text)
