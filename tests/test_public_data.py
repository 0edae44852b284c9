"""From ``make data`` to training: archives on loopback, a data root, notebooks 02 and 04."""

import csv
import shutil
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from tests.collect.public_sets.archive_server import ArchiveServer, make_archive
from tests.small_data import KAGGLE_SPELLING
from utils.collect.public_sets.archives import blob_id, digest_files
from utils.collect.public_sets.convert import read_originals
from utils.collect.public_sets.fetch import FOLDERS, SETS_FILE, fetch_public_sets
from utils.curate.source import USE_SAMPLE
from utils.formats import read_voc, write_voc
from utils.images import read_image
from utils.labels import BOX_COLUMNS
from utils.paths import DATA_DIR, ROOT, SAMPLE_DIR

pytestmark = pytest.mark.training

TIMEOUT = 600  # seconds for one cell
SIDES = {"train": 8, "val": 2, "test": 2}  # photographs of each side of the split, per folder
VOC_FOLDERS = {"ilc": "annotations", "wider": "Annotations"}


def choose_files(prefix: str) -> list[str]:
    """Return files of ``data/split.csv`` on each side whose labels nobody corrected."""
    split = pd.read_csv(DATA_DIR / "split.csv")
    corrected = pd.read_csv(DATA_DIR / "label_corrections.csv").file
    split = split[split.file.str.startswith(prefix) & ~split.file.isin(corrected)]
    files = []
    for side, count in SIDES.items():
        files += split.file[split.split == side].head(count).tolist()
    return files


