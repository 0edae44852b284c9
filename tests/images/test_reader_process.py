"""A decoder that really crashes costs its file, and neither the run nor the program."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import draw_blocks
from utils.collect import extract_faces, find_broken_images, read_searched
from utils.detect.pipeline import find_faces
from utils.images import (
    ImageError,
    SourceError,
    decode_image_apart,
    end_readers,
    measure_image_apart,
    read_image,
    read_image_apart,
    read_upright_size,
    start_reader,
    write_image,
)
from utils.paths import EXAMPLES_DIR, ROOT
from utils.video import Video

# Python runs this file at its start: OpenCV's decoder then reads address 0, or is killed.
CRASHING_DECODER = """
import ctypes, os, signal
import cv2

decode = cv2.imdecode

def imdecode(buffer, *arguments):
    if b"CRASH" in buffer.tobytes():
        ctypes.string_at(0)
    if b"KILL" in buffer.tobytes():
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(buffer, *arguments)

cv2.imdecode = imdecode
"""


@pytest.fixture
def crash(tmp_path_factory, monkeypatch):
    """Let the decoder crash in children that start from now on."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(CRASHING_DECODER)
    end_readers()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield folder
    end_readers()


@pytest.fixture
def folder(tmp_path):
    """Three images; the decoder crashes on the second, a WebP, whose header does not suffice."""
    path = tmp_path / "photos"
    for name in ("a.png", "b.webp", "c.png"):
        write_image(path / name, draw_blocks(("with_mask", (20, 40, 60, 90))))
    data = (path / "b.webp").read_bytes()
    (path / "b.webp").write_bytes(data + b"CRASH")
    return path


def test_an_image_read_apart_is_the_same(tmp_path):
    for name in ("a.png", "a.jpg"):
        image = draw_blocks(("with_mask", (20, 40, 60, 90)))
        path = write_image(tmp_path / name, image)
        apart = read_image_apart(path)
        np.testing.assert_array_equal(apart, read_image(path))
        assert apart.flags.writeable
        assert measure_image_apart(path) == (160, 120)
        np.testing.assert_array_equal(decode_image_apart(path.read_bytes(), path)[0], apart)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
def test_a_bad_file_has_the_same_problem_apart(tmp_path, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError) as here:
        read_image(path)
    with pytest.raises(ImageError) as apart:
        read_image_apart(path)
    assert str(apart.value) == str(here.value)


@pytest.mark.parametrize("read", [read_image_apart, measure_image_apart])
def test_a_crash_is_one_sentence_and_the_next_image_is_read(crash, folder, read):
    read(folder / "a.png")
    with pytest.raises(ImageError, match=r"b\.webp cannot be read: its decoder crashed"):
        read(folder / "b.webp")
    read(folder / "c.png")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_child_that_is_killed_lacked_memory(crash, folder):
    (folder / "b.webp").write_bytes((folder / "b.webp").read_bytes() + b"KILL")
    (folder / "b.webp").write_bytes((folder / "b.webp").read_bytes().replace(b"CRASH", b""))
    with pytest.raises(ImageError, match="lack of memory"):
        read_image_apart(folder / "b.webp")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_child_that_was_killed_while_idle_costs_no_file(folder):
    end_readers()
    read_image_apart(folder / "a.png")
    children = subprocess.run(
        ["pgrep", "--parent", str(os.getpid()), "--full", "reader_process"],
        capture_output=True,
        text=True,
    ).stdout.split()
    assert children
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    time.sleep(0.3)
    assert read_image_apart(folder / "c.png").shape == (120, 160, 3)


def test_without_a_child_images_are_decoded_in_the_program(folder, monkeypatch):
    from utils.images import reader_process

    monkeypatch.setattr(reader_process, "_children", reader_process._Children())
    monkeypatch.setattr(sys, "executable", str(folder / "no_python"))
    start_reader()
    assert read_image_apart(folder / "a.png").shape == (120, 160, 3)
    assert measure_image_apart(folder / "a.png") == (160, 120)


def test_a_crash_costs_one_file_in_a_check(crash, folder):
    broken = find_broken_images(folder)
    assert [os.path.basename(file) for file in broken.file] == ["b.webp"]
    assert "its decoder crashed" in broken.problem[0]


def test_a_crash_costs_one_file_in_an_extraction(crash, folder, tmp_path, pipeline):
    extract_faces(folder, pipeline, tmp_path / "crops")
    searched = read_searched(tmp_path / "crops").set_index("file")
    assert "its decoder crashed" in searched.problem["b.webp"]
    assert searched.problem["a.png"] == searched.problem["c.png"] == ""


def test_a_crash_costs_one_file_for_a_detector(crash, folder, pipeline):
    files = sorted(folder.iterdir())
    assert [file.name for file, *_ in find_faces(files, pipeline)] == ["a.png", "c.png"]


def test_a_crash_costs_one_frame_in_a_folder_played_as_a_video(crash, folder):
    messages = []
    frames = []
    with pytest.raises(SourceError, match="1 of 3 images could not be read"):
        for frame in Video(folder, messages.append):
            frames.append(frame)
    assert len(frames) == 2
    assert any("its decoder crashed" in message for message in messages)


def test_a_crash_gives_no_size(crash, folder):
    with pytest.raises(ImageError, match="its decoder crashed"):
        read_upright_size(folder / "b.webp")


@pytest.mark.slow
def test_a_crash_costs_one_file_in_the_script(crash, folder, tmp_path):
    (folder / "face.jpg").write_bytes((EXAMPLES_DIR / "three_classes.jpg").read_bytes())
    done = subprocess.run(
        [sys.executable, ROOT / "03-detect_face_using_mask.py", "--image", folder, "--no-show"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(crash)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "3 images, 3 faces" in done.stdout
    assert done.stderr.count("its decoder crashed") == 1
    assert "Traceback" not in done.stderr
