"""The libraries that read and write videos."""

import pytest

from utils.video import sources
from utils.video.media import encoders


@pytest.fixture(params=["PyAV", "OpenCV"])
def library(request, monkeypatch) -> str:
    """Return what reads and writes files: PyAV, or OpenCV as in the core installation."""
    if request.param == "PyAV":
        pytest.importorskip("av")
    else:
        hide_pyav(monkeypatch)
    return request.param


@pytest.fixture
def without_pyav(monkeypatch) -> None:
    """Read and write files with OpenCV, as in the core installation."""
    hide_pyav(monkeypatch)


def hide_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sources, encoders):
        monkeypatch.setattr(module, "import_av", lambda: None)
