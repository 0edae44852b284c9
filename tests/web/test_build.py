"""Building the page: what comes from npm is checked, and what fails is said."""

import json
import os
import shutil
import stat

import pytest

from tests.conftest import RUNTIME_DIR
from utils.web import WebError, build
from utils.web.__main__ import run_web


def write_npm(folder, text):
    """Write a program that is found as npm."""
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{text}\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("npm", "message"),
    [
        ("echo 'npm error network' >&2; exit 1", r"could not fetch .* \(npm error network\)"),
        ("exit 0", r"could not fetch .* \(exit status 0\)"),
        (
            "mkdir -p package/dist && echo evil > package/dist/ort.wasm.min.mjs"
            ' && tar czf "$5/a.tgz" package',
            "ort.wasm.min.mjs of .* is not the expected file: its SHA-256 differs",
        ),
        (
            'mkdir package && tar czf "$5/a.tgz" package',
            "ort.wasm.min.mjs of .* is not the expected file",
        ),
    ],
    ids=["no network", "nothing", "changed", "missing"],
)
def test_a_runtime_that_is_not_the_expected_one_is_refused(tmp_path, monkeypatch, npm, message):
    monkeypatch.setenv("PATH", write_npm(tmp_path, npm)["PATH"])
    with pytest.raises(WebError, match=message):
        build.fetch_runtime(tmp_path / "runtime")
    assert not list(tmp_path.glob("runtime/*"))


def test_without_npm_a_sentence_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_web(["build", "--folder", str(tmp_path / "page")]) == 2
    assert capsys.readouterr().err.startswith("npm is missing, which fetches onnxruntime-web@")


@pytest.mark.page
def test_the_service_worker_keeps_every_file_and_changes_with_them(tmp_path):
    shutil.copytree(RUNTIME_DIR, tmp_path / "runtime")
    build.build_page(tmp_path)
    worker = (tmp_path / build.WORKER).read_text()
    start = worker.index("const FILES = ") + len("const FILES = ")
    files = json.loads(worker[start : worker.index(";", start)])
    built = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert set(files) == built - {build.WORKER} | {"./"}
    assert "face-mask-VERSION" not in worker
    build.build_page(tmp_path)
    assert (tmp_path / build.WORKER).read_text() == worker
