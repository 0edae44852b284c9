"""Video as figures: frames a second against the classic pipeline, latency, memory, and tracks on films whose truth is
known, in which example heads walk: `python tests/bench_video.py`, or `--only speed`, `latency`, `memory`, `tracks`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from tests.bench import print_row
from tests.films import FILMS, RATE, draw_film, follow_people
from tests.mjpeg_server import Stream
from utils.boxes import Detections
from utils.classes import CLASS_NAMES
from utils.detect import load_judge
from utils.draw import draw_detections
from utils.faces import load_detector
from utils.monitor import Monitor
from utils.sources import Video
from utils.video_copy import VideoCopy


def bench_tracks() -> None:
    """Who is who, by the shipped models: switches of identity, errors of the count, and flickers of a label."""
    judge = load_judge("ssd", 0.25, tiled=False)
    rows = {name: follow_people(Monitor(judge), film) for name, film in FILMS.items()}
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(), flush=True)


def bench_speed(film: Path) -> None:
    """Decode to drawn frame, four faces at 640 x 480, against res10, Keras `predict` at 224 and the same drawing."""
    from utils import classic, crops

    find, baseline = load_detector("res10"), classic.build_classic(weights=None)
    monitor = Monitor(load_judge("ssd", 0.25, tiled=False))

    def watch_classic(image: np.ndarray) -> None:
        found = find(image)
        faces = crops.crop_faces(image, found.xyxy) or [image]
        y_prob = baseline.predict(crops.to_input(faces, classic.INPUT_SIZE), verbose=0)
        draw_detections(image, Detections(found.xyxy, found.confidence, np.pad(y_prob, [(0, 0), (0, 2)])[: len(found)]))

    seconds: dict[str, list[float]] = {"ours": [], "classic": []}
    for name in ("ours", "classic") * 3:
        started = time.perf_counter()
        for number, time_s, image in Video(film):
            if name == "ours":
                monitor.draw(image, monitor.watch(image, time_s))
            else:
                watch_classic(image)
            seconds[name].append(time.perf_counter() - started)
            started = time.perf_counter()
            if number == 60:
                break
    ours, theirs = (float(np.median(seconds[name][61:])) for name in ("ours", "classic"))  # the first turn warms up
    print_row("a frame of 640 x 480 with four faces, decoded to drawn", ours, theirs, len(seconds["ours"]) - 61)
    print(f"{1 / ours:.1f} frames a second", flush=True)


def bench_latency(frames: list[np.ndarray]) -> None:
    """From a live frame's arrival to its boxes, in frame times of a stream of 25 a second."""
    monitor, waits = Monitor(load_judge("ssd", 0.25, tiled=False)), []
    with Stream(frames, RATE) as stream:
        video = Video(stream.address)
        started = time.monotonic()
        for number, time_s, image in video:
            monitor.watch(image, time_s)
            waits.append(time.monotonic() - started - time_s)
            if number == 150:
                break
    half, most = np.quantile(np.array(waits[10:]) * RATE, [0.5, 0.95])
    print(f"latency: median {half:.2f} frame times, 95 % under {most:.2f}; {video.reader.skipped} frames passed over")


def bench_memory(film: Path) -> None:
    """Peak memory after 500 and after 10,000 frames, each in a process of its own; boxes come from a stand-in."""
    for count in (500, 10_000):
        code = f"from tests.bench_video import watch_many; watch_many({str(film)!r}, {count})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        print(f"memory after {count} frames: {done.stdout.strip()} MB", flush=True)


def watch_many(film: str, count: int) -> None:
    """Watch a film again and again, and print the peak memory in MB."""
    boxes = np.array([[60 + 140 * i, 200, 130 + 140 * i, 280] for i in range(4)], np.float32)
    y_prob = np.eye(len(CLASS_NAMES), dtype=np.float32)[[0, 1, 2, 0]]
    monitor, done = Monitor(lambda image: Detections(boxes, np.ones(4, np.float32), y_prob)), 0
    while done < count:
        for _, _, image in Video(film):
            monitor.draw(image, monitor.watch(image, done / RATE))
            done += 1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Print every figure, or those of ``--only``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("speed", "latency", "memory", "tracks"))
    only = parser.parse_args().only
    cv2.setRNGSeed(0)
    with tempfile.TemporaryDirectory() as folder:
        frames = [image for image, _ in draw_film(FILMS["four stand"], 4.0)]
        with VideoCopy(Path(folder) / "film.mp4", RATE) as copy:
            for number, image in enumerate(frames):
                copy.add(image, number / RATE)
        benches = {"speed": lambda: bench_speed(copy.path), "latency": lambda: bench_latency(frames)}
        benches |= {"memory": lambda: bench_memory(copy.path), "tracks": bench_tracks}
        for name, bench in benches.items():
            if only in (None, name):
                bench()


if __name__ == "__main__":
    main()
