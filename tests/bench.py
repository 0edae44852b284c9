"""Compare the speed of detection with the classic recipe: ``make bench``.

With ``--train DATA``, the trainings are compared too (half an hour). Each row compares the medians
of calls that take turns in one run, so that a busy machine slows both sides alike.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from utils.cli import Report, process_images
from utils.cli.run import MAX_THREADS
from utils.detect import (
    classify_faces,
    crop_faces,
    detect_masks,
    load_classifier,
    load_detector,
    load_models,
    load_pipeline,
    share_cores,
    to_input,
)
from utils.formats import read_voc
from utils.images import list_images, read_image
from utils.paths import EXAMPLES_DIR, ROOT, SHARED_DIR
from utils.program import count_cores
from utils.train import (
    RECIPES,
    build_classifier,
    build_recipe,
    compile_fine_tuning,
    extract_features,
    load_crops,
    load_inference_faces,
    load_whole_images,
    make_face_dataset,
    select_whole_images,
    train_head,
    train_recipe,
    unfreeze_classifier,
)


def time_in_turns(
    ours: Callable, baseline: Callable, rounds: int, calls: int = 1
) -> tuple[float, float]:
    """Return the median seconds of two functions that take turns, after one warm-up turn of each.

    Args:
        ours, baseline: the functions.
        rounds: number of turns of each.
        calls: number of calls per turn.
    """
    seconds: dict[Callable, list[float]] = {ours: [], baseline: []}
    for turn in range(rounds + 1):
        for call in (ours, baseline):
            for _ in range(calls):
                started = time.perf_counter()
                call()
                if turn:
                    seconds[call].append(time.perf_counter() - started)
    return float(np.median(seconds[ours])), float(np.median(seconds[baseline]))


def print_row(name: str, ours: float, baseline: float, rounds: int) -> None:
    """Print one comparison: how many times faster, and both medians in seconds."""
    print(
        f"{name}: {baseline / ours:.1f}x faster "
        f"({ours:.4g} s against {baseline:.4g} s, median of {rounds})",
        flush=True,
    )


def bench_classifier(rounds: int = 6, calls: int = 10) -> None:
    """Compare classifying five faces with Keras ``predict`` of the classic model at 224 pixels."""
    name, _, found = read_voc(EXAMPLES_DIR / "annotations" / "three_classes.xml")
    image = read_image(EXAMPLES_DIR / name)
    boxes = [found[i % len(found)][1] for i in range(5)]
    faces = crop_faces(image, boxes)
    ours = load_classifier()
    baseline = build_recipe("b", weights=None)

    def call_baseline() -> np.ndarray:
        return baseline.predict(to_input(faces, RECIPES["b"].input_size), verbose=0)

    times = time_in_turns(lambda: classify_faces(ours, faces), call_baseline, rounds, calls)
    print_row("classify 5 faces, against Keras predict at 224", *times, rounds * calls)


def bench_pictures(rounds: int = 4) -> None:
    """Compare detection and classification in photographs with the classic pipeline.

    The classic pipeline is res10 at 300 pixels and Keras ``predict`` at 224 pixels.
    """
    scenes = SHARED_DIR / "data" / "scenes" / "images"
    files = list_images(scenes if scenes.is_dir() else EXAMPLES_DIR)[:40]
    images = [read_image(file) for file in files]
    detector, classifier = load_models()
    baseline = build_recipe("b", weights=None)
    try:
        find = load_detector("res10")
    except FileNotFoundError as error:
        print(f"Not measured, because the classic detector is missing: {error}")
        return

    def call_baseline(image: np.ndarray) -> None:
        faces = crop_faces(image, find(image).xyxy)
        if faces:
            baseline.predict(to_input(faces, RECIPES["b"].input_size), verbose=0)

    def call_ours(image: np.ndarray) -> None:
        detect_masks(image, detector, classifier)

    def time_each(call: Callable) -> list[float]:
        return [timeit.timeit(partial(call, image), number=1) for image in images]

    seconds_ours = []
    seconds_classic = []
    for round_number in range(rounds):
        ours = time_each(call_ours)
        classic = time_each(call_baseline)
        if round_number > 0:  # the first round is the warm-up
            seconds_ours += ours
            seconds_classic += classic
    print_row(
        f"find and judge the faces of a photograph ({len(images)} photographs), "
        "against res10 and Keras predict",
        float(np.median(seconds_ours)),
        float(np.median(seconds_classic)),
        len(seconds_ours),
    )


def bench_process(rounds: int = 5) -> None:
    """Compare the script on one photograph with a process that only imports TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        script = [
            sys.executable,
            str(ROOT / "03-detect_face_using_mask.py"),
            "--no-show",
            "--output",
            folder,
        ]
        ours = [*script, "--image", str(EXAMPLES_DIR / "three_classes.jpg")]
        baseline = [sys.executable, "-c", "import tensorflow"]
        run = partial(subprocess.run, check=True, capture_output=True)
        times = time_in_turns(lambda: run(ours), lambda: run(baseline), rounds)
    print_row("--image one.jpg, against a process that imports TensorFlow", *times, rounds)


