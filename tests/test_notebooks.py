"""The notebook files: stripped outputs, parameters inside the repository, no typed results.

Pytest also runs the notebooks themselves, as they are, from ``notebooks/``.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from utils.curate.source import USE_SAMPLE
from utils.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TAGS = {"parameters", "keep_output"}
# Percentages, measurements and decimals: a cell should print them instead.
TYPED_NUMBER = re.compile(
    r"\d(?:[\d.,]*\d)?\s*(?:%|percent\b|per cent\b|ms\b|milliseconds\b|faces/s\b)|\d+\.\d+"
)
NOT_MEASURED = "95 % interval"  # a term that looks like a measured number

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read_cells(path: Path, kind: str) -> list[dict]:
    """Return the "code" or "markdown" cells of a notebook, each source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    chosen = [cell for cell in cells if cell["cell_type"] == kind]
    return [cell | {"source": "".join(cell["source"])} for cell in chosen]


def read_tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def read_parameters(path: Path) -> dict:
    """Return the only cell that is tagged "parameters"."""
    (cell,) = [cell for cell in read_cells(path, "code") if "parameters" in read_tags(cell)]
    return cell


def parse(cell: dict) -> ast.Module:
    """Return the syntax tree of a code cell without its shell and magic lines."""
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", cell["source"]))


def find_typed_numbers(text: str) -> list[str]:
    return TYPED_NUMBER.findall(text.replace(NOT_MEASURED, ""))


def test_there_are_notebooks():
    assert NOTEBOOKS


@notebooks
def test_the_run_does_not_depend_on_the_environment(path):
    source = "\n".join(cell["source"] for cell in read_cells(path, "code"))
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
def test_typed_numbers_are_found(text, count):
    assert len(find_typed_numbers(text)) == count


@notebooks
def test_no_measured_number_is_typed_into_prose(path):
    typed = {}
    for cell in read_cells(path, "markdown"):
        found = find_typed_numbers(cell["source"])
        if found:
            typed[cell["source"]] = found
    assert typed == {}


@notebooks
def test_tags_are_known(path):
    cells = read_cells(path, "code") + read_cells(path, "markdown")
    assert {tag for cell in cells for tag in read_tags(cell)} <= TAGS


@notebooks
def test_a_test_run_changes_nothing_in_the_notebook(path):
    cells = read_cells(path, "code") + read_cells(path, "markdown")
    assert [cell["source"] for cell in cells if "nbmake" in cell["metadata"]] == []


@pytest.mark.slow
def test_a_notebook_under_test_runs_on_the_sample(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks/conftest.py", folder)
    code = f"import os\nassert os.environ['{USE_SAMPLE}'] == '1'"
    cells = [nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebook.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbmake"]
    command += ["--nbmake-kernel=python3", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


@pytest.mark.slow
def test_papermill_runs_a_notebook_with_other_parameters(tmp_path):
    notebook = nbformat.read(ROOT / "notebooks/02-train_mask_classifier.ipynb", as_version=4)
    last = [cell.id for cell in notebook.cells].index("data")  # it prints what will be trained
    notebook.cells = notebook.cells[: last + 1]
    nbformat.write(notebook, tmp_path / "start.ipynb")
    command = [sys.executable, "-m", "papermill", "start.ipynb", "done.ipynb", "-p", "EPOCHS", "7"]
    environment = os.environ | {USE_SAMPLE: "1", "PYTHONPATH": str(ROOT)}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    result = subprocess.run([*command, "--kernel", "python3"], **options)
    assert result.returncode == 0, result.stderr
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    printed = "".join(output.get("text", "") for output in done.cells[-1].outputs)
    assert "Fine-tuning: 7 epochs" in printed


@notebooks
def test_the_parameters_name_nothing_outside_the_repository(path):
    values = {}
    exec(compile(parse(read_parameters(path)), path.name, "exec"), values)
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    assert [name for name, value in texts.items() if value.startswith(("../../", "/"))] == []


@notebooks
def test_outputs_are_stripped_except_in_tagged_cells(path):
    for cell in read_cells(path, "code"):
        assert cell["execution_count"] is None
        assert cell["outputs"] == [] or "keep_output" in read_tags(cell)
        assert [output for output in cell["outputs"] if output["output_type"] == "error"] == []


@notebooks
def test_tagged_cells_keep_their_output(path):
    without_output = []
    for cell in read_cells(path, "code"):
        if "keep_output" in read_tags(cell) and not cell["outputs"]:
            without_output.append(cell["source"])
    assert without_output == []  # `make notebooks` makes them
