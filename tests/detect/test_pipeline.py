"""Detection: the stand-ins' blocks come back judged, and the shipped models are right about the example pictures."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import draw_blocks, find_blocks
from utils import paths
from utils.boxes import Detections, box_iou
from utils.classes import CLASS_NAMES, MASK_CLASSES, decide
from utils.detect import pipeline as detect
from utils.detect.pipeline import detect_masks, find_faces, load_models
from utils.formats import read_voc_folder
from utils.images import list_images, read_image
from utils.labels import BOX_COLUMNS

ANNOTATED = dict(tuple(read_voc_folder(paths.EXAMPLES_DIR)[0].groupby("file")))
BLOCKS = [
    (name, (10 + 50 * place, 20, 40 + 50 * place, 60)) for place, name in enumerate(CLASS_NAMES)
]


@pytest.fixture(scope="module")
def models():
    return load_models()


def test_a_picture_without_faces_gives_none(judge):
    found = judge(draw_blocks())
    assert len(found) == 0
    assert found.y_prob.shape == (0, len(CLASS_NAMES))
    assert decide(found.y_prob).shape == (0,)


def test_each_face_is_judged_in_its_place_and_what_is_none_is_dropped(judge):
    found = judge(draw_blocks(*BLOCKS, resolution_wh=(240, 120)))
    told = [block for block in BLOCKS if block[0] != "no_face"]
    np.testing.assert_array_equal(found.xyxy, [box for _, box in told])
    assert [CLASS_NAMES[class_id] for class_id in decide(found.y_prob)] == [
        name for name, _ in told
    ]
    np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-6)


def test_the_most_confident_comes_first(fake_classifier):
    def find_backwards(image):
        found = find_blocks(image)
        return replace(found, confidence=found.confidence[::-1].copy())

    found = detect_masks(draw_blocks(*BLOCKS[:3]), find_backwards, fake_classifier)
    np.testing.assert_array_equal(found.xyxy, [box for _, box in BLOCKS[2::-1]])
    assert [CLASS_NAMES[class_id] for class_id in decide(found.y_prob)] == [
        name for name, _ in BLOCKS[2::-1]
    ]
    assert (np.diff(found.confidence) < 0).all()


@pytest.mark.parametrize("step", [1e-6, -1e-6])
def test_a_face_is_dropped_where_no_face_reaches_the_threshold(fake_classifier, step):
    image = draw_blocks(BLOCKS[0])
    (y_prob,) = detect_masks(image, find_blocks, fake_classifier).y_prob
    at_the_edge = replace(
        fake_classifier, threshold=float(y_prob[CLASS_NAMES.index("no_face")]) + step
    )
    assert len(detect_masks(image, find_blocks, at_the_edge)) == (step > 0)


def test_a_person_is_never_told_no_face():
    y_prob = np.random.default_rng(0).dirichlet([0.3] * len(CLASS_NAMES), 200)
    class_id = decide(y_prob)
    assert set(class_id.tolist()) == {CLASS_NAMES.index(name) for name in MASK_CLASSES}
    assert all(
        (row[chosen] >= row[: len(MASK_CLASSES)]).all()
        for row, chosen in zip(y_prob, class_id, strict=True)
    )


def test_the_detector_and_its_confidence_are_the_ones_asked_for(monkeypatch):
    monkeypatch.setattr(
        detect, "load_detector", lambda *asked, **options: ("detector", *asked, options)
    )
    monkeypatch.setattr(detect, "load_classifier", lambda path: ("classifier", path))
    assert load_models("res10", 0.7, "a.onnx") == (
        ("detector", "res10", 0.7, {}),
        ("classifier", "a.onnx"),
    )
    assert load_models(tiled=False)[0] == ("detector", "fcos", 0.5, {"tiled": False})


@pytest.mark.parametrize("file", ANNOTATED)
def test_the_shipped_models_are_right_about_the_examples(models, file):
    truth = ANNOTATED[file]
    found = detect_masks(read_image(paths.EXAMPLES_DIR / file), *models)
    overlap = box_iou(truth[BOX_COLUMNS].to_numpy(), found.xyxy)
    assert overlap.shape == (len(truth), len(truth))
    assert overlap.max(axis=1).min() >= 0.5
    decided = [CLASS_NAMES[class_id] for class_id in decide(found.y_prob)[overlap.argmax(axis=1)]]
    assert decided == truth.class_name.tolist()


def test_a_folder_is_searched_past_its_broken_files(tmp_path, capsys):
    files = list_images(paths.EXAMPLES_DIR)
    (tmp_path / "text.jpg").write_text("no photograph")
    found = list(
        find_faces(
            [files[0], tmp_path / "text.jpg", str(files[1])], lambda image: Detections.empty()
        )
    )
    assert [path for path, _, _ in found] == files[:2]
    np.testing.assert_array_equal(found[1][1], read_image(files[1]))
    assert "text.jpg is not an image" in "".join(capsys.readouterr())
    assert list(find_faces([], lambda image: Detections.empty())) == []
