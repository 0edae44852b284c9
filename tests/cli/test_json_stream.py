"""Records one by one: the file is whole at every moment, also on a disk that fills up."""

import json
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from utils.cli import json_stream
from utils.cli.json_stream import JsonStream
from utils.cli.outputs import RecordError
from utils.cli.records import write_json
from utils.paths import ROOT

RECORDS = [
    {"file": "film é.mp4", "frame": number, "faces": [{"box": [1, 2, 3, number]}]}
    for number in range(50)
]


def read(path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["images"]


def test_nothing_is_a_file_too(tmp_path):
    JsonStream(tmp_path / "a.json").close()
    assert read(tmp_path / "a.json") == []


def test_the_file_is_whole_after_each_record_and_what_write_json_writes(tmp_path):
    stream = JsonStream(tmp_path / "a.json")
    for number, record in enumerate(RECORDS):
        stream.add(record)
        assert read(tmp_path / "a.json") == RECORDS[: number + 1]
    stream.close()
    write_json(tmp_path / "b.json", RECORDS)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_standard_output(capsys):
    stream = JsonStream("-")
    for record in RECORDS[:2]:
        stream.add(record)
    stream.close()
    assert json.loads(capsys.readouterr().out)["images"] == RECORDS[:2]


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(
        RecordError, match=r"nowhere/a\.json cannot be written \(No such file or directory\)"
    ):
        JsonStream(tmp_path / "nowhere" / "a.json")


def test_room_is_left_for_the_tables(tmp_path, monkeypatch):
    free = iter([10**9, json_stream.MIN_FREE - 1])
    monkeypatch.setattr(
        json_stream.shutil, "disk_usage", lambda folder: SimpleNamespace(free=next(free))
    )
    stream = JsonStream(tmp_path / "a.json")
    with pytest.raises(
        RecordError, match=rf"^{tmp_path / 'a.json'} ends after 25 records: the disk is full"
    ):
        for record in RECORDS:
            stream.add(record)
    stream.close()
    assert read(tmp_path / "a.json") == RECORDS[:25]


@pytest.mark.skipif(
    sys.platform == "win32", reason="limits of a process's files are a thing of Unix"
)
def test_a_full_disk_costs_the_last_record_alone(tmp_path):
    """A limit on the size of the child's files stands for the disk: writing on fails there too."""
    code = f"""
        import resource, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from utils.cli.json_stream import JsonStream
        from utils.cli.outputs import RecordError
        from tests.cli.test_json_stream import RECORDS
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        stream, done = JsonStream({str(tmp_path / "a.json")!r}), 0
        try:
            for record in RECORDS:
                stream.add(record)
                done += 1
        except RecordError as error:
            print(done, error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    done, sentence = ran.stdout.strip().split(" ", 1)
    assert sentence.endswith("cannot be written on (File too large): make room on the disk.")
    assert 5 < int(done) < len(RECORDS)
    assert read(tmp_path / "a.json") == RECORDS[: int(done)]
