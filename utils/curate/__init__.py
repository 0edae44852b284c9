"""From labelled photographs to a data set: near-duplicates, split, inventory, datasheet, export."""

from utils.curate.datasheet import write_datasheet
from utils.curate.groups import (
    HASH_SIDE,
    MAX_DISTANCE_FULL,
    MAX_DISTANCE_TOP,
    digest_split,
    find_near_duplicates,
    hash_image,
    hash_images,
)
from utils.curate.prepare import prepare_labels, read_data

__all__ = [
    "HASH_SIDE",
    "MAX_DISTANCE_FULL",
    "MAX_DISTANCE_TOP",
    "digest_split",
    "find_near_duplicates",
    "hash_image",
    "hash_images",
    "prepare_labels",
    "read_data",
    "write_datasheet",
]
