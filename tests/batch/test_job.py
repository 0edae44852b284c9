"""Jobs over files: their order, what is resumed, and what happens when a worker dies."""

import errno
import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.batch.conftest import start_cluster, take_all
from tests.batch.tasks import Square, Unready, Unwritable
from utils.batch import Job, JobError, Outcome
from utils.batch.shards import choose_shard_size, cut_into_shards
from utils.paths import ROOT

KILLS = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
WHERE = [
    pytest.param({"workers": 1}, id="this process"),
    pytest.param({"workers": 2}, id="two processes", marks=pytest.mark.slow),
    pytest.param({"scheduler": "cluster"}, id="cluster", marks=pytest.mark.slow),
]


@pytest.fixture(params=WHERE)
def where(request):
    """Where a job runs, as arguments of Job."""
    if "scheduler" in request.param:
        return {"scheduler": request.getfixturevalue("cluster")}
    return request.param


@pytest.fixture
def task(tmp_path):
    return Square(tmp_path / "calls.txt")


@pytest.mark.parametrize("count", [0, 1, 2, 63, 200])
def test_outcomes_come_once_and_in_the_order_of_the_files(where, make_items, task, tmp_path, count):
    answers = take_all(Job(task, make_items(count), tmp_path / "job", **where))
    assert list(answers.items()) == [(number, number**2) for number in range(count)]
    assert len(task.list_calls()) == count


def test_outcomes_can_be_read_again_until_the_job_is_deleted(make_items, task, tmp_path):
    job = Job(task, make_items(5), tmp_path / "job", workers=1)
    take_all(job)
    assert [outcome.value for outcome in job.read_outcomes()] == [0, 1, 4, 9, 16]
    job.delete()
    assert not (tmp_path / "job").exists()
    with pytest.raises(JobError, match="Results are missing"):
        list(job.read_outcomes())


@pytest.mark.parametrize("count", [127, 255, 1023, 4095])
def test_a_job_is_cut_as_before_where_the_size_of_shards_doubles(task, tmp_path, count):
    items = [(f"IMG_{number}.jpg",) for number in range(count + 1)]
    job = Job(task, items[:-1], tmp_path / "job", workers=1)
    take_all(job)
    del job
    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=True)
    job.stop()
    assert job.results_found - 2 <= job.results_fit <= job.results_found


def test_a_job_deletes_no_other_file(make_items, task, tmp_path):
    mine = tmp_path / "job" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("by hand")
    with pytest.raises(JobError):
        Job(task, make_items(3), tmp_path / "job", scheduler="nonsense")
    job = Job(task, make_items(3), tmp_path / "job", workers=1)
    take_all(job)
    job.delete()
    assert list((tmp_path / "job").iterdir()) == [mine]


def test_the_results_of_another_job_can_be_kept(make_items, task, tmp_path):
    items = make_items(6)
    take_all(Job(task, items[:2], tmp_path / "job", workers=1))
    job = Job(task, items[2:], tmp_path / "job", workers=1)
    take_all(job)
    job.delete_own()
    again = Job(task, items, tmp_path / "job", workers=1, is_resumed=True)
    take_all(again)
    assert again.resumed == 2
    again.delete_own()
    assert not (tmp_path / "job").exists()


def test_a_file_with_a_problem_costs_that_file(where, make_items, task, tmp_path):
    items = make_items(4)
    Path(items[1][0]).write_text("10001")
    Path(items[2][0]).write_text("no number")
    answers = take_all(Job(task, items, tmp_path / "job", **where))
    assert (answers[0], answers[3]) == (0, 9)
    assert answers[1] == "0001.txt is too large: write a smaller number."
    assert answers[2].startswith(f"{items[2][0]} cannot be processed: ValueError: ")


def test_a_task_that_cannot_be_loaded_ends_the_job(where, make_items, tmp_path):
    with pytest.raises(FileNotFoundError, match="The model file is missing"):
        take_all(Job(Unready(), make_items(3), tmp_path / "job", **where))


@pytest.mark.slow
@KILLS
def test_files_that_kill_their_worker_are_named_and_left_out(make_items, tmp_path):
    items = make_items(200)
    task = Square(tmp_path / "calls.txt", deadly=("0003.txt", "0130.txt"))
    answers = take_all(Job(task, items, tmp_path / "job", workers=2))
    for number in (3, 130):
        assert f"{number:04}.txt ended its worker 2 times" in answers.pop(number)
    assert answers == {number: number**2 for number in range(200) if number not in (3, 130)}
    calls = task.list_calls()
    assert max(calls.count(name) for name in set(calls)) == 3  # in its shard, and twice alone


