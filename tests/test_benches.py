"""The benchmarks, which no test runs: they can be started."""

import importlib

import pytest

from utils.paths import ROOT

BENCHES = sorted(file.stem for file in (ROOT / "tests").glob("bench*.py"))


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_can_be_imported(name):
    module = importlib.import_module(f"tests.{name}")
    assert f"python -m tests.{name}" in module.__doc__ or "make bench" in module.__doc__
