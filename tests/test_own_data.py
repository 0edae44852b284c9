"""The README's "A data set of your own": notebook 01 without data, then with labels."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

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
TIMEOUT = 300  # seconds for one cell
STOP = "Nothing is labelled yet. Label now; then run the cells below."
# The first phrase is also an alias of a class; the server has no photograph for "vergebens".
PHRASES = {
    "en-US": {"with_mask": ["mask"]},
    "de-DE": {"without_mask": ["Gesichter", "vergebens"]},
}


def run_notebook(folder: Path, server: str, phrases: dict = PHRASES) -> tuple[list[str], str]:
    """Run notebook 01 with a person's parameters, to its end.

    Returns:
        The sources of the code cells, and all that was printed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    values = {
        "COUNT": 8,
        "PHRASES": phrases,
        "DATA": str(folder / "data/raw"),
        "LABELS": str(folder / "data/labels.csv"),
        "SERVER": server,
        "DELAY": 0,
        "EXPORT": str(folder / "data"),
    }
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    for name, value in values.items():
        parameters.source += f"\n{name} = {value!r}"
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(ROOT)}},
    )
    client.execute()
    outputs = [output for cell in cells for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    return [cell.source for cell in cells], printed


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = make_small_data(tmp_path_factory.mktemp("web"), seed=3)
    return sorted((root / "scenes" / "images").iterdir())


@pytest.mark.slow
def test_from_nothing_to_a_data_set_that_someone_else_rebuilds(photos, tmp_path):
    raw = tmp_path / "data/raw"
    crawl = raw / "bing"
    with FakeBing({"mask": [*photos[:8], "html/1.jpg"], "Gesichter": photos[8:16]}) as bing:
        # Nothing is labelled yet: the notebook says where to stop, and the cells below say no more.
        _, printed = run_notebook(tmp_path, bing.url)
        above, below = printed.split(STOP)
        assert "de-DE: 8 new images." in above
        assert " of 16 photographs." in above
        assert set(below.splitlines()) == {
            "",
            "Nothing is labelled yet.",
            f"Nothing in {raw} is labelled yet: label some faces by hand, then go on from here.",
            "By hand: 0 labels.",
            "This section is left out: set SITE to the folder of a site's photographs.",
        }
        assert not (tmp_path / "data/labels.csv").exists()

        # A person labels all faces but two. The notebook runs to its end.
        faces = read_faces(crawl / "faces.csv")
        session = LabelSession(faces, crawl / JOURNAL_NAME, "me")
        while session.left > 2:
            session.label(["with_mask", "without_mask"][session.position % 2])
        ran, printed = run_notebook(tmp_path, bing.url)
        assert "Nothing is labelled yet" not in printed
        assert f"By hand: {len(faces) - 2} labels." in printed

        labels = pd.read_csv(tmp_path / "data/labels.csv")
        by_hand = labels[labels.class_name != "no_face"]
        assert len(by_hand) == len(faces) - 2
        assert set(by_hand.source) == {"mask", "gesichter"}
        assert by_hand[BOX_COLUMNS].notna().all(axis=None)
        assert set(labels.split) == {"train", "val", "test"}
        exported = {path.name for path in (tmp_path / "data").glob("*/with*_mask/*.jpg")}
        assert len(exported) == len(by_hand)
        datasheet = (crawl / "DATASHEET.md").read_text(encoding="utf-8")
        assert f"**{len(by_hand)} faces in" in datasheet
        assert "These phrases brought no photograph: “vergebens”" in datasheet

        # Someone else rebuilds the data set from the list that is shared.
        share_list = str(crawl / "share_list.csv")
        rebuilt = str(tmp_path / "theirs/bing")
        assert collect_command(["rebuild", share_list, rebuilt, "--delay", "0"]) == 0

    theirs, problems = read_data(tmp_path / "theirs")
    assert problems.empty
    assert len(theirs) == len(labels)
    key = ["file", "class_name", *BOX_COLUMNS]
    pd.testing.assert_frame_equal(
        theirs[key].sort_values(key, ignore_index=True),
        labels[key].sort_values(key, ignore_index=True),
    )
    assert set(read_sources(tmp_path / "theirs/bing").sha256) <= set(read_sources(crawl).sha256)

    (take_down,) = [source for source in ran if "dry_run=True" in source]
    check_take_down(tmp_path / "data", take_down)


@pytest.mark.slow
def test_without_a_network_the_notebook_runs_to_its_end(tmp_path):
    phrases = {"en-US": {"with_mask": ["mask"]}}
    _, printed = run_notebook(tmp_path, "http://127.0.0.1:9", phrases)  # nothing listens there
    assert "Bing did not answer to 'mask' (unreachable): try again later." in printed
    for line in ("No photographs were collected.", "No faces yet.", "Nothing is labelled yet."):
        assert line in printed


def check_take_down(data: Path, cell: str) -> None:
    """Run the take-down cell without ``dry_run``. No table and no file of the image may remain."""
    crawl = data / "raw/bing"
    sources = read_sources(crawl)
    values = {
        "crawl": crawl,
        "journal": crawl / JOURNAL_NAME,
        "labels_file": data / "labels.csv",
        "EXPORT": str(data),
        "display": print,
        "sources": sources,
        "Path": Path,
        "collect": collect,
        "curate": curate,
    }
    count_before = len(list(data.rglob("*.jpg")))
    exec(cell.replace("dry_run=True", ""), values)
    file = sources.file[0]
    url = sources.url[0]
    naming_it = []
    for path in data.rglob("*.csv"):
        text = path.read_text(encoding="utf-8")
        if file in text or url in text:
            naming_it.append(path.name)
    assert naming_it == ["taken_down.csv"]
    stem = Path(file).with_suffix("").as_posix()
    left = [path.as_posix() for path in data.rglob("*.jpg")]
    assert not [path for path in left if stem in path or stem.replace("/", "_") in path]
    assert len(left) <= count_before - 3  # the photograph, its crop and the exported crop
