"""Stop a program in the middle of a write, as a kill or a full disk does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from utils.paths import ROOT

ENDS = ("killed", "disk full")
requires_limits = pytest.mark.skipif(
    os.name != "posix", reason="the size of files cannot be limited elsewhere"
)


def limit_files(size: int, end: str) -> None:
    """Let this process write at most ``size`` bytes into each file.

    Args:
        size: bytes.
        end: what happens to a longer write, of which ``size`` bytes arrive: the process is
            "killed" when it writes the rest, or, as if the disk were full, the write raises an
            OSError. A program that gives up after the first part is not killed.
    """
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if end == "killed" else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def run_cut(code: str, *arguments: object, size: int, end: str) -> None:
    """Run code in a child whose first write of more than ``size`` bytes is cut.

    Args:
        code: the name ``limit()`` begins the limit; the arguments are ``sys.argv[1:]``. Its exit
            status is not 0 if a file could not be written.
        arguments: for the code.
        size: bytes.
        end: see ``limit_files``.
    """
    start = (
        "import sys\nfrom functools import partial\nfrom tests.cut_writes import limit_files\n"
        f"limit = partial(limit_files, {size}, {end!r})\n"
    )
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if end == "killed":
        assert child.returncode != 0, child.stderr  # it did reach the limit


def read_whole(folder: Path) -> dict[str, bytes]:
    """Return the content of each file, without locks and what a killed program left."""
    whole = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and ".part" not in name and not path.name.endswith(".lock"):
            whole[name] = path.read_bytes()
    return whole


def check_none_cut(folder: Path, whole: Mapping[str, bytes]) -> int:
    """Check that each file has its whole content, and return how many there are."""
    found = read_whole(folder)
    for name, data in found.items():
        assert data == whole[name], f"{name} has {len(data)} of {len(whole[name])} bytes"
    return len(found)
