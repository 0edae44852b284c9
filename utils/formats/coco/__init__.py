"""COCO: one JSON file with images, annotations and categories (https://cocodataset.org)."""

from utils.formats.coco.read import find_coco_files, load_json, parse_bbox, read_coco_folder
from utils.formats.coco.write import COCO_FILE, write_coco

__all__ = [
    "COCO_FILE",
    "find_coco_files",
    "load_json",
    "parse_bbox",
    "read_coco_folder",
    "write_coco",
]
