"""Preparation: a data root becomes the label table that training reads."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.small_data import NEAR_DUPLICATES, make_small_data
from utils.annotate import record_label
from utils.boxes import Detections, box_iou, clip_boxes
from utils.classes import CLASS_NAMES, LabelError
from utils.collect import SOURCE_COLUMNS
from utils.csv_lines import append_rows
from utils.curate import DataSource, prepare
from utils.curate.prepare import (
    find_background,
    group_and_split,
    open_labels,
    prepare_labels,
    read_data,
)
from utils.curate.split import SPLIT_FILE, digest_split, is_split_of, select_sources
from utils.detect import CLASSIFIER_FILE, DETECTOR_FILE, load_classifier
from utils.formats import read_labels
from utils.images import read_image, write_image
from utils.labels import BOX_COLUMNS, COLUMNS, apply_corrections, make_label_table
from utils.paths import SHARED_DIR
from utils.tables import TableError, replace_rows


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return make_small_data(tmp_path_factory.mktemp("small_data"))


@pytest.fixture(scope="module")
def table(small_data):
    return read_labels(small_data)[0]


def make_detector(*confidence):
    """Return a detector that finds faces with these confidences, side by side in any image."""

    def detect(image):
        height, width = image.shape[:2]
        edges = np.linspace(0.3 * width, 0.7 * width, len(confidence) + 1)
        boxes = [
            (left, 0.4 * height, right, 0.8 * height)
            for left, right in zip(edges[:-1], edges[1:], strict=True)
        ]
        return Detections(
            np.reshape(boxes, (-1, 4)).astype(np.float32), np.array(confidence, np.float32)
        )

    return detect


def get_boxes(table: pd.DataFrame, file: str) -> np.ndarray:
    return table.loc[(table.file == file) & table.x_min.notna(), BOX_COLUMNS].to_numpy()


def test_an_empty_table_has_no_background(tmp_path):
    assert (
        find_background(make_label_table([]), tmp_path, make_detector(0.9)).columns.tolist()
        == COLUMNS
    )


def test_background_overlaps_no_labelled_and_no_detected_face(small_data, table):
    detector = make_detector(0.9)
    more = find_background(table, small_data, detector)
    background = more[more.class_name == "no_face"]
    assert background.groupby("source").file.value_counts().groupby("source").max().to_dict() == {
        "faces": 1,
        "maskedface-net": 2,
        "scenes": 2,
    }
    for file, boxes in background.groupby("file")[BOX_COLUMNS]:
        image = read_image(small_data / file)
        np.testing.assert_array_equal(boxes, clip_boxes(boxes, image.shape[1::-1]))
        assert not box_iou(boxes, detector(image).xyxy).any()
        assert not box_iou(boxes, get_boxes(table, file)).any()


def test_a_whole_image_with_one_clear_face_gets_its_box(small_data, table):
    more = find_background(table, small_data, make_detector(0.9))
    faces = more[more.class_name != "no_face"].set_index("file")
    whole = table[table.x_min.isna()].set_index("file")
    assert faces.index.tolist() == whole.index.tolist()
    assert faces.class_name.equals(whole.class_name)
    for file in faces.index:
        expected = make_detector(0.9)(read_image(small_data / file)).xyxy[0].round()
        np.testing.assert_array_equal(faces.loc[file, BOX_COLUMNS].astype(float), expected)


@pytest.mark.parametrize(
    "confidence", [(), (0.6,), (0.9, 0.9)], ids=["none found", "an unclear one", "two"]
)
def test_a_whole_image_without_exactly_one_clear_face_adds_no_row(small_data, table, confidence):
    more = find_background(table, small_data, make_detector(*confidence))
    assert set(more.source) == {"scenes", "maskedface-net"}
    assert set(more.class_name) == {"no_face"}


def test_the_same_seed_gives_the_same_background(small_data, table):
    first, again, other = (
        find_background(table, small_data, make_detector(0.9), seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_near_duplicates_and_faces_of_one_image_are_on_one_side(small_data, table):
    prepared = group_and_split(table, small_data)
    pd.testing.assert_frame_equal(prepared[COLUMNS], table)
    assert set(prepared.split) == {"train", "val", "test"}
    for column in ("file", "group"):
        assert prepared.groupby(column).split.nunique().max() == 1
    assert prepared.groupby("file").group.nunique().max() == 1
    group = prepared.drop_duplicates("file").set_index("file").group
    assert all(group[copy] == group[original] for copy, original in NEAR_DUPLICATES.items())


def write_crawl(root, *phrases):
    """Write a crawl folder with one photograph per phrase."""
    for phrase in phrases:
        write_image(root / "bing" / phrase / "000001.png", np.zeros((9, 9, 3), np.uint8))
    rows = [{"file": f"{phrase}/000001.png"} for phrase in phrases]
    append_rows(root / "bing" / "sources.csv", rows, SOURCE_COLUMNS)


def test_a_crawl_without_labels_has_no_rows_even_if_a_phrase_is_a_class_name(tmp_path):
    write_crawl(tmp_path, "mask", "with-mask", "people")  # the first two name a class
    table, problems = read_data(tmp_path)
    assert table.empty and table.columns.tolist() == COLUMNS
    assert problems.empty  # that nothing is labelled yet is no problem
    with pytest.raises(LabelError, match="Nothing in .* is labelled yet: label some faces by hand"):
        prepare_labels(tmp_path, make_detector())


def test_a_crawl_has_only_the_labels_of_its_journal(tmp_path):
    write_crawl(tmp_path, "mask", "people")
    record_label(
        tmp_path / "bing" / "hand_labels.csv",
        "bing/people/000001.png",
        [1, 1, 8, 8],
        "no_mask",
        "me",
        "buttons",
    )
    table, problems = read_data(tmp_path)
    assert table[["file", "class_name"]].to_numpy().tolist() == [
        ["bing/people/000001.png", "without_mask"]
    ]
    assert problems.empty
    prepared, _ = prepare_labels(tmp_path, make_detector())
    assert prepared.split.tolist() == ["train"]


def test_a_hand_label_replaces_a_label_of_a_rebuilt_folder(tmp_path):
    write_crawl(tmp_path, "a", "b", "c")
    rows = [
        {"file": f"bing/{name}/000001.png", "source": name, "class_name": "with_mask"}
        for name in "abc"
    ]
    boxed = [{**row, **dict(zip(BOX_COLUMNS, (1.1, 1, 8, 8), strict=True))} for row in rows]
    replace_rows(tmp_path / "bing/labels.csv", pd.DataFrame([rows[0], *boxed[1:]], columns=COLUMNS))
    table, problems = read_data(tmp_path)
    pd.testing.assert_frame_equal(table, make_label_table([rows[0], *boxed[1:]]))
    assert problems.empty
    record_label(
        tmp_path / "bing/hand_labels.csv", boxed[2]["file"], [1.1, 1, 8, 8], "no_mask", "me", "mend"
    )
    table, _ = read_data(tmp_path)
    classes = {"bing": "without_mask", "a": "with_mask", "b": "with_mask"}
    assert table.set_index("source").class_name.to_dict() == classes


@pytest.mark.parametrize(
    "row", ["bing/a/000001.png,a,hat,,,,", "bing/a/000001.png,a,with_mask,x,1,2,2", "a,b,c"]
)
def test_invalid_labels_of_a_rebuilt_folder_are_a_problem(tmp_path, row):
    write_crawl(tmp_path, "a")
    (tmp_path / "bing/labels.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n")
    table, problems = read_data(tmp_path)
    assert table.empty and problems.file.tolist() == ["bing/labels.csv"]


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Replace the tables of corrections and mistakes by empty ones, and return their paths."""
    for name in ("CORRECTIONS_FILE", "MISTAKES_FILE"):
        monkeypatch.setattr(prepare, name, tmp_path / name)
        (tmp_path / name).write_text(f"file,{','.join(BOX_COLUMNS)},class_name,why\n")
    return tmp_path / "CORRECTIONS_FILE", tmp_path / "MISTAKES_FILE"


