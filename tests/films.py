"""Videos whose truth is known, for tests and benchmarks: blocks of color, and people who walk.

The people are heads cut from the example pictures; they walk in front of a background.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.conftest import BLOCK_COLORS, draw_blocks
from tests.small_data import draw_background, paste_portrait, read_portraits
from utils.boxes import as_boxes, box_area, box_iou
from utils.classes import MASK_CLASSES, decide
from utils.video import Monitor

FPS = 25.0
SIZE = (640, 480)  # width and height, pixels
COVERED = 0.4  # a face need not be found while more than this share of it is behind another
STREET_SIZE = (320, 120)  # width and height, pixels


def write_video(
    path: Path, fps: float = 12.5, names=tuple(BLOCK_COLORS), resolution_wh=(64, 48)
) -> Path:
    """Write a video of one frame per name, filled with the color of that class."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, resolution_wh)
    for name in names:
        writer.write(np.full((*resolution_wh[::-1], 3), BLOCK_COLORS[name][::-1], np.uint8))
    writer.release()
    return path


def draw_street(frame: int) -> np.ndarray:
    """Return a frame in which a block with a mask goes right, and one without goes left."""
    right = 10 + 2 * frame
    left = 270 - 2 * frame
    return draw_blocks(
        ("with_mask", (right, 70, right + 36, 110)),
        ("without_mask", (left, 10, left + 36, 50)),
        resolution_wh=STREET_SIZE,
    )


@dataclass(frozen=True)
class Walker:
    """A person in a film.

    Attributes:
        class_name: how the mask is worn. The first two people of a film are the same two persons,
            with a mask and without.
        start: x and y of the centre of the face at the start, pixels.
        velocity: of the centre, pixels per second.
        width: of the face, pixels.
        hidden: start and end of the time out of sight, seconds.
        later: (seconds, class_name) of a change.
    """

    class_name: str
    start: tuple[float, float]
    velocity: tuple[float, float] = (0, 0)
    width: float = 70
    hidden: tuple[float, float] = (0, 0)
    later: tuple[float, str] = (np.inf, "")


@dataclass(frozen=True)
class Film:
    """The people of a film and the motion of its camera.

    Attributes:
        people: those in the background first.
        tremble: greatest random shift of a frame, pixels.
        pan: speed of the camera, pixels per second.
    """

    people: tuple[Walker, ...]
    tremble: float = 0.0
    pan: float = 0.0


RIGHT = Walker("with_mask", (80, 230), (120, 0))
LEFT = Walker("without_mask", (560, 250), (-120, 0))
THREE = (
    Walker("with_mask", (60, 225), (100, 0), 64),
    Walker("without_mask", (600, 250), (-170, 0), 80),
    Walker("mask_worn_incorrectly", (180, 290), (55, -10), 100),
)
FOUR_STANDING = tuple(
    Walker(name, (100 + 140 * position, 240))
    for position, name in enumerate([*MASK_CLASSES, "with_mask"])
)
FILMS = {
    "four stand": Film(FOUR_STANDING),
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
    "four stand, the camera pans": Film(FOUR_STANDING, pan=-150),
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
    """Yield every ``step``-th frame of a film, and the box of each person in sight, by number."""
    portraits = read_portraits()
    background = draw_background(SIZE, np.random.default_rng(0))
    for frame in range(0, round(seconds * FPS), step):
        rng = np.random.default_rng(frame)
        time_s = frame / FPS
        truth: dict[int, np.ndarray] = {}
        camera = film.tremble * rng.uniform(-1, 1, 2) + (film.pan * time_s, 0)
        canvas = np.roll(background, camera.round().astype(int)[::-1], axis=(0, 1))
        for number, person in enumerate(film.people):
            x, y = np.array(person.start) + np.array(person.velocity) * time_s + camera
            if person.hidden[0] <= time_s < person.hidden[1]:
                continue
            if not -person.width < x < SIZE[0] + person.width:
                continue
            changed_s, changed_name = person.later
            name = changed_name if time_s >= changed_s else person.class_name
            heads = portraits[name]
            turn = 4 * np.sin(time_s * 3 + number)
            face = (x, y, person.width)
            canvas, box = paste_portrait(canvas, heads[number % len(heads)], face, turn, False)
            truth = {
                other: seen for other, seen in truth.items() if _share_covered(seen, box) < COVERED
            }
            if person.width / 2 < x < SIZE[0] - person.width / 2:
                truth[number] = box
        noisy = canvas + rng.normal(0, 4, canvas.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8), truth


def _share_covered(box: np.ndarray, front: np.ndarray) -> float:
    """Return the share of a face covered by the head in front of it, larger than its own face."""
    margin = 0.3 * (front[2] - front[0])
    front = front + np.array([-margin, -1.5 * margin, margin, margin])
    common = np.concatenate([np.maximum(box[:2], front[:2]), np.minimum(box[2:], front[2:])])
    return float(box_area(common)[0] / box_area(box)[0])


def follow_people(
    monitor: Monitor, film: Film, seconds: float = 4.0, step: int = 1
) -> dict[str, int]:
    """Track the people of a film, and compare the tracks with the truth.

    As in CLEAR MOT (Bernardin and Stiefelhagen, 2008), a person keeps the matched track while it
    fits; the others are matched to the free track that overlaps them most.

    Returns:
        The number of people and of people counted, identity switches, the most changes of the
        label of one track, and faces in sight without a track.
    """
    last_ids: dict[int, int] = {}  # by person
    labels: dict[int, list[int]] = {}  # by track
    switches = 0
    missed = 0
    for frame, (image, truth) in enumerate(draw_film(film, seconds, step)):
        tracks = monitor.update(image, frame * step / FPS)
        tracks = tracks[tracks.track_id > 0]
        overlap = box_iou(as_boxes(list(truth.values())), tracks.xyxy)
        matched: dict[int, int] = {}  # by person: the position of the track
        for row, number in enumerate(truth):
            same = np.flatnonzero(tracks.track_id == last_ids.get(number))
            if len(same) and overlap[row, same[0]] > 0.5:
                matched[number] = int(same[0])
        for row, number in enumerate(truth):
            free = [
                column
                for column in range(len(tracks))
                if column not in matched.values() and overlap[row, column] > 0.5
            ]
            if number not in matched and free:
                matched[number] = max(free, key=overlap[row].__getitem__)
        missed += len(truth) - len(matched)
        class_ids = decide(tracks.y_prob)
        for number, column in matched.items():
            track_id = int(tracks.track_id[column])
            if last_ids.get(number, track_id) != track_id:
                switches += 1
            last_ids[number] = track_id
            labels.setdefault(track_id, []).append(int(class_ids[column]))
    changes = [int(np.count_nonzero(np.diff(seen))) for seen in labels.values()]
    return {
        "people": len(film.people),
        "counted": sum(monitor.counter.counts.values()),
        "identity switches": switches,
        "most changes of a label": max(changes, default=0),
        "faces without a track": missed,
    }