def bench_folder(rounds: int = 3) -> None:
    """Compare a folder of photographs with one image at a time, each on all cores."""
    scenes = SHARED_DIR / "data" / "scenes" / "images"
    files = list_images(scenes if scenes.is_dir() else EXAMPLES_DIR)[:100]
    workers = min(count_cores(), MAX_THREADS)
    with share_cores(workers):
        ours = load_pipeline()
    baseline = load_pipeline()
    with tempfile.TemporaryDirectory() as folder:
        times = time_in_turns(
            lambda: process_images(files, ours, folder, Report(), workers=workers),
            lambda: process_images(files, baseline, folder, Report(), workers=1),
            rounds,
        )
    print_row(f"a folder of {len(files)} photographs, against one image at a time", *times, rounds)


def bench_training(data: Path, labels: Path, run_dir: Path) -> None:
    """Compare the time to the classic recipe's validation accuracy, on the same images.

    Ours trains the head on cached features first, and fine-tunes if that is not enough.
    """
    table = select_whole_images(pd.read_csv(labels))
    train = table[table.split == "train"]
    val = table[table.split == "val"]
    train_images = load_whole_images(train, data)
    val_images = load_whole_images(val, data)
    _, history = train_recipe("b", train_images, val_images, run_dir)
    goal = float(history.val_accuracy.iloc[-1])
    # The median, so that a busy moment of the machine does not count.
    classic_seconds = float(history.seconds.median()) * len(history)
    y_train = train_images.class_id
    y_val = val_images.class_id
    train_faces = to_input(load_inference_faces(train, data), 112)
    val_faces = to_input(load_inference_faces(val, data), 112)

    started = time.perf_counter()
    keras.utils.set_random_seed(0)
    model = build_classifier()
    features = extract_features(model, train_faces)
    train_head(model, features, y_train, np.ones(len(y_train)))
    reached = float((model.predict(val_faces, verbose=0).argmax(axis=1) == y_val).mean())
    if reached < goal:
        in_memory = load_crops(train, data)
        make_steps = partial(make_face_dataset, in_memory, np.ones(len(train)), 112, 32)
        compile_fine_tuning(unfreeze_classifier(model), 1200)
        for epoch in range(20):
            model.fit(make_steps(60 * epoch, 60), verbose=0, shuffle=False)
            reached = float((model.predict(val_faces, verbose=0).argmax(axis=1) == y_val).mean())
            if reached >= goal:
                break
    ours = time.perf_counter() - started
    print(
        f"validation accuracy: classic {goal:.4f} after {len(history)} epochs, "
        f"ours {reached:.4f}, n={len(y_val)}"
    )
    print_row("training to the classic recipe's accuracy", ours, classic_seconds, 1)


def main() -> None:
    """Print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--train", type=Path, metavar="DATA", help="also train both recipes on this data root"
    )
    parser.add_argument(
        "--labels", type=Path, default=ROOT / "data/labels.csv", help="its label table"
    )
    parser.add_argument("--run-dir", type=Path, default=None, help="keep the classic training here")
    arguments = parser.parse_args()
    bench_classifier()
    bench_pictures()
    bench_folder()
    bench_process()
    if arguments.train:
        with tempfile.TemporaryDirectory() as folder:
            bench_training(arguments.train, arguments.labels, arguments.run_dir or Path(folder))


if __name__ == "__main__":
    main()
