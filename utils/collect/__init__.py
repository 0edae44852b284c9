"""Photographs from the web, each with a record of where it came from.

``crawl_images`` searches Bing and saves the images. Its requests go through a ``PoliteSession``,
which waits between them; ``open_recording`` replays a recorded crawl without a network.
``convert_images`` brings the images to one format, ``extract_faces`` cuts out the faces, and
``remove_source`` takes images down. A list from ``write_share_list`` can be shared;
``python -m utils.collect rebuild`` fetches its images again.
"""

import sys

from utils.program import require_packages

if sys.argv[:1] == ["-m"]:  # imported for its command, before ``__main__``
    require_packages(
        "pandas", "requests", "urllib3", "PIL", "lxml", "filelock", extra="data", target="data"
    )

from utils.collect.bing import CrawlError
from utils.collect.convert import convert_images, find_broken_images
from utils.collect.crawl import crawl_images
from utils.collect.extract import (
    FACES,
    SEARCHED,
    extract_faces,
    list_missed,
    read_faces,
    read_searched,
    set_kept,
)
from utils.collect.fetch import FetchError, PoliteSession
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
from utils.collect.rebuild import (
    REBUILT_LABELS,
    read_share_list,
    rebuild_images,
    write_share_list,
)
from utils.collect.recording import RecordingError, open_recording
from utils.collect.takedown import remove_source

__all__ = [
    "COLUMNS",
    "FACES",
    "REBUILT_LABELS",
    "REFUSED",
    "SEARCHED",
    "SOURCES",
    "SOURCE_COLUMNS",
    "TAKEN_DOWN",
    "CrawlError",
    "FetchError",
    "PoliteSession",
    "RecordingError",
    "convert_images",
    "crawl_images",
    "extract_faces",
    "find_broken_images",
    "list_missed",
    "open_recording",
    "read_faces",
    "read_refused",
    "read_searched",
    "read_share_list",
    "read_sources",
    "read_taken_down",
    "rebuild_images",
    "remove_source",
    "set_kept",
    "write_share_list",
]
