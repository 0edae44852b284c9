"""The repository as a whole: dependencies, imports, Makefile and pages agree with each other."""

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
from utils.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines]
    for name, lines in PROJECT["optional-dependencies"].items()
}
DIRECT = RUNTIME + [requirement for extra in EXTRAS.values() for requirement in extra]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = [Requirement(line.split("#")[0]) for line in LOCK.splitlines() if not line.startswith("#")]
PYTHONS = [f"3.{minor}" for minor in range(30)]
PYTHONS = [version for version in PYTHONS if version in SpecifierSet(PROJECT["requires-python"])]
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
    "dask",
    "distributed",
    "pyarrow",
}


def list_tracked_files(*patterns: str) -> list[Path]:
    """Return the files that git tracks, or would track once they are added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"]
    command += patterns
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = {ROOT / name for name in listed.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def name_in_repository(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read_python_sources() -> dict[str, str]:
    """Return the code of every tracked Python file and notebook, by its path."""
    sources = {}
    for path in list_tracked_files("*.py", "*.ipynb"):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            code = "\n".join("".join(cell["source"]) for cell in cells)
            text = re.sub(r"(?m)^\s*[%!].*$", "", code)  # shell and magic lines
        sources[name_in_repository(path)] = text
    return sources


def find_imported_libraries(source: str) -> set[str]:
    """Return the top-level names that a source imports from outside this repository."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"utils", "tests"}


def read_make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^([a-z]+):", makefile))


def test_some_python_is_supported():
    assert PYTHONS


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_lock_pins_every_direct_dependency_once_on_every_platform(requirement):
    for version, (system, machine) in product(PYTHONS, PLATFORMS):
        environment = default_environment() | {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "sys_platform": system,
            "platform_machine": machine,
            "os_name": "nt" if system == "win32" else "posix",
        }
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        pins = [pin for pin in PINS if canonicalize_name(pin.name) == name]
        pins = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
        assert len(pins) == 1
        (pinned,) = pins[0].specifier
        assert pinned.operator == "=="
        assert pinned.version in requirement.specifier


def test_lock_names_no_index_and_no_path():
    assert re.findall(r"\S+://\S+|--\S*(?:index|find-links)\S*|\S* @ \S*", LOCK) == []


def test_conda_environment_installs_the_lock_and_this_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, from_pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])
    assert (pip, from_pip) == ("pip", {"pip": ["-r requirements.lock", "-e ."]})


def test_the_version_and_its_date_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"(?m)^## (\d\S*) - (\S+)$", changelog)
    version = PROJECT["version"]
    assert utils.__version__ == version
    assert (citation["version"], citation["date-released"]) == released[0]
    assert released[0][0] == version


def test_every_import_is_a_declared_dependency():
    declared = {canonicalize_name(requirement.name) for requirement in DIRECT}
    distributions = packages_distributions()
    undeclared = set()
    for path, source in read_python_sources().items():
        for library in find_imported_libraries(source):
            providers = {canonicalize_name(name) for name in distributions.get(library, [])}
            if not declared & providers:
                undeclared.add((path, library))
    assert undeclared == set()


def test_the_imported_utils_is_ours():
    assert Path(utils.__file__).parent == ROOT / "utils"


def test_imports_keep_the_contracts_of_import_linter():
    """The contracts are in pyproject.toml: imports point down, and detection stays light."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "module",
    ["utils.detect", "utils.draw", "utils.images", "utils.formats", "utils.video", "utils.cli"],
)
def test_detection_and_the_script_import_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    loaded = {name.split(".")[0] for name in modules.split()}
    assert module in modules.split()  # it was really imported
    assert loaded & HEAVY == set()


def test_make_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"(?m)^\.PHONY:(.*)$", makefile).group(1).split()
    listed = subprocess.run(
        ["make", "-s"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    assert sorted(re.findall(r"(?m)^make (\w+) +\S", listed)) == sorted(phony)
    assert read_make_targets() == set(phony)


@pytest.mark.parametrize("page", list_tracked_files("*.md"), ids=name_in_repository)
def test_pages_point_to_files_and_targets_that_exist(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s#]+)", text) + re.findall(r'(?:src|href)="([^"#]+)', text)
    local_links = [link for link in links if "://" not in link]
    assert [link for link in local_links if not (page.parent / link).exists()] == []
    targets = set(re.findall(r"`make ([a-z]+)", text))
    assert targets - read_make_targets() == set()


def test_no_file_names_a_place_on_one_machine():
    pattern = r"(?<![\w.~-])/(?:work|root|home|Users|tmp|opt)/\S*"
    found = {}
    for path in list_tracked_files():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        places = re.findall(pattern, content.decode("utf-8"))
        if places:
            found[name_in_repository(path)] = places
    assert found == {}
