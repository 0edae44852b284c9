"""Photographs from the web, each with a record of where it came from."""

from utils.collect.convert import convert_images, find_broken_images
from utils.collect.extract import extract_faces
from utils.collect.face_table import read_faces, read_searched
from utils.collect.fetch import PoliteSession
from utils.collect.provenance import (
    COLUMNS,
    REFUSED,
    SOURCE_COLUMNS,
    SOURCES,
    TAKEN_DOWN,
    read_refused,
    read_sources,
    read_taken_down,
)
from utils.collect.rebuild import LABELS
from utils.collect.takedown import remove_source

__all__ = [
    "COLUMNS",
    "LABELS",
    "PoliteSession",
    "REFUSED",
    "SOURCES",
    "SOURCE_COLUMNS",
    "TAKEN_DOWN",
    "convert_images",
    "extract_faces",
    "find_broken_images",
    "read_faces",
    "read_refused",
    "read_searched",
    "read_sources",
    "read_taken_down",
    "remove_source",
]