def encode(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def read_scenes(pattern: str) -> list[tuple[np.ndarray, list[str], np.ndarray]]:
    """Return image, classes and boxes of pictures of the sample that are no copies of another."""
    scenes = []
    for path in sorted((SAMPLE_DIR / "scenes/annotations").glob(pattern)):
        file, _, faces = read_voc(path)
        boxes = np.array([box for _, box in faces])
        image = read_image(SAMPLE_DIR / "scenes/images" / file)
        scenes.append((image, [name for name, _ in faces], boxes))
    return scenes


def write_annotation(path: Path, image: np.ndarray, names: list[str], boxes: np.ndarray) -> None:
    table = pd.DataFrame(boxes, columns=BOX_COLUMNS).assign(class_name=names)
    write_voc(path, f"{path.stem}.jpg", (image.shape[1], image.shape[0]), table)


def write_kaggle_set(folder: Path) -> dict[str, int]:
    """Write scenes of the sample as the Kaggle set; return its boxes by class."""
    counts: dict[str, int] = {}
    (folder / "images").mkdir(parents=True)
    names = [Path(file).stem for file in choose_files("scenes/")]
    for name, (image, classes, boxes) in zip(names, read_scenes("scene_*.xml"), strict=False):
        spelled = [name.replace("mask_worn_incorrectly", KAGGLE_SPELLING) for name in classes]
        for class_name in spelled:
            counts[class_name] = counts.get(class_name, 0) + 1
        (folder / f"images/{name}.png").write_bytes(encode(image, ".png"))
        write_annotation(folder / f"annotations/{name}.xml", image, spelled, boxes)
    return counts


def make_archives(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return the files of each archive by path, under the original names of the sets."""
    originals = read_originals().set_index("file")
    archives: dict[str, dict[str, bytes]] = {"faces": {}, "classic": {}, "objects": {}}
    for class_name in ("with_mask", "without_mask"):
        heads = sorted((SAMPLE_DIR / "faces" / class_name).glob("[0-9]*.jpg"))
        for file, head in zip(choose_files(f"faces/{class_name}/"), heads, strict=False):
            row = originals.loc[file]
            archives[row["set"]][row.original] = head.read_bytes()
    # Each archive has a picture: the split's first files may all be of one set.
    heads = sorted((SAMPLE_DIR / "faces/without_mask").glob("2[0-9].jpg"))
    archives["faces"]["dataset/without_mask/new.jpg"] = heads[0].read_bytes()
    archives["classic"]["experiements/data/without_mask/new.jpg"] = heads[1].read_bytes()
    picture = (SAMPLE_DIR / "pictures/text_plain.jpg").read_bytes()
    archives["objects"]["n1_page.JPEG"] = picture
    scenes = read_scenes("scene_*.xml")[-6:]
    for public_set, part in (("ilc", scenes[:3]), ("wider", scenes[3:])):
        archives[public_set] = {}
        for number, (image, names, boxes) in enumerate(part):
            if public_set == "wider":
                names = ["2"] * len(names)
            stem = f"{number}_scene"
            path = folder / f"{stem}.xml"
            write_annotation(path, image, names, boxes)
            archives[public_set][f"JPEGImages/{stem}.jpg"] = encode(image, ".jpg")
            archives[public_set][f"{VOC_FOLDERS[public_set]}/{stem}.xml"] = path.read_bytes()
    return archives


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project whose ``data/raw`` was fetched from loopback, as by ``make data``."""
    folder = tmp_path_factory.mktemp("public")
    project = folder / "project"
    for name in ("utils", "notebooks", "model"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(DATA_DIR / "sample", project / "data/sample")
    for path in DATA_DIR.glob("*.csv"):
        if path.name != "labels.csv":
            shutil.copy(path, project / "data")

    with open(SETS_FILE, newline="") as file:
        rows = list(csv.DictReader(file))
    archives = make_archives(folder)
    boxes = write_kaggle_set(folder / "kaggle")
    with ArchiveServer() as server, pytest.MonkeyPatch.context() as patch:
        for row in rows:
            files = archives[row["set"]]
            blob_ids = {path: blob_id(data) for path, data in files.items()}
            row |= {"files": len(files), "digest": digest_files(blob_ids)}
            address = f"/{row['repository']}/archive/{row['commit']}.zip"
            server.archives[address] = make_archive("set", files)
        table = folder / "sets.csv"
        pd.DataFrame(rows).to_csv(table, index=False)
        patch.setattr("utils.collect.public_sets.convert.KAGGLE_IMAGES", sum(SIDES.values()))
        patch.setattr("utils.collect.public_sets.convert.KAGGLE_BOXES", boxes)
        failures = fetch_public_sets(
            [],
            project / "data/raw",
            server.url,
            kaggle_folder=folder / "kaggle",
            sets_file=table,
            report=str,
        )
    assert failures == []
    return project


def run_until(project: Path, name: str, last: str | None, **parameters) -> str:
    """Run a notebook of the project and return what it printed.

    It is run to the first cell that holds the text ``last``; None means to its end.
    """
    notebook = nbformat.read(project / f"notebooks/{name}.ipynb", as_version=4)
    kept = []
    for cell in notebook.cells:
        kept.append(cell)
        if cell.cell_type != "code":
            continue
        if "parameters" in cell.metadata.get("tags", []):
            for key, value in parameters.items():
                cell.source += f"\n{key} = {value!r}"
        if last is not None and last in cell.source:
            break
    notebook.cells = kept
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(project))  # its utils, not the installed ones
        patch.delenv(USE_SAMPLE, raising=False)
        NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": str(project / "notebooks")}},
        ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def read_history(project: Path, run: str) -> pd.DataFrame:
    (path,) = (project / "data/runs").glob(f"{run}/history.csv")
    return pd.read_csv(path)


def test_notebooks_02_and_04_train_on_what_make_data_fetched(project):
    assert {path.name for path in (project / "data/raw").iterdir()} == set(FOLDERS)
    printed = run_until(
        project,
        "02-train_mask_classifier",
        last="train.fine_tune(",
        START="../model/mask_classifier.keras",  # ImageNet's weights would be downloaded
        HEAD_EPOCHS=1,
        EPOCHS=1,
        SHORT_EPOCHS=1,
        STEPS=2,
        BATCH=4,
        NEGATIVES=4,
        CLASSIC_EPOCHS=0,
    )
    assert "Photographs: data/raw (" in printed
    assert "Making the label table ../data/labels.csv." in printed
    assert "Folders without labels: objects." in printed
    history = read_history(project, "*/shipped")
    assert np.isfinite(history.loss).all() and len(history) == 1

    # The label table has the names of the split, so every photograph is on its side.
    table = pd.read_csv(project / "data/labels.csv")
    split = pd.read_csv(DATA_DIR / "split.csv").set_index("file").split
    known = table[table.file.isin(split.index)]
    assert known.file.nunique() == 3 * sum(SIDES.values())
    assert (known.split == known.file.map(split)).all()
    assert set(table.source) == {"scenes", "faces", "ilc", "wider"}

    printed = run_until(
        project,
        "04-train_face_detector",
        last="train.unfreeze_detector(",
        VIEW=96,
        BATCH=2,
        STEPS=2,
        EPOCHS=1,
    )
    assert "Label table: ../data/labels.csv, " in printed
    history = read_history(project, "detector-*/shipped")
    assert np.isfinite(history.loss).all() and len(history) == 1


def test_notebook_01_runs_on_what_make_data_fetched(project):
    printed = run_until(project, "01-preprocess", last=None)
    assert "Photographs: data/raw (" in printed
    assert "The recorded search is replayed." in printed
    table = pd.read_csv(project / "data/labels.csv")
    assert f"{len(table)} rows are written to ../data/labels.csv." in printed
    assert set(table.source) == {"scenes", "faces", "ilc", "wider"}
