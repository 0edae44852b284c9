"""The sample in ``data/sample``: what a fresh clone's notebooks run on, in place of photographs.

``make sample`` writes it again. Beside the small data set it has people far away, a file that is
cut off, pictures without people, and a recorded crawl.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.recorded_crawl import NOT_FOUND, WEB_PAGE, Recording, Result
from tests.small_data import (
    Portrait,
    draw_background,
    draw_scene,
    make_small_data,
    paste_portrait,
    read_portraits,
    relight,
    write_labelled,
)
from tests.text_pictures import draw_pictures
from utils.classes import MASK_CLASSES
from utils.images import limit_size, write_image

SEED = 5  # of what is drawn here; the small data set has its own
FAR_COUNT = 10  # pictures of people far away
FAR_FACES = 4  # faces in each
FAR_WIDTHS = (7.0, 15.0)  # pixels, of their faces
PICTURE_QUALITY = 60  # of the JPEGs without people
CRAWLED_QUALITY = 80  # of the JPEGs in the recorded crawl
SMALL_SIDE = 80  # pixels; the crawl refuses an image of this size
CUT_OFF = "faces/with_mask/cut_off.jpg"

# The recorded searches by language and by the class that a phrase should bring, as notebook 01
# lists them. The last one has no results.
PHRASES = {
    "en-US": {
        "with_mask": ["person face mask", "crowd face masks"],
        "mask_worn_incorrectly": ["mask under nose"],
    },
    "fr-FR": {
        "without_mask": ["visage portrait", "foule"],
        "mask_worn_incorrectly": ["masque sous le nez"],
    },
    "de-DE": {"without_mask": ["Gesichter ohne Maske"]},
}


def make_sample(folder: str | Path) -> Path:
    """Write the sample: the same files each time, byte for byte.

    Returns:
        The folder, with ``faces/``, ``scenes/``, ``maskedface-net/``, ``pictures/`` and ``crawl/``.
    """
    root = make_small_data(folder)
    portraits = read_portraits()
    pictures = draw_pictures()
    for name, image in pictures.items():
        write_image(root / f"pictures/{name}.jpg", image, quality=PICTURE_QUALITY)
    _write_far_people(root / "scenes", portraits)
    whole = (root / "faces/with_mask/24.jpg").read_bytes()
    (root / CUT_OFF).write_bytes(whole[: len(whole) // 2])
    _write_crawl(root / "crawl", portraits, pictures)
    return root


def _write_far_people(folder: Path, portraits: dict[str, list[Portrait]]) -> None:
    """Write pictures of people far away, whose faces a detector hardly finds."""
    everyone = [portrait for name in MASK_CLASSES for portrait in portraits[name]]
    for number in range(FAR_COUNT):
        rng = np.random.default_rng((SEED, 0, number))
        width = int(rng.integers(150, 190))
        height = int(rng.integers(110, 140))
        canvas = draw_background((width, height), rng)
        people = []
        boxes = []
        for place in range(FAR_FACES):
            person = everyone[(number + place) % len(everyone)]
            x = width * (place + rng.uniform(0.35, 0.65)) / FAR_FACES
            y = height * rng.uniform(0.35, 0.65)
            face_width = rng.uniform(*FAR_WIDTHS)
            turn = rng.uniform(-25, 25)
            canvas, box = paste_portrait(canvas, person, (x, y, face_width), turn, number % 2 == 0)
            people.append(person.class_name)
            boxes.append(box)
        write_labelled(folder, f"far_{number:02}", relight(canvas, rng), people, boxes)


def _write_crawl(
    folder: Path, portraits: dict[str, list[Portrait]], pictures: dict[str, np.ndarray]
) -> None:
    """Write the recorded crawl. Among its results are some that cannot be used."""
    masked = portraits["with_mask"]
    bare = portraits["without_mask"]
    badly_worn = portraits["mask_worn_incorrectly"]
    recording = Recording(folder)

    alone = [_draw_result("A face mask", [masked[number]], number) for number in range(3)]
    bare_one = _draw_result("Before the mask", [bare[0]], 3)
    mirrored = _draw_result("The same mask, mirrored", [masked[1]], 1, mirror=True)
    results = [alone[0], WEB_PAGE, alone[1], bare_one, alone[2], mirrored]
    recording.add_search("person face mask", "en-US", results)

    crowds = [
        _draw_result("Masks in the crowd", [masked[0], masked[1], masked[2]], 10),
        _draw_result("Two with masks, one without", [masked[0], bare[1], masked[2]], 11),
        _draw_result("Waiting in line", [masked[1], masked[2]], 12),
        _draw_result("In the street", [bare[0], masked[2]], 13),
    ]
    half = len(crowds[0].body) // 2
    cut_off = Result("A file that is cut off", crowds[0].body[:half])
    table = Result("How many wear masks", _encode(pictures["table"], limit=320))
    recording.add_search("crowd face masks", "en-US", [*crowds[:2], cut_off, *crowds[2:], table])

    below = [_draw_result("Mask below the nose", [badly_worn[n % 2]], 20 + n) for n in range(3)]
    both = _draw_result("Right and wrong", [badly_worn[0], masked[0]], 23)
    recording.add_search("mask under nose", "en-US", [below[0], NOT_FOUND, *below[1:], both])

    faces = [_draw_result("Portrait", [bare[number % 2]], 30 + number) for number in range(4)]
    small, _ = draw_scene([bare[0]], np.random.default_rng((SEED, 1, 34)))
    too_small = Result("Une vignette", _encode(small, limit=SMALL_SIDE))
    recording.add_search("visage portrait", "fr-FR", [faces[0], too_small, *faces[1:]])

    groups = [
        _draw_result("La foule", [bare[0], bare[1], masked[1]], 40),
        _draw_result("Deux visages", [bare[1], bare[0]], 41),
        _draw_result("Au marché", [bare[0], badly_worn[1]], 42),
    ]
    chart = Result("Masques vendus", _encode(pictures["chart"], limit=320))
    recording.add_search("foule", "fr-FR", [*groups, chart])

    copy = Result("La même photo", below[0].body)
    noses = [_draw_result("Le nez dehors", [badly_worn[n % 2]], 50 + n) for n in range(3)]
    recording.add_search("masque sous le nez", "fr-FR", [noses[0], copy, *noses[1:]])

    recording.add_search("Gesichter ohne Maske", "de-DE", [])
    recording.write_table()
    recording.write_labels()


def _draw_result(title: str, people: list[Portrait], number: int, mirror: bool = False) -> Result:
    """Return a result whose image shows people; the number is the seed of the picture."""
    image, boxes = draw_scene(people, np.random.default_rng((SEED, 1, number)))
    if mirror:
        width = image.shape[1]
        image = image[:, ::-1]
        boxes = [np.array([width - box[2], box[1], width - box[0], box[3]]) for box in boxes]
    class_names = [person.class_name for person in people]
    return Result(title, _encode(image), class_names=class_names, boxes=boxes)


def _encode(image: np.ndarray, limit: int | None = None) -> bytes:
    """Return an image as a JPEG file, with at most ``limit`` pixels on its longer side."""
    if limit is not None:
        image = limit_size(image, limit)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, CRAWLED_QUALITY])
    return data.tobytes()