@pytest.mark.slow
@KILLS
def test_a_file_that_kills_workers_of_a_cluster_is_named(cluster, make_items, tmp_path):
    task = Square(tmp_path / "calls.txt", deadly=("0001.txt",))
    answers = take_all(Job(task, make_items(3), tmp_path / "job", scheduler=cluster))
    assert "0001.txt ended its worker" in answers[1]
    assert (answers[0], answers[2]) == (0, 4)


def stop_after(job: Job, count: int) -> int:
    """Stop a job after some outcomes, and return the number of all that it gives."""
    seen = 0
    with job:
        while (found := job.take()) is not None:
            seen += len(found)
            if seen >= count:
                job.stop()
    return seen


def test_a_stopped_job_goes_on_where_it_ended(where, make_items, tmp_path):
    items = make_items(130)
    task = Square(tmp_path / "calls.txt", seconds=0.005)
    seen = stop_after(Job(task, items, tmp_path / "job", **where), 10)
    calls = task.list_calls()
    assert 10 <= seen < 130 and len(calls) == seen  # each file that was processed is reported
    job = Job(task, items, tmp_path / "job", is_resumed=True, **where)
    assert take_all(job) == {number: number**2 for number in range(130)}
    assert job.resumed == seen
    assert len(task.list_calls()) == seen + 130 - job.resumed


CHANGES = {
    "nothing": ({}, False, 0),
    "another setting": ({"seconds": 0.001}, False, 6),
    "one file": ({}, True, 1),
}


@pytest.mark.parametrize(("settings", "is_changed", "done"), CHANGES.values(), ids=CHANGES.keys())
def test_only_what_changed_is_done_again(make_items, tmp_path, settings, is_changed, done):
    items = make_items(6)
    take_all(Job(Square(tmp_path / "calls.txt"), items, tmp_path / "job", workers=1))
    if is_changed:
        items[2] = (str(Path(items[2][0]).rename(tmp_path / "2.txt")),)
    task = Square(tmp_path / "again.txt", **settings)
    if not settings:  # the log is a setting too
        task = Square(tmp_path / "calls.txt")
    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=True)
    take_all(job)
    assert (job.resumed, len(task.list_calls()) - 6 * (not settings)) == (6 - done, done)


@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_a_change_of_the_list_costs_few_other_items(make_items, task, tmp_path, change):
    items = make_items(1000)
    first = items[:400] + items[401:] if change == "added" else items
    take_all(Job(task, first, tmp_path / "job", workers=1))
    before = len(task.list_calls())
    second = items
    if change == "removed":
        second = items[:400] + items[401:]
    elif change == "replaced":
        other = tmp_path / "numbers" / "other.txt"
        other.write_text("400")
        second = items[:400] + [(str(other),)] + items[401:]
    job = Job(task, second, tmp_path / "job", workers=1, is_resumed=True)
    answers = take_all(job)
    assert list(answers.values()) == [int(Path(file).read_text()) ** 2 for (file,) in second]
    again = len(task.list_calls()) - before
    assert again == len(second) - job.resumed
    # Mostly the shard of the change, of at most 32 items. Paths differ in each run of the test.
    assert 0 <= again <= 100


def test_items_with_a_problem_are_tried_again(where, make_items, task, tmp_path):
    items = make_items(300)
    for position in (7, 200):
        Path(items[position][0]).write_text("10001")
    take_all(Job(task, items, tmp_path / "job", **where))
    before = task.list_calls()
    Path(items[200][0]).write_text("3")
    job = Job(task, items, tmp_path / "job", is_resumed=True, **where)
    answers = take_all(job)
    assert answers.pop(7) == "0007.txt is too large: write a smaller number."
    assert answers.pop(200) == 9
    assert answers == {number: number**2 for number in range(300) if number not in (7, 200)}
    again = sorted(task.list_calls()[len(before) :])
    assert (job.resumed, again) == (298, ["0007.txt", "0200.txt"])


def test_items_whose_files_are_gone_are_done_again(make_items, task, tmp_path):
    items = make_items(10)
    take_all(Job(task, items, tmp_path / "job", workers=1))
    asked = []

    def is_intact(item: tuple[str], value: int) -> bool:
        asked.append((item, value))
        return value != 16

    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=True, is_intact=is_intact)
    assert take_all(job) == {number: number**2 for number in range(10)}
    assert asked == [(item, number**2) for number, item in enumerate(items)]
    assert (job.resumed, task.list_calls()[10:]) == (9, ["0004.txt"])


LEFT = {
    "the same items": ([0, 1, 2], (3, 3)),
    "another item": ([3, 1, 2], (3, 2)),
    "none of them": ([3], (3, 0)),
}


