"""Run the notebooks under test on the sample, also where ``data/raw`` has photographs."""

from collections.abc import Generator

import pytest

from utils.curate.source import USE_SAMPLE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Set the variable that makes ``open_data`` choose the sample. The kernel inherits it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(USE_SAMPLE, "1")
        return (yield)
