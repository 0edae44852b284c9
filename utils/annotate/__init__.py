"""Labels by hand: a journal of decisions, widgets, windows, labelImg, and agreement."""

from utils.annotate.agreement import compare_labellers
from utils.annotate.journal import JOURNAL_COLUMNS, JOURNAL_NAME, read_hand_labels, record_label
from utils.annotate.session import LabelSession, read_hand_folder

__all__ = [
    "JOURNAL_COLUMNS",
    "JOURNAL_NAME",
    "LabelSession",
    "compare_labellers",
    "read_hand_folder",
    "read_hand_labels",
    "record_label",
]
