"""From the script's JSON to faces to label."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from utils.annotate import JOURNAL_NAME, LabelSession, read_script_faces
from utils.classes import CLASS_NAMES, LabelError
from utils.curate import read_data
from utils.images import write_image
from utils.labels import BOX_COLUMNS
from utils.paths import ROOT, SAMPLE_DIR

FACE = {
    "box": [1, 2, 30, 40],
    "confidence": 0.9,
    "class_name": "with_mask",
    "probability": 0.5,
    "probabilities": dict(zip(CLASS_NAMES, [0.5, 0.3, 0.1, 0.1], strict=True)),
    "unsure": True,
}


@pytest.fixture
def site(tmp_path):
    """Return a folder with two photographs, in a data root of its own."""
    for name in ("a/door.jpg", "b/door.jpg"):
        write_image(tmp_path / "site/photos" / name, np.zeros((50, 50, 3), np.uint8))
    return tmp_path / "site/photos"


def write_answers(site, records):
    path = site.parent / "answers.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def record(file, *faces):
    return {"file": file, "width": 50, "height": 50, "faces": list(faces)}


def test_no_images_give_no_faces(site):
    path = write_answers(site, {"images": []})
    faces, y_prob, problems = read_script_faces(path, site, site.parent)
    assert (len(faces), y_prob.shape, len(problems)) == (0, (0, len(CLASS_NAMES)), 0)


def test_unsure_faces_and_what_is_left_out(site):
    sure = FACE | {"unsure": False, "box": [5, 5, 9, 9]}
    records = [record("old/photos/a/door.jpg", FACE, sure), record("gone.jpg", FACE)]
    path = write_answers(site, {"images": records})
    faces, y_prob, problems = read_script_faces(path, site, site.parent)
    assert faces[["file", *BOX_COLUMNS]].to_numpy().tolist() == [
        ["photos/a/door.jpg", 1, 2, 30, 40]
    ]
    assert y_prob.tolist() == [[0.5, 0.3, 0.1, 0.1]]
    assert problems.file.tolist() == ["gone.jpg"]
    everything = read_script_faces(path, site, site.parent, only_unsure=False)
    assert everything.faces.unsure.tolist() == [True, False]


INCOMPLETE = {key: value for key, value in FACE.items() if key != "probabilities"}
WRONG = {
    "a list": ([], "is not from the script"),
    "other JSON": ({"annotations": []}, "is not from the script"),
    "a video": ({"images": [record("v.mp4") | {"frame": 0}]}, "frames of a video"),
    "no class": ({"images": [record("a/door.jpg", INCOMPLETE)]}, "incomplete face"),
    "two photographs of a name": ({"images": [record("door.jpg", FACE)]}, "may be any of"),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named(site, content, sentence):
    path = write_answers(site, content)
    with pytest.raises(LabelError, match=sentence):
        read_script_faces(path, site, site.parent)


def test_a_missing_file_and_a_folder_elsewhere(site, tmp_path):
    with pytest.raises(LabelError, match="There is no file"):
        read_script_faces(site / "no.json", site, site.parent)
    path = write_answers(site, {"images": []})
    with pytest.raises(LabelError, match="is not in"):
        read_script_faces(path, tmp_path, site.parent)


@pytest.mark.slow
def test_labels_of_unsure_faces_are_read_as_a_data_set(tmp_path):
    site = tmp_path / "mine/photos"
    shutil.copytree(SAMPLE_DIR / "scenes/images", site)
    path = tmp_path / "mine/answers.json"
    script = [sys.executable, ROOT / "03-detect_face_using_mask.py", "--no-show"]
    words = ["--image", "mine/photos", "--json", path, "--output", tmp_path / "marked"]
    subprocess.run([*script, *words], cwd=tmp_path, check=True, capture_output=True)
    found = read_script_faces(path, site, site.parent)
    assert 0 < len(found.faces) < len(read_script_faces(path, site, site.parent, False).faces)

    session = LabelSession(found.faces, site / JOURNAL_NAME, "me", found.y_prob)
    while session.left:
        session.label("without_mask")
    table, _ = read_data(site.parent)
    assert table[["file", *BOX_COLUMNS]].sort_values(["file", "x_min"]).to_numpy().tolist() == (
        found.faces[["file", *BOX_COLUMNS]].sort_values(["file", "x_min"]).to_numpy().tolist()
    )
    with pytest.raises(LabelError, match="name .*mine instead"):
        read_data(site)
