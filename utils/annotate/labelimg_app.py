"""Run labelImg with the project's classes: ``python -m utils.annotate.labelimg_app FOLDER``.

labelImg draws boxes and gives them classes. Version 1.8.6 is the last one, so this module repairs
what fails on Python 3.11 to 3.13. It offers the project's classes, stores Pascal VOC files beside
the images, and saves them when the user goes to another image.

This module runs in its own process. It must not import OpenCV, nor anything that does: OpenCV's
wheel contains its own Qt, which conflicts with labelImg's.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import traceback
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from utils.atomic import write_atomically
from utils.classes import MASK_CLASSES
from utils.paths import is_crop

# (module of PyQt5, class, method): labelImg calls these with floats, which PyQt5 refuses.
FLOAT_CALLS = (
    ("QtGui", "QPainter", "drawLine"),
    ("QtGui", "QPainter", "drawRect"),
    ("QtGui", "QPainter", "drawText"),
    ("QtWidgets", "QScrollBar", "setValue"),
    ("QtWidgets", "QSpinBox", "setValue"),
)
WINDOW_WH = (1280, 800)  # pixels


def annotation_path(image: str | Path) -> Path:
    """Return the path of an image's Pascal VOC file.

    It lies in ``annotations``, which is beside the image or, if the image is in a folder
    ``images``, beside that folder.
    """
    image = Path(image)
    folder = image.parent
    if folder.name == "images":
        folder = folder.parent
    return folder / "annotations" / f"{image.stem}.xml"


def _round_floats(owner: type, name: str) -> None:
    """Make a Qt method accept floats, which PyQt5 refuses since Python 3.10."""
    method = getattr(owner, name)

    @wraps(method)
    def call(self: Any, *values: Any) -> Any:
        rounded = [round(value) if isinstance(value, float) else value for value in values]
        return method(self, *rounded)

    setattr(owner, name, call)


def _provide_distutils() -> None:
    """Provide the part of ``distutils`` that labelImg uses; Python 3.12 removed the package."""
    try:
        importlib.import_module("distutils.spawn")
    except ImportError:  # setuptools may still provide it
        distutils: Any = ModuleType("distutils")
        spawn: Any = ModuleType("distutils.spawn")
        spawn.find_executable = shutil.which
        distutils.spawn = spawn
        sys.modules["distutils"] = distutils
        sys.modules["distutils.spawn"] = spawn


def _save_whole(writer: type) -> None:
    """Make labelImg's writer of Pascal VOC replace a file in one step, as it writes in place."""
    save = writer.save  # type: ignore[attr-defined]

    @wraps(save)
    def call(self: Any, target_file: str) -> None:
        with write_atomically(target_file) as part:
            save(self, str(part))

    writer.save = call  # type: ignore[attr-defined]


def _repair_labelimg() -> None:
    """Make labelImg 1.8.6 run on current versions of Python, and write files whole."""
    _provide_distutils()
    _save_whole(importlib.import_module("libs.pascal_voc_io").PascalVocWriter)
    for module, owner, name in FLOAT_CALLS:
        _round_floats(getattr(importlib.import_module(f"PyQt5.{module}"), owner), name)
    # PyQt5 ends the program on an exception, and drawn boxes are lost, unless a hook is set.
    sys.excepthook = traceback.print_exception


def make_window(folder: str | Path) -> Any:
    """Return labelImg's main window on a folder. A ``QApplication`` must exist."""
    _repair_labelimg()
    from labelImg import labelImg
    from libs.labelFile import LabelFileFormat
    from PyQt5.QtCore import QSize

    class Settings(labelImg.Settings):
        """The project's settings. They are kept in memory and never saved."""

        def __init__(self) -> None:
            self.path = ""
            self.data = {
                labelImg.SETTING_AUTO_SAVE: True,
                labelImg.SETTING_LABEL_FILE_FORMAT: LabelFileFormat.PASCAL_VOC,
                labelImg.SETTING_PAINT_LABEL: True,
                labelImg.SETTING_WIN_SIZE: QSize(*WINDOW_WH),
            }

    class Window(labelImg.MainWindow):
        """labelImg with the project's classes, and annotations beside the images."""

        def load_predefined_classes(self, _: str) -> None:
            self.label_hist = list(MASK_CLASSES)

        def scan_all_images(self, folder_path: str) -> list[str]:
            return [image for image in super().scan_all_images(folder_path) if not is_crop(image)]

        def load_file(self, file_path: str | None = None) -> bool:
            if not self.may_continue():
                return False
            if file_path:
                self.default_save_dir = str(annotation_path(file_path).parent)
            return super().load_file(file_path)

        def may_continue(self) -> bool:
            if self.dirty and self.auto_saving.isChecked():
                self.save_file()
            return super().may_continue()

        def save_file(self, _value: bool = False) -> None:
            try:
                Path(self.default_save_dir).mkdir(exist_ok=True)
                super().save_file()
            except OSError as error:
                path = error.filename or annotation_path(self.file_path)
                self.error_message(
                    "Not saved",
                    f"{path}: {error.strerror}. Make room, or choose a folder you can write to.",
                )

    labelImg.Settings = Settings
    # The third argument is where to save. Without it, labelImg asks for a folder.
    window = Window(str(folder), "", str(folder))
    window.actions.deleteImg.setEnabled(False)  # it deletes the photograph without asking
    window.actions.save_format.setEnabled(False)
    return window


def main() -> int:
    """Run labelImg on the folder that is the first command-line argument; return the exit code."""
    from PyQt5.QtWidgets import QApplication

    app = QApplication(sys.argv[:1])
    app.setApplicationName("labelImg")
    window = make_window(sys.argv[1])
    window.show()
    return app.exec_()


if __name__ == "__main__":
    sys.exit(main())
