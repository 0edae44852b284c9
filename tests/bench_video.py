"""Video as figures: frames a second against the classic pipeline, latency, memory, and tracks on films whose truth is
known, in which example heads walk: `python -m tests.bench_video`, or `--only speed`, `latency`, `memory`, `tracks`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from tests.films import FILMS, FPS, draw_film, follow_people
from tests.mjpeg_server import Stream
from utils.boxes import Detections
from utils.detect import load_detector, load_models
from utils.draw import draw_detections
from utils.paths import ROOT
from utils.video import Monitor, Video, VideoPipeline, VideoWriter


def bench_tracks() -> None:
    """Who is who, by the shipped models: switches of identity, errors of the count, and flickers of a label."""
    models = load_models("fcos", 0.25, tiled=False)
    rows = {
        name: follow_people(Monitor(VideoPipeline(*models)), film) for name, film in FILMS.items()
    }
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(), flush=True)


def bench_speed(film: Path) -> None:
    """Decode to drawn frame, four faces at 640 x 480, against res10, Keras `predict` at 224 and the same drawing."""
    from tests.bench import (
        print_row,  # which loads TensorFlow, as no other figure of these needs to
    )
    from utils.detect import crops
    from utils.train import CLASSIC_INPUT_SIZE, build_classic

    find, baseline = load_detector("res10"), build_classic(weights=None)
    monitor = Monitor(VideoPipeline(*load_models("fcos", 0.25, tiled=False)))

    def watch_classic(image: np.ndarray) -> None:
        found = find(image)
        faces = crops.crop_faces(image, found.xyxy) or [image]
        y_prob = baseline.predict(crops.to_input(faces, CLASSIC_INPUT_SIZE), verbose=0)
        draw_detections(
            image,
            Detections(
                found.xyxy, found.confidence, np.pad(y_prob, [(0, 0), (0, 2)])[: len(found)]
            ),
        )

    seconds: dict[str, list[float]] = {"ours": [], "classic": []}
    for name in ("ours", "classic") * 3:
        started = time.perf_counter()
        for number, time_s, image in Video(film):
            if name == "ours":
                monitor.draw(image, monitor.update(image, time_s))
            else:
                watch_classic(image)
            seconds[name].append(time.perf_counter() - started)
            started = time.perf_counter()
            if number == 60:
                break
    ours, theirs = (
        float(np.median(seconds[name][61:])) for name in ("ours", "classic")
    )  # the first turn warms up
    print_row(
        "a frame of 640 x 480 with four faces, decoded to drawn",
        ours,
        theirs,
        len(seconds["ours"]) - 61,
    )
    print(f"{1 / ours:.1f} frames a second", flush=True)


def number_frame(image: np.ndarray, number: int) -> np.ndarray:
    """A copy of a frame with its number (under 256) in its upper left corner, eight squares that are black or white."""
    image = image.copy()
    for bit in range(8):
        image[:16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    return image


def read_number(image: np.ndarray) -> int:
    """The number of a frame that has been a JPEG since."""
    return sum(
        int(image[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 128) << bit for bit in range(8)
    )


def serve(connection: Connection, frames: list[np.ndarray]) -> None:
    """In a process of its own, as a camera is: the stream's address, and at the end when each frame was sent."""
    with Stream(
        [number_frame(frames[number % len(frames)], number) for number in range(250)], FPS
    ) as stream:
        connection.send(stream.address)
        connection.recv()
        connection.send(stream.sent)


def bench_latency(frames: list[np.ndarray]) -> None:
    """From when a live frame is sent to its boxes, in frame times of a stream of 25 a second."""
    monitor, seen = Monitor(VideoPipeline(*load_models("fcos", 0.25, tiled=False))), []
    here, there = multiprocessing.Pipe()
    camera = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, frames), daemon=True
    )
    camera.start()
    video = Video(here.recv())
    for number, time_s, image in video:
        monitor.update(image, time_s)
        seen.append((read_number(image), time.monotonic()))
        if number == 200:
            break
    here.send("enough")
    sent = here.recv()
    camera.join()
    waits = [(found - sent[number]) * FPS for number, found in seen[20:]]
    half, most = np.quantile(waits, [0.5, 0.95])
    print(
        f"latency: median {half:.2f} frame times, 95 % under {most:.2f}; {video.reader.skipped} frames passed over"
    )


def bench_memory(film: Path) -> None:
    """The most memory needed by 500 and by 10,000 frames, each in a process of its own."""
    for count in (500, 10_000):
        command = [sys.executable, "-m", "tests.long_watch", film, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        print(f"memory after {count} frames: {done.stdout.strip()} MB", flush=True)


def main() -> None:
    """Print every figure, or those of ``--only``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("speed", "latency", "memory", "tracks"))
    only = parser.parse_args().only
    cv2.setRNGSeed(0)
    with tempfile.TemporaryDirectory() as folder:
        frames = [image for image, _ in draw_film(FILMS["four stand"], 4.0)]
        with VideoWriter(Path(folder) / "film.mp4", FPS) as copy:
            for number, image in enumerate(frames):
                copy.add(image, number / FPS)
        benches = {
            "speed": lambda: bench_speed(copy.path),
            "latency": lambda: bench_latency(frames),
        }
        benches |= {"memory": lambda: bench_memory(copy.path), "tracks": bench_tracks}
        for name, bench in benches.items():
            if only in (None, name):
                bench()


if __name__ == "__main__":
    main()
