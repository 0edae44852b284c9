"""A labelling session: the order of the faces, undo and resume.

The session knows nothing of how faces are shown; ``widgets.LabelWidget`` does that.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from utils.annotate.journal import (
    JournalEntry,
    NumberedEntry,
    group_active_entries,
    normalize_box,
    read_journal,
    record_label,
)
from utils.classes import CLASS_NAMES
from utils.labels import BOX_COLUMNS

ORDERS = ("hardest", "given")


class LabelSession:
    """One annotator's pass over a table of faces. It resumes where the journal stopped.

    Faces without a label come first, then those skipped in an earlier session. In a review, every
    face is shown once, with its label; skipping a face keeps its label.

    Attributes:
        faces: the table, with a new index from 0. A face's position is its row in this table.
        queue: positions of the faces still to do, the next one first.
        suggestions: (N, C) ``y_prob``, or None.
        method: the ``way`` that the journal's rows get, except for undo.
    """

    def __init__(
        self,
        faces: pd.DataFrame,
        path: str | Path,
        annotator: str,
        suggestions: np.ndarray | None = None,
        order: str = "hardest",
        review: bool = False,
    ) -> None:
        """Read the journal and put the faces in order.

        Args:
            faces: ``file``, a box and optionally ``class_name``, the label of faces that have none
                in the journal.
            path: the journal; it is made with the first label.
            annotator: who decides. The decisions of other annotators are ignored.
            suggestions: (N, C) ``y_prob`` of a classifier.
            order: "hardest" puts the least certain suggestion first (the smallest margin between
                the two most likely classes; Scheffer et al., 2001); "given" keeps the faces' order.
            review: go through all faces again, also those with a label, to correct them.

        Raises:
            LabelError: the journal cannot be read.
            ValueError: there are not as many suggestions as faces, or the order is unknown.
        """
        if order not in ORDERS:
            raise ValueError(f"The order '{order}' is unknown: use one of {', '.join(ORDERS)}.")
        self.faces = faces.reset_index(drop=True)
        self.path = Path(path)
        self.annotator = annotator.strip()
        self.review = review
        self.method = "mend" if review else "buttons"
        self.suggestions: np.ndarray | None = None
        if suggestions is not None:
            self.suggestions = np.asarray(suggestions, float)
            if len(self.suggestions) != len(faces):
                raise ValueError(
                    f"There are {len(self.suggestions)} suggestions for {len(faces)} faces: "
                    "give one row per face."
                )

        table = self.faces[["file", *BOX_COLUMNS]]
        self._keys = [(file, normalize_box(box)) for file, *box in table.itertuples(index=False)]
        groups = group_active_entries(read_journal(self.path))
        entries_of_face = [groups.get((file, box, self.annotator), []) for file, box in self._keys]
        # By position, the entries in effect and those they replaced, oldest first.
        self._entries = [[numbered.entry for numbered in group] for group in entries_of_face]
        self._history = self._find_undoable(entries_of_face)
        self.queue = self._make_queue(order)

    def _find_undoable(self, entries_of_face: list[list[NumberedEntry]]) -> list[int]:
        """Return the positions of the faces whose decisions undo can cancel, oldest decision first.

        A decision can be undone if it and all later ones on its face were made by this session's
        method. A face occurs once per such decision.

        Args:
            entries_of_face: by position, the entries of the journal, oldest first.
        """
        undoable = []  # (row of the journal, position)
        for position, group in enumerate(entries_of_face):
            for numbered in reversed(group):
                if numbered.entry.method != self.method:
                    break
                undoable.append((numbered.row, position))
        undoable.sort()
        return [position for _, position in undoable]

    def _make_queue(self, order: str) -> list[int]:
        """Return the positions of the faces still to do, the next one first."""
        positions = list(range(len(self.faces)))
        if self.suggestions is not None and order == "hardest":
            ascending = np.sort(self.suggestions, axis=1)
            margin = ascending[:, -1] - ascending[:, -2]
            positions = np.argsort(margin, kind="stable").tolist()
        waiting = [position for position in positions if not self._is_settled(position)]
        if self.review:
            return waiting
        return sorted(waiting, key=self._was_skipped)  # skipped faces go last

    def _was_skipped(self, position: int) -> bool:
        """Return whether a waiting face has an entry: then it was skipped earlier."""
        return len(self._entries[position]) > 0

    def _is_settled(self, position: int) -> bool:
        """Return whether a face needs no decision: it has a label or, in a review, was reviewed."""
        if not self._entries[position]:
            return False
        last = self._entries[position][-1]
        if self.review:
            return last.method == self.method
        return last.class_name != ""

    def _record(self, position: int, class_name: str, method: str) -> JournalEntry:
        """Append a decision on a face to the journal."""
        file, box = self._keys[position]
        return record_label(
            self.path,
            file=file,
            box=box,
            class_name=class_name,
            annotator=self.annotator,
            method=method,
        )

    @property
    def position(self) -> int | None:
        """The position of the next face; None at the end."""
        return self.queue[0] if self.queue else None

    @property
    def left(self) -> int:
        """The number of faces still to do."""
        return len(self.queue)

    @property
    def done(self) -> int:
        """The number of faces labelled or skipped."""
        return len(self.faces) - len(self.queue)

    @property
    def counts(self) -> dict[str, int]:
        """The number of faces to which this annotator gave each class, and of those ``skipped``."""
        counts = Counter(group[-1].class_name or "skipped" for group in self._entries if group)
        return {name: counts[name] for name in (*CLASS_NAMES, "skipped")}

    def current_label(self, position: int) -> str:
        """Return a face's class: this annotator's, else the table's; "" if there is none."""
        if self._entries[position]:
            return self._entries[position][-1].class_name
        if "class_name" not in self.faces:
            return ""
        class_name = self.faces.class_name[position]
        return class_name if isinstance(class_name, str) else ""

    def suggestion(self, position: int) -> tuple[str, float] | None:
        """Return a face's most likely class and its probability; None without suggestions."""
        if self.suggestions is None:
            return None
        class_id = int(self.suggestions[position].argmax())
        return CLASS_NAMES[class_id], float(self.suggestions[position, class_id])

    def label(self, class_name: str) -> int | None:
        """Record the class of the next face. At the end, do nothing.

        Returns:
            The position of the face after it; None at the end.

        Raises:
            LabelError: the class is unknown or the journal cannot be written. The face stays next.
        """
        if self.queue:
            position = self.queue[0]
            entry = self._record(position, class_name, self.method)
            self._entries[position].append(entry)
            self._history.append(position)
            self.queue.pop(0)
        return self.position

    def skip(self) -> int | None:
        """Skip the next face until another session; in a review, keep its label.

        Returns:
            The position of the face after it; None at the end.

        Raises:
            LabelError: the journal cannot be written. The face stays next.
        """
        class_name = ""
        if self.review and self.queue:
            class_name = self.current_label(self.queue[0])
        return self.label(class_name)

    def undo(self) -> int | None:
        """Cancel the last decision, also one of an earlier session, and put its face first again.

        An ``undo`` row is added to the journal. If there is nothing to cancel, do nothing.

        Returns:
            The position of the next face; None at the end.

        Raises:
            LabelError: the journal cannot be written. The decision stays in effect.
        """
        if self._history:
            position = self._history[-1]
            group = self._entries[position]
            previous = group[-2].class_name if len(group) > 1 else ""
            self._record(position, previous, "undo")
            group.pop()
            self._history.pop()
            others = [other for other in self.queue if other != position]
            self.queue = [position, *others]
        return self.position
