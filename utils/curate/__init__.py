"""Make a data set from labelled photographs.

``open_data`` chooses the photographs to run on: one's own, or the sample that ships.
``prepare_labels`` reads a data root into the label table that training uses: corrected, grouped and
split. ``open_labels`` reads a table that is there, or makes it. The split itself is made by
``split_by_group``. ``find_near_duplicates`` finds copies of photographs, ``find_label_issues``
finds doubtful labels, ``write_datasheet`` describes the data set, and ``export_faces`` writes its
faces as image files.
"""

from utils.curate.datasheet import write_datasheet
from utils.curate.export import EXPORTED, export_faces
from utils.curate.label_issues import find_label_issues
from utils.curate.near_duplicates import (
    HASH_SIDE,
    MAX_DISTANCE_FULL,
    MAX_DISTANCE_TOP,
    find_near_duplicates,
    group_near_duplicates,
    hash_image,
    hash_images,
)
from utils.curate.prepare import (
    CORRECTIONS_FILE,
    MISTAKES_FILE,
    open_labels,
    prepare_labels,
    read_data,
)
from utils.curate.source import EMPTY_SOURCES, PEOPLE_FILE, DataSource, open_data, read_empty
from utils.curate.split import (
    SPLIT_FILE,
    digest_split,
    is_split_of,
    keep_sides,
    measure_leakage,
    select_sources,
    split_by_group,
)

__all__ = [
    "CORRECTIONS_FILE",
    "EMPTY_SOURCES",
    "EXPORTED",
    "HASH_SIDE",
    "MAX_DISTANCE_FULL",
    "MAX_DISTANCE_TOP",
    "MISTAKES_FILE",
    "PEOPLE_FILE",
    "SPLIT_FILE",
    "DataSource",
    "digest_split",
    "export_faces",
    "find_label_issues",
    "find_near_duplicates",
    "group_near_duplicates",
    "hash_image",
    "hash_images",
    "is_split_of",
    "keep_sides",
    "measure_leakage",
    "open_data",
    "open_labels",
    "prepare_labels",
    "read_data",
    "read_empty",
    "select_sources",
    "split_by_group",
    "write_datasheet",
]
