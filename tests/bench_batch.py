"""Compare the ways to process a folder of photographs: ``python -m tests.bench_batch``.

It runs the script with threads (as for few images), with one and two worker processes, and, if Dask
is installed, on a cluster of two workers. The ways take turns in one run, so that a busy machine
slows all alike. It compares a job with a plain loop over the same files, and measures the memory of
a job of 5,000 and of 50,000 items that take no time. ``--large 50000`` measures the memory of the
script over that many photographs instead.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tests.batch.conftest import start_cluster, take_all
from utils.batch import Job
from utils.cli.job import DetectionTask
from utils.images import list_images
from utils.paths import ROOT, SAMPLE_DIR, SHARED_DIR

SCRIPT = ROOT / "03-detect_face_using_mask.py"
# Runs the script as if no folder were large enough for a job.
THREADS = (
    "import runpy, sys; from utils.cli import run; run.MIN_JOB = sys.maxsize; "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)
SMALL_JOB = 5_000  # items
LARGE_JOB = 50_000
LOOK_S = 0.2  # seconds between two looks at the memory of the script
RECORD = {"file": "photos/0.jpg", "faces": [{"box": [0.5] * 4, "p": [0.25] * 4}] * 5}


@dataclass(frozen=True)
class Answer:
    """A task that answers at once, with a record as large as one of five faces."""

    def __call__(self) -> Callable[[str], dict]:
        return self.answer

    def answer(self, name: str) -> dict:
        return RECORD | {"file": name}


def fill(folder: Path, count: int) -> None:
    """Make a folder with many names of the photographs of the scenes."""
    scenes = SHARED_DIR / "data" / "scenes" / "images"
    files = list_images(scenes if scenes.is_dir() else SAMPLE_DIR / "scenes" / "images")
    folder.mkdir()
    targets: list[Path] = []
    for number in range(count):
        source = files[number % len(files)]
        target = folder / f"{number}{source.suffix}"
        if number < len(files):
            target.write_bytes(source.read_bytes())
        else:
            os.link(targets[number % len(files)], target)
        targets.append(target)


class Memory:
    """The largest memory of a process, and of a child, so far.

    Attributes:
        client: bytes of the process.
        worker: bytes of its largest child.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.client = 0
        self.worker = 0

    def look(self) -> None:
        """Read the memory of now."""
        with suppress(psutil.Error):  # a process that just ended
            self.client = max(self.client, self._process.memory_info().rss)
            for child in self._process.children():
                self.worker = max(self.worker, child.memory_info().rss)

    def __str__(self) -> str:
        return f"client {self.client / 2**20:.0f} MB, worker {self.worker / 2**20:.0f} MB"


def run_script(folder: Path, name: str, options: list[str]) -> tuple[float, Memory]:
    """Return the seconds of the script over ``folder/photos``, and its memory."""
    start = [str(SCRIPT)]
    if name == "threads":
        start = ["-c", THREADS, str(SCRIPT)]
    outputs = ["--output", f"copies {name}", "--json", f"{name}.json", "--csv", f"{name}.csv"]
    command = [sys.executable, *start, "--image", "photos", "--no-show", *outputs, *options]
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        memory = Memory(psutil.Process(process.pid))
        while process.poll() is None:
            memory.look()
            time.sleep(LOOK_S)
    if process.returncode:
        raise RuntimeError(f"The script ended with {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - started, memory


def bench_script(folder: Path, count: int, rounds: int, scheduler: str | None) -> None:
    """Print the images a second of each way, and compare what they wrote."""
    ways = {"threads": [], "1 process": ["--workers", "1"], "2 processes": ["--workers", "2"]}
    if scheduler:
        ways["cluster of 2"] = ["--scheduler", scheduler]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, options in ways.items():
            taken, memory = run_script(folder, name, options)
            seconds[name].append(taken)
            print(f"turn {turn + 1}, {name}: {taken:.1f} s, {memory}", flush=True)
    for name, values in seconds.items():
        rates = count / np.array(values)
        print(
            f"{name}: {np.median(rates):.1f} images/s with the start "
            f"({rates.min():.1f}-{rates.max():.1f}, n={rounds})"
        )
    for ours, baseline in (
        ("2 processes", "1 process"),
        ("2 processes", "threads"),
        ("cluster of 2", "2 processes"),
    ):
        if ours in seconds:
            ratios = np.array(seconds[baseline]) / np.array(seconds[ours])
            print(
                f"{ours} against {baseline}: {np.median(ratios):.2f}x "
                f"({ratios.min():.2f}-{ratios.max():.2f}, {rounds} pairs)"
            )
    for suffix in (".json", ".csv"):
        tables = {(folder / f"{name}{suffix}").read_bytes() for name in ways}
        print(f"all {suffix} files are the same: {len(tables) == 1}", flush=True)


def make_task(folder: Path) -> DetectionTask:
    """Return the script's task for the images of a folder, with the shipped models."""
    return DetectionTask(
        detector="fcos",
        detector_model=None,
        classifier=None,
        min_confidence=0.5,
        possible_confidence=0.5,
        blur=False,
        root=folder,
        output=Path("copies"),
        model_versions=(),
    )


def bench_overhead(folder: Path, count: int, rounds: int) -> None:
    """Compare a job in this process with a plain loop over the same images."""
    task = make_task(folder)
    names = [file.name for file in list_images(folder / "photos")[:count]]
    items = [(f"photos/{name}", f"{name}.jpg", (0, 0)) for name in names]
    function = task()
    ratios = []
    for _ in range(rounds):
        started = time.process_time()
        for item in items:
            function(*item)
        plain = time.process_time() - started
        started = time.process_time()
        take_all(Job(task, items, folder / "job", workers=1))
        ratios.append((time.process_time() - started) / plain)
    print(
        f"a job against a plain loop over {len(items)} images: {np.median(ratios) - 1:+.1%} of "
        f"processor time ({min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}, {rounds} pairs)",
        flush=True,
    )


def bench_memory(folder: Path) -> None:
    """Print the memory of the client and of its workers after a small and a large job."""
    for count in (100, SMALL_JOB, LARGE_JOB):
        job = Job(
            Answer(), [(f"{n}.jpg",) for n in range(count)], folder / f"job {count}", workers=2
        )
        memory = Memory(psutil.Process())
        started = time.perf_counter()
        with job:
            while job.take() is not None:
                memory.look()
        rate = count / (time.perf_counter() - started)
        print(
            f"{count} items that take no time: {memory}, {rate:.0f} items/s with the start",
            flush=True,
        )
        job.delete()


def main() -> None:
    """Print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5_000, help="photographs in the folder")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way")
    parser.add_argument("--large", type=int, metavar="COUNT", help="photographs, for memory alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.large:
            for count in (arguments.large // 10, arguments.large):
                (folder / f"{count}").mkdir()
                fill(folder / f"{count}" / "photos", count)
                seconds, memory = run_script(folder / f"{count}", "large", ["--workers", "2"])
                print(f"{count} photographs, 2 processes: {memory}, {seconds:.0f} s", flush=True)
            return
        fill(folder / "photos", arguments.count)
        bench_memory(folder)
        bench_overhead(folder, 200, arguments.rounds)
        try:
            import distributed  # noqa: F401
        except ModuleNotFoundError:
            print("Not measured on a cluster, because Dask is missing.")
            bench_script(folder, arguments.count, arguments.rounds, None)
        else:
            with start_cluster(folder / "cluster") as scheduler:
                bench_script(folder, arguments.count, arguments.rounds, scheduler)


if __name__ == "__main__":
    main()