def test_without_corrections_and_mistakes_every_label_is_kept(small_data, table, tables):
    prepared, problems = prepare_labels(small_data, make_detector())
    assert problems.empty
    pd.testing.assert_frame_equal(prepared[: len(table)][COLUMNS], table)
    assert set(prepared[len(table) :].class_name) == {"no_face"}


@pytest.mark.parametrize("number", [0, 1], ids=["corrections", "mistakes"])
@pytest.mark.parametrize("damaged", ["", "file,x_min\na.jpg,1\n", "file\na,b,c\n"], ids=repr)
def test_a_damaged_table_is_named_in_one_sentence(small_data, tables, number, damaged):
    tables[number].write_text(damaged)
    with pytest.raises(TableError, match=f"{tables[number].name} (cannot be read|has no column)"):
        prepare_labels(small_data, make_detector())


def test_corrections_and_mistakes_are_applied_and_broken_images_are_reported(
    table, tables, tmp_path
):
    root = make_small_data(tmp_path / "raw")
    scene = next(file for file, rows in table.dropna().groupby("file") if len(rows) > 1)
    boxes = get_boxes(table, scene)
    left_out, changed = (",".join(str(value) for value in box) for box in boxes[:2])
    corrections, mistakes = tables
    with corrections.open("a") as lines:
        lines.write(f"{scene},{left_out},,unclear\n")
        lines.write(f"{scene},{changed},no_face,a poster\n")
        lines.write("elsewhere.jpg,1,1,2,2,,\n")
    with mistakes.open("a") as lines:
        lines.write(
            "faces/with_mask/30.jpg,0,0,9,9,no_face,a button\nelsewhere.jpg,1,1,2,2,no_face,\n"
        )
    (root / "faces/with_mask/26.jpg").write_bytes(b"\xff\xd8")
    (root / "scenes/annotations/scene_20.xml").write_text("no XML")

    prepared, problems = prepare_labels(root, make_detector(0.9))
    assert problems.file.tolist() == ["scene_20.xml", "faces/with_mask/26.jpg"]
    assert set(table.file) - set(prepared.file) == {
        "scenes/images/scene_20.jpg",
        "faces/with_mask/26.jpg",
    }
    of_scene = get_boxes(prepared, scene).tolist()
    assert boxes[0].tolist() not in of_scene
    assert (
        prepared[prepared.file == scene].class_name.iloc[of_scene.index(boxes[1].tolist())]
        == "no_face"
    )
    mistake = prepared[(prepared.file == "faces/with_mask/30.jpg") & (prepared.x_max == 9)].iloc[0]
    assert (mistake.class_name, mistake.source) == ("no_face", "faces")
    assert prepared[["group", "split", "source"]].notna().all(axis=None)


