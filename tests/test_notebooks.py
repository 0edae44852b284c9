"""The form of the notebooks, read from their files; pytest runs them as well, small, from ``notebooks/``."""

import ast
import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
FIRST, LAST = "Parameters", "Takeaways and limits"
CHAPTERS = {  # the sections that a notebook must have, in this order; others may stand between them
    "01-preprocess": [
        *(
            "What we asked Bing for",
            "Broken and duplicate files",
            "Finding the faces",
            "What the detector missed",
        ),
        *(
            "Labelling by hand",
            "Checking the labels",
            "How many of each",
            "Splitting by near-duplicate group",
        ),
        "Leaving with a data set",
    ],
    "02-train_mask_classifier": [
        *(
            "A look at the faces",
            "The baseline: always the larger class",
            "Augmentation we believe in",
            "The model",
        ),
        *("Training the head", "Fine-tuning", "Learning curves", "Confusion matrix on validation"),
        *(
            "Choosing the threshold",
            "The test set, once",
            "Another source's photos",
            "The worst mistakes",
        ),
        *("Is its certainty earned", "Saving and exporting"),
    ],
    "03-detect_face_using_mask": [
        *("Two models", "One image, step by step", "A folder", "A video", "Your webcam"),
        *("Where it fails", "How fast", "From the command line"),
    ],
    "04-train_face_detector": [
        *("Photographs with boxes", "Faces that nobody labelled", "More faces than anyone drew"),
        *(
            "Views, small and large",
            "The model",
            "Comparing two networks",
            "Training the one to ship",
        ),
        *("From logits to confidence", "Eight bits", "Who decides the class", "The test set, once"),
        *("What it misses", "Saving and exporting"),
    ],
}
TAGS = {"parameters", "keep_output"}
# Shares, measures and decimals: what a cell should print instead. "95 % interval" is a name, not a measurement.
TYPED_NUMBER = re.compile(
    r"\d(?:[\d.,]*\d)?\s*(?:%|percent\b|per cent\b|ms\b|milliseconds\b|faces/s\b)|\d+\.\d+"
)


def read(path):
    """A notebook's cells, each source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def prose_of(cells):
    return [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]


def code_of(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def tags_of(cell):
    return cell["metadata"].get("tags", [])


def count_lines(cell):
    return sum(bool(line.strip()) for line in cell["source"].splitlines())


def parse(cell):
    """A code cell's syntax tree, its shell and magic lines left out."""
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", cell["source"]))


def assigned_names(tree):
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def parameters_of(cells):
    """The one cell of parameters, and its place among all cells."""
    (place,) = [place for place, cell in enumerate(cells) if "parameters" in tags_of(cell)]
    return place, cells[place]


def typed_numbers(text):
    return TYPED_NUMBER.findall(text.replace("95 % interval", ""))


notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_all_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == sorted(CHAPTERS)


@notebooks
def test_it_opens_with_title_and_question(path):
    cells = read(path)
    assert cells[0]["cell_type"] == "markdown"
    assert re.match(rf"# {path.stem[:2]} · \S", cells[0]["source"])
    for word in ("Question", "In", "Out", "Time"):
        assert f"**{word}:**" in cells[0]["source"]
    imports = [isinstance(node, ast.Import | ast.ImportFrom) for node in parse(cells[1]).body]
    assert imports and all(imports)


@notebooks
def test_sections_are_in_order(path):
    sections = re.findall(r"(?m)^## (.+)$", "\n".join(prose_of(read(path))))
    assert (sections[0], sections[-1]) == (FIRST, LAST)
    planned = CHAPTERS[path.stem]
    assert [name for section in sections for name in planned if section.startswith(name)] == planned


@notebooks
def test_it_is_short_and_explained(path):
    cells = read(path)
    lines = [count_lines(cell) for cell in code_of(cells)]
    words = sum(len(text.split()) for text in prose_of(cells))
    assert len(cells) <= 45
    assert max(lines) <= 15
    assert sum(lines) <= 110
    assert words >= 8 * sum(lines)


@notebooks
def test_it_defines_nothing(path):
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for cell in code_of(read(path)) for node in ast.walk(parse(cell))]
    assert nodes
    assert [node.name for node in nodes if isinstance(node, defined)] == []


@notebooks
def test_it_does_not_ask_where_it_runs(path):
    source = "\n".join(cell["source"] for cell in code_of(read(path)))
    assert re.findall(r"\bCI\b|\bPYTEST\w*|\benviron\b|\bgetenv\b", source) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Split 80/10/10 at 224 pixels by notebook 02, at most one in five hundred, to 1e-4.", 0),
        ("with its number of faces and a 95 % interval of its recall", 0),
        ("It scores 98.1 % there.", 1),
        ("98% of 95 % of all", 2),
        ("An F1 of 0.855 in 12 ms", 2),
    ],
)
def test_typed_numbers_are_seen(text, count):
    assert len(typed_numbers(text)) == count


@notebooks
def test_no_measured_number_is_typed_into_prose(path):
    prose = prose_of(read(path))
    assert {text: found for text in prose if (found := typed_numbers(text))} == {}


@notebooks
def test_tags_are_known_and_parameters_come_before_the_body(path):
    cells = read(path)
    assert {tag for cell in cells for tag in tags_of(cell)} <= TAGS
    place, _ = parameters_of(cells)
    assert re.match(rf"## {FIRST}\n", cells[place - 1]["source"])
    assert len(code_of(cells[:place])) == 1  # the imports


@notebooks
def test_the_small_run_replaces_parameters_that_exist(path):
    _, cell = parameters_of(read(path))
    mock = cell["metadata"]["nbmake"]["mock"]
    assert mock
    assert set(mock) <= assigned_names(parse(cell))
    paths = [value for value in mock.values() if isinstance(value, str) and "/" in value]
    assert [
        value for value in paths if not value.startswith(("../data/small/", "http://127.0.0.1:"))
    ] == []


@notebooks
def test_the_small_run_needs_nothing_beside_the_repository(path):
    _, cell = parameters_of(read(path))
    mock = cell["metadata"]["nbmake"]["mock"]
    values = {}
    exec(compile(parse(cell), path.name, "exec"), values)
    outside = {
        name
        for name, value in values.items()
        if isinstance(value, str) and value.startswith("../../")
    }
    assert outside <= set(mock)


@notebooks
def test_outputs_are_stripped_but_for_those_to_keep(path):
    for cell in code_of(read(path)):
        assert cell["execution_count"] is None
        kept = "keep_output" in tags_of(cell)
        assert kept or cell["outputs"] == []
        assert [output for output in cell["outputs"] if output["output_type"] == "error"] == []


@notebooks
def test_cells_to_keep_show_their_figure(path):
    empty = [
        cell["source"]
        for cell in code_of(read(path))
        if "keep_output" in tags_of(cell)
        and not any("image/png" in output.get("data", {}) for output in cell["outputs"])
    ]
    assert empty == []  # `make notebooks` draws them
