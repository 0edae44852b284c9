"""Jobs over files: their order, what is resumed, and what happens when a worker dies."""

import errno
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.batch.conftest import start_cluster, take_all
from tests.batch.tasks import Square, Unready
from utils.batch import Job, JobError

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
    assert list(job.read_outcomes()) == [] and not (tmp_path / "job").exists()


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
    shard = 2  # items
    assert seen - 8 * shard <= job.resumed <= seen
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
        items[2] = (items[5][0],)
    task = Square(tmp_path / "again.txt", **settings)
    if not settings:  # the log is a setting too
        task = Square(tmp_path / "calls.txt")
    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=True)
    take_all(job)
    assert (job.resumed, len(task.list_calls()) - 6 * (not settings)) == (6 - done, done)


DAMAGES = {
    "empty": "",
    "cut off": None,
    "no table": "3\n4\n",
    "no JSON": "{{{\n",
    "of another program": '{"a": 1}\n[4, ""]\n',
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_result_is_made_again(make_items, task, tmp_path, content):
    items = make_items(3)
    take_all(Job(task, items, tmp_path / "job", workers=1))
    results = sorted((tmp_path / "job").rglob("*.jsonl"))
    if content is None:
        content = results[1].read_text()[:-3]
    results[1].write_text(content)
    job = Job(task, items, tmp_path / "job", workers=1, is_resumed=True)
    assert take_all(job) == {0: 0, 1: 1, 2: 4}
    assert job.resumed == 2


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


def test_a_full_disk_ends_the_job_with_a_sentence(make_items, task, tmp_path, monkeypatch):
    def fill(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", fill)
    items = [(Path(__file__).with_name("__init__.py"),)]
    with pytest.raises(JobError, match="make room on the disk"):
        take_all(Job(task, items, tmp_path / "job", workers=1))


def test_results_are_json_lines(make_items, task, tmp_path):
    take_all(Job(task, make_items(130), tmp_path / "job", workers=1))
    results = sorted((tmp_path / "job").rglob("*.jsonl"))
    assert len(results) == 65
    lines = [json.loads(line) for line in results[1].read_text().splitlines()]
    assert lines[1:] == [[4, ""], [9, ""]]


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
