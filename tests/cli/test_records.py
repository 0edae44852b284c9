"""Records: JSON and CSV are read back as they were written, also from a disk that fills up."""

import csv
import io
import json
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from utils.boxes import Detections
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.cli import records as records_module
from utils.cli.outputs import OutputError
from utils.cli.records import CSV_COLUMNS, JsonStream, make_record, write_csv, write_json
from utils.paths import ROOT

RESOLUTION_WH = (100, 80)


def make_detections(count: int) -> Detections:
    rng = np.random.default_rng(count)
    corners = rng.uniform(-20, 90, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (count, 2))], axis=1).astype(
        np.float32
    )
    y_prob = rng.dirichlet([1] * len(CLASS_NAMES), count).astype(np.float32)
    return Detections(boxes, rng.uniform(0.5, 1, count).astype(np.float32), y_prob)


def make_records() -> list[dict]:
    images = [
        make_record(f"{count}.jpg", RESOLUTION_WH, make_detections(count)) for count in (0, 1, 5)
    ]
    return [
        *images,
        make_record("film.mp4", RESOLUTION_WH, make_detections(2), frame=7, time_s=0.28),
    ]


def test_image_without_faces_has_an_empty_list():
    record = make_record("a.jpg", RESOLUTION_WH, Detections.empty())
    assert record == {"file": "a.jpg", "width": 100, "height": 80, "faces": []}


def test_keys_of_a_record():
    image = make_record("a.jpg", RESOLUTION_WH, make_detections(1))
    assert list(image) == ["file", "width", "height", "faces"]
    assert list(image["faces"][0]) == [
        "box",
        "confidence",
        "class_name",
        "probability",
        "probabilities",
        "unsure",
    ]
    assert list(make_record("a.mp4", RESOLUTION_WH, make_detections(1), 0, 0.0))[:3] == [
        "file",
        "frame",
        "time_s",
    ]


