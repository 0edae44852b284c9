"""Measure what small computers need: LiteRT against ONNX, and the script on one and two cores.

``python -m tests.bench_small FOLDER`` takes the folder that ``python -m utils.train export --to
litert`` writes; ``--data DIR --labels CSV`` also scores both on validation photographs, in one pass
at the size of the detector's input. All ratios are of one run. ``--cards`` writes the tables into
the model cards.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from tests.onnx_square import OnnxModel
from utils import evaluate
from utils.detect import (
    detect_masks_litert,
    fit_to_square,
    load_litert_models,
    share_cores,
    to_input,
)
from utils.images import list_images, read_image
from utils.labels import BOX_COLUMNS
from utils.messages import format_count
from utils.paths import EXAMPLES_DIR, MODEL_DIR, ROOT, SAMPLE_DIR
from utils.program import count_cores
from utils.tables import read_table

NAMES = ("face_detector", "mask_classifier")
LEAST_CONFIDENCE = 0.05  # of the boxes that average precision looks at
ROUNDS = 30


def load_systems(folder: Path, threads: int) -> dict[str, tuple]:
    """Return detector and classifier of each form, by the ends of their files' names."""
    systems = {}
    with share_cores(count_cores() // threads):
        for ending in (".onnx", "_int8.onnx"):
            systems[ending] = tuple(OnnxModel(MODEL_DIR / f"{name}{ending}") for name in NAMES)
    for precision in ("float16", "int8"):
        systems[f"_{precision}.tflite"] = load_litert_models(folder, precision, threads)
    return systems


def bench_networks(folder: Path) -> pd.DataFrame:
    """Return MB and median milliseconds of each file, on one thread and on two."""
    image = read_image(EXAMPLES_DIR / "three_classes.jpg")
    rows = {}
    for threads in (1, 2):
        systems = load_systems(folder, threads)
        count = format_count(threads, "thread")
        for place, name in enumerate(NAMES):
            side = systems[".onnx"][place].side
            pixels = fit_to_square(image, side)[0][None] if place == 0 else to_input([image], side)
            seconds: dict[str, list[float]] = {ending: [] for ending in systems}
            for _ in range(ROUNDS + 1):  # in turns, so that a busy machine slows all alike
                for ending, models in systems.items():
                    started = time.perf_counter()
                    models[place](pixels)
                    seconds[ending].append(time.perf_counter() - started)
            baseline = np.median(seconds["_int8.onnx"][1:])
            for ending, values in seconds.items():
                path = (folder if ending.endswith("tflite") else MODEL_DIR) / f"{name}{ending}"
                row = rows.setdefault(path.name, {"MB": path.stat().st_size / 1e6})
                median = np.median(values[1:])
                row[f"ms, {count}"] = 1000 * median
                row[f"against ONNX in 8 bits, {count}"] = median / baseline
    return pd.DataFrame(rows).T.rename_axis("file").reset_index()


def sum_memory(pid: int) -> float:
    """Return the memory of a process and its children, MB; shared pages count once (PSS)."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total = int(text.split("Pss:")[1].split()[0]) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):  # it has just ended
        return 0.0
    return total + sum(sum_memory(int(child)) for child in children)


def bench_script(cores: int, photographs: Path) -> dict[str, float]:
    """Return images a second and peak memory of the script on some cores, start included."""
    available = sorted(os.sched_getaffinity(0))
    files = list_images(photographs)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / "03-detect_face_using_mask.py", "--detector", "fcos"]
        command += ["--image", photographs, "--json", f"{folder}/a.json", "--no-show"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*map(str, command), "--output", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, available[:cores]),
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, sum_memory(process.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - started
    return {
        "cores": cores,
        "images": len(files),
        "images a second": len(files) / seconds,
        "peak memory, MB": peak,
    }


def score_systems(folder: Path, data: Path, labels_file: Path) -> pd.DataFrame:
    """Return AP and F1 of each form on validation photographs with boxes."""
    labels = read_table(labels_file)
    is_used = (labels.split == "val") & labels.x_min.notna() & (labels.class_name != "no_face")
    # Sources in which a person drew all boxes.
    labels = labels[is_used & labels.source.isin(["scenes", "ilc"])].reset_index(drop=True)
    systems = load_systems(folder, threads=1)
    found: dict[str, dict] = {ending: {} for ending in systems}
    for file in tqdm(labels.file.unique(), leave=False):
        image = read_image(data / file)
        for ending, (detector, classifier) in systems.items():
            found[ending][file] = detect_masks_litert(image, detector, classifier, LEAST_CONFIDENCE)
    labels[BOX_COLUMNS] = labels[BOX_COLUMNS].astype(float)
    return evaluate.compare_systems(found, labels, min_ious=(0.5,))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data root, for the scores")
    parser.add_argument("--labels", type=Path, default=ROOT / "data/labels.csv", metavar="CSV")
    parser.add_argument("--cards", action="store_true", help="write the tables into the cards")
    parser.add_argument("--photographs", type=Path, default=SAMPLE_DIR / "scenes/images")
    options = parser.parse_args()
    networks = bench_networks(options.folder)
    print(networks.to_markdown(index=False, floatfmt=".2f"), flush=True)
    script = pd.DataFrame([bench_script(cores, options.photographs) for cores in (1, 2)])
    print(script.to_markdown(index=False, floatfmt=".1f"), flush=True)
    scores = pd.DataFrame()
    if options.data:
        scores = score_systems(options.folder, options.data, options.labels)
        scores = scores[scores.source == "all"].drop(columns=["source", "iou"])
        scores = scores.astype({"n": int})
        print(scores.to_markdown(index=False, floatfmt=".3f"))
    if options.cards:
        for name in NAMES:
            of_model = networks[networks.file.str.startswith(name)]
            tables = {"litert": of_model, "small_script": script, "litert_scores": scores}
            evaluate.fill_tables(MODEL_DIR / f"{name}.md", tables)


if __name__ == "__main__":
    main()
