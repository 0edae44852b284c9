"""Measure video: speed, latency, memory, and tracks against the truth.

``python -m tests.bench_video`` measures everything; ``--only`` picks ``speed``, ``latency``,
``memory`` or ``tracks``. The videos show heads of the example pictures that move in known ways.
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
from utils.detect import FAST_PASSES, crop_faces, load_detector, load_models, to_input
from utils.draw import draw_detections
from utils.paths import ROOT
from utils.video import Monitor, Video, VideoPipeline, VideoWriter

SPEED_FRAMES = 61  # frames of each turn of the speed measurement
LATENCY_FRAMES = 201  # frames of the latency measurement ...
LATENCY_WARM_UP = 20  # ... of which the first do not count


def make_monitor() -> Monitor:
    """Return a monitor with the shipped models."""
    return Monitor(VideoPipeline(*load_models("fcos", 0.25, passes=FAST_PASSES)))


def bench_tracks() -> None:
    """Print identity switches, errors of the count and changes of labels for each film."""
    detector, classifier = load_models("fcos", 0.25, passes=FAST_PASSES)
    rows = {}
    for name, film in FILMS.items():
        rows[name] = follow_people(Monitor(VideoPipeline(detector, classifier)), film)
    print(pd.DataFrame.from_dict(rows, orient="index").to_string(), flush=True)


def bench_speed(film: Path) -> None:
    """Print the time per frame from decoding to drawing, for four faces at 640 x 480.

    The baseline is res10, Keras ``predict`` at 224 pixels and the same drawing.
    """
    from tests.bench import print_row  # loads TensorFlow, which the other measurements do not need
    from utils.train import RECIPES, build_recipe

    find = load_detector("res10")
    baseline = build_recipe("b", weights=None)
    monitor = make_monitor()

    def process_classic(image: np.ndarray) -> None:
        found = find(image)
        faces = crop_faces(image, found.xyxy) or [image]
        y_prob = baseline.predict(to_input(faces, RECIPES["b"].input_size), verbose=0)
        y_prob = np.pad(y_prob, [(0, 0), (0, 2)])[: len(found)]
        draw_detections(image, Detections(found.xyxy, found.confidence, y_prob))

    seconds: dict[str, list[float]] = {"ours": [], "classic": []}
    for name in ("ours", "classic") * 3:
        started = time.perf_counter()
        for number, time_s, image in Video(film):
            if name == "ours":
                monitor.draw(image, monitor.update(image, time_s))
            else:
                process_classic(image)
            seconds[name].append(time.perf_counter() - started)
            started = time.perf_counter()
            if number + 1 == SPEED_FRAMES:
                break
    # The first turn is the warm-up.
    ours = float(np.median(seconds["ours"][SPEED_FRAMES:]))
    classic = float(np.median(seconds["classic"][SPEED_FRAMES:]))
    print_row(
        "a frame of 640 x 480 with four faces, decoded to drawn",
        ours,
        classic,
        len(seconds["ours"]) - SPEED_FRAMES,
    )
    print(f"{1 / ours:.1f} frames a second", flush=True)


def number_frame(image: np.ndarray, number: int) -> np.ndarray:
    """Return a copy of a frame with its number (0-255) as eight black or white squares."""
    image = image.copy()
    for bit in range(8):
        image[:16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
    return image


def read_number(image: np.ndarray) -> int:
    """Return the number of a frame from ``number_frame``, also after JPEG compression."""
    number = 0
    for bit in range(8):
        square = image[4:12, 16 * bit + 4 : 16 * bit + 12]
        if square.mean() > 128:
            number += 1 << bit
    return number


def serve(connection: Connection, frames: list[np.ndarray]) -> None:
    """Send a stream, in a process of its own as a camera does.

    Sends the address first, and after an answer the time at which each frame was sent.
    """
    numbered = [number_frame(frames[number % len(frames)], number) for number in range(250)]
    with Stream(numbered, FPS) as stream:
        connection.send(stream.address)
        connection.recv()
        connection.send(stream.sent)


def bench_latency(frames: list[np.ndarray]) -> None:
    """Print the time from sending a live frame to its boxes, in frame times at 25 fps."""
    monitor = make_monitor()
    here, there = multiprocessing.Pipe()
    camera = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, frames), daemon=True
    )
    camera.start()
    video = Video(here.recv())
    done = []  # the number of each frame processed, and when
    for number, time_s, image in video:
        monitor.update(image, time_s)
        done.append((read_number(image), time.monotonic()))
        if number + 1 == LATENCY_FRAMES:
            break
    here.send("stop")
    sent = here.recv()
    camera.join()
    waits = [(done_s - sent[number]) * FPS for number, done_s in done[LATENCY_WARM_UP:]]
    median, most = np.quantile(waits, [0.5, 0.95])
    print(
        f"latency: median {median:.2f} frame times, 95 % under {most:.2f}; "
        f"{video.reader.skipped} frames passed over"
    )


def bench_memory(film: Path) -> None:
    """Print the peak memory after 500 and after 10,000 frames, each in a process of its own."""
    for count in (500, 10_000):
        command = [sys.executable, "-m", "tests.long_watch", film, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        print(f"memory after {count} frames: {done.stdout.strip()} MB", flush=True)


def main() -> None:
    """Print all measurements, or those of ``--only``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("speed", "latency", "memory", "tracks"))
    only = parser.parse_args().only
    cv2.setRNGSeed(0)
    with tempfile.TemporaryDirectory() as folder:
        frames = [image for image, _ in draw_film(FILMS["four stand"], 4.0)]
        film = Path(folder) / "film.mp4"
        with VideoWriter(film, FPS) as writer:
            for number, image in enumerate(frames):
                writer.add(image, number / FPS)
        if only in (None, "speed"):
            bench_speed(film)
        if only in (None, "latency"):
            bench_latency(frames)
        if only in (None, "memory"):
            bench_memory(film)
        if only in (None, "tracks"):
            bench_tracks()


if __name__ == "__main__":
    main()
