"""The page classifies the faces of live video in turns, as utils.video does."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import draw_blocks
from utils.boxes import Detections
from utils.classes import CLASS_NAMES, decide
from utils.detect import detect_masks
from utils.video import VideoPipeline
from utils.web.build import SOURCE

FRAMES = 80
# Reads frames, each {boxes, opinions, answers}, and writes the answers that are known after each.
SCRIPT = """
import { readFileSync } from "node:fs";
import { KnownFaces } from "./known-faces.mjs";

const known = new KnownFaces();
const results = [];
for (const { boxes, opinions, answers } of JSON.parse(readFileSync(0))) {
    const classify = async (due) => due.map((position) => answers[position]);
    const found = await known.update(boxes, opinions, classify);
    results.push(found.map((answer) => answer && answer.place));
}
console.log(JSON.stringify(results));
"""


def film_people(seed: int, count: int) -> Iterator[tuple[np.ndarray, Detections]]:
    """Yield frames of people who move, come and go, touch and change, and the detector's boxes."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(20, 420, (count, 2))
    class_id = rng.integers(0, len(CLASS_NAMES), count)
    for _ in range(FRAMES):
        corner += rng.normal(0, 2, corner.shape)
        is_changed = rng.random(count) < 0.02
        class_id[is_changed] = rng.integers(0, len(CLASS_NAMES), is_changed.sum())
        shown = np.flatnonzero(rng.random(count) > 0.02)
        xyxy = np.concatenate([corner, corner + 60], axis=1)[shown].astype(np.float32)
        blocks = zip(class_id[shown], xyxy.astype(int).tolist(), strict=True)
        image = draw_blocks(
            *[(CLASS_NAMES[number], tuple(box)) for number, box in blocks], resolution_wh=(520, 520)
        )
        image = (image * rng.uniform(0.8, 1)).astype(np.uint8)
        y_prob = np.full((len(shown), len(CLASS_NAMES)), 0.05, np.float32)
        y_prob[np.arange(len(shown)), np.minimum(class_id[shown], 2)] = 0.85
        y_prob[rng.random(len(shown)) < 0.05] = [0.2, 0.2, 0.6, 0]  # the detector's doubts
        confidence = np.linspace(0.9, 0.6, len(shown)).astype(np.float32)
        yield image, Detections(xyxy, confidence, y_prob)


@pytest.mark.page
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("count", [0, 1, 3, 12])
def test_answers_are_kept_as_long_as_in_the_script(fake_classifier, tmp_path, count):
    frames = []  # for the page: boxes, the detector's opinions, and the answers about all faces
    y_prob = []  # of all faces of each frame
    expected = []  # what the script's pipeline for videos returns
    current = [Detections.empty()]
    pipeline = VideoPipeline(lambda _: current[-1], fake_classifier)
    for number, (image, found) in enumerate(film_people(seed=count, count=count)):
        current.append(found)
        expected.append(np.asarray(pipeline(image).y_prob))
        numbered = replace(found, track_id=np.arange(len(found)))
        faces = detect_masks(image, lambda _, numbered=numbered: numbered, fake_classifier)
        answers = [None] * len(found)
        y_prob.append(np.zeros((len(found), len(CLASS_NAMES))))
        y_prob[-1][faces.track_id] = faces.y_prob
        for position, class_id in zip(faces.track_id, decide(faces.y_prob), strict=True):
            place = [number, int(position)]
            answers[position] = {"className": CLASS_NAMES[class_id], "place": place}
        opinions = [CLASS_NAMES[class_id] for class_id in decide(found.y_prob)]
        frames.append({"boxes": found.xyxy.tolist(), "opinions": opinions, "answers": answers})

    shutil.copyfile(SOURCE / "known-faces.js", tmp_path / "known-faces.mjs")
    (tmp_path / "script.mjs").write_text(SCRIPT)
    command = ["node", str(tmp_path / "script.mjs")]
    done = subprocess.run(command, input=json.dumps(frames), capture_output=True, text=True)
    assert done.stderr == ""
    kept = 0
    results = json.loads(done.stdout)
    for number, (places, theirs) in enumerate(zip(results, expected, strict=True)):
        places = [place for place in places if place is not None]
        ours = [y_prob[frame][position] for frame, position in places]
        np.testing.assert_array_equal(np.reshape(ours, (-1, len(CLASS_NAMES))), theirs)
        kept += sum(frame < number for frame, _ in places)
    assert (kept > 0) == (count > 1)