@pytest.mark.parametrize(
    "path", [prepare.CORRECTIONS_FILE, prepare.MISTAKES_FILE], ids=lambda path: path.name
)
def test_corrections_and_mistakes_have_valid_boxes_and_known_classes(path):
    rows = pd.read_csv(path)
    assert set(rows.class_name.dropna()) <= set(CLASS_NAMES)
    boxes = rows[BOX_COLUMNS].dropna()
    assert (boxes.x_max > boxes.x_min).all() and (boxes.y_max > boxes.y_min).all()
    assert not rows.duplicated(["file", *BOX_COLUMNS]).any()


@pytest.mark.shared("data")
def test_corrections_and_mistakes_match_the_public_photographs():
    table, problems = read_labels(SHARED_DIR / "data")
    assert set(problems.file) <= {"objects"}  # photographs of things, without labels
    corrections, mistakes = (
        pd.read_csv(prepare.CORRECTIONS_FILE),
        pd.read_csv(prepare.MISTAKES_FILE),
    )
    assert (
        len(apply_corrections(table, corrections))
        == len(table) - corrections.class_name.isna().sum()
    )
    assert mistakes.file.isin(table.file).all()


@pytest.mark.shared("data")
def test_preparation_reproduces_the_split_of_the_shipped_model():
    """Otherwise a training photograph of the shipped model could be in a test set.

    Detected faces add rows of photographs that have a side already, so no detector is needed.
    """
    table, _ = prepare_labels(SHARED_DIR / "data", make_detector())
    known_sides = pd.read_csv(SPLIT_FILE).set_index("file").split
    assert (table.split == table.file.map(known_sides)).all()
    shipped = load_classifier().session.get_modelmeta().custom_metadata_map
    known = select_sources(table, json.loads(shipped["sources"]))
    assert digest_split(known) == shipped["split"]
    for model in (CLASSIFIER_FILE, DETECTOR_FILE):
        assert is_split_of(table, model)
        assert not is_split_of(table.assign(split="train"), model)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two scenes and an unlabelled folder, where the run's own folder is ``out``."""
    monkeypatch.setattr(prepare, "load_background_detector", lambda is_sample: make_detector())
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    for name in ("with_mask", "without_mask"):
        write_image(tmp_path / f"raw/faces/{name}/1.jpg", image)
        image = image[::-1]  # one photograph in two classes would be left out
    write_image(tmp_path / "raw/objects/images/1.jpg", image)
    return DataSource(tmp_path / "raw", is_sample=False, output=tmp_path / "out")


