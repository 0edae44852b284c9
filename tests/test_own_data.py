"""The README's "A data set of your own", done as it says: notebook 01 begins with nothing, and a person labels."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.fake_bing import FakeBing
from tests.small_data import make_small_data
from utils import collect, curate
from utils.annotate import JOURNAL_NAME, LabelSession
from utils.collect import read_faces, read_sources
from utils.collect.__main__ import main as collect_command
from utils.curate import read_data
from utils.labels import BOX_COLUMNS
from utils.paths import ROOT

NOTEBOOK = ROOT / "notebooks" / "01-preprocess.ipynb"
PHRASES = {
    "en-US": {"with_mask": ["mask"]},
    "de-DE": {"without_mask": ["Gesichter", "vergebens"]},
}  # "mask" is a class


def run_notebook(folder: Path, server: str) -> tuple[list[str], str]:
    """Run notebook 01 with a person's parameters: the sources of the cells that ran, and what was said at the end."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    raw = folder / "data" / "raw"
    values = {
        "DATA": str(raw),
        "CRAWL": str(raw / "bing"),
        "LABELS": str(folder / "data" / "labels.csv"),
        "COUNT": 8,
    }
    values |= {
        "PHRASES": PHRASES,
        "DETECTOR": "fcos",
        "SERVER": server,
        "DELAY": 0,
        "EXPORT": str(folder / "data"),
    }
    (place,) = [
        at
        for at, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", [])
    ]
    notebook.cells[place].source += "".join(
        f"\n{name} = {value!r}" for name, value in values.items()
    )
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    said = ""
    try:
        client.execute()
    except CellExecutionError as error:
        said = error.evalue
    ran = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.execution_count]
    printed = [
        output.text for cell in ran for output in cell.outputs if output.get("name") == "stdout"
    ]
    return [cell.source for cell in ran], said or "".join(printed)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return sorted(
        (make_small_data(tmp_path_factory.mktemp("web"), seed=3) / "scenes" / "images").iterdir()
    )


def test_from_nothing_to_a_data_set_that_another_rebuilds(photos, tmp_path):
    raw, crawl = tmp_path / "data/raw", tmp_path / "data/raw/bing"
    with FakeBing({"mask": [*photos[:8], "html/1.jpg"], "Gesichter": photos[8:16]}) as bing:
        ran, said = run_notebook(tmp_path, bing.url)
        assert (
            said
            == f"Nothing in {raw} is labelled yet: label some faces by hand, then go on from here."
        )
        assert "LabelWidget" in "".join(ran) and not (tmp_path / "data/labels.csv").exists()

        faces = read_faces(crawl / "faces.csv")
        session = LabelSession(faces, crawl / JOURNAL_NAME, "me")
        while session.left > 2:  # a person need not be done
            session.label(["with_mask", "without_mask"][session.position % 2])
        ran, said = run_notebook(tmp_path, bing.url)
        assert f"By hand: {len(faces) - 2} labels." in said

        labels = pd.read_csv(tmp_path / "data/labels.csv")
        by_hand = labels[labels.class_name != "no_face"]
        assert len(by_hand) == len(faces) - 2 and set(by_hand.source) == {"mask", "gesichter"}
        assert by_hand[BOX_COLUMNS].notna().all(axis=None) and set(labels.split) == {
            "train",
            "val",
            "test",
        }
        exported = {path.name for path in (tmp_path / "data").glob("*/with*_mask/*.jpg")}
        assert len(exported) == len(by_hand)
        datasheet = (crawl / "DATASHEET.md").read_text(encoding="utf-8")
        assert f"**{len(by_hand)} faces in" in datasheet
        assert "These phrases brought no photograph: “vergebens”" in datasheet

        assert (
            collect_command(
                [
                    "rebuild",
                    str(crawl / "share_list.csv"),
                    str(tmp_path / "theirs/bing"),
                    "--delay",
                    "0",
                ]
            )
            == 0
        )
    theirs, problems = read_data(tmp_path / "theirs")
    assert problems.empty and len(theirs) == len(labels)
    key = ["file", "class_name", *BOX_COLUMNS]
    pd.testing.assert_frame_equal(
        theirs[key].sort_values(key, ignore_index=True),
        labels[key].sort_values(key, ignore_index=True),
    )
    assert set(read_sources(tmp_path / "theirs/bing").sha256) <= set(read_sources(crawl).sha256)

    take_out(tmp_path / "data", next(source for source in ran if "dry_run=True" in source))


def take_out(data: Path, cell: str) -> None:
    """Do the notebook's take-down in earnest: no table knows the image any more, and no file is left of it."""
    sources = read_sources(data / "raw/bing")
    values = {
        "CRAWL": data / "raw/bing",
        "LABELS": str(data / "labels.csv"),
        "EXPORT": str(data),
        "sources": sources,
    }
    values |= {"Path": Path, "collect": collect, "curate": curate}
    before = len([*data.rglob("*.jpg")])
    exec(cell.replace("dry_run=True", ""), values)
    file, url = sources.file[0], sources.url[0]
    texts = {path.name: path.read_text(encoding="utf-8") for path in data.rglob("*.csv")}
    knowing = [name for name, text in texts.items() if file in text or url in text]
    assert knowing == ["taken_down.csv"]
    stem = Path(file).with_suffix("").as_posix()
    left = [path.as_posix() for path in data.rglob("*.jpg")]
    assert not [path for path in left if stem in path or stem.replace("/", "_") in path]
    assert len(left) <= before - 3  # the photograph, its crop and the exported one
