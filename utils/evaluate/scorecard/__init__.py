"""Score the answers of any program about labelled photographs.

``read_truth`` reads the labels and ``read_answers`` the answers. ``score_answers`` compares them
(``comparison``) and returns the scores as a table.
"""

from utils.evaluate.scorecard.answers import Answers, read_answers
from utils.evaluate.scorecard.comparison import ANY_SIZE, FACE, FACE_SIZES
from utils.evaluate.scorecard.score import BOXES, BOXES_AND_LABELS, MEAN, score_answers
from utils.evaluate.scorecard.truth import FileMatcher, Truth, read_truth

__all__ = [
    "ANY_SIZE",
    "BOXES",
    "BOXES_AND_LABELS",
    "FACE",
    "FACE_SIZES",
    "MEAN",
    "Answers",
    "FileMatcher",
    "Truth",
    "read_answers",
    "read_truth",
    "score_answers",
]
