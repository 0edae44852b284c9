"""Compare exact near-duplicate search with an index: ``python -m tests.bench_duplicates``.

Hashes are simulated from photographs, up to a million: see ``simulate_hashes``. The index is the
inverted file of faiss (``IndexBinaryIVF``). The command prints how much alike real and simulated
hashes are, and writes ``near_duplicates.md`` (a table) and ``near_duplicates.png`` (time and recall
against the number of photographs) into ``output/``.

On macOS, faiss may crash beside scikit-learn, because each loads an OpenMP library of its own
(https://github.com/faiss-wheels/faiss-wheels/issues/73).

Each row runs in a process of its own, so that its peak memory is its own. On a machine that does
other work too, compare CPU seconds. The search of a million photographs takes minutes of CPU time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from tests.bench_collect import PHOTOGRAPHS, measure
from utils.batch import map_in_threads
from utils.collect import find_broken_images
from utils.curate import (
    MAX_DISTANCE_FULL,
    MAX_DISTANCE_TOP,
    find_near_duplicates,
    group_near_duplicates,
    hash_image,
    hash_images,
)
from utils.curate.hamming_search import find_close_pairs
from utils.images import list_images, read_image
from utils.paths import EXAMPLES_DIR, OUTPUT_DIR, ROOT

# Width and height of a simulated picture, pixels: two pixels for each that a hash compares.
SIZE = (34, 32)
COMPONENTS = 90  # with these, simulated hashes are as far apart as real ones
BLENDED = 3  # photographs in a simulated one
COPIES = 0.1  # share of the simulated photographs that are copies of others
BLOCK = 1000  # photographs that are simulated at once
# Settings of the index.
LISTS = 4  # number of lists, in square roots of the number of photographs
PROBES = 32  # lists that a query searches
TURNS = 5  # of k-means, for the centres of the lists
POINTS = 20  # hashes for each centre
QUANTILES = [0.0001, 0.001, 0.01, 0.1, 0.5]


def read_thumb(photo: Path) -> np.ndarray:
    """Return a photograph as a small grey picture."""
    grey = cv2.cvtColor(read_image(photo), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA)


def hash_thumbs(thumbs: np.ndarray) -> np.ndarray:
    """Return the hashes (N, 4, 4) of small grey pictures (N, H, W) uint8."""
    return np.array([hash_image(cv2.cvtColor(thumb, cv2.COLOR_GRAY2RGB)) for thumb in thumbs])


def simulate_hashes(thumbs: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes that are distributed like those of photographs, and which are copies.

    A simulated photograph blends the strongest principal components of three random photographs.
    One in ten is a copy of another simulated photograph in its block, with noise and another
    exposure, half of them mirrored.

    Args:
        thumbs: (M, H, W) uint8, photographs without near-duplicates.
        count: number N of hashes.
        seed: of the random numbers.

    Returns:
        The hashes (N, 4, 4) uint64, and (N,) int64: the position of the photograph that each is a
        copy of, or -1.
    """
    rng = np.random.default_rng(seed)
    pictures = np.concatenate([thumbs, thumbs[:, :, ::-1]]).astype(np.float32)
    pictures -= pictures.mean(axis=(1, 2), keepdims=True)
    pictures /= pictures.std(axis=(1, 2), keepdims=True) + 5
    flat = pictures.reshape(len(pictures), -1)
    mean = flat.mean(axis=0)
    _, vectors = np.linalg.eigh((flat - mean).T @ (flat - mean))
    components = vectors[:, -COMPONENTS:]
    coordinates = (flat - mean) @ components
    hashes = []
    copied = []
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        copies = int(size * COPIES)
        weights = np.sqrt(rng.dirichlet(np.full(BLENDED, 2.0), size - copies))
        blend = np.zeros((size - copies, components.shape[1]), np.float32)
        for weight in weights.T.astype(np.float32):
            blend += weight[:, None] * coordinates[rng.integers(len(flat), size=len(blend))]
        originals = (blend @ components.T + mean).reshape(-1, SIZE[1], SIZE[0])
        source = rng.choice(len(originals), copies, replace=False)
        changed = originals[source]
        changed[::2] = changed[::2, :, ::-1]
        changed *= rng.uniform(0.7, 1.3, (copies, 1, 1))
        changed += rng.normal(size=changed.shape) * rng.uniform(0, 0.25, (copies, 1, 1))
        block = np.concatenate([originals, changed]) * 40 + 128
        hashes.append(hash_thumbs(block.clip(0, 255).astype(np.uint8)))
        copied += [np.full(len(originals), -1), start + source]
    return np.concatenate(hashes), np.concatenate(copied)


