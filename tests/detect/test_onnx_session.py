"""Sessions: what a model file says of itself, and two models that take turns without waiting for each other."""

import pytest

from utils.detect.face_detector import DETECTOR_FILE
from utils.detect.mask_classifier import CLASSIFIER_FILE
from utils.detect.onnx_session import open_session


@pytest.mark.parametrize(
    ("path", "key"), [(DETECTOR_FILE, "strides"), (CLASSIFIER_FILE, "class_names")]
)
def test_the_shipped_models_open_with_their_metadata(path, key):
    session, metadata = open_session(path)
    assert key in metadata
    assert len(session.get_inputs()) == 1
    assert (
        session.get_session_options().get_session_config_entry("session.force_spinning_stop") == "1"
    )


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (None, FileNotFoundError, "is missing"),
        (b"", ValueError, "is damaged"),
        (b"no model", ValueError, "is damaged"),
    ],
)
def test_what_is_no_model_is_named(tmp_path, capfd, content, error, sentence):
    if content is not None:
        (tmp_path / "my.onnx").write_bytes(content)
    with pytest.raises(
        error, match=rf"^The model file {tmp_path / 'my.onnx'} {sentence}: restore it"
    ):
        open_session(tmp_path / "my.onnx")
    assert capfd.readouterr() == ("", "")
