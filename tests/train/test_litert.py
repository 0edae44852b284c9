"""LiteRT files: no operation of TensorFlow's own is left, and they answer as the ONNX files do."""

import json

import numpy as np
import pytest

from tests.onnx_square import OnnxModel
from utils.boxes import box_iou
from utils.classes import decide
from utils.curate import read_data
from utils.curate.source import USE_SAMPLE
from utils.detect import (
    PADDING,
    LiteRTModel,
    crop_faces,
    detect_masks_litert,
    find_faces_litert,
    load_pipeline,
    to_input,
)
from utils.detect import load_litert_models as load
from utils.images import list_images, read_image
from utils.labels import BOX_COLUMNS
from utils.paths import EXAMPLES_DIR, MODEL_DIR, SAMPLE_DIR
from utils.train.__main__ import main
from utils.train.litert import PRECISIONS, export_litert, list_litert_operations

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of the shipped models as LiteRT files, made by the command."""
    folder = tmp_path_factory.mktemp("litert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(USE_SAMPLE, "1")
        assert main(["export", "--to", "litert", "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def faces():
    """Return a hundred faces of the sample, as inference crops them."""
    table, _ = read_data(SAMPLE_DIR)
    table = table[(table.source == "scenes")].dropna(subset=BOX_COLUMNS)
    crops = []
    for file, rows in table.groupby("file"):
        crops += crop_faces(read_image(SAMPLE_DIR / file), rows[BOX_COLUMNS].to_numpy(), PADDING)
    for path in list_images(SAMPLE_DIR / "faces"):
        if path.stem != "cut_off":
            crops.append(read_image(path))
    return to_input(crops[:100], 112)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["face_detector", "mask_classifier"])
def test_operations_are_built_in(folder, name, precision):
    operations = list_litert_operations(folder / f"{name}_{precision}.tflite")
    assert "CONV_2D" in operations
    foreign = [name for name in operations if name.startswith("Flex") or not name.isupper()]
    assert foreign == []


def test_settings_are_those_of_the_onnx_file(folder):
    for name in ("face_detector", "mask_classifier"):
        onnx = OnnxModel(MODEL_DIR / f"{name}.onnx")
        assert json.loads((folder / f"{name}.json").read_text()) == onnx.settings


# The greatest mean difference of a probability, and the least share of equal answers. The ranges of
# the 8 bits were measured on drawn pictures, and most of these faces are drawn.
AGREEMENT = {"float16": (0.002, 1.0), "int8": (0.03, 0.9)}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_classifier_answers_as_onnx_on_a_hundred_faces(folder, faces, precision):
    _, classifier = load(folder, precision)
    assert len(faces) == 100
    y_prob = classifier(faces)
    expected = OnnxModel(MODEL_DIR / "mask_classifier.onnx")(faces)
    difference, share = AGREEMENT[precision]
    assert np.abs(y_prob - expected).mean() < difference
    assert (decide(y_prob) == decide(expected)).mean() >= share


@pytest.mark.parametrize(("precision", "share"), [("float16", 1.0), ("int8", 0.9)])
def test_the_detector_finds_the_faces_that_onnx_finds(folder, precision, share):
    detector, _ = load(folder, precision)
    onnx = OnnxModel(MODEL_DIR / "face_detector.onnx")
    same = []
    for path in list_images(SAMPLE_DIR / "scenes/images")[:12]:
        image = read_image(path)
        expected = find_faces_litert(image, onnx, min_confidence=0.6)
        found = find_faces_litert(image, detector, min_confidence=0.3)
        assert len(expected)
        same += (box_iou(expected.xyxy, found.xyxy).max(axis=1) > 0.8).tolist()
    assert np.mean(same) >= share


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="export --to litert"):
        load(tmp_path)


def test_a_model_that_is_none(tmp_path, capsys):
    arguments = ["export", "--to", "litert", "--model", str(tmp_path / "no.keras")]
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    assert "There is no" in capsys.readouterr().err


def test_eight_bits_need_pictures(tmp_path):
    for precision, sentence in (("int8", "need pictures"), ("int4", "no precision")):
        with pytest.raises(ValueError, match=sentence):
            export_litert(None, tmp_path / "m.tflite", (8, 8), precision=precision)


def test_a_model_has_the_size_of_its_input(folder):
    model = LiteRTModel(folder / "mask_classifier_int8.tflite", settings={})
    assert model.side == 112


@pytest.mark.parametrize("precision", PRECISIONS)
def test_faces_of_a_picture_are_judged_as_the_script_judges_them(folder, precision):
    image = read_image(EXAMPLES_DIR / "three_classes.jpg")
    expected = load_pipeline(passes=())(image)
    found = detect_masks_litert(image, *load(folder, precision))
    nearest = box_iou(expected.xyxy, found.xyxy).argmax(axis=1)
    assert len(found) == len(expected) == 3
    assert decide(found.y_prob)[nearest].tolist() == decide(expected.y_prob).tolist()
    assert found.is_unsure[nearest].tolist() == expected.is_unsure.tolist()