@pytest.mark.parametrize(("chosen", "expected"), LEFT.values(), ids=LEFT.keys())
def test_what_an_earlier_run_left_is_counted(make_items, task, tmp_path, chosen, expected):
    items = make_items(4)
    take_all(Job(task, items[:3], tmp_path / "job", workers=1))
    job = Job(task, [items[number] for number in chosen], tmp_path / "job", workers=1)
    with job:
        job.stop()
    assert (job.results_found, job.results_fit) == expected
    first = Job(task, items, tmp_path / "another job", workers=1)
    take_all(first)
    assert (first.results_found, first.results_fit) == (0, 0)


DAMAGES = {
    "empty": "",
    "cut off": None,
    "no table": "3\n4\n",
    "no JSON": "{{{\n",
    "of another program": '{"a": 1}\n',
    "too long": '[0, ""]\n[1, ""]\n',
    "no text": b"\xff\xfe\n",
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_result_is_made_again(make_items, task, tmp_path, content):
    items = make_items(3)
    take_all(Job(task, items, tmp_path / "job", workers=1))
    result = min((tmp_path / "job").rglob("*.jsonl"))
    if content is None:
        content = result.read_text()[:-3]
    result.write_bytes(content if isinstance(content, bytes) else content.encode())
    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=True)
    assert take_all(job) == {0: 0, 1: 1, 2: 4}
    assert job.resumed == 2


def test_a_folder_in_the_place_of_a_result_is_named(make_items, task, tmp_path):
    take_all(Job(task, make_items(3), tmp_path / "job", workers=1))
    result = min((tmp_path / "job").rglob("*.jsonl"))
    result.unlink()
    result.mkdir()
    with pytest.raises(JobError, match=f"{result.name} cannot be replaced .*: delete it"):
        take_all(Job(task, make_items(3), tmp_path / "job", workers=1, is_resumed=True))


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_stopped_job_gives_no_earlier_outcomes_that_it_did_not_check(
    make_items, tmp_path, is_resumed
):
    task = Square(tmp_path / "calls.txt", seconds=0.01)
    items = make_items(120)
    take_all(Job(task, items, tmp_path / "job", workers=1))
    for number in range(60):
        file = Path(items[number][0])
        items[number] = (str(file.rename(file.with_suffix(".new"))),)
    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=is_resumed)
    answers: dict[int, Outcome] = {}
    with job:
        job.stop()
        while (found := job.take()) is not None:
            answers.update(found)
    done_now = len(task.list_calls()) - 120
    assert done_now < 60
    assert len(answers) == len(list(job.read_outcomes())) == done_now + job.resumed


def test_without_resuming_all_is_done_again(make_items, task, tmp_path):
    for _ in range(2):
        take_all(Job(task, make_items(3), tmp_path / "job", workers=1))
    assert len(task.list_calls()) == 6


def test_results_that_are_deleted_meanwhile_are_no_empty_answer(make_items, task, tmp_path):
    job = Job(task, make_items(130), tmp_path / "job", workers=1)
    while len(task.list_calls()) < 130:
        time.sleep(0.05)
    job.delete()
    with pytest.raises(JobError, match="do not delete"):
        take_all(job)


def test_an_answer_that_json_cannot_hold_is_named(where, make_items, tmp_path):
    with pytest.raises(JobError, match="returned what JSON cannot hold .*set"):
        take_all(Job(Unwritable(), make_items(3), tmp_path / "job", **where))


OTHER_VERSIONS = {
    "a change": ("MODEL_DIR", "MODEL_FOLDER"),
    "without the function that tells it": ("def digest_code", "def digest_source"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), OTHER_VERSIONS.values(), ids=OTHER_VERSIONS.keys())
def test_a_worker_with_another_version_of_the_project_is_named(
    make_items, task, tmp_path, old, new
):
    pytest.importorskip("distributed", reason="no Dask: install the extra cluster")
    other = tmp_path / "other"
    shutil.copytree(ROOT / "utils", other / "utils")
    paths = other / "utils" / "paths.py"
    text = paths.read_text()
    assert old in text
    paths.write_text(text.replace(old, new))
    with (
        start_cluster(tmp_path / "cluster", other) as address,
        pytest.raises(JobError, match="has another version of this project.*: give it the same"),
    ):
        Job(task, make_items(3), tmp_path / "job", scheduler=address)
    assert not (tmp_path / "job").exists()


