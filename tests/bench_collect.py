"""Measure collecting at scale: from files to near-duplicates, and extraction.

``python -m tests.bench_collect`` prints both tables; ``--only`` picks ``files`` or ``extraction``.
``tests.bench_duplicates`` measures the search for near-duplicates alone.

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

import pandas as pd

from utils.collect import extract_faces, find_broken_images, read_searched
from utils.curate import find_near_duplicates, hash_images
from utils.detect import load_detector
from utils.images import list_images
from utils.paths import EXAMPLES_DIR, RAW_DIR, ROOT, SHARED_DIR

# What `make data` fetches, or else the photographs beside the checkout.
PHOTOGRAPHS = RAW_DIR if RAW_DIR.is_dir() else SHARED_DIR / "data"


def measure(call: Callable[[], object]) -> tuple[object, dict[str, float]]:
    """Return the result of a call and its cost; the peak memory is that of the process so far."""
    started = time.perf_counter()
    cpu_started = time.process_time()
    result = call()
    seconds = time.perf_counter() - started
    cpu = time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result, {"seconds": seconds, "cpu_s": cpu, "busy": cpu / seconds, "peak_mib": peak}


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
        "--data", type=Path, default=PHOTOGRAPHS, help="a folder of photographs (default: data/raw)"
    )
    parser.add_argument("--only", choices=("files", "extraction"), help="print this table only")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        name, place, count = arguments.row
        call = {"files": bench_files, "extraction": bench_extraction}[name]
        print(json.dumps(call(Path(place), int(count))))
        return
    photos = list_images(arguments.data if arguments.data.is_dir() else EXAMPLES_DIR)
    scenes = [photo for photo in photos if "scenes" in photo.parts] or photos
    wanted = {arguments.only} if arguments.only else {"files", "extraction"}
    show = {"index": False, "float_format": "{:.4g}".format}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "files" in wanted:
            copy_photos(photos, folder / "files", 10_000)
            print("Files to pairs: found broken, hashed, compared")
            print(run_rows("files", folder / "files", [1000, 10_000]).to_string(**show), flush=True)
        if "extraction" in wanted:
            copy_photos(scenes, folder / "scenes", 2000)
            print("\nExtraction: photographs to crops and tables")
            print(
                run_rows("extraction", folder / "scenes", [200, 2000]).to_string(**show), flush=True
            )


if __name__ == "__main__":
    main()
