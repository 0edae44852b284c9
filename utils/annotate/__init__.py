"""Labels by hand: widgets and windows to give them, a journal that keeps them, and checks of them.

In a notebook, ``LabelWidget`` shows the faces of a ``LabelSession`` one by one, and
``ContactSheet`` shows many to pick from. ``label_missed_faces`` and ``label_in_labelimg`` draw
boxes in a window. ``read_script_faces`` gives a session the faces of which the script was unsure.
Every decision is a row in a journal, which ``read_hand_labels`` reads and
``to_label_table`` turns into labels. ``compare_annotators``, ``find_disputes`` and
``rank_by_model_disagreement`` show which labels are doubtful.

The names are loaded on first use. labelImg runs as ``python -m utils.annotate.labelimg_app``, which
imports this file, and it must not load OpenCV: OpenCV's Qt is not compatible with labelImg's.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.annotate.agreement import (
        compare_annotators,
        find_disputes,
        rank_by_model_disagreement,
    )
    from utils.annotate.hand_labels import read_hand_folder, to_label_table
    from utils.annotate.journal import (
        JOURNAL_COLUMNS,
        JOURNAL_NAME,
        read_hand_labels,
        record_label,
    )
    from utils.annotate.labelimg import label_in_labelimg
    from utils.annotate.regions import label_missed_faces
    from utils.annotate.session import LabelSession
    from utils.annotate.unsure_faces import ScriptFaces, read_script_faces
    from utils.annotate.widgets import ContactSheet, LabelWidget, read_face_with_context

__all__ = [
    "JOURNAL_COLUMNS",
    "JOURNAL_NAME",
    "ContactSheet",
    "LabelSession",
    "LabelWidget",
    "ScriptFaces",
    "compare_annotators",
    "find_disputes",
    "label_in_labelimg",
    "label_missed_faces",
    "rank_by_model_disagreement",
    "read_face_with_context",
    "read_hand_folder",
    "read_hand_labels",
    "read_script_faces",
    "record_label",
    "to_label_table",
]

_MODULE_OF_NAME = {
    "JOURNAL_COLUMNS": "journal",
    "JOURNAL_NAME": "journal",
    "ContactSheet": "widgets",
    "LabelSession": "session",
    "LabelWidget": "widgets",
    "ScriptFaces": "unsure_faces",
    "compare_annotators": "agreement",
    "find_disputes": "agreement",
    "label_in_labelimg": "labelimg",
    "label_missed_faces": "regions",
    "rank_by_model_disagreement": "agreement",
    "read_face_with_context": "widgets",
    "read_hand_folder": "hand_labels",
    "read_hand_labels": "journal",
    "read_script_faces": "unsure_faces",
    "record_label": "journal",
    "to_label_table": "hand_labels",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULE_OF_NAME[name]}")
    return getattr(module, name)
