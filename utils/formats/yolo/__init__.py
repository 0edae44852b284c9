"""YOLO: a text file for each image, and ``data.yaml`` with the names of the classes.

A line is ``class x_center y_center width height`` in shares of the image. The text file of
``images/a.jpg`` is ``labels/a.txt``, or ``a.txt`` beside the image.
"""

from utils.formats.yolo.data_file import DATA_FILE, name_split_folders, read_yolo_names
from utils.formats.yolo.read import is_yolo_folder, read_yolo_folder
from utils.formats.yolo.write import name_yolo, write_yolo

__all__ = [
    "DATA_FILE",
    "is_yolo_folder",
    "name_split_folders",
    "name_yolo",
    "read_yolo_folder",
    "read_yolo_names",
    "write_yolo",
]
