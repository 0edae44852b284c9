"""The script's terminal: what may be written to it, and what ends the program."""

from __future__ import annotations

import os
import signal
import sys


def prepare() -> None:
    """Let Python alone write to the terminal, where libpng and libjpeg warn about files that they read all the same,
    and let it write any file's name; what goes to standard output is UTF-8 on every system, as JSON must be."""
    if sys.stdout is not None:
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if sys.stderr is not None:
        sys.stderr = os.fdopen(
            os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def end_as_by_ctrl_c() -> None:
    """Let whatever asks the program to end, such as a service's stop or a terminal that closes, leave whole files."""
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):  # the last two are of Unix and of Windows
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
