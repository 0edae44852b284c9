"""A model file opened on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def open_session(path: str | Path) -> tuple[ort.InferenceSession, dict[str, str]]:
    """Open a model.

    Returns:
        The session, which several threads may use at once, and the metadata in the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"The model file {path} is missing: restore it with `git checkout` or train it anew."
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only
    # After a run a session's threads spin for a while in the hope of another; two models that take turns would wait for
    # each other's. On two cores a frame with both then takes 24 ms in the place of 42.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ValueError(
            f"The model file {path} is damaged: restore it with `git checkout` or train it anew."
        ) from error
    return session, session.get_modelmeta().custom_metadata_map
