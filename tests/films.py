"""Films whose truth is known: heads of the example pictures walk before a background."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.small_data import draw_background, paste_portrait, read_portraits
from utils.boxes import as_boxes, box_area, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.video import Monitor

RATE, SIZE = 25.0, (640, 480)
COVERED = 0.4  # of a face behind another, from which on nobody needs to find it


@dataclass(frozen=True)
class Walker:
    """Somebody in a film.

    Attributes:
        class_name: what is worn; the first two of a film are the same two people with a mask and without.
        start: x and y of the face's middle at first, pixels.
        velocity: of it, pixels a second.
        width: of the face, pixels.
        hidden: from when to when nobody sees it, seconds.
        later: what is worn from a moment on, as (seconds, class_name).
    """

    class_name: str
    start: tuple[float, float]
    velocity: tuple[float, float] = (0, 0)
    width: float = 70
    hidden: tuple[float, float] = (0, 0)
    later: tuple[float, str] = (np.inf, "")


@dataclass(frozen=True)
class Film:
    """Who walks, those behind first, and what the camera does: how far it trembles (pixels), how fast it turns."""

    people: tuple[Walker, ...]
    tremble: float = 0.0
    pan: float = 0.0


RIGHT, LEFT = (
    Walker("with_mask", (80, 230), (120, 0)),
    Walker("without_mask", (560, 250), (-120, 0)),
)
THREE = (
    Walker("with_mask", (60, 225), (100, 0), 64),
    Walker("without_mask", (600, 250), (-170, 0), 80),
    Walker("mask_worn_incorrectly", (180, 290), (55, -10), 100),
)
FILMS = {
    "four stand": Film(
        tuple(Walker(n, (100 + 140 * i, 240)) for i, n in enumerate([*MASK_CLASSES, "with_mask"]))
    ),
    "two cross": Film((RIGHT, LEFT)),
    "two cross at one height": Film((RIGHT, Walker("without_mask", (560, 230), (-120, 0)))),
    "one leaves, one comes": Film(
        (Walker("without_mask", (320, 240), (110, 0)), Walker("with_mask", (-300, 240), (110, 0)))
    ),
    "one is hidden for half a second": Film(
        (Walker("with_mask", (120, 240), (80, 0), hidden=(1.5, 2.0)),)
    ),
    "two cross and one is hidden": Film(
        (
            Walker("mask_worn_incorrectly", (80, 230), (120, 0)),
            Walker("without_mask", (560, 260), (-120, 0), hidden=(1.75, 2.25)),
        )
    ),
    "three cross": Film(THREE),
    "three cross and one is hidden": Film(
        (*THREE[:2], Walker("with_mask", (180, 290), (55, -10), 100, (1.2, 1.7)))
    ),
    "three cross, the camera trembles": Film(THREE, tremble=8),
    "four stand, the camera pans": Film(
        tuple(Walker(n, (100 + 140 * i, 240)) for i, n in enumerate([*MASK_CLASSES, "with_mask"])),
        pan=-150,
    ),
    "one runs": Film((Walker("with_mask", (-100, 240), (420, 0)),)),
    "one takes the mask off": Film(
        (Walker("with_mask", (200, 240), (40, 0), later=(2.0, "without_mask")),)
    ),
    "two cross, one puts a mask on": Film(
        (RIGHT, Walker("without_mask", (560, 255), (-120, 0), later=(2.0, "with_mask")))
    ),
}


def draw_film(
    film: Film, seconds: float, step: int = 1
) -> Iterator[tuple[np.ndarray, dict[int, np.ndarray]]]:
    """Every ``step``-th frame of a film, and in each the box of every person in sight, by number."""
    portraits = read_portraits()
    background = draw_background(SIZE, np.random.default_rng(0))
    for frame in range(0, round(seconds * RATE), step):
        rng, time_s, truth = np.random.default_rng(frame), frame / RATE, {}
        camera = film.tremble * rng.uniform(-1, 1, 2) + (film.pan * time_s, 0)
        canvas = np.roll(background, camera.round().astype(int)[::-1], axis=(0, 1))
        for number, person in enumerate(film.people):
            x, y = np.array(person.start) + np.array(person.velocity) * time_s + camera
            if (
                person.hidden[0] <= time_s < person.hidden[1]
                or not -person.width < x < SIZE[0] + person.width
            ):
                continue
            heads = portraits[person.later[1] if time_s >= person.later[0] else person.class_name]
            face, turn = (x, y, person.width), 4 * np.sin(time_s * 3 + number)
            canvas, box = paste_portrait(canvas, heads[number % len(heads)], face, turn, False)
            truth = {
                other: seen for other, seen in truth.items() if _share_covered(seen, box) < COVERED
            }
            if person.width / 2 < x < SIZE[0] - person.width / 2:
                truth[number] = box
        yield np.clip(canvas + rng.normal(0, 4, canvas.shape), 0, 255).astype(np.uint8), truth


def _share_covered(box: np.ndarray, front: np.ndarray) -> float:
    """The share of a face's box that the head before it covers, which is larger than its own face."""
    margin = 0.3 * (front[2] - front[0])
    front = front + np.array([-margin, -1.5 * margin, margin, margin])
    common = np.concatenate([np.maximum(box[:2], front[:2]), np.minimum(box[2:], front[2:])])
    return float(box_area(common)[0] / box_area(box)[0])


def follow_people(
    monitor: Monitor, film: Film, seconds: float = 4.0, step: int = 1
) -> dict[str, int]:
    """Watch every ``step``-th frame of a film: how many people there are, how many were counted, how often somebody's
    number changed, the most changes of one track's label, and how many faces in sight had no track.

    As in CLEAR MOT (Bernardin and Stiefelhagen, 2008) a face stays with its track while that fits; the others take the
    track that overlaps them most.
    """
    last, labels, switches, missed = {}, {}, 0, 0
    for frame, (image, truth) in enumerate(draw_film(film, seconds, step)):
        tracks = monitor.watch(image, frame * step / RATE)
        tracks = tracks[tracks.track_id > 0]
        overlap = box_iou(as_boxes(list(truth.values())), tracks.xyxy)
        now: dict[int, int] = {}  # who: which column
        for row, number in enumerate(truth):
            same = np.flatnonzero(tracks.track_id == last.get(number))
            if len(same) and overlap[row, same[0]] > 0.5:
                now[number] = int(same[0])
        for row, number in enumerate(truth):
            free = [
                column
                for column in range(len(tracks))
                if column not in now.values() and overlap[row, column] > 0.5
            ]
            if number not in now and free:
                now[number] = max(free, key=overlap[row].__getitem__)
        missed += len(truth) - len(now)
        class_ids = decide(tracks.y_prob)
        for number, column in now.items():
            track_id = int(tracks.track_id[column])
            switches += last.get(number, track_id) != track_id
            last[number] = track_id
            labels.setdefault(track_id, []).append(int(class_ids[column]))
    changes = [int(np.count_nonzero(np.diff(seen))) for seen in labels.values()]
    row = {
        "people": len(film.people),
        "counted": sum(monitor.census.counts.values()),
        "identity switches": switches,
    }
    return row | {
        "most changes of a label": max(changes, default=0),
        "faces without a track": missed,
    }
