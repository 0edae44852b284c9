"""Build the page into a folder: its own files, the models, and the runtime from its npm package."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from utils.messages import UserError
from utils.paths import ROOT
from utils.web.graphs import write_models

SOURCE = Path(__file__).parent / "page"
PAGE_DIR = ROOT / "output" / "page"

# ONNX Runtime for browsers: its package on npm, and the SHA-256 of each file that the page loads.
RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
WORKER = "service-worker.js"
FILES_MARK = '["FILES"]'  # in the service worker: the list of files to keep
VERSION_MARK = "VERSION"  # in the service worker: changes with the content of any file


class WebError(UserError):
    """The page cannot be built or served. The message says why and what to do."""


def build_page(folder: str | Path = PAGE_DIR) -> Path:
    """Build the page and return its folder.

    The runtime is fetched with npm unless the folder has it already.

    Args:
        folder: where to build; files of an earlier build are replaced.

    Raises:
        WebError: the runtime cannot be fetched, or its files are not the expected ones.
        FileNotFoundError: a model file is missing.
        ValueError: a model file is damaged.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fetch_runtime(folder / "runtime")
    write_models(folder / "models")
    for source in SOURCE.iterdir():
        if source.name != WORKER:
            shutil.copyfile(source, folder / source.name)
    _write_worker(folder)
    return folder


def fetch_runtime(folder: Path) -> None:
    """Fetch ONNX Runtime's files for browsers with npm, unless they are there.

    Raises:
        WebError: npm is missing or fails, or a file is not the expected one.
    """
    if all(_is_expected(folder / name, digest) for name, digest in RUNTIME_FILES.items()):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise WebError(
            f"npm is missing, which fetches {RUNTIME}: install Node.js (Debian: npm), then run "
            "this again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", RUNTIME, "--silent", "--pack-destination", scratch]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            lines = done.stderr.strip().splitlines()
            reason = lines[-1] if lines else f"exit status {done.returncode}"
            raise WebError(
                f"npm could not fetch {RUNTIME} ({reason}): check the network, then run this again."
            )
        with tarfile.open(archives[0]) as archive:
            for name, digest in RUNTIME_FILES.items():
                _extract(archive, f"package/dist/{name}", folder / name, digest)


def _extract(archive: tarfile.TarFile, member: str, path: Path, digest: str) -> None:
    """Write one file of an archive, after a check of its SHA-256."""
    try:
        content = archive.extractfile(member)
    except KeyError:
        content = None
    data = content.read() if content else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise WebError(
            f"{path.name} of {RUNTIME} is not the expected file: its SHA-256 differs, so it is not "
            "used."
        )
    path.write_bytes(data)


def _is_expected(path: Path, digest: str) -> bool:
    """Return whether a file is there and has this SHA-256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _write_worker(folder: Path) -> None:
    """Write the service worker with the list of all files and a version made from their content."""
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != WORKER
    )
    digest = hashlib.sha256()
    for name in files:
        digest.update(name.encode())
        digest.update((folder / name).read_bytes())
    text = (SOURCE / WORKER).read_text(encoding="utf-8")
    text = text.replace(FILES_MARK, json.dumps(["./", *files], indent=2))
    text = text.replace(VERSION_MARK, digest.hexdigest()[:12])
    (folder / WORKER).write_text(text, encoding="utf-8")
