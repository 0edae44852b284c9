"""Opening a model file with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import onnxruntime as ort

from utils.program import count_cores, describe_shortage

ERRORS_ONLY = 3  # ONNX Runtime's log level
_threads: ContextVar[int] = ContextVar("threads", default=0)  # of a session; 0 for all cores


@contextmanager
def share_cores(workers: int) -> Iterator[None]:
    """Open sessions for several workers at once in the ``with`` block: each gets its cores.

    Two images at once, each on one core, take a quarter less time than one after the other, each on
    two cores: parts of a model run on one core alone. The answers are the same.

    Args:
        workers: number of threads that use a session at once; 1 for the usual session.
    """
    threads = max(1, count_cores() // workers) if workers > 1 else 0
    token = _threads.set(threads)
    try:
        yield
    finally:
        _threads.reset(token)


def open_session(path: str | Path) -> tuple[ort.InferenceSession, dict[str, str]]:
    """Open a model file.

    Returns:
        The session, which several threads may use at once, and the metadata of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"The model file {path} is missing: check the path, or restore it with `git checkout`."
        )
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    # By default the threads of a session spin for a while after a run and wait for the next one.
    # That slows down a second session that runs in turn with the first: without spinning, a frame
    # with detector and classifier takes 24 ms instead of 42 ms on two cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Otherwise ONNX Runtime would replace sums in floats between 8-bit layers by sums in 8 bits,
    # see ``train.quantize_onnx``.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.intra_op_num_threads = _threads.get()
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        if describe_shortage(error):
            raise
        if Path(path).suffix == ".keras":
            raise ValueError(
                f"{path} is a Keras model, for training alone: name the .onnx file beside it."
            ) from error
        raise ValueError(
            f"The model file {path} is damaged: restore it with `git checkout` or train it anew."
        ) from error
    return session, session.get_modelmeta().custom_metadata_map
