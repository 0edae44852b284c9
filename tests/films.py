"""Films whose truth is known: heads of the example pictures walk before a background."""

from collections.abc import Iterator

import numpy as np

from tests.small_data import Portrait, draw_background, paste_portrait, read_portraits
from utils.boxes import box_iou
from utils.classes import MASK_CLASSES, decide
from utils.monitor import Monitor

RATE, SIZE = 25.0, (640, 480)
WIDTH = 70  # pixels of a face
# Of each person: class, where the face is at first, its velocity (pixels a second), and when it is hidden (seconds).
FILMS = {
    "four stand": [(name, (100 + 140 * i, 240), (0, 0), []) for i, name in enumerate([*MASK_CLASSES, "with_mask"])],
    "two cross": [("with_mask", (80, 230), (120, 0), []), ("without_mask", (560, 250), (-120, 0), [])],
    "one leaves, one comes": [
        ("without_mask", (320, 240), (110, 0), []),
        ("with_mask", (-440, 240), (110, 0), []),
    ],
    "one is hidden for half a second": [("with_mask", (120, 240), (80, 0), [(1.5, 2.0)])],
    "two cross and one is hidden": [
        ("mask_worn_incorrectly", (80, 230), (120, 0), []),
        ("without_mask", (560, 260), (-120, 0), [(1.75, 2.25)]),
    ],
}


def draw_film(people: list[tuple], seconds: float) -> Iterator[tuple[np.ndarray, dict[int, np.ndarray]]]:
    """The frames of a film, and in each the box of every person in sight, by number."""
    portraits = read_portraits()
    background = draw_background(SIZE, np.random.default_rng(0))
    heads: list[Portrait] = [portraits[name][number % len(portraits[name])] for number, (name, *_) in enumerate(people)]
    for frame in range(round(seconds * RATE)):
        canvas, truth, time_s = background, {}, frame / RATE
        for number, (_, start, velocity, hidden) in enumerate(people):
            x, y = np.array(start) + np.array(velocity) * time_s
            if any(begin <= time_s < end for begin, end in hidden) or not -WIDTH < x < SIZE[0] + WIDTH:
                continue
            canvas, box = paste_portrait(canvas, heads[number], (x, y, WIDTH), 4 * np.sin(time_s * 3 + number), False)
            if WIDTH / 2 < x < SIZE[0] - WIDTH / 2:
                truth[number] = box
        noise = np.random.default_rng(frame).normal(0, 4, canvas.shape)
        yield np.clip(canvas + noise, 0, 255).astype(np.uint8), truth


def follow_people(monitor: Monitor, people: list[tuple], seconds: float = 4.0) -> dict[str, int]:
    """Watch a film of these people: how many there are, how many were counted, how often somebody's number changed, and
    the most changes of one track's label."""
    last, labels, switches = {}, {}, 0
    for frame, (image, truth) in enumerate(draw_film(people, seconds)):
        tracks = monitor.watch(image, frame / RATE)
        if not (truth and len(tracks)):
            continue
        overlap = box_iou(np.array(list(truth.values())), tracks.xyxy)
        for row, number in enumerate(truth):
            column = int(overlap[row].argmax())
            track_id = int(tracks.track_id[column])
            if overlap[row, column] > 0.5 and track_id:
                switches += last.get(number, track_id) != track_id
                last[number] = track_id
                labels.setdefault(track_id, []).append(int(decide(tracks.y_prob)[column]))
    changes = [int(np.count_nonzero(np.diff(seen))) for seen in labels.values()]
    counted = sum(monitor.census.counts.values())
    row = {"people": len(people), "counted": counted, "identity switches": switches}
    return row | {"most changes of a label": max(changes, default=0)}
