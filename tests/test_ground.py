"""The ground the project stands on: its files agree with each other, and detection stays light."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import product
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import utils

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines]
    for name, lines in PROJECT["optional-dependencies"].items()
}
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = [Requirement(line.split("#")[0]) for line in LOCK.splitlines() if not line.startswith("#")]
PLATFORMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]
HEAVY = {
    "tensorflow",
    "keras",
    "matplotlib",
    "pandas",
    "seaborn",
    "scipy",
    "sklearn",
    "icrawler",
    "pooch",
    "IPython",
}


def tracked_files(*patterns: str) -> list[Path]:
    """Files that git keeps, or would keep once added."""
    command = [
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
        "--",
        *patterns,
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted({path for name in listed.split("\0") if name and (path := ROOT / name).is_file()})


def python_sources() -> dict[str, str]:
    """Code of every Python file and notebook that git keeps, by its path."""
    sources = {}
    for path in tracked_files("*.py", "*.ipynb"):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            text = "\n".join(
                re.sub(r"(?m)^\s*[%!].*$", "", "".join(cell["source"])) for cell in cells
            )
        sources[path.relative_to(ROOT).as_posix()] = text
    return sources


def imported_libraries(source: str) -> set[str]:
    """Top-level names of what a source imports from outside the standard library and this repository."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    ours = {"utils"} | {path.stem for path in tracked_files("tests/*.py")}
    return names - set(sys.stdlib_module_names) - ours


@pytest.mark.parametrize("requirement", RUNTIME + sum(EXTRAS.values(), []), ids=str)
def test_lock_pins_every_direct_dependency_once_on_every_platform(requirement):
    python_versions = [
        f"3.{minor}"
        for minor in range(30)
        if f"3.{minor}" in SpecifierSet(PROJECT["requires-python"])
    ]
    assert python_versions
    for version, (system, machine) in product(python_versions, PLATFORMS):
        environment = default_environment() | {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "sys_platform": system,
            "platform_machine": machine,
            "os_name": "nt" if system == "win32" else "posix",
        }
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        pins = [
            pin
            for pin in PINS
            if canonicalize_name(pin.name) == canonicalize_name(requirement.name)
            and (pin.marker is None or pin.marker.evaluate(environment))
        ]
        assert len(pins) == 1
        (pinned,) = pins[0].specifier
        assert pinned.operator == "==" and pinned.version in requirement.specifier


def test_lock_names_no_index_and_no_path():
    assert re.findall(r"\S+://\S+|--\S*(?:index|find-links)\S*|\S* @ \S*", LOCK) == []


def test_conda_environment_installs_the_lock_and_this_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, from_pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert (pip, from_pip) == ("pip", {"pip": ["-r requirements.lock", "-e ."]})


def test_every_import_is_a_declared_dependency():
    runtime = {canonicalize_name(requirement.name) for requirement in RUNTIME}
    declared = runtime.union(
        *({canonicalize_name(entry.name) for entry in extra} for extra in EXTRAS.values())
    )
    distributions = packages_distributions()
    undeclared = {
        (path, library)
        for path, source in python_sources().items()
        for library in imported_libraries(source)
        if not declared & {canonicalize_name(name) for name in distributions.get(library, [])}
    }
    assert undeclared == set()


def test_the_imported_utils_is_ours():
    assert Path(utils.__file__).parent == ROOT / "utils"


def test_detection_imports_nothing_heavy():
    code = "import sys, utils.detect.pipeline, utils.draw; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    loaded = {name.split(".")[0] for name in modules.split()}
    assert "cv2" in loaded  # the modules were really imported
    assert loaded & HEAVY == set()


def test_make_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"(?m)^\.PHONY:(.*)$", makefile).group(1).split()
    listed = subprocess.run(
        ["make", "-s"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    assert sorted(re.findall(r"(?m)^make (\w+) +\S", listed)) == sorted(phony)
    assert set(re.findall(r"(?m)^([a-z]+):", makefile)) == set(phony)


@pytest.mark.parametrize(
    "page", tracked_files("*.md"), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_pages_point_to_files_and_targets_that_exist(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s#]+)", text) + re.findall(r'(?:src|href)="([^"#]+)', text)
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert [name for name in re.findall(r"`make ([a-z]+)", text) if name not in targets] == []


def test_no_file_names_a_place_on_one_machine():
    found = {}
    for path in tracked_files():
        if b"\0" not in (content := path.read_bytes()):
            places = re.findall(
                r"(?<![\w.~-])/(?:work|root|home|Users|tmp|opt)/\S*", content.decode("utf-8")
            )
            found |= {path.relative_to(ROOT).as_posix(): places} if places else {}
    assert found == {}
