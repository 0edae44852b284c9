"""People in a video: read its frames, detect, track and count the faces, and write a copy.

``Video`` reads the frames of any source, and ``VideoWriter`` writes them; the package ``media``
reads and writes the files. ``Monitor.update`` processes one frame: ``VideoPipeline`` detects and
classifies its faces, ``Tracker.update`` matches them to tracks, ``PeopleCounter.update`` counts
each track once, and ``Alerts.update`` runs a command. The widget ``utils.video.webcam.Webcam`` does
all this in a notebook with the browser's camera.
"""

from utils.video.alerts import Alerts
from utils.video.counts import INTERVAL_COLUMNS, TRACK_COLUMNS, PeopleCounter
from utils.video.distance import ERROR, FIELD_OF_VIEW
from utils.video.media import VideoWriter
from utils.video.monitor import Monitor
from utils.video.pipeline import VideoPipeline
from utils.video.sources import Video
from utils.video.tracker import Tracker

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
