"""A notebook in a real browser: JupyterLab on loopback, opened in headless Chromium. For the tests of widgets.

Nothing is written outside the folder that is given, and nothing but loopback is asked for.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from utils.paths import ROOT

PATIENCE_S = 120  # a loaded machine takes its time to start a server, a kernel and a browser
CHROMIUM_FLAGS = (
    *(
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *("--disable-component-update", "--disable-sync"),
)
# What the page shows says "idle" before there is a kernel, and a cell that is run then is forgotten.
IS_READY = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
# The command of "Kernel > Reconnect to Kernel"; it starts nothing anew.
RECONNECT = "() => { window.jupyterapp?.commands.execute('kernelmenu:reconnect-to-kernel').catch(() => {}); }"
RECONNECT_S = 15


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_settings(folder: Path, theme: str) -> None:
    """JupyterLab's own settings: the theme, and no questions about news."""
    folder = folder / "@jupyterlab/apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"themes": {"theme": f"JupyterLab {theme}"}, "notification": {"fetchNews": "false"}}
    settings["notification"]["checkForUpdates"] = False
    for name, values in settings.items():
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values), encoding="utf-8")


def _stop(process: subprocess.Popen) -> None:
    """End the server, which ends its kernels; kill it if it does not."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def jupyter_lab(folder: Path, theme: str = "Light", lab_flags: Sequence[str] = ()) -> Iterator[str]:
    """JupyterLab on a folder; yields its address. Its settings and the user's home lie in ``.home`` there."""
    home, port = folder / ".home", _find_port()
    _write_settings(home / "settings", theme)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "IPYTHON", "PYTEST"))
    }
    own = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    own |= {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    own |= {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(ROOT),
        "JUPYTER_NO_CONFIG": "1",
    }
    flags = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    flags += [
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
    ]
    flags += [
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
        *lab_flags,
    ]
    address, log = f"http://127.0.0.1:{port}", home / "server.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "jupyterlab", *flags]
        server = subprocess.Popen(
            command, env=kept | own, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not _answers(f"{address}/api"):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}"
                    )
                time.sleep(0.1)  # between two questions
            yield address
        finally:
            _stop(server)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """A notebook with these code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, path)


@contextmanager
def open_notebook(
    folder: Path,
    cells: Sequence[str],
    theme: str = "Light",
    chromium_flags: Sequence[str] = (),
    permissions: Sequence[str] = (),
    lab_flags: Sequence[str] = (),
) -> Iterator[Page]:
    """A notebook of these cells in JupyterLab, in a browser, with its kernel ready; every wait has ``PATIENCE_S``.

    Args:
        folder: an empty folder; the kernel works in it.
        theme: "Light" or "Dark".
        chromium_flags: more of them, a fake camera for instance.
        permissions: what the page may use without asking, such as "camera".
        lab_flags: more of JupyterLab's own.
    """
    write_notebook(folder / "notebook.ipynb", cells)
    with jupyter_lab(folder, theme, lab_flags) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*CHROMIUM_FLAGS, *chromium_flags]
        )
        context = chromium.new_context(
            viewport={"width": 1200, "height": 1000}, permissions=list(permissions)
        )
        context.set_default_timeout(1000 * PATIENCE_S)
        page = context.new_page()
        page.goto(f"{address}/lab/tree/notebook.ipynb")
        wait_for_kernel(page)
        yield page
        context.close()
        chromium.close()


def wait_for_kernel(page: Page) -> None:
    """Wait until the notebook's kernel can be used, and reconnect to it, as a person would, where it stays "Unknown".

    On a busy machine JupyterLab sometimes opens its socket to a kernel on another server, closes it, and opens it
    again; the first answers then go to the socket that is gone, and the page would wait for them for good.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            page.wait_for_function(IS_READY, timeout=1000 * RECONNECT_S)
            return
        except PlaywrightTimeoutError:
            if time.monotonic() > deadline:
                raise
        page.evaluate(RECONNECT)


def run_cell(page: Page, number: int = 0) -> None:
    """Run one code cell by Ctrl+Enter, as a person does, and wait until it has run."""
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").nth(number)
    before = prompt.inner_text()
    page.locator(".jp-CodeCell .jp-InputArea-editor .cm-content").nth(number).click()
    page.keyboard.press("Control+Enter")
    expect(prompt).not_to_have_text(before, timeout=1000 * PATIENCE_S)
    expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=1000 * PATIENCE_S)


def reload(page: Page) -> None:
    """Load the page again, as a person does who closed it by mistake; the kernel lives on."""
    page.reload()
    wait_for_kernel(page)
