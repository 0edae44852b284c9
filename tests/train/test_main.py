"""``python -m utils.train``: a training on drawn faces to a model that detection runs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.small_data import make_small_data
from utils.classes import CLASS_NAMES
from utils.curate.source import USE_SAMPLE
from utils.detect import FCOS, classify_faces, load_classifier
from utils.images import read_image
from utils.train.__main__ import INTERRUPTED_CODE, main
from utils.train.commands import classifier as classifier_command
from utils.train.commands import detector as detector_command
from utils.train.runs import EVENTS, read_runs

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return make_small_data(tmp_path_factory.mktemp("small_data"))


@pytest.fixture
def folder(small_data):
    """Return a folder of drawn faces with two classes, in class folders."""
    return small_data / "faces"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Keep trainings short, and on the photographs that ship."""
    monkeypatch.setenv(USE_SAMPLE, "1")
    monkeypatch.setattr(classifier_command, "STEPS_PER_EPOCH", (2, 2))
    monkeypatch.setattr(classifier_command, "NEGATIVES", 8)
    monkeypatch.setattr(detector_command, "STEPS_PER_EPOCH", (2, 2))
    monkeypatch.setattr(detector_command, "VALIDATION_STEPS", 1)
    monkeypatch.setattr(detector_command, "QUANTIZATION_BATCHES", 1)
    monkeypatch.setattr(detector_command, "VIEW", 96)


def make_arguments(folder, tmp_path, *more):
    model = tmp_path / "out/mine.keras"
    paths = ["--dataset", folder, "--model", model, "--runs", tmp_path / "runs"]
    return [str(word) for word in (*paths, "--batch-size", 8, *more)]


def stop_at_second_epoch(make_face_dataset):
    """Return the function with a Ctrl-C when the second epoch begins."""

    def stop(crops, weights, size, batch_size, first_step, steps, seed):
        if first_step > 0:
            raise KeyboardInterrupt
        return make_face_dataset(crops, weights, size, batch_size, first_step, steps, seed)

    return stop


def read_events(path, tag):
    """Return step and value of the scalars of a TensorBoard file, with TensorFlow's own reader."""
    found = []
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            if value.tag == tag:
                found.append((event.step, value.simple_value))
    return found


def test_a_folder_becomes_a_model_that_detection_runs(folder, tmp_path, monkeypatch, capsys):
    plot = tmp_path / "plot.png"
    arguments = make_arguments(folder, tmp_path, "--epochs", 2, "--plot", plot)
    with monkeypatch.context() as patch:
        stop = stop_at_second_epoch(classifier_command.make_face_dataset)
        patch.setattr(classifier_command, "make_face_dataset", stop)
        assert main(arguments) == INTERRUPTED_CODE
    assert "run the same command again" in capsys.readouterr().err
    assert read_runs(tmp_path / "runs").finished.tolist() == [1]

    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "each group on one side" in printed
    assert "bare_recall trained" in printed
    assert read_image(plot).ndim == 3
    assert read_image(tmp_path / "out/mine_confusion.png").ndim == 3

    classifier = load_classifier(tmp_path / "out/mine.onnx")
    assert classifier.unsure_below == load_classifier().unsure_below
    files = sorted((folder / "without_mask").glob("*.jpg"))[:4]
    y_prob = classify_faces(classifier, [read_image(file) for file in files])
    assert y_prob.shape == (4, len(CLASS_NAMES))

    (row,) = read_runs(tmp_path / "runs").to_dict("records")
    assert (row["finished"], row["network"], row["batch_size"]) == (2, "classifier", 8)
    run_dir = tmp_path / "runs" / row["run"]
    history = pd.read_csv(run_dir / "history.csv")
    assert row["val_loss"] == pytest.approx(history.val_loss.iloc[-1])
    of_loss = read_events(run_dir / EVENTS, "loss")
    np.testing.assert_allclose(of_loss, history[["epoch", "loss"]], rtol=1e-6)
    assert json.loads((run_dir / "settings.json").read_text())["settings"]["epochs"] == 2


def test_boxes_become_a_detector_that_the_script_loads(small_data, tmp_path, capsys):
    scenes = small_data / "scenes"
    arguments = make_arguments(scenes, tmp_path, "--epochs", 1)
    assert main(["detector", *arguments]) == 0
    assert "face AP at 0.5" in capsys.readouterr().out
    shipped = FCOS()
    for name in ("mine.onnx", "mine_int8.onnx"):
        detector = FCOS(path=tmp_path / "out" / name)
        assert (detector.strides, detector.side) == (shipped.strides, shipped.side)
        assert detector.calibration == shipped.calibration
    image = read_image(next((scenes / "images").glob("scene_*.jpg")))
    assert len(detector(image)) == len(shipped(image))
    (row,) = read_runs(tmp_path / "runs").to_dict("records")
    assert (row["finished"], row["network"]) == (1, "detector")


def test_a_recipe_of_others_becomes_a_model_of_two_classes(folder, tmp_path, capsys):
    arguments = make_arguments(folder, tmp_path, "--epochs", 1, "--recipe", "a", "--from", "none")
    assert main(arguments) == 2  # it has a batch size
    assert "leave out --batch-size" in capsys.readouterr().err
    position = arguments.index("--batch-size")
    assert main(arguments[:position] + arguments[position + 2 :]) == 0
    classifier = load_classifier(tmp_path / "out/mine.onnx")
    assert classifier.class_names == CLASS_NAMES[:2]
    y_prob = classify_faces(classifier, [read_image(next((folder / "with_mask").glob("*.jpg")))])
    assert y_prob[0, :2].sum() == pytest.approx(1, abs=1e-5)


WRONG = {
    "no folder": (["--dataset", "nowhere"], "There is no folder nowhere"),
    "no labels": (["--dataset", "empty"], "holds no labelled images"),
    "one class": (["--dataset", "one"], "shows only faces of the class with_mask: add"),
    "few photographs": (["--dataset", "few"], "too few for training, validation and test"),
    "no such start": (["--dataset", "few", "--from", "no.keras"], "no.keras: check the path"),
    "a start that is no model": (["--dataset", "few", "--from", "text.keras"], "no classifier"),
    "a model without its suffix": (["--dataset", "few", "--model", "m.onnx"], "end with .keras"),
    "a plot that is no image": (["--dataset", "few", "--plot", "plot.txt"], "no image file"),
}


@pytest.mark.parametrize(("arguments", "sentence"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_named_in_one_sentence(
    folder, tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.keras").write_text("no model")
    shutil.copytree(folder / "with_mask", "one/with_mask")
    for name in ("with_mask", "without_mask"):
        (tmp_path / "few" / name).mkdir(parents=True)
        (file, *_) = sorted((folder / name).glob("*.jpg"))
        shutil.copy(file, tmp_path / "few" / name / file.name)
    assert main([*arguments, "--runs", "runs"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in error
    assert error.endswith(".")
