"""Paths: model files are searched in the project first, then beside it."""

from pathlib import Path

import pytest

from utils import paths


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Return two empty model folders: of the project, and beside it."""
    project = tmp_path / "project" / "model"
    shared = tmp_path / "shared"
    monkeypatch.setattr(paths, "MODEL_DIR", project)
    monkeypatch.setattr(paths, "SHARED_DIR", shared)
    for folder in (project, shared / "models"):
        folder.mkdir(parents=True)
    return project, shared / "models"


def test_the_root_is_the_project():
    assert (paths.ROOT / "pyproject.toml").is_file()
    assert Path(paths.__file__).parent.parent == paths.ROOT
    assert (paths.EXAMPLES_DIR / "README.md").is_file()


@pytest.mark.parametrize(
    ("present", "expected"), [([0], 0), ([1], 1), ([0, 1], 0)], ids=["own", "shared", "both"]
)
def test_a_model_is_found_in_the_project_first(folders, present, expected):
    for position in present:
        (folders[position] / "net.onnx").write_bytes(b"net")
    assert paths.find_model("net.onnx") == folders[expected] / "net.onnx"


def test_an_error_names_the_missing_model_and_what_to_do(folders):
    (folders[0] / "net.onnx").mkdir()  # a folder is not a model file
    with pytest.raises(FileNotFoundError, match=r"net\.onnx is not in .*: run `make detectors`"):
        paths.find_model("net.onnx")


def test_crops_are_told_from_photographs(tmp_path):
    for file in ("crops/a/1.jpg", "mine/crops/1.jpg", "mine/crops/b/2.jpg", "mine/b/crops.jpg"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "mine/faces.csv").touch()
    found = [path for path in tmp_path.rglob("*.jpg") if paths.is_crop(path)]
    assert {path.relative_to(tmp_path).as_posix() for path in found} == {
        "mine/crops/1.jpg",
        "mine/crops/b/2.jpg",
    }
