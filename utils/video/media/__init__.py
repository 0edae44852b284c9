"""Video files: read their frames at their own times and in their own sizes, and write them.

``PyavReader`` reads a file with PyAV, and ``OpencvReader`` reads it without. ``Clock`` turns their
timestamps into times that only rise, and ``ends_early`` tells whether a file is cut off.
``VideoWriter`` writes frames as MP4.
"""

from utils.video.media.clock import Clock
from utils.video.media.container import ends_early, may_jump, stores_count
from utils.video.media.opencv import OpencvReader, square_pixels
from utils.video.media.pyav import PyavReader, import_av
from utils.video.media.writer import VideoWriter

__all__ = [
    "Clock",
    "OpencvReader",
    "PyavReader",
    "VideoWriter",
    "ends_early",
    "import_av",
    "may_jump",
    "square_pixels",
    "stores_count",
]
