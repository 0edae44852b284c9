"""The script over many images: the same files from any workers, after any interruption."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.batch.conftest import cluster as cluster  # the fixture
from utils.images import list_images
from utils.paths import ROOT, SAMPLE_DIR

SCRIPT = ROOT / "03-detect_face_using_mask.py"
SCENES = list_images(SAMPLE_DIR / "scenes" / "images")
PATIENCE_S = 300


def run_script(folder: Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(make_command(*options), cwd=folder, capture_output=True, text=True)


def make_command(*options: str) -> list[str]:
    outputs = ["--output", "copies", "--json", "faces.json", "--csv", "faces.csv"]
    return [sys.executable, str(SCRIPT), "--image", "photos", "--no-show", *outputs, *options]


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of everything that a run wrote, by its path."""
    files = [folder / "faces.json", folder / "faces.csv", *(folder / "copies").rglob("*")]
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in files if file.is_file()
    }


def fill(folder: Path, count: int) -> Path:
    """Make a folder of photographs, three of them damaged, and return the folder above it."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for number in range(count):
        shutil.copy(SCENES[number % len(SCENES)], photos / f"{number}.jpg")
    (photos / "1.jpg").write_text("no photograph")
    (photos / "4.jpg").write_bytes((photos / "4.jpg").read_bytes()[:900])
    (photos / "5.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the script writes with threads, which few images get."""
    folder = fill(tmp_path_factory.mktemp("expected"), 24)
    done = run_script(folder)
    assert done.returncode == 1
    return read_files(folder), done


WAYS = {
    "this process": ["--workers", "1"],
    "two processes": ["--workers", "2"],
    "more processes than cores": ["--workers", "1000"],
    "cluster": ["--scheduler"],
}


@pytest.mark.slow
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_files_are_the_same_byte_for_byte(expected, tmp_path, request, options):
    files, done_before = expected
    if options == ["--scheduler"]:
        options = ["--scheduler", request.getfixturevalue("cluster")]
    folder = fill(tmp_path, 24)
    done = run_script(folder, *options)
    assert read_files(folder) == files
    assert (done.returncode, done.stdout) == (1, done_before.stdout)
    problems = list_problems(done)
    assert problems == list_problems(done_before) and len(problems) == 3
    assert ("--workers 1000 is more than this machine has cores" in done.stderr) == (
        "1000" in options
    )


def list_problems(done: subprocess.CompletedProcess) -> list[str]:
    """Return the messages about photographs, without the progress bar."""
    return re.findall(r"\S*photos/\d+\.jpg .*", done.stderr)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without a signal")
