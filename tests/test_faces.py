"""Faces: the detectors find the annotated faces of the example pictures, at any size of the picture."""

import numpy as np
import pytest

from utils import faces, paths
from utils.boxes import Detections, box_iou, clip_boxes
from utils.crops import crop_faces
from utils.faces import DETECTORS, RES10_FILES, YUNET_FILE, find_faces, load_detector, without_known
from utils.images import list_images, read_image, resize_image
from utils.labels import BOX_COLUMNS, read_voc_folder

MODEL_FILES = {"yunet": (YUNET_FILE,), "res10": RES10_FILES}
ANNOTATED = dict(tuple(read_voc_folder(paths.EXAMPLES_DIR)[0].groupby("file")))
EXTREMES = [(1, 1), (3, 2), (1, 4000), (4000, 1), (60, 20_000)]  # height and width


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request):
    try:
        return load_detector(request.param)
    except FileNotFoundError as error:
        pytest.skip(f"{error} It is in neither folder of models.")


def test_every_detector_has_its_files_here():
    assert MODEL_FILES.keys() == DETECTORS.keys()


@pytest.mark.parametrize("file", ANNOTATED)
def test_the_annotated_faces_are_found(detector, file):
    image, truth = read_image(paths.EXAMPLES_DIR / file), ANNOTATED[file][BOX_COLUMNS].to_numpy()
    found = detector(image)
    assert box_iou(truth, found.xyxy).max(axis=1, initial=0).min() >= 0.5
    np.testing.assert_array_equal(found.xyxy, clip_boxes(found.xyxy, image.shape[1::-1]))
    assert ((found.confidence >= 0.5) & (found.confidence <= 1)).all()
    assert found.y_prob is None


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_boxes_grow_with_the_image(detector, scale):
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    larger = resize_image(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
    boxes, scaled = detector(image).xyxy, detector(larger).xyxy / scale
    assert len(boxes) == len(scaled) == len(ANNOTATED["three_classes.jpg"])
    assert box_iou(boxes, scaled).max(axis=1).min() > 0.8


def test_a_higher_confidence_leaves_fewer_boxes(detector):
    image = read_image(paths.EXAMPLES_DIR / "hopper_with_mask.jpg")
    many, few = (type(detector)(min_confidence=value)(image) for value in (0.1, 0.6))
    assert len(many) > len(few) >= 1
    assert (few.confidence >= 0.6).all()


def test_a_detector_gets_the_colours_it_was_trained_on(detector):
    images = [read_image(paths.EXAMPLES_DIR / file) for file in ANNOTATED]
    swapped = [np.ascontiguousarray(image[:, :, ::-1]) for image in images]
    right, wrong = (np.concatenate([detector(image).confidence for image in part]) for part in (images, swapped))
    assert right.mean() > wrong.mean()


@pytest.mark.parametrize("size", EXTREMES, ids=str)
def test_an_image_of_any_shape_is_searched(detector, size):
    assert len(detector(np.full((*size, 3), 128, np.uint8))) == 0


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match=r"no detector 'haar': use one of yunet, res10"):
        load_detector("haar")


@pytest.mark.parametrize("name", DETECTORS)
def test_a_missing_or_damaged_model_file_is_named_in_a_sentence(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(paths, "MODEL_DIR", tmp_path)
    monkeypatch.setattr(paths, "SHARED_DIR", tmp_path)
    with pytest.raises(FileNotFoundError, match=f"{MODEL_FILES[name][0]} is not in .*: run `make models`"):
        load_detector(name)
    for content in (b"", b"no net"):
        for file in MODEL_FILES[name]:
            (tmp_path / file).write_bytes(content)
        with pytest.raises(ValueError, match=f"{MODEL_FILES[name][0]} is damaged: .*`make models`"):
            load_detector(name)
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_searched_past_its_broken_files(tmp_path, capsys):
    files = list_images(paths.EXAMPLES_DIR)
    (tmp_path / "text.jpg").write_text("no photograph")
    found = list(find_faces([files[0], tmp_path / "text.jpg", str(files[1])], lambda image: Detections.empty()))
    assert [path for path, _, _ in found] == files[:2]
    np.testing.assert_array_equal(found[1][1], read_image(files[1]))
    assert "text.jpg is not an image" in "".join(capsys.readouterr())
    assert list(find_faces([], lambda image: Detections.empty())) == []


KNOWN = {
    "none": ([], [0, 1, 2]),
    "one": ([[0, 0, 10, 10]], [1, 2]),
    "two": ([[18, 18, 30, 30], [2, 2, 12, 12]], [1]),
    "a corner touched": ([[9, 9, 19, 19]], [0, 1, 2]),
}


@pytest.mark.parametrize(("known", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_detections_on_known_faces_are_left_out(known, expected):
    xyxy = np.array([[0, 0, 10, 10], [60, 60, 80, 80], [20, 20, 30, 30]], np.float32)
    detections = Detections(xyxy, np.array([0.9, 0.8, 0.7], np.float32))
    np.testing.assert_array_equal(without_known(detections, known).xyxy, xyxy[expected])
    assert len(without_known(Detections.empty(), known)) == 0


def test_the_crop_for_callers_from_outside_is_the_one_of_training():
    assert faces.crop_faces is crop_faces