def test_a_missing_label_table_is_made_and_then_read(data, capsys):
    made = open_labels(data)
    path = data.output / "labels.csv"
    assert set(made.file) == {"faces/with_mask/1.jpg", "faces/without_mask/1.jpg"}
    printed = capsys.readouterr().out
    assert printed.startswith(f"Making the label table {path.as_posix()}.\nLeft out, see notebook")
    assert "2 rows of 2 photographs.\nFolders without labels: objects." in printed

    replace_rows(path, made.assign(split="test"))  # as somebody else made it
    assert set(open_labels(data).split) == {"test"}
    assert "Making" not in capsys.readouterr().out
    on_sample = DataSource(data.root, is_sample=True, output=data.output)
    assert set(open_labels(on_sample, path).split) == {"test"}
    pd.testing.assert_frame_equal(open_labels(on_sample), made)


def test_a_label_table_of_other_photographs_is_refused(data):
    open_labels(data)
    (data.root / "faces/with_mask/1.jpg").unlink()
    message = r"labels\.csv names photographs that are not in .*raw \(1; faces/with_mask/1\.jpg is"
    with pytest.raises(LabelError, match=message):
        open_labels(data)


def test_a_label_table_that_was_named_must_exist(data):
    with pytest.raises(LabelError, match=r"There is no label table mine\.csv: check the path"):
        open_labels(data, "mine.csv")


def test_one_photograph_in_two_classes_is_left_out_until_somebody_decides(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("with_mask/a.png", "with_mask/b.png", "without_mask/c.png"):
        image = rng.integers(0, 255, (60, 80, 3), np.uint8)
        write_image(tmp_path / "faces" / name, image)
    copy = tmp_path / "faces/without_mask/copy.png"
    copy.write_bytes((tmp_path / "faces/with_mask/a.png").read_bytes())
    table, problems = prepare_labels(tmp_path, make_detector())
    assert set(table.file) == {"faces/with_mask/b.png", "faces/without_mask/c.png"}
    assert problems.file.tolist() == ["faces/with_mask/a.png", "faces/without_mask/copy.png"]
    copy.unlink()
    table, problems = prepare_labels(tmp_path, make_detector())
    assert "faces/with_mask/a.png" in set(table.file)
    assert problems.empty


def test_a_label_table_that_a_spreadsheet_saved_is_read(data):
    made = open_labels(data)
    path = data.output / "labels.csv"
    path.write_bytes(made.to_csv(index=False, sep=";", decimal=",").encode("cp1252"))
    pd.testing.assert_frame_equal(open_labels(data), made)
    path.write_text("file;class_name\n")
    with pytest.raises(ValueError, match=r"labels\.csv has no column source"):
        open_labels(data)
