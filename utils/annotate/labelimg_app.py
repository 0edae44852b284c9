"""labelImg, a program to draw boxes and give them classes, as ``python -m utils.annotate.labelimg_app FOLDER`` runs it.

labelImg 1.8.6 is no longer developed: what it needs on Python 3.11 to 3.13 is mended here. It offers the project's
classes, keeps Pascal VOC files beside the images, and saves them when a person goes on.
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

# Neither OpenCV nor what imports it: its wheel brings a Qt of its own, which must not meet labelImg's.
from utils.classes import MASK_CLASSES
from utils.paths import is_crop

FLOAT_CALLS = {
    "QtGui": {"QPainter": ("drawLine", "drawRect", "drawText")},
    "QtWidgets": {"QScrollBar": ("setValue",), "QSpinBox": ("setValue",)},
}
WINDOW_WH = (1280, 800)


def annotation_path(image: str | Path) -> Path:
    """The Pascal VOC file of an image: in ``annotations`` beside it, or beside its folder where that is ``images``."""
    image = Path(image)
    folder = image.parent.parent if image.parent.name == "images" else image.parent
    return folder / "annotations" / f"{image.stem}.xml"


def _round_floats(owner: type, name: str) -> None:
    """Let a method of Qt take floats, which PyQt5 refuses since Python 3.10."""
    method = getattr(owner, name)

    @wraps(method)
    def call(self: Any, *values: Any) -> Any:
        return method(
            self, *(round(value) if isinstance(value, float) else value for value in values)
        )

    setattr(owner, name, call)


def _mend_python() -> None:
    """What labelImg takes for granted and Python no longer has."""
    try:
        importlib.import_module("distutils.spawn")
    except ImportError:  # from Python 3.12 on, unless setuptools brings it
        distutils, spawn = ModuleType("distutils"), ModuleType("distutils.spawn")
        distutils.spawn, spawn.find_executable = spawn, shutil.which
        sys.modules |= {"distutils": distutils, "distutils.spawn": spawn}
    for module, classes in FLOAT_CALLS.items():
        for owner, names in classes.items():
            for name in names:
                _round_floats(getattr(importlib.import_module(f"PyQt5.{module}"), owner), name)
    # With a hook of its own, PyQt5 prints an exception; without, it ends the program and loses what was drawn.
    sys.excepthook = traceback.print_exception


def make_window(folder: str | Path) -> Any:
    """labelImg's main window on a folder; a ``QApplication`` must be there."""
    _mend_python()
    from labelImg import labelImg
    from libs.labelFile import LabelFileFormat
    from PyQt5.QtCore import QSize

    class Settings(labelImg.Settings):
        """The project's settings, which stay in memory."""

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
                self.error_message(
                    "Not saved",
                    f"{error.filename}: {error.strerror}. Choose a folder you can write to.",
                )

    labelImg.Settings = Settings
    window = Window(str(folder), "", str(folder))  # without a place to save, it would ask for one
    window.actions.deleteImg.setEnabled(False)  # it would delete the photo without asking
    window.actions.save_format.setEnabled(False)
    return window


def main() -> int:
    """Run labelImg on the folder that the command line names."""
    from PyQt5.QtWidgets import QApplication

    app = QApplication(sys.argv[:1])
    app.setApplicationName("labelImg")
    window = make_window(sys.argv[1])
    window.show()
    return app.exec_()


if __name__ == "__main__":
    sys.exit(main())
