"""Measure collecting at scale: near-duplicates of up to 100,000 photographs, and extraction.

``python -m tests.bench_collect`` prints all tables; ``--only`` picks ``pairs``, ``files`` or
``extraction``.

Each row runs in a process of its own, so that its peak memory is its own. ``busy`` is CPU seconds
per second: on a machine that does other work too, compare CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from utils.collect import extract_faces, find_broken_images, read_searched
from utils.curate import (
    MAX_DISTANCE_FULL,
    MAX_DISTANCE_TOP,
    find_near_duplicates,
    hash_image,
    hash_images,
)
from utils.detect import load_detector
from utils.images import list_images, read_image
from utils.paths import EXAMPLES_DIR, ROOT, SHARED_DIR

THUMB = 64  # side of the images to hash, pixels; several times what a hash uses
CHECKED = 2000  # number of photographs whose pairs are also searched by brute force


def measure(call: Callable[[], object]) -> tuple[object, dict[str, float]]:
    """Return the result of a call and its cost; the peak memory is that of the process so far."""
    started = time.perf_counter()
    cpu_started = time.process_time()
    result = call()
    seconds = time.perf_counter() - started
    cpu = time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result, {"seconds": seconds, "cpu_s": cpu, "busy": cpu / seconds, "peak_mib": peak}


def make_hashes(photos: list[Path], count: int, seed: int = 0) -> np.ndarray:
    """Return hashes (count, 4, 4) that are distributed like those of real photographs.

    Each is the hash of two photographs that are cropped and blended. One in ten also gets a
    near-duplicate with noise and another exposure, half of these mirrored.
    """
    rng = np.random.default_rng(seed)
    thumbs = [
        cv2.resize(read_image(photo), (THUMB, THUMB), interpolation=cv2.INTER_AREA)
        for photo in photos
    ]

    def crop(thumb: np.ndarray) -> np.ndarray:
        side = int(rng.integers(0.6 * THUMB, THUMB + 1))
        y, x = rng.integers(0, THUMB - side + 1, 2)
        part = cv2.resize(thumb[y : y + side, x : x + side], (THUMB, THUMB))
        return part[:, ::-1] if rng.random() < 0.5 else part

    hashes = []
    while len(hashes) < count:
        first, second = rng.integers(len(thumbs), size=2)
        weight = rng.uniform(0.5, 1)
        blend = weight * crop(thumbs[first]) + (1 - weight) * crop(thumbs[second])
        picture = blend.astype(np.uint8)
        hashes.append(hash_image(np.ascontiguousarray(picture)))
        if rng.random() < 0.1:
            copy = picture[:, ::-1] if rng.random() < 0.5 else picture
            copy = copy * rng.uniform(0.7, 1.3) + rng.normal(0, rng.uniform(0, 8), copy.shape)
            hashes.append(hash_image(copy.clip(0, 255).astype(np.uint8)))
    return np.array(hashes[:count])


def find_recall(hashes: np.ndarray, pairs: pd.DataFrame) -> tuple[float, int]:
    """Compare the pairs found with those of a brute-force search, for ``CHECKED`` photographs.

    Returns:
        The share of the pairs that was found, and the number of pairs.
    """
    chosen = np.sort(np.random.default_rng(1).permutation(len(hashes))[:CHECKED])
    found = set(pairs[pairs["first"].isin(chosen)].itertuples(index=False, name=None))
    wanted = set()
    for first in chosen.tolist():
        later = hashes[first + 1 :]
        full = _min_distance(hashes[first, 0], later[:, 0:2])
        top = _min_distance(hashes[first, 2], later[:, 2:4])
        near = np.flatnonzero((full <= MAX_DISTANCE_FULL) | (top <= MAX_DISTANCE_TOP))
        wanted |= {(first, first + 1 + int(second)) for second in near}
    assert found <= wanted  # each pair found is one that brute force finds too
    return len(found & wanted) / max(1, len(wanted)), len(wanted)


def _min_distance(bits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance (N,) of a hash to the nearer of two hashes of N others, bits."""
    return np.bitwise_count(bits ^ others).sum(axis=2, dtype=int).min(axis=1)


