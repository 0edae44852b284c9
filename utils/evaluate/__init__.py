"""Scores of classifiers and detectors: numbers in, tables out, each with its n and an interval."""

from utils.evaluate.boxes import match_boxes
from utils.evaluate.calibration import apply_calibration
from utils.evaluate.scores import bootstrap_interval

__all__ = [
    "apply_calibration",
    "bootstrap_interval",
    "match_boxes",
]
