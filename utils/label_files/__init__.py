"""Label files of other programs: COCO, YOLO, Pascal VOC and Label Studio. Needs no pandas.

``write_labels`` writes any of them from ``LabelledImage``. ``read_coco_folder`` and
``read_yolo_folder`` read a folder; ``formats.read_labels`` chooses the reader by itself.
"""

from utils.label_files.coco import find_coco_files, read_coco_folder, write_coco
from utils.label_files.image import LabelledImage
from utils.label_files.label_studio import write_label_studio
from utils.label_files.rows import Labels, Listed, find_split
from utils.label_files.sizes import read_upright_size
from utils.label_files.voc import FIRST_PIXEL, counts_from_one, write_voc_files
from utils.label_files.write import LABEL_FORMATS, name_label_files, write_labels
from utils.label_files.yolo import is_yolo_folder, read_yolo_folder, write_yolo

__all__ = [
    "FIRST_PIXEL",
    "LABEL_FORMATS",
    "LabelledImage",
    "Labels",
    "Listed",
    "counts_from_one",
    "find_coco_files",
    "find_split",
    "is_yolo_folder",
    "name_label_files",
    "read_coco_folder",
    "read_upright_size",
    "read_yolo_folder",
    "write_coco",
    "write_label_studio",
    "write_labels",
    "write_voc_files",
    "write_yolo",
]
