"""Sessions: metadata and settings of the shipped models, and files that are no model."""

import pytest

from utils.detect.face_detector import DETECTOR_FILE
from utils.detect.mask_classifier import CLASSIFIER_FILE
from utils.detect.onnx_session import open_session


@pytest.mark.parametrize(
    ("path", "key"), [(DETECTOR_FILE, "strides"), (CLASSIFIER_FILE, "class_names")]
)
def test_the_shipped_models_open_with_their_metadata_and_do_not_spin(path, key):
    session, metadata = open_session(path)
    assert key in metadata
    assert len(session.get_inputs()) == 1
    options = session.get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, "is missing: check the path, or restore it"),
        (b"", ValueError, "is damaged: restore it"),
        (b"no model", ValueError, "is damaged: restore it"),
    ],
    ids=["missing", "empty", "text"],
)
def test_a_file_that_is_no_model_is_named(tmp_path, capfd, content, error, message):
    path = tmp_path / "my.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=rf"^The model file {path} {message} with `git checkout`"):
        open_session(path)
    assert capfd.readouterr() == ("", "")


def test_a_keras_model_is_sent_to_its_onnx_file(tmp_path):
    (tmp_path / "masks.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match="masks.keras is a Keras model.*: name the .onnx file"):
        open_session(tmp_path / "masks.keras")
