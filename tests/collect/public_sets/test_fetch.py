"""Public sets: from archives on loopback to a data root with the names of the split."""

import csv
import io
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.collect.public_sets.archive_server import ArchiveServer, make_archive
from tests.cut_writes import ENDS, check_none_cut, read_whole, requires_limits, run_cut
from utils.classes import LabelError
from utils.collect.__main__ import main
from utils.collect.public_sets.archives import PublicSetError, blob_id, digest_files
from utils.collect.public_sets.convert import (
    KAGGLE_BOXES,
    convert_archive,
    convert_kaggle_set,
    name_by_original,
    name_images,
    parse_annotation,
    read_originals,
)
from utils.collect.public_sets.fetch import SETS_FILE, fetch_public_sets, read_public_sets
from utils.formats import read_labels, read_voc
from utils.images import read_image
from utils.paths import DATA_DIR, EXAMPLES_DIR
from utils.tables import TableError

JPEG = (EXAMPLES_DIR / "astronaut.jpg").read_bytes()
VOC = """<annotation><filename>x.jpg</filename><size><width>{0}</width><height>{1}</height></size>
<object><name>{2}</name><bndbox><xmin>{3}</xmin><ymin>{4}</ymin><xmax>{5}</xmax><ymax>{6}</ymax>
</bndbox></object></annotation>"""