def bench_pairs(hashes_file: Path, count: int) -> dict:
    """Return one row: from hashes to pairs."""
    hashes = np.load(hashes_file)[:count]
    find_near_duplicates(hashes[:100])  # makes its masks, once per process
    pairs, row = measure(lambda: find_near_duplicates(hashes))
    row["recall"], row["of_pairs"] = find_recall(hashes, pairs)
    return {"photos": count, "pairs": len(pairs), **row}


def bench_files(folder: Path, count: int) -> dict:
    """Return one row: from files to pairs; each file is read twice, to check it and to hash it."""
    files = list_images(folder)[:count]

    def check_and_group() -> pd.DataFrame:
        broken = set(find_broken_images(files).file)
        return find_near_duplicates(
            hash_images([file for file in files if str(file) not in broken])
        )

    pairs, row = measure(check_and_group)
    return {"files": len(files), "pairs": len(pairs), **row}


def bench_extraction(folder: Path, count: int) -> dict:
    """Return one row: from files to crops and tables."""
    files = list_images(folder)[:count]
    detector = load_detector("fcos")
    with tempfile.TemporaryDirectory() as target:
        table, row = measure(lambda: extract_faces(folder, detector, target, files))
        none = int((read_searched(target).faces == 0).sum())
    return {"files": len(files), "faces": len(table), "none_in": none, **row}


def copy_photos(photos: list[Path], folder: Path, count: int) -> None:
    """Fill a folder with a number of photographs, repeated; links if the disk allows them."""
    folder.mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        target = folder / f"{number:06d}{photo.suffix}"
        try:
            os.link(photo, target)
        except OSError:
            shutil.copy(photo, target)


def run_rows(name: str, place: Path, counts: list[int]) -> pd.DataFrame:
    """Return a table whose rows were measured in a process each."""
    rows = []
    for count in counts:
        row = ["--row", name, str(place), str(count)]
        command = [sys.executable, "-m", "tests.bench_collect", *row]
        done = subprocess.run(
            command,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TQDM_DISABLE": "1"},
        )
        rows.append(json.loads(done.stdout))
    return pd.DataFrame(rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=SHARED_DIR / "data", help="a folder of photographs"
    )
    parser.add_argument(
        "--only", choices=("pairs", "files", "extraction"), help="print this table only"
    )
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        name, place, count = arguments.row
        call = {"pairs": bench_pairs, "files": bench_files, "extraction": bench_extraction}[name]
        print(json.dumps(call(Path(place), int(count))))
        return
    photos = list_images(arguments.data if arguments.data.is_dir() else EXAMPLES_DIR)
    scenes = [photo for photo in photos if "scenes" in photo.parts] or photos
    wanted = {arguments.only} if arguments.only else {"pairs", "files", "extraction"}
    show = {"index": False, "float_format": "{:.4g}".format}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "pairs" in wanted:
            np.save(folder / "hashes.npy", make_hashes(photos, 100_000))
            table = run_rows("pairs", folder / "hashes.npy", [1000, 10_000, 100_000])
            growth = table.photos * np.log(table.photos)
            for column in ("seconds", "cpu_s"):
                table[f"{column}_to_n_log_n"] = (
                    table[column] / growth / (table[column] / growth).iloc[0]
                )
            print(
                f"Hashes to pairs; recall of all pairs of {CHECKED} photographs with those "
                "after them"
            )
            print(table.to_string(**show), flush=True)
        if "files" in wanted:
            copy_photos(photos, folder / "files", 10_000)
            print("\nFiles to pairs: found broken, hashed, compared")
            print(run_rows("files", folder / "files", [1000, 10_000]).to_string(**show), flush=True)
        if "extraction" in wanted:
            copy_photos(scenes, folder / "scenes", 2000)
            print("\nExtraction: photographs to crops and tables")
            print(
                run_rows("extraction", folder / "scenes", [200, 2000]).to_string(**show), flush=True
            )


if __name__ == "__main__":
    main()
