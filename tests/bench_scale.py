"""Estimate what 100 million photographs cost on a cluster: ``python -m tests.bench_scale``.

The time, the bytes read and the bytes written of an image are measured on photographs, in one
process; nothing else should run meanwhile. Then a job of that many images is simulated: each core
takes the next shard when it is free, cores differ in speed, and some shards lose their worker and
begin again.
"""

from __future__ import annotations

import argparse
import heapq
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from tabulate import tabulate

from tests.bench_batch import fill, make_task
from utils.batch.shards import choose_shard_size
from utils.images import list_images

IMAGES = 100_000_000
CORES = (100, 1_000, 10_000)
SPEED_SPREAD = 0.1  # standard deviation of the speed of cores; the mean is 1
DEATHS = 0.01  # share of the shards whose worker dies once, at a random moment


def measure(folder: Path, count: int) -> dict[str, np.ndarray]:
    """Return the seconds, the bytes read and the bytes written of each image, (N,).

    A worker waits while its reader, a process of its own, decodes an image. So the time of both is
    the time that passes.
    """
    process = make_task(folder)()
    columns: dict[str, list[float]] = {"seconds": [], "read": [], "record": [], "copy": []}
    for file in list_images(folder / "photos")[:count]:
        copy = folder / "copies" / f"{file.stem}.jpg"
        started = time.perf_counter()
        answer = process(f"photos/{file.name}", copy.name, (0, 0))
        columns["seconds"].append(time.perf_counter() - started)
        columns["read"].append(file.stat().st_size)
        columns["record"].append(len(json.dumps(answer)))
        columns["copy"].append(copy.stat().st_size)
    return {name: np.array(values) for name, values in columns.items()}


def simulate(
    seconds: np.ndarray, cores: int, shard_size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Simulate a job of ``IMAGES`` images.

    Args:
        seconds: (N,) of measured images, which a shard draws from.
        cores: that work.
        shard_size: images in a shard.
        rng: for the speeds and deaths.

    Returns:
        The seconds until the last shard is done, and the share of that time that cores work, 0-1.
    """
    count = IMAGES // shard_size
    # The sum of many draws is normal (central limit theorem).
    deviation = seconds.std() * np.sqrt(shard_size)
    work = rng.normal(seconds.mean() * shard_size, deviation, count)
    work += np.where(rng.random(count) < DEATHS, rng.random(count), 0) * work
    speed = np.clip(rng.normal(1, SPEED_SPREAD, cores), 0.5, 1.5)
    free = [(0.0, core) for core in range(cores)]  # when each core takes its next shard
    busy = 0.0
    end = 0.0
    for shard in work:
        started, core = heapq.heappop(free)
        duration = float(shard / speed[core])
        busy += duration
        end = max(end, started + duration)
        heapq.heappush(free, (started + duration, core))
    return end, busy / (end * cores)


def main() -> None:
    """Print what was measured, and the simulated jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="photographs that are measured")
    count = parser.parse_args().count
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name) / "photos", count)
        (Path(name) / "copies").mkdir()
        images = measure(Path(name), count)
    seconds = images["seconds"]
    low, median, high = np.quantile(seconds, [0.05, 0.5, 0.95])
    print(
        f"{1 / seconds.mean():.1f} images a second and core (n={count}; 90 % of the images take "
        f"{1000 * low:.0f}-{1000 * high:.0f} ms, the median {1000 * median:.0f} ms)"
    )
    print(f"{IMAGES / 1e6:.0f} million images:")
    print(f"- {seconds.mean() * IMAGES / 3600:,.0f} core hours")
    for column, label in (
        ("read", "read"),
        ("copy", "written as annotated copies"),
        ("record", "written as results"),
    ):
        mean = images[column].mean()
        print(f"- {mean * IMAGES / 1e12:.2f} TB {label} ({mean / 1000:.1f} kB an image)")
    rng = np.random.default_rng(0)
    rows = []
    for cores in CORES:
        for size in (choose_shard_size(IMAGES), 1_000):
            end, share = simulate(seconds, cores, size, rng)
            rows.append(
                {
                    "cores": f"{cores:,}",
                    "images in a shard": f"{size:,}",
                    "shards": f"{IMAGES // size:,}",
                    "minutes": f"{end / 60:,.0f}",
                    "cores at work": f"{share:.0%}",
                    "tasks a second": f"{IMAGES / size / end:.2f}",
                    "MB read a second": f"{images['read'].mean() * IMAGES / end / 1e6:,.0f}",
                }
            )
    print()
    print(tabulate(rows, headers="keys", tablefmt="github", stralign="right"))


if __name__ == "__main__":
    main()