def make_jpeg(seed, size=(80, 60)):
    """Different bytes for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG")
    return data.getvalue()


def read_rows():
    """The shipped table of sets, to be changed by a test."""
    with open(SETS_FILE, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def originals():
    return read_originals()


def test_every_image_of_the_split_has_its_original(originals):
    split = pd.read_csv(DATA_DIR / "split.csv")
    fetched = split.file[split.file.str.startswith("faces/")]
    assert set(fetched) <= set(originals.file)
    assert len(set(originals.file)) == len(originals)


def test_names_are_those_of_the_split(originals):
    known = name_by_original(originals)
    for name, rows in originals.groupby("set"):
        expected = dict(zip(rows.original, rows.file, strict=True))
        assert name_images(name, rows.original, known) == expected


@pytest.mark.parametrize(
    ("public_set", "originals", "expected"),
    [
        ("ilc", [], {}),
        ("ilc", ["JPEGImages/a b.PNG"], {"JPEGImages/a b.PNG": "ilc/images/a b.jpg"}),
        (
            "faces",
            ["dataset/with_mask/0_0_u=4,5&fm=2.jpg"],
            {"dataset/with_mask/0_0_u=4,5&fm=2.jpg": "faces/with_mask/web_0-0-u-4-5-fm-2.jpg"},
        ),
        (
            "objects",
            ["cat.JPEG", "cat.jpg", "dog.JPEG"],
            {
                "cat.JPEG": "objects/images/cat.jpg",
                "cat.jpg": "objects/images/cat-2.jpg",
                "dog.JPEG": "objects/images/dog.jpg",
            },
        ),
    ],
    ids=["none", "spaces", "a slug", "one stem twice"],
)
def test_names_of_images_that_the_tables_do_not_know(public_set, originals, expected):
    assert name_images(public_set, originals, {}) == expected


def test_the_table_of_sets_is_complete():
    sets = read_public_sets()
    assert set(sets) == {"faces", "classic", "ilc", "wider", "objects"}
    for public_set in sets.values():
        assert len(public_set.commit) == 40 and len(public_set.digest) == 64


@pytest.fixture
def small_sets(tmp_path, originals):
    """A server with a small archive of each set, under original names, and its table of sets.

    An image that the tables know comes with one that they do not.
    """
    rows = read_rows()
    with ArchiveServer() as server:
        for number, row in enumerate(rows):
            known = originals[originals.set == row["set"]].original.iloc[:3]
            files = {path: make_jpeg((number, i)) for i, path in enumerate(known)}
            folder = known.iloc[0].rpartition("/")[0]
            new = f"{folder}/1_new_picture.JPEG".removeprefix("/")
            if row["set"] == "wider":
                new = f"{folder}/1_new_picture.jpg"
            files[new] = make_jpeg((number, 9), size=(1200, 600))
            if row["set"] in ("ilc", "wider"):
                voc_folder = {"ilc": "annotations", "wider": "Annotations"}[row["set"]]
                class_name = {"ilc": "with_mask", "wider": "2"}[row["set"]]
                for path, data in list(files.items()):
                    stem = path.rpartition("/")[2].rpartition(".")[0]
                    width, height = Image.open(io.BytesIO(data)).size
                    box = (width // 4, height // 4, width // 2, height // 2)
                    voc = VOC.format(width, height, class_name, *box)
                    files[f"{voc_folder}/{stem}.xml"] = voc.encode()
            blob_ids = {path: blob_id(data) for path, data in files.items()}
            row |= {"files": len(files), "digest": digest_files(blob_ids)}
            address = f"/{row['repository']}/archive/{row['commit']}.zip"
            server.archives[address] = make_archive("set", files | {"README.md": b"a page"})
        table = tmp_path / "sets.csv"
        pd.DataFrame(rows).to_csv(table, index=False)
        yield server, table


NAMES = ["faces", "ilc", "wider", "objects"]


def test_sets_become_a_data_root(small_sets, tmp_path, originals):
    server, table = small_sets
    root = tmp_path / "data" / "raw"
    said = []
    failures = fetch_public_sets(NAMES, root, server.url, sets_file=table, report=said.append)
    assert failures == []
    assert len(said) == len(NAMES)

    files = {path.relative_to(root).as_posix() for path in root.rglob("*.jpg")}
    known = {file for _, rows in originals.groupby("set") for file in rows.file.iloc[:3]}
    assert known < files
    assert len(files) == 4 * 5
    assert max(read_image(root / "wider/images/1_new_picture.jpg").shape) == 576

    labels, _ = read_labels(root)
    assert set(labels[labels.source == "wider"].class_name) == {"without_mask"}
    assert set(labels[labels.source == "ilc"].class_name) == {"with_mask"}
    _, resolution_wh, faces = read_voc(root / "ilc/annotations/1_new_picture.xml")
    assert resolution_wh == (640, 320)
    assert [box.tolist() for _, box in faces] == [[160, 80, 320, 160]]


def test_a_finished_set_is_not_fetched_again(small_sets, tmp_path):
    server, table = small_sets
    root = tmp_path / "raw"
    fetch_public_sets(["objects"], root, server.url, sets_file=table, report=str)
    fetch_public_sets(["objects"], root, server.url, sets_file=table, report=str)
    assert len(server.requests) == 1

    (root / "objects/images/1_new_picture.jpg").unlink()
    fetch_public_sets(["objects"], root, server.url, sets_file=table, report=str)
    assert len(server.requests) == 2
    assert (root / "objects/images/1_new_picture.jpg").is_file()


def test_one_failed_set_does_not_stop_the_others(small_sets, tmp_path):
    server, table = small_sets
    for path in list(server.archives):
        if "ilc" in path:
            server.archives[path] = make_archive("set", {"JPEGImages/a.jpg": JPEG})
        if "voc" in path:
            del server.archives[path]
    said = []
    failures = fetch_public_sets(
        NAMES, tmp_path / "raw", server.url, sets_file=table, report=said.append
    )
    assert len(failures) == 2
    assert "does not hold the files of jolignier" in failures[0]
    assert "HTTP 404" in failures[1]
    assert not (tmp_path / "raw/ilc").exists()
    assert said[-1].startswith("objects: 4 images in ")


def test_a_copy_and_a_broken_image_are_left_out_and_named(tmp_path, originals, monkeypatch):
    copied = make_jpeg(0)
    row = next(row for row in read_rows() if row["set"] == "objects")
    files = {"n1_copy.JPEG": copied, "n2_broken.JPEG": make_jpeg(2)[:400], "n3.JPEG": make_jpeg(3)}
    digest = digest_files({path: blob_id(data) for path, data in files.items()})
    table = tmp_path / "sets.csv"
    pd.DataFrame([row | {"files": 3, "digest": digest}]).to_csv(table, index=False)
    known = tmp_path / "originals.csv"
    known_row = originals.iloc[[0]].assign(git_blob=blob_id(copied))
    known_row.to_csv(known, index=False)
    monkeypatch.setattr(
        "utils.collect.public_sets.convert.read_originals", lambda: pd.read_csv(known)
    )
    said = []
    with ArchiveServer() as server:
        address = f"/{row['repository']}/archive/{row['commit']}.zip"
        server.archives[address] = make_archive("set", files)
        fetch_public_sets(["objects"], tmp_path / "raw", server.url, None, table, said.append)
    assert said[0].startswith("objects: left out: n1_copy.JPEG is a copy")
    assert said[1].startswith("objects: left out: n2_broken.JPEG is cut off")
    assert said[2].endswith("2 left out.")
    assert [path.name for path in (tmp_path / "raw").rglob("*.jpg")] == ["n3.jpg"]


ORIGINALS = "file,set,original,git_blob\n1,objects,007,123e45\n"
DAMAGED = {
    "no column": (ORIGINALS.replace("git_blob", "blob"), "has no column git_blob: save it as CSV"),
    "no table": ('"', "cannot be read as a table"),
    "longer rows": (ORIGINALS + "a,b,c,d,e\n", "cannot be read as a table"),
    "nothing": ("", "cannot be read as a table"),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_table_of_originals_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "originals.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=f"^{path} {message}"):
        read_originals(path)


def test_originals_stay_text_as_a_spreadsheet_saves_them(tmp_path):
    path = tmp_path / "originals.csv"
    path.write_text(ORIGINALS.replace(",", ";"), encoding="utf-8-sig")
    assert read_originals(path).loc[0].tolist() == ["1", "objects", "007", "123e45"]
    with pytest.raises(TableError, match="none.csv cannot be read as a table"):
        read_originals(tmp_path / "none.csv")


def test_a_damaged_table_of_sets_is_one_sentence(tmp_path):
    table = pd.DataFrame(read_rows())
    path = tmp_path / "sets.csv"
    table.assign(files="many").to_csv(path, index=False)
    with pytest.raises(TableError, match="has 'many' as the number of files of faces"):
        fetch_public_sets(["faces"], tmp_path / "raw", sets_file=path)
    table[table.set != "ilc"].to_csv(path, index=False)
    with pytest.raises(TableError, match="does not list the set ilc: restore the file"):
        fetch_public_sets(["ilc"], tmp_path / "raw", sets_file=path)


CONVERT = """
from utils.collect.public_sets.convert import convert_archive
from utils.collect.public_sets.fetch import read_public_sets
limit()
convert_archive(read_public_sets(sys.argv[1])["ilc"], sys.argv[2], sys.argv[3])
"""


@requires_limits
@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [150, 2000])  # within an annotation, and within an image
def test_a_set_that_stops_within_a_write_leaves_no_cut_file(small_sets, tmp_path, size, end):
    server, table = small_sets
    (address,) = [path for path in server.archives if "ilc" in path.lower()]
    archive = tmp_path / "ilc.zip"
    archive.write_bytes(server.archives[address])
    ilc = read_public_sets(table)["ilc"]
    convert_archive(ilc, archive, tmp_path / "whole")
    whole = read_whole(tmp_path / "whole")
    assert len(whole) == 8
    run_cut(CONVERT, table, archive, tmp_path / "cut", size=size, end=end)
    assert check_none_cut(tmp_path / "cut", whole) < len(whole)
    convert_archive(ilc, archive, tmp_path / "cut")
    assert read_whole(tmp_path / "cut") == whole


def test_an_unknown_set_is_named():
    with pytest.raises(PublicSetError, match="There is no public set 'celeba': use scenes, faces"):
        fetch_public_sets(["celeba"], "nowhere")


def test_a_kaggle_set_with_other_counts_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copy(EXAMPLES_DIR / "astronaut.jpg", tmp_path / "images" / "maksssksksss0.png")
    with pytest.raises(PublicSetError, match=r"version 1 of the Kaggle set: 1 images \(853 expect"):
        convert_kaggle_set(tmp_path, tmp_path / "raw")


def test_the_kaggle_set_becomes_scenes(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.collect.public_sets.convert.KAGGLE_IMAGES", 2)
    monkeypatch.setattr("utils.collect.public_sets.convert.KAGGLE_BOXES", {"with_mask": 2})
    source = tmp_path / "kaggle"
    for folder in ("images", "annotations"):
        (source / folder).mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (400, 300), (number, 0, 0)).save(
            source / f"images/maksssksksss{number}.png"
        )
        voc = VOC.format(400, 300, "with_mask", 10, 20, 30, 50)
        voc = voc.replace("x.jpg", f"maksssksksss{number}.png")
        (source / f"annotations/maksssksksss{number}.xml").write_text(voc)
    table = convert_kaggle_set(source, tmp_path / "raw")
    assert set(table.problem) == {""}
    labels, _ = read_labels(tmp_path / "raw")
    assert sorted(labels.file) == [f"scenes/images/maksssksksss{n}.jpg" for n in range(2)]
    assert labels.x_max.tolist() == [30, 30]
    assert sum(KAGGLE_BOXES.values()) > 2


@pytest.mark.parametrize("data", [b"", b"no xml", b"<annotation><object/></annotation>"])
def test_an_annotation_that_cannot_be_read_is_named(data):
    with pytest.raises(LabelError, match=r"a/1\.xml is not a readable Pascal VOC file"):
        parse_annotation(data, "a/1.xml", "ilc")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["data", "celeba"], 2, "There is no public set 'celeba': use scenes, faces, ilc"),
        (
            ["data", "objects", "--server", "http://127.0.0.1:9"],
            1,
            "objects: http://127.0.0.1:9/",
        ),
        (["data", "scenes", "--kaggle-folder", "nowhere"], 1, "nowhere does not hold version 1"),
    ],
    ids=["an unknown set", "no network", "no Kaggle set"],
)
def test_the_command_answers_failures_in_one_sentence(tmp_path, capfd, arguments, code, message):
    assert main([*arguments, "--folder", str(tmp_path / "raw")]) == code
    out, err = capfd.readouterr()
    sentences = [line for line in (out + err).splitlines() if "?B/s" not in line]
    assert len(sentences) == 1
    assert sentences[0].startswith(message)
