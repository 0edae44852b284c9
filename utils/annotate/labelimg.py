"""labelImg started on a folder of the project's own, in a process of its own, from a notebook or a script."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import pandas as pd

from utils.annotate.annotations import list_photos, record_annotations, write_annotations
from utils.display import has_display
from utils.paths import ROOT

XCB_PACKAGES = "libxcb-icccm4 libxcb-keysyms1 libxcb-xinerama0 libxkbcommon-x11-0"


def make_environment() -> dict[str, str]:
    """This process's variables without those in which ``import cv2`` points to its own Qt.

    A platform that the user chose (``QT_QPA_PLATFORM=offscreen``) is kept.
    """
    ours = {"QT_QPA_PLATFORM"}
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("QT_QPA_") or name in ours
    }


def label_in_labelimg(
    folder: str | Path, root: str | Path, journal: str | Path, labeller: str, faces: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open labelImg with the faces found so far, wait until it is closed, and record what was saved.

    Args:
        folder: holds the images.
        root: the data root that ``faces.file`` is relative to.
        journal, labeller, faces: as ``annotations.record_annotations`` takes them; labelImg begins with the faces.

    Returns:
        The rows recorded, and a table of problems, as ``annotations.record_annotations`` returns them.

    Raises:
        RuntimeError, ImageError, LabelError: as ``open_labelimg`` and ``annotations.record_annotations`` raise them.
    """
    write_annotations(faces, root)
    open_labelimg(folder)
    return record_annotations(folder, root, journal, labeller, faces)


def open_labelimg(folder: str | Path, wait: bool = True) -> subprocess.Popen:
    """Open labelImg on the images of a folder and of the folders below it.

    Annotations that ``annotation_path`` names are shown, and saved there. labelImg's settings are the project's: those
    that a person keeps for labelImg itself are neither read nor written. An interrupted notebook leaves it open.

    Args:
        folder: holds the images.
        wait: return when the person has closed labelImg.

    Returns:
        The process.

    Raises:
        RuntimeError: labelImg is not installed, there is no display, or labelImg ended with an error.
        ImageError: there is no such folder, or it holds no images.
        LabelError: two images would share an annotation file.
    """
    list_photos(folder)
    if not all(map(importlib.util.find_spec, ("labelImg", "PyQt5"))):
        raise RuntimeError(
            "labelImg is not installed: run `make test` once, or draw regions where PyQt5 cannot be had (Linux on ARM)."
        )
    if os.environ.get("QT_QPA_PLATFORM") != "offscreen" and not has_display():
        raise RuntimeError(
            "labelImg needs a display, and there is none: run this where you have a desktop."
        )
    with TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "utils.annotate.labelimg_app", str(Path(folder).resolve())],
            cwd=ROOT,
            env=make_environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # interrupting a notebook must not end labelImg and lose a box
        )
        if wait and process.wait():
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip() or "it said nothing"
            if "xcb" in said:
                said = (
                    f"Qt lacks libraries of the system: on Debian `apt-get install {XCB_PACKAGES}`"
                )
            last = said.splitlines()[-1].strip()
            raise RuntimeError(
                f"labelImg ended with an error ({last}); annotations saved before are kept."
            )
    return process