def test_a_full_disk_ends_the_job_with_a_sentence(make_items, task, tmp_path, monkeypatch):
    def fill(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", fill)
    items = [(Path(__file__).with_name("__init__.py"),)]
    with pytest.raises(JobError, match="make room on the disk"):
        take_all(Job(task, items, tmp_path / "job", workers=1))


def test_results_are_json_lines(make_items, task, tmp_path):
    take_all(Job(task, make_items(1000), tmp_path / "job", workers=1))
    results = list((tmp_path / "job").rglob("*.jsonl"))
    lines = [result.read_text().splitlines() for result in results]
    outcomes = [json.loads(line) for shard in lines for line in shard]
    assert sorted(outcomes) == [[number**2, ""] for number in range(1000)]
    assert max(map(len, lines)) <= 32  # MAX_GROWTH times the largest power of two below 1000 / 64


def test_shards_hold_all_items_once(tmp_path):
    assert cut_into_shards(b"", [], tmp_path) == []
    items = [(f"IMG_{number}.jpg",) for number in range(20_000)]
    shards = cut_into_shards(b"", items, tmp_path)
    assert [item for shard in shards for item in shard.items] == items
    assert [items.index(shard.items[0]) for shard in shards[:99]] == [
        shard.first for shard in shards[:99]
    ]
    sizes = [len(shard.items) for shard in shards]
    assert min(sizes) > 0 and max(sizes) <= 4 * 64
    assert 0.8 * 64 < np.mean(sizes) < 1.2 * 64
    # From 640,000 items on, shards grow instead of their number.
    assert 5_000 < 100_000_000 / choose_shard_size(100_000_000) < 15_000


def test_a_file_may_be_in_the_list_several_times(where, make_items, task, tmp_path):
    items = make_items(3) * 20
    answers = take_all(Job(task, items, tmp_path / "job", **where))
    assert list(answers.values()) == [0, 1, 4] * 20


def test_a_wrong_scheduler_is_named(make_items, task, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="no Dask: install the extra cluster")
    monkeypatch.setattr("utils.batch.workers.CONNECT_S", 0.5)
    with pytest.raises(JobError, match="No Dask scheduler answers at tcp://127.0.0.1:1"):
        Job(task, make_items(1), tmp_path / "job", scheduler="tcp://127.0.0.1:1")


@pytest.mark.slow
@KILLS
@pytest.mark.parametrize("address", ["", "nonsense", "http://127.0.0.1:8786", "tcp://127.0.0.1"])
def test_what_is_no_address_is_said_at_once(make_items, task, tmp_path, address):
    with pytest.raises(
        JobError, match=f"'{address}' is no address of a Dask scheduler: name it as"
    ):
        Job(task, make_items(3), tmp_path / "job", scheduler=address)


def test_a_folder_is_used_by_one_job_at_a_time(make_items, task, tmp_path):
    first = Job(task, make_items(3), tmp_path / "job", workers=1)
    take_all(first)
    with pytest.raises(JobError, match="Another program is at work in .*job: wait"):
        Job(task, make_items(3), tmp_path / "job", workers=1)
    assert [outcome.value for outcome in first.read_outcomes()] == [0, 1, 4]
    first.delete()
    take_all(Job(task, make_items(3), tmp_path / "job", workers=1))


def test_an_error_that_is_kept_does_not_keep_the_folder_locked(make_items, task, tmp_path):
    """As in a notebook, which keeps the last traceback and all that it refers to."""
    with pytest.raises(JobError) as wrong_address:
        Job(task, make_items(3), tmp_path / "job", scheduler="nonsense")
    job = Job(task, make_items(3), tmp_path / "job", workers=1)
    with pytest.raises(KeyboardInterrupt) as interrupted, job:
        raise KeyboardInterrupt
    again = take_all(Job(task, make_items(3), tmp_path / "job", workers=1))
    assert again == {0: 0, 1: 1, 2: 4}
    assert wrong_address.traceback and interrupted.traceback


@pytest.mark.slow
def test_a_cluster_whose_last_worker_is_gone_ends_the_job(make_items, tmp_path):
    distributed = pytest.importorskip("distributed")
    task = Square(tmp_path / "calls.txt", seconds=0.5)
    with start_cluster(tmp_path / "cluster") as address:
        job = Job(task, make_items(60), tmp_path / "job", scheduler=address)
        with job, pytest.raises(JobError, match="has no workers any more: start some with"):
            assert job.take()
            with distributed.Client(address, set_as_default=False) as client:
                workers = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
            for worker in workers:
                worker.parent().kill()  # it would start the worker anew
                worker.kill()
            while job.take() is not None:
                pass


def test_a_lost_scheduler_ends_the_job_with_a_sentence(make_items, tmp_path):
    pytest.importorskip("distributed", reason="no Dask: install the extra cluster")
    before = set(psutil.Process().children())
    with start_cluster(tmp_path / "cluster") as address:
        task = Square(tmp_path / "calls.txt", seconds=0.01)
        job = Job(task, make_items(200), tmp_path / "job", scheduler=address)
        with pytest.raises(JobError, match="was lost"), job:
            while job.take() is not None:
                for process in set(psutil.Process().children()) - before:
                    with suppress(psutil.NoSuchProcess):  # it was killed before
                        if "scheduler" in process.cmdline():
                            process.kill()