def measure_spread(name: str, hashes: np.ndarray) -> list[dict]:
    """Return quantiles of the distances between photographs, of whole images and of upper halves.

    A distance is that to the nearer of a photograph and its mirror image, bits.
    """
    chosen = hashes[np.random.default_rng(0).permutation(len(hashes))[:5000]]
    rows = []
    for part, first in (("whole image", 0), ("upper half", 2)):
        distances = []
        for number in range(len(chosen) // 2):
            differing = chosen[number, first] ^ chosen[number + 1 :, first : first + 2]
            distances.append(np.bitwise_count(differing).sum(axis=2, dtype=np.uint8).min(axis=1))
        found = np.quantile(np.concatenate(distances), QUANTILES)
        row = {"hashes": name, "of": part}
        for share, distance in zip(QUANTILES, found, strict=True):
            row[f"{share:.2%}"] = int(distance)
        rows.append(row)
    return rows


def find_most_close_pairs(hashes: np.ndarray, limit: int) -> np.ndarray:
    """Find most of the pairs that ``find_close_pairs`` finds, and no others, with an index.

    Hashes are kept in lists, each around one centre, and a query searches the lists with the
    nearest centres.

    Args:
        hashes: (N, V, W) uint64, as for ``find_close_pairs``.
        limit: the largest Hamming distance in bits.

    Returns:
        (P, 2) int64, sorted.
    """
    import faiss

    count, versions, words = hashes.shape
    by_version = np.ascontiguousarray(hashes.transpose(1, 0, 2)).view(np.uint8)
    quantizer = faiss.IndexBinaryFlat(64 * words)
    index = faiss.IndexBinaryIVF(quantizer, 64 * words, math.ceil(LISTS * math.sqrt(count)))
    index.cp.niter = TURNS
    index.cp.min_points_per_centroid = 1  # faiss warns of fewer
    index.cp.max_points_per_centroid = POINTS
    index.train(by_version[0])
    index.add(by_version[0])  # hash 0 of each item
    index.nprobe = PROBES
    found = []
    for version in range(versions):
        # faiss finds what is nearer than the radius, so it is one more than the limit.
        ends, _, first = index.range_search(by_version[version], limit + 1)
        second = np.repeat(np.arange(count), np.diff(ends.astype(np.int64)))
        if version == 0:  # a pair may be found from either item
            first, second = np.minimum(first, second), np.maximum(first, second)
        is_pair = first < second
        found.append(first[is_pair] * count + second[is_pair])
    pairs = np.unique(np.concatenate(found))
    return np.stack(np.divmod(pairs, count), axis=1)


def find_pairs(hashes: np.ndarray, method: str) -> np.ndarray:
    """Return near-duplicates, each as first * N + second, sorted: exactly or with the index."""
    search = {"exact": find_close_pairs, "index": find_most_close_pairs}[method]
    full = search(hashes[:, :2], MAX_DISTANCE_FULL)
    top = search(hashes[:, 2:], MAX_DISTANCE_TOP)
    pairs = np.concatenate([full, top])
    return np.unique(pairs[:, 0] * len(hashes) + pairs[:, 1])


def list_planted(hashes: np.ndarray, copied: np.ndarray) -> np.ndarray:
    """Return the pairs of a photograph and its copy that are within the limits."""
    second = np.flatnonzero(copied >= 0)
    first = copied[second]
    near = np.zeros(len(second), bool)
    for hash_number, limit in ((0, MAX_DISTANCE_FULL), (2, MAX_DISTANCE_TOP)):
        others = hashes[second, hash_number : hash_number + 2]
        differing = np.bitwise_count(hashes[first, hash_number][:, None] ^ others)
        near |= differing.sum(axis=2, dtype=int).min(axis=1) <= limit
    return np.sort((first * len(hashes) + second)[near])


def simulate(folder: Path, data: Path, count: int) -> None:
    """Write simulated hashes into a folder, and print how much they are like real ones."""
    photos = list_images(data)
    broken = set(find_broken_images(photos).file)
    photos = [photo for photo in photos if str(photo) not in broken]
    real, cost = measure(lambda: hash_images(photos))
    print(
        f"Hashing {len(photos)} photographs: {1000 * cost['cpu_s'] / len(photos):.2f} CPU ms each"
    )
    group = group_near_duplicates(find_near_duplicates(real, looseness=1.2), len(photos))
    _, kept = np.unique(group, return_index=True)  # one of each group
    thumbs = np.array(list(map_in_threads(read_thumb, [photos[number] for number in kept])))
    hashes, copied = simulate_hashes(thumbs, count)
    np.save(folder / "hashes.npy", hashes)
    np.save(folder / "copied.npy", copied)
    spread = measure_spread(f"{len(kept)} photographs", real[kept])
    spread += measure_spread("simulated", hashes[copied < 0])
    print("Quantiles of the distance between two photographs, bits")
    print(pd.DataFrame(spread).to_string(index=False), flush=True)


def measure_row(folder: Path, count: int, method: str) -> dict:
    """Return one row of the table. The exact pairs are kept for the rows after it."""
    hashes = np.load(folder / "hashes.npy", mmap_mode="r")[:count]
    hashes = np.array(hashes)
    copied = np.load(folder / "copied.npy")[:count]
    find_pairs(hashes[:10_000], method)  # loads what it needs, once per process
    pairs, cost = measure(lambda: find_pairs(hashes, method))
    exact = folder / f"exact {count}.npy"
    if method == "exact":
        np.save(exact, pairs)
    row = {"photographs": count, "method": method, "pairs": len(pairs)}
    row["recall"] = np.nan
    if exact.is_file():
        wanted = np.load(exact)
        assert np.isin(pairs, wanted).all()  # an index finds nothing else
        row["recall"] = len(pairs) / len(wanted)
    planted = list_planted(hashes, copied)
    row["planted"] = len(planted)
    row["recall_planted"] = np.isin(planted, pairs).sum() / max(1, len(planted))
    return row | {name: cost[name] for name in ("seconds", "cpu_s", "peak_mib")}


def run_step(*arguments: object) -> str:
    """Run one step in a process of its own, and return what it prints."""
    command = [sys.executable, "-m", "tests.bench_duplicates", "--step"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        # Threads of faiss that wait for each other would use up CPU seconds.
        env={**os.environ, "OMP_WAIT_POLICY": "passive", "TQDM_DISABLE": "1"},
    )
    return done.stdout


def plot_rows(table: pd.DataFrame, file: Path) -> None:
    """Write a plot of time and recall against the number of photographs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for method, rows in table.groupby("method", sort=False):
        left.plot(rows.photographs, rows.cpu_s, marker="o", label=method)
        right.plot(rows.photographs, rows.recall_planted, marker="o", label=f"{method}, copies")
        if method != "exact":
            right.plot(rows.photographs, rows.recall, "s--", label=f"{method}, all pairs")
    left.set(xscale="log", yscale="log", xlabel="photographs", ylabel="CPU seconds")
    left.set_title("Time from hashes to pairs")
    lowest = min(0.95, table[["recall", "recall_planted"]].min(axis=None) - 0.01)
    right.set(xscale="log", xlabel="photographs", ylabel="recall", ylim=(lowest, 1.005))
    right.set_title("Planted copies, and all pairs of exact search, that are found")
    for ax in (left, right):
        counts = sorted(set(table.photographs))
        ax.set_xticks(counts, [f"{count:,}" for count in counts])
        ax.set_xticks([], minor=True)
        ax.grid(which="both", alpha=0.3)
        ax.legend()
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main() -> None:
    """Print and write the table, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=PHOTOGRAPHS, help="a folder of photographs (default: data/raw)"
    )
    parser.add_argument(
        "--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="photographs"
    )
    parser.add_argument(
        "--most-exact",
        type=int,
        default=1_000_000,
        help="the largest number of photographs for exact search",
    )
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    data = arguments.data if arguments.data.is_dir() else EXAMPLES_DIR
    if arguments.step:
        step, folder, count = arguments.step
        if step == "simulate":
            simulate(Path(folder), data, int(count))
        else:
            print(json.dumps(measure_row(Path(folder), int(count), step)))
        return
    OUTPUT_DIR.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        print(run_step("simulate", folder, max(arguments.counts), "--data", data), flush=True)
        rows = []
        for count in arguments.counts:
            methods = ["exact", "index"] if count <= arguments.most_exact else ["index"]
            for method in methods:
                rows.append(json.loads(run_step(method, folder, count)))
                print(json.dumps(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    text = table.to_markdown(index=False, floatfmt=".4g", intfmt=",")
    print(text)
    (OUTPUT_DIR / "near_duplicates.md").write_text(text + "\n", encoding="utf-8")
    plot_rows(table, OUTPUT_DIR / "near_duplicates.png")
    print(f"Wrote {OUTPUT_DIR / 'near_duplicates.md'} and near_duplicates.png beside it")


if __name__ == "__main__":
    main()
