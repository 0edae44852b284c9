"""People in a video: read frames, detect, track, count, draw, write an annotated copy.

``Video`` reads the frames of any source, and ``VideoWriter`` writes them. ``Monitor`` processes a
frame: ``VideoPipeline`` detects and classifies its faces, ``Tracker.update`` matches them to
tracks, ``PeopleCounter.update`` counts each track once, and ``Alerts`` runs a command. The widget
in ``utils.video.webcam`` does all this with the browser's camera in a notebook.
"""

from utils.video.alerts import Alerts
from utils.video.counts import INTERVAL_COLUMNS, TRACK_COLUMNS, PeopleCounter
from utils.video.distance import ERROR, FIELD_OF_VIEW
from utils.video.monitor import Monitor
from utils.video.pipeline import VideoPipeline
from utils.video.sources import Video
from utils.video.tracker import Tracker
from utils.video.writer import VideoWriter

__all__ = [
    "Alerts",
    "ERROR",
    "FIELD_OF_VIEW",
    "INTERVAL_COLUMNS",
    "Monitor",
    "PeopleCounter",
    "TRACK_COLUMNS",
    "Tracker",
    "Video",
    "VideoPipeline",
    "VideoWriter",
]
