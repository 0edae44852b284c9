"""Label files of faces: Pascal VOC, COCO, YOLO, Label Studio, and folders named after classes.

``read_labels`` reads a data root in any of these (but Label Studio) into one label table, and
``write_labels`` writes any of them from ``LabelledImage``. The command
``python -m utils.formats SRC DST --to {voc,coco,yolo}`` converts a data set, see ``convert``.
Importing this package does not load pandas, because the script writes label files too.
"""

from utils.formats.coco import (
    find_coco_files,
    load_json,
    parse_bbox,
    read_coco_folder,
    write_coco,
)
from utils.formats.convert import Conversion, convert_labels
from utils.formats.label_studio import write_label_studio
from utils.formats.labelled import LabelledImage, Labels, Listed, find_split, settle_photographs
from utils.formats.read import SHOWN_REASONS, read_labels, read_root
from utils.formats.voc import (
    UNKNOWN_SIZE,
    VOC_TAGS,
    describe_wrong_size,
    read_voc,
    read_voc_folder,
    write_voc,
    write_voc_files,
)
from utils.formats.write import LABEL_FORMATS, name_label_files, write_labels
from utils.formats.yolo import (
    is_yolo_folder,
    read_yolo_folder,
    read_yolo_names,
    write_yolo,
)

__all__ = [
    "LABEL_FORMATS",
    "SHOWN_REASONS",
    "UNKNOWN_SIZE",
    "VOC_TAGS",
    "Conversion",
    "LabelledImage",
    "Labels",
    "Listed",
    "convert_labels",
    "describe_wrong_size",
    "find_coco_files",
    "find_split",
    "is_yolo_folder",
    "load_json",
    "name_label_files",
    "parse_bbox",
    "read_coco_folder",
    "read_labels",
    "read_root",
    "read_voc",
    "read_voc_folder",
    "read_yolo_folder",
    "settle_photographs",
    "read_yolo_names",
    "write_coco",
    "write_label_studio",
    "write_labels",
    "write_voc",
    "write_voc_files",
    "write_yolo",
]
