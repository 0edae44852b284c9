"""Pascal VOC: an XML file for each image.

``read_voc`` reads one file, and ``match_voc`` finds the image of each file of a folder.
``write_voc`` writes a file for this project, and ``write_voc_files`` writes files for other
programs.
"""

from utils.formats.voc.match import describe_wrong_size, match_voc, read_voc_folder
from utils.formats.voc.read import UNKNOWN_SIZE, read_voc
from utils.formats.voc.write import VOC_TAGS, name_voc, write_voc, write_voc_files

__all__ = [
    "UNKNOWN_SIZE",
    "VOC_TAGS",
    "describe_wrong_size",
    "match_voc",
    "name_voc",
    "read_voc",
    "read_voc_folder",
    "write_voc",
    "write_voc_files",
]
