"""A notebook in a real browser: JupyterLab on loopback, opened in headless Chromium.

For the tests of widgets. Nothing is written outside the given folder, and nothing but loopback is
contacted.
"""

import faulthandler
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import psutil
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.conftest import find_chromium
from utils.paths import ROOT

PATIENCE_S = 120  # seconds; a busy machine is slow to start a server, a kernel and a browser
STOP_S = 20  # seconds until a server that does not end is killed
HANG_S = 300  # seconds until a browser that does not answer is killed
RECONNECT_S = 15  # seconds to wait for a kernel before reconnecting
VIEWPORT = {"width": 1200, "height": 1000}  # pixels
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The page shows "idle" before there is a kernel, and a cell that is run then never runs.
IS_READY = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
# The command of "Kernel > Reconnect to Kernel". It does not restart the kernel.
RECONNECT = """() => {
  window.jupyterapp?.commands.execute('kernelmenu:reconnect-to-kernel').catch(() => {});
}"""


class Chromium:
    """Chromium under Playwright, started when it is needed and again after it was killed."""

    def __init__(self, playwright: Playwright, flags: Sequence[str] = ()) -> None:
        self._playwright = playwright
        self._flags = flags
        self._browser: Browser | None = None

    @property
    def browser(self) -> Browser:
        """The running browser."""
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(
                executable_path=find_chromium(), args=[*CHROMIUM_FLAGS, *self._flags]
            )
        return self._browser

    def close(self) -> None:
        """End the browser."""
        if self._browser is not None and self._browser.is_connected():
            self._browser.close()


@contextmanager
def kill_hanging_chromium(seconds: float = HANG_S) -> Iterator[None]:
    """Kill Chromium if the block takes longer, so that the block ends with an error.

    Some waits of Playwright have no limit: for the value of a script, or for the end of a download.
    """
    timer = threading.Timer(seconds, _kill_chromium)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill_chromium() -> None:
    """Show where the tests wait, and kill each Chromium that they have started."""
    faulthandler.dump_traceback(sys.__stderr__)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "chrom" in process.name():
                process.kill()


def _find_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_settings(folder: Path, theme: str) -> None:
    """Write JupyterLab's settings: the theme, and no questions about news and updates."""
    folder = folder / "@jupyterlab/apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "themes": {"theme": f"JupyterLab {theme}"},
        "notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, values in settings.items():
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values), encoding="utf-8")


def _make_environment(home: Path) -> dict[str, str]:
    """Return the environment variables of a server whose files are all in one folder."""
    environment = {}
    for name, value in os.environ.items():
        if not name.startswith(("JUPYTER", "IPYTHON", "PYTEST")):
            environment[name] = value
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        environment[name] = str(home / name.lower())
    environment["JUPYTERLAB_SETTINGS_DIR"] = str(home / "settings")
    environment["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
    environment["JUPYTER_NO_CONFIG"] = "1"
    environment["IPYTHONDIR"] = str(home / "ipython")
    environment["HOME"] = str(home)
    environment["PYTHONPATH"] = str(ROOT)
    return environment


def _stop(process: subprocess.Popen) -> None:
    """End the server, which ends its kernels. Kill it if it does not end."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    """Return whether a server answers at an address."""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def jupyter_lab(folder: Path, theme: str = "Light", lab_flags: Sequence[str] = ()) -> Iterator[str]:
    """Run JupyterLab on a folder and yield its address.

    Its settings and the user's home are in ``.home`` in this folder.

    Args:
        folder: the root folder of the server.
        theme: "Light" or "Dark".
        lab_flags: more command-line flags of JupyterLab.
    """
    home = folder / ".home"
    port = _find_port()
    _write_settings(home / "settings", theme)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
        *lab_flags,
    ]
    address = f"http://127.0.0.1:{port}"
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env=_make_environment(home),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not _answers(f"{address}/api"):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}"
                    )
                time.sleep(0.1)
            yield address
        finally:
            _stop(server)


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook with these code cells."""
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
    """Open a notebook in a browser and yield its page, with the kernel ready.

    Every wait of the page has ``PATIENCE_S``.

    Args:
        folder: an empty folder; the kernel works in it.
        cells: the code cells of the notebook.
        theme: "Light" or "Dark".
        chromium_flags: more command-line flags of Chromium, for example of a fake camera.
        permissions: what the page may use without asking, such as "camera".
        lab_flags: more command-line flags of JupyterLab.
    """
    write_notebook(folder / "notebook.ipynb", cells)
    with (
        jupyter_lab(folder, theme, lab_flags) as address,
        sync_playwright() as playwright,
        kill_hanging_chromium(),
    ):
        chromium = Chromium(playwright, chromium_flags)
        context = chromium.browser.new_context(viewport=VIEWPORT, permissions=list(permissions))
        context.set_default_timeout(1000 * PATIENCE_S)
        page = context.new_page()
        page.goto(f"{address}/lab/tree/notebook.ipynb")
        wait_for_kernel(page)
        yield page
        context.close()
        chromium.close()


def wait_for_kernel(page: Page) -> None:
    """Wait until the notebook's kernel is ready. Reconnect to it if it stays "Unknown".

    On a busy machine JupyterLab sometimes opens its socket to a kernel on another server, closes it
    and opens it again. The first answers then go to the closed socket, and the page would wait for
    them forever. A person would reconnect too.
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
    """Run one code cell with Ctrl+Enter and wait until it has run."""
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").nth(number)
    before = prompt.inner_text()
    page.locator(".jp-CodeCell .jp-InputArea-editor .cm-content").nth(number).click()
    page.keyboard.press("Control+Enter")
    expect(prompt).not_to_have_text(before, timeout=1000 * PATIENCE_S)
    expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=1000 * PATIENCE_S)


def reload(page: Page) -> None:
    """Load the page again. The kernel goes on running."""
    page.reload()
    wait_for_kernel(page)