def test_face_has_the_values_of_its_detection():
    detections = make_detections(50)
    faces = make_record("a.jpg", RESOLUTION_WH, detections)["faces"]
    assert len(faces) == len(detections)
    for face, box, confidence, row in zip(
        faces, detections.xyxy, detections.confidence, detections.y_prob, strict=True
    ):
        assert face["box"] == [
            round(min(max(value, 0), RESOLUTION_WH[i % 2])) for i, value in enumerate(box.tolist())
        ]
        assert all(type(value) is int for value in face["box"])
        assert face["confidence"] == pytest.approx(confidence, abs=1e-4)
        assert list(face["probabilities"]) == list(CLASS_NAMES)
        assert list(face["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-4)
        assert face["class_name"] in MASK_CLASSES
        assert face["probability"] == max(face["probabilities"][name] for name in MASK_CLASSES)
        assert face["probability"] == face["probabilities"][face["class_name"]]


@pytest.mark.parametrize("records", [[], make_records()], ids=["none", "some"])
def test_json_is_read_back_as_written(tmp_path, records):
    write_json(tmp_path / "é.json", iter(records))
    assert json.loads((tmp_path / "é.json").read_text(encoding="utf-8")) == {"images": records}


def test_csv_has_one_row_per_face_with_the_same_values(tmp_path):
    records = make_records()
    write_csv(tmp_path / "a.csv", records)
    table = pd.read_csv(tmp_path / "a.csv")
    assert tuple(table.columns) == CSV_COLUMNS
    expected = [(record, face) for record in records for face in record["faces"]]
    assert len(table) == len(expected)
    for row, (record, face) in zip(table.itertuples(), expected, strict=True):
        assert (row.file, row.width, row.height) == (record["file"], *RESOLUTION_WH)
        assert [row.x_min, row.y_min, row.x_max, row.y_max] == face["box"]
        assert (row.confidence, row.class_name, row.probability) == tuple(
            face[key] for key in ("confidence", "class_name", "probability")
        )
        assert [getattr(row, f"probability_{name}") for name in CLASS_NAMES] == list(
            face["probabilities"].values()
        )
        assert pd.isna(row.frame) if "frame" not in record else (row.frame, row.time_s) == (7, 0.28)


def test_csv_without_faces_has_its_columns(tmp_path):
    write_csv(tmp_path / "a.csv", [])
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert list(csv.reader(text.splitlines())) == [list(CSV_COLUMNS)]


def test_dash_is_standard_output(capsys):
    write_json("-", make_records())
    assert json.loads(capsys.readouterr().out) == {"images": make_records()}
    write_csv("-", make_records())
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [
        record["file"] for record in make_records() for _ in record["faces"]
    ]


@pytest.mark.parametrize(
    "name", ['a, "b" é 猫.jpg', os.fsdecode(b"caf\xe9.jpg")], ids=["quotes", "no text"]
)
def test_any_file_name_is_read_back(tmp_path, name):
    record = make_record(name, RESOLUTION_WH, make_detections(1))
    write_json(tmp_path / "a.json", [record])
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["images"][0]["file"] == name
    write_csv(tmp_path / "a.csv", [record])
    escaped = name.encode("utf-8", "backslashreplace").decode()
    assert pd.read_csv(tmp_path / "a.csv").file[0] == escaped


RECORDS = [
    {"file": "film é.mp4", "frame": number, "faces": [{"box": [1, 2, 3, number]}]}
    for number in range(50)
]


def read(path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["images"]


def test_stream_without_records(tmp_path):
    JsonStream(tmp_path / "a.json").close()
    assert read(tmp_path / "a.json") == []


def test_stream_is_complete_after_each_record_and_equals_write_json(tmp_path):
    stream = JsonStream(tmp_path / "a.json")
    for number, record in enumerate(RECORDS):
        stream.add(record)
        assert read(tmp_path / "a.json") == RECORDS[: number + 1]
    stream.close()
    write_json(tmp_path / "b.json", RECORDS)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_stream_to_standard_output(capsys):
    stream = JsonStream("-")
    for record in RECORDS[:2]:
        stream.add(record)
    stream.close()
    assert json.loads(capsys.readouterr().out)["images"] == RECORDS[:2]


def test_stream_that_cannot_be_opened(tmp_path):
    with pytest.raises(
        OutputError, match=r"nowhere/a\.json cannot be written \(No such file or directory\)"
    ):
        JsonStream(tmp_path / "nowhere" / "a.json")


def test_stream_ends_before_the_disk_is_full(tmp_path, monkeypatch):
    free = iter([10**9, records_module.MIN_FREE - 1])
    monkeypatch.setattr(
        records_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=next(free))
    )
    stream = JsonStream(tmp_path / "a.json")
    with pytest.raises(
        OutputError, match=rf"^{tmp_path / 'a.json'} ends after 25 records: the disk is full"
    ):
        for record in RECORDS:
            stream.add(record)
    stream.close()
    assert read(tmp_path / "a.json") == RECORDS[:25]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
def test_full_disk_costs_the_last_record_only(tmp_path):
    """A limit on the size of the files of a child process has the effect of a full disk."""
    code = f"""
        import resource, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from utils.cli import JsonStream, OutputError
        from tests.cli.test_records import RECORDS
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        stream, done = JsonStream({str(tmp_path / "a.json")!r}), 0
        try:
            for record in RECORDS:
                stream.add(record)
                done += 1
        except OutputError as error:
            print(done, error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    done, sentence = ran.stdout.strip().split(" ", 1)
    assert sentence.endswith(
        "could not be written to the end (File too large): make room on the disk."
    )
    assert 5 < int(done) < len(RECORDS)
    assert read(tmp_path / "a.json") == RECORDS[: int(done)]


@pytest.mark.parametrize("write", [write_json, write_csv])
def test_a_table_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch, write):
    path = tmp_path / "table"
    records = make_records()
    write(path, records[:2])
    earlier = path.read_bytes()

    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", stop)
    with pytest.raises(OutputError, match="No space left on device"):
        write(path, records)
    assert path.read_bytes() == earlier
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_replaces_an_earlier_file_with_its_first_record(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, RECORDS[:3])
    stream = JsonStream(path)
    assert read(path) == RECORDS[:3]
    stream.add(RECORDS[0])
    assert read(path) == RECORDS[:1]
    stream.close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_without_room_for_a_record_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, RECORDS[:3])
    monkeypatch.setattr(records_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    stream = JsonStream(path)
    with pytest.raises(OutputError, match="the disk is full"):
        stream.add(RECORDS[0])
    stream.close()
    assert read(path) == RECORDS[:3]
    assert list(tmp_path.iterdir()) == [path]
