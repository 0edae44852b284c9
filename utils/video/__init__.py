"""Frames over time: read a video or camera, track and count people, draw, write copies."""

from utils.video.alerts import Alerts
from utils.video.counts import INTERVAL_COLUMNS, TRACK_COLUMNS, Census
from utils.video.distance import ERROR, FIELD_OF_VIEW
from utils.video.monitor import Monitor, watch_video
from utils.video.pipeline import JudgeInTurns
from utils.video.sources import Video
from utils.video.tracker import Tracker
from utils.video.writer import VideoCopy

__all__ = [
    "Alerts",
    "Census",
    "ERROR",
    "FIELD_OF_VIEW",
    "INTERVAL_COLUMNS",
    "JudgeInTurns",
    "Monitor",
    "TRACK_COLUMNS",
    "Tracker",
    "Video",
    "VideoCopy",
    "watch_video",
]
