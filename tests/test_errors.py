"""Errors that the user can mend are one sentence in a notebook."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from utils.classes import LabelError
from utils.collect.archives import PublicSetError
from utils.collect.bing import CrawlError
from utils.collect.fetch import FetchError
from utils.collect.recording import RecordingError
from utils.errors import UserError
from utils.files import SourceError
from utils.images import ImageError
from utils.tables import TableError

ERRORS = [
    UserError,
    CrawlError,
    FetchError,
    ImageError,
    LabelError,
    PublicSetError,
    RecordingError,
    SourceError,
    TableError,
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_jupyter_shows_the_sentence_without_a_traceback(error):
    shell = InteractiveShell.instance()
    shell.user_ns["error"] = error("There is no folder x: check the path.")
    with capture_output() as captured:
        shell.run_cell("raise error")
    assert captured.stdout == "There is no folder x: check the path.\n"
    assert captured.stderr == ""
