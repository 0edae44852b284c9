"""``make lab``: JupyterLab shows the project's folder, with notebook 03 open."""

import re
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser import CHROMIUM_FLAGS, PATIENCE_S, jupyter_lab
from tests.conftest import find_chromium
from utils.paths import ROOT

NOTEBOOK = "03-detect_face_using_mask.ipynb"


@pytest.mark.browser
def test_make_lab_shows_the_project_at_notebook_03(tmp_path):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, tmp_path / "notebooks")
    shutil.copy(ROOT / "README.md", tmp_path)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (flag,) = re.findall(r'jupyter lab "(.*)"', makefile)
    with (
        jupyter_lab(tmp_path, lab_flags=[flag]) as address,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_FLAGS
        ) as chromium,
    ):
        page = chromium.new_page()
        page.goto(address)
        timeout = 1000 * PATIENCE_S
        title = page.locator(".jp-NotebookPanel h1").first
        expect(title).to_contain_text("03", timeout=timeout)
        listed = page.locator(".jp-DirListing-itemText")
        expect(listed).to_have_text(["notebooks", "README.md"], timeout=timeout)
