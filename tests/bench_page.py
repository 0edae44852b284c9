"""Measure the web page: the first visit, and live video beside the script's pipeline.

``python -m tests.bench_page`` needs Chromium and the runtime that ``make page`` fetches. The camera
is a film of the example picture with three faces, 640 x 480 pixels.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import requests
from playwright.sync_api import Page, sync_playwright

from tests.browser import CHROMIUM_FLAGS
from tests.conftest import find_chromium
from utils.detect import FAST_PASSES, load_models
from utils.images import fit_image, read_image
from utils.paths import EXAMPLES_DIR
from utils.video import Monitor, VideoPipeline
from utils.web import build_page, make_server

RESOLUTION_WH = (640, 480)
WATCH_S = 12  # seconds of live video
SCRIPT_FRAMES = 150
VISITS = 5
PATIENCE_MS = 120_000


def draw_frame() -> np.ndarray:
    """Return the picture that the camera shows, (480, 640, 3) uint8 RGB."""
    return fit_image(read_image(EXAMPLES_DIR / "three_classes.jpg"), RESOLUTION_WH)


def write_film(path: Path) -> None:
    """Write a film for Chromium's fake camera: one JPEG after the other."""
    _, data = cv2.imencode(".jpg", draw_frame()[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    path.write_bytes(data.tobytes() * 4)


def measure_size(address: str, folder: Path) -> int:
    """Return the bytes that a first visit transfers: all files, compressed."""
    total = 0
    for file in folder.rglob("*.*"):
        url = address + file.relative_to(folder).as_posix()
        answer = requests.get(url, headers={"Accept-Encoding": "gzip"}, timeout=30)
        total += int(answer.headers["Content-Length"])
    return total


def open_page(page: Page, address: str) -> float:
    """Open the page and return the seconds until its models are ready."""
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("body[data-ready]", state="attached")
    return time.perf_counter() - started


def measure_script() -> float:
    """Return the frames a second of the script's pipeline for videos, on the same picture."""
    monitor = Monitor(VideoPipeline(*load_models("fcos", 0.25, passes=FAST_PASSES)))
    frame = draw_frame()
    monitor.draw(frame, monitor.update(frame, 0.0))
    started = time.perf_counter()
    for number in range(1, SCRIPT_FRAMES + 1):
        monitor.draw(frame, monitor.update(frame, number / 30))
    return SCRIPT_FRAMES / (time.perf_counter() - started)


def bench_page() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = build_page()
        film = Path(scratch, "camera.mjpeg")
        write_film(film)
        camera = [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        ]
        server = make_server(folder, port=0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://localhost:{server.server_port}/"
        size = measure_size(address, folder)
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*CHROMIUM_FLAGS, *camera]
        )
        waits = []
        for _ in range(VISITS):  # each in a new profile, so that it is a first visit
            context = chromium.new_context(permissions=["camera"])
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            waits.append(open_page(page, address))
            if len(waits) < VISITS:
                context.close()
        page.click("#live")
        page.wait_for_timeout(1000 * WATCH_S)
        live = float(page.get_attribute("body", "data-fps") or 0)
        faces = page.get_attribute("body", "data-faces")
        threads = page.get_attribute("body", "data-ready")
        chromium.close()
        server.shutdown()
        server.server_close()
    script = measure_script()
    waits.sort()
    median = waits[len(waits) // 2]
    print(f"{os.cpu_count()} cores, {threads} threads.")
    print(f"First visit: {size / 1e6:.1f} MB compressed, offline use included.")
    print(f"Ready after {median:.1f} s ({waits[0]:.1f}-{waits[-1]:.1f}, n = {VISITS}).")
    print(f"Live video, {faces} faces: {live:.1f} frames a second.")
    print(
        f"The script's pipeline: {script:.1f} frames a second, {script / live:.1f} times as many."
    )


if __name__ == "__main__":
    bench_page()