def test_after_ctrl_c_the_files_are_complete_and_resume_goes_on(expected, tmp_path):
    folder = fill(tmp_path, 24)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # children would ignore it too
    with subprocess.Popen(
        make_command("--workers", "2"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            wait_for_copies(folder, 6)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in err) == (1, False)
    assert out.rstrip().endswith("stopped before the end.")
    assert "The same command with --resume goes on from here." in err
    done = list((folder / "copies").glob("*.jpg"))
    images = json.loads((folder / "faces.json").read_text())["images"]
    assert sorted(Path(image["file"]).stem for image in images) == sorted(
        copy.stem for copy in done
    )
    resumed = run_script(folder, "--workers", "2", "--resume")
    assert "of 24 images were done by an earlier run." in resumed.stderr
    assert read_files(folder) == expected[0]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--workers", "1"]], ids=["threads", "job"])
def test_results_of_a_run_over_other_images_are_named_and_kept(tmp_path, options):
    fill(tmp_path, 9)
    other = tmp_path / "copies" / ".job" / "ab" / "abc-1.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text('["", ""]\n')
    done = run_script(tmp_path, *options)
    assert "copies/.job has the results of another run" in done.stderr
    assert list((tmp_path / "copies" / ".job").rglob("*.jsonl")) == [other]
    shutil.rmtree(other.parent.parent)
    assert ".job" not in run_script(tmp_path, *options).stderr
    assert not other.parent.parent.exists()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Photographs, and what a run over them left that was killed when a third was done."""
    folder = fill(tmp_path_factory.mktemp("interrupted"), 24)
    with start(folder, "--workers", "1") as process:
        deadline = time.monotonic() + PATIENCE_S
        while count_results(folder) < 8:
            assert time.monotonic() < deadline, "The job does not go on."
            time.sleep(0.02)
        process.kill()
    return folder


@pytest.fixture
def left(interrupted, tmp_path):
    """A copy of what the interrupted run left; the number of results that it has."""
    folder = tmp_path / "left"
    shutil.copytree(interrupted, folder)
    return folder, count_results(folder)


@pytest.mark.slow
def test_resume_writes_copies_again_that_are_gone_or_cut_off(expected, left):
    folder, done = left
    (folder / "copies" / "0.jpg").unlink()
    cut = folder / "copies" / "2.jpg"
    cut.write_bytes(cut.read_bytes()[:-100])
    resumed = run_script(folder, "--workers", "1", "--resume")
    assert read_files(folder) == expected[0]
    # Three photographs are broken, and are tried again.
    assert f"{done - 3 - 2} of 24 images were done by an earlier run." in resumed.stderr


@pytest.mark.slow
def test_resume_goes_on_with_an_image_more_and_one_less(expected, left, tmp_path):
    folder, done = left
    (folder / "photos" / "3.jpg").unlink()
    shutil.copy(SCENES[0], folder / "photos" / "3b.jpg")
    resumed = run_script(folder, "--resume")
    assert f"{done - 3 - 1} of 24 images were done by an earlier run." in resumed.stderr
    shutil.copytree(folder / "photos", tmp_path / "anew" / "photos")
    run_script(tmp_path / "anew")
    files = read_files(folder)
    assert files.pop("copies/3.jpg")  # of the image that is no more
    assert files == read_files(tmp_path / "anew")


SPELLINGS = {
    "a slash more": (["--image", "photos/", "--output", "copies"], []),
    "absolute paths": (["--image", "photos", "--output", "{folder}/x/../copies"], []),
    "a glob": (["--image", "photos/*", "--output", "copies"], []),
    "on a cluster": (["--image", "photos", "--output", "copies"], ["--scheduler", "{cluster}"]),
}


@pytest.mark.slow
@pytest.mark.parametrize(("paths", "place"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_resume_goes_on_with_other_words_for_the_same(left, expected, request, paths, place):
    folder, done = left
    (folder / "x").mkdir()
    words = {"folder": folder}
    if place:
        words["cluster"] = request.getfixturevalue("cluster")
    options = [word.format(**words) for word in [*paths, *place]]
    outputs = ["--json", "faces.json", "--csv", "faces.csv", "--no-show", "--resume"]
    command = [sys.executable, str(SCRIPT), *options, *outputs]
    resumed = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert f"{done - 3} of 24 images were done by an earlier run." in resumed.stderr
    assert read_files(folder) == expected[0]


RUNS = {
    "nothing to go on with": (
        ["--resume", "--output", "empty"],
        "--resume: empty has no results of a run that ended early, so all images are processed.",
    ),
    "other options": (
        ["--resume", "--min-confidence", "0.6"],
        "--resume: the results in copies are of other images, options or models",
    ),
    "begun anew": (["--workers", "1"], "An earlier run over these images ended early."),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "message"), RUNS.values(), ids=RUNS.keys())
def test_what_becomes_of_earlier_results_is_said(left, options, message):
    folder, count = left
    done = run_script(folder, *options)
    assert message in done.stderr and "Traceback" not in done.stderr
    assert "done by an earlier run" not in done.stderr
    # Those of other options are kept.
    assert count_results(folder) == (0 if "begins anew" in done.stderr else count)


@pytest.mark.slow
def test_copies_of_a_run_with_other_options_are_written_again(left):
    """A copy of the same size is not enough: a blurred one may have that of another."""
    folder, _ = left
    shutil.rmtree(folder / "copies")
    done = run_script(folder, "--workers", "1", "--blur-faces", "--csv", "/dev/full")
    assert "The same command with --resume goes on from here." in done.stderr
    blurred = read_files(folder)
    for file in (folder / "copies").glob("*.jpg"):
        content = bytearray(file.read_bytes())
        content[-100:] = bytes(100)
        file.write_bytes(content)
    done = run_script(folder, "--workers", "1", "--blur-faces", "--resume")
    files = read_files(folder)
    for name, content in blurred.items():
        if name.endswith(".jpg"):
            assert files[name] == content


@pytest.mark.slow
def test_a_run_that_is_stopped_reports_what_it_did_itself(left):
    folder, _ = left
    for file in (folder / "copies").glob("*.jpg"):
        file.unlink()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with start(folder, "--workers", "1", "--resume") as process:
        wait_for_copies(folder, 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    images = json.loads((folder / "faces.json").read_text())["images"]
    copies = (folder / "copies").glob("*.jpg")
    assert {Path(image["file"]).stem for image in images} == {copy.stem for copy in copies}


@pytest.mark.slow
def test_results_that_are_deleted_meanwhile_are_an_error(tmp_path):
    folder = fill(tmp_path, 24)
    with start(folder, "--workers", "1") as process:
        wait_for_copies(folder, 10)
        for result in (folder / "copies" / ".job").rglob("*.jsonl"):
            result.unlink()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "Traceback" not in err
    assert "copies/.job: do not delete or change them while the program runs." in err
    assert not list(folder.glob("faces.*"))


@pytest.mark.slow
def test_labels_wait_for_the_end_of_a_run(left):
    folder, _ = left
    labels = ["--workers", "1", "--labels", "coco", "labels", "--resume"]
    failed = run_script(folder, *labels, "--csv", "/dev/full")
    assert "The labels are not written, because the run is not complete." in failed.stderr
    assert "The same command with --resume goes on from here." in failed.stderr
    assert not list((folder / "labels").rglob("*"))
    run_script(folder, *labels)
    images = json.loads((folder / "labels/annotations/instances_default.json").read_text())
    assert len(images["images"]) == 21


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a process")
def test_a_run_that_did_nothing_replaces_no_file(tmp_path):
    folder = fill(tmp_path, 24)
    (folder / "faces.json").write_text("of an earlier run")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with start(folder, "--workers", "2") as process:
        deadline = time.monotonic() + PATIENCE_S
        while not (folder / "copies" / ".job").exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "Traceback" not in err
    assert "Stopped" in err  # by the program, or by the job if that has begun
    assert (folder / "faces.json").read_text() == "of an earlier run"
    assert count_results(folder) == 0 and "--resume" not in err


@pytest.mark.slow
def test_a_file_in_the_place_of_the_job_is_named(tmp_path):
    folder = fill(tmp_path, 6)
    (folder / "copies").mkdir()
    (folder / "copies" / ".job").touch()
    done = run_script(folder, "--workers", "1")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert ".job cannot be used (File exists): make room on the disk, or choose" in done.stderr


@pytest.mark.slow
def test_a_start_that_fails_leaves_no_folder(tmp_path):
    pytest.importorskip("distributed", reason="no Dask: install the extra cluster")
    done = run_script(fill(tmp_path, 6), "--scheduler", "tcp://127.0.0.1:1")
    assert "No Dask scheduler answers at tcp://127.0.0.1:1" in done.stderr
    assert not list((tmp_path / "copies").iterdir())


@pytest.mark.slow
def test_copies_that_failed_are_tried_again(tmp_path, expected):
    folder = fill(tmp_path, 24)
    (folder / "copies" / "7.jpg").mkdir(parents=True)
    done = run_script(folder, "--workers", "1")
    assert "7.jpg" in done.stderr and "--resume goes on from here" in done.stderr
    (folder / "copies" / "7.jpg").rmdir()
    resumed = run_script(folder, "--workers", "1", "--resume")
    assert "20 of 24 images were done by an earlier run." in resumed.stderr
    assert read_files(folder) == expected[0] and count_results(folder) == 0


@pytest.mark.slow
def test_images_among_their_copies_cannot_be_resumed(tmp_path):
    fill(tmp_path, 6)
    command = [sys.executable, str(SCRIPT), "--image", "photos", "--output", "photos", "--no-show"]
    done = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "because photos holds both: name another folder with --output." in done.stderr
    assert len(list((tmp_path / "photos").iterdir())) == 6


@pytest.mark.slow
def test_a_full_disk_leaves_the_tables_of_what_was_done(tmp_path, expected):
    """Files in the place of folders stand for the disk: no further result can be written."""
    folder = fill(tmp_path, 24)
    with start(folder, "--workers", "1") as process:
        wait_for_copies(folder, 6)
        job = folder / "copies" / ".job"
        for number in range(256):
            with contextlib.suppress(FileExistsError, IsADirectoryError):
                (job / f"{number:02x}").touch(exist_ok=False)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "Traceback" not in err
    assert len(re.findall(r"jsonl cannot be (?:written|replaced) \(", err)) == 1
    assert "The same command with --resume goes on from here." in err
    assert out.rstrip().endswith("stopped before the end.")
    images = json.loads((folder / "faces.json").read_text())["images"]
    assert 0 < len(images) < 21 and len(pd.read_csv(folder / "faces.csv").file.unique()) > 0
    for file in job.iterdir():
        if file.is_file():
            file.unlink()
    assert "were done by an earlier run" in run_script(folder, "--resume").stderr
    assert read_files(folder) == expected[0]


def wait_for_copies(folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(list((folder / "copies").glob("*.jpg"))) < count:
        assert time.monotonic() < deadline, "No image is processed."
        time.sleep(0.05)


def list_workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the worker processes of the script. Its other children decode images."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def list_cluster_workers(address: str) -> list[psutil.Process]:
    """Return the worker processes of a cluster on this machine, without those that just died."""
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=PATIENCE_S)
        pids = client.run(os.getpid, on_error="ignore").values()
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("place", ["processes", "cluster"])
def test_workers_and_client_that_are_killed_lose_and_double_nothing(tmp_path, request, place):
    """Ten times a worker, and twice the client, at random moments."""
    fill(tmp_path / "whole", 240)
    run_script(tmp_path / "whole", "--workers", "1")
    folder = fill(tmp_path / "killed", 240)
    chance = random.Random(0)
    options = ["--workers", "2", "--resume"]
    find_workers = list_workers
    if place == "cluster":
        address = request.getfixturevalue("cluster")
        options = ["--scheduler", address, "--resume"]

        def find_workers(_: subprocess.Popen) -> list[psutil.Process]:
            return list_cluster_workers(address)

    for _ in range(2):
        with start(folder, *options) as process:
            for _ in range(3):
                kill_a_worker(process, folder, chance, find_workers)
            wait_for_results(folder, chance)
            workers = list_workers(process)
            process.kill()
        _, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
        assert not alive and not list(folder.glob("faces.*"))
    with start(folder, *options) as process:
        for _ in range(4):
            kill_a_worker(process, folder, chance, find_workers)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert "of 240 images were done by an earlier run." in err
    assert read_files(folder) == read_files(tmp_path / "whole")
    assert not list((folder / "copies").glob(".job"))


def wait_for_results(folder: Path, chance: random.Random) -> None:
    """Wait until a random number of shards are done, and then for a moment more."""
    goal = count_results(folder) + chance.randint(1, 5)
    deadline = time.monotonic() + PATIENCE_S
    while count_results(folder) < goal:
        assert time.monotonic() < deadline, "The job does not go on."
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.1))


def count_results(folder: Path) -> int:
    return len(list((folder / "copies").glob(".job/*/*.jsonl")))


def start(folder: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        make_command(*options),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_a_worker(
    process: subprocess.Popen,
    folder: Path,
    chance: random.Random,
    find_workers: Callable[[subprocess.Popen], list[psutil.Process]],
) -> None:
    """Kill one worker of the script at a random moment."""
    wait_for_results(folder, chance)
    chance.choice(find_workers(process)).kill()


@pytest.mark.slow
def test_parquet_holds_the_table_of_the_csv_file(tmp_path):
    pytest.importorskip("pyarrow", reason="no PyArrow: install the extra cluster")
    folder = fill(tmp_path, 8)
    assert run_script(folder, "--workers", "1").returncode == 1
    expected = pd.read_csv(folder / "faces.csv")
    options = ["--output-format", "parquet", "--csv", "faces.parquet"]
    assert run_script(folder, *options).returncode == 1
    found = pd.read_parquet(folder / "faces.parquet")
    assert len(found) > 5
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert found.unsure.dtype == bool and found.x_min.dtype == "int32"
