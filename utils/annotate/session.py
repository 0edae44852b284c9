"""A labelling session: the order of the faces, undo and resume; and label tables from a journal.

The session knows nothing of how faces are shown; ``widgets.LabelWidget`` does that.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from utils.annotate.journal import (
    JOURNAL_NAME,
    Box,
    JournalEntry,
    group_active_entries,
    normalize_box,
    read_hand_labels,
    read_journal,
    record_label,
)
from utils.classes import CLASS_NAMES, LabelError
from utils.labels import BOX_COLUMNS, make_label_table

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
        numbered = [groups.get((file, box, self.annotator), []) for file, box in self._keys]
        # By position, the entries in effect and those they replaced, oldest first.
        self._entries = [[entry for _, entry in group] for group in numbered]
        self._history = self._find_undoable(numbered)
        self.queue = self._make_queue(order)

    def _find_undoable(self, numbered: list[list[tuple[int, JournalEntry]]]) -> list[int]:
        """Return the positions of the decisions that undo can cancel, in order of the decisions.

        These are the latest decisions on a face that were made by this session's method. A
        decision by another method is not undone from here, nor is any that came before it.
        """
        made_here = []
        for position, group in enumerate(numbered):
            for number, entry in reversed(group):
                if entry.method != self.method:
                    break
                made_here.append((number, position))
        return [position for _, position in sorted(made_here)]

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


def to_label_table(
    hand_labels: pd.DataFrame, faces: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the label table of one annotator, or of the majority of several.

    Args:
        hand_labels: from ``read_hand_labels``.
        faces: the faces table: ``file``, ``source``, and optionally a box and ``kept``. An image
            that is not in it gets its folder as the source. Labels of a face that is not kept do
            not count.

    Returns:
        The label table; and the faces left out because no class has more than half of the votes:
        ``file``, the box and ``labels`` (who gave which label).
    """
    source_of_file = {}
    rejected = set()
    if faces is not None:
        source_of_file = dict(zip(faces.file, faces.source, strict=True))
        rejected = _find_rejected(faces)
    key = ["file", *BOX_COLUMNS]
    rows = []
    disputed = []
    for values, labels in hand_labels.groupby(key, sort=False, dropna=False):
        face = dict(zip(key, values, strict=True))
        if (face["file"], normalize_box(values[1:])) in rejected:
            continue
        shares = labels.class_name.value_counts(normalize=True)
        if shares.iloc[0] > 0.5:
            file = face["file"]
            face["source"] = source_of_file.get(file, Path(file).parent.name)
            face["class_name"] = shares.index[0]
            rows.append(face)
        else:
            votes = [f"{row.labeller}: {row.class_name}" for row in labels.itertuples()]
            face["labels"] = ", ".join(votes)
            disputed.append(face)
    return make_label_table(rows), pd.DataFrame(disputed, columns=[*key, "labels"])


def _find_rejected(faces: pd.DataFrame) -> set[tuple[str, Box]]:
    """Return file and box of the faces that a person left out on the contact sheet."""
    if "kept" not in faces:
        return set()
    rejected = faces[~faces.kept.astype(bool)]
    boxes = rejected[BOX_COLUMNS].to_numpy(float)
    return {(file, normalize_box(box)) for file, box in zip(rejected.file, boxes, strict=True)}


def read_hand_folder(
    folder: str | Path, root: str | Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the labels of a folder with a journal and, optionally, ``faces.csv`` for the sources.

    Args:
        folder: holds ``hand_labels.csv``. Without ``faces.csv``, its name is the source. Labels of
            a face that is not kept in ``faces.csv`` do not count.
        root: the data root that ``file`` is relative to; the folder itself by default.

    Returns:
        The label table; and a table of problems (``file``, ``problem``): faces on which annotators
        disagree, and missing images.
    """
    folder = Path(folder)
    root = folder if root is None else Path(root)
    problems: list[dict[str, str]] = []
    try:
        hand_labels = read_hand_labels(folder / JOURNAL_NAME)
    except LabelError as error:
        problems.append({"file": JOURNAL_NAME, "problem": str(error)})
        return make_label_table([]), pd.DataFrame(problems)

    faces = None
    if (folder / "faces.csv").is_file():
        faces = pd.read_csv(folder / "faces.csv")
    table, disputed = to_label_table(hand_labels, faces)
    if faces is None:
        table["source"] = folder.name

    for row in disputed.itertuples():
        problem = f"Its annotators disagree ({row.labels}): correct one of the labels."
        problems.append({"file": row.file, "problem": problem})
    missing = [file for file in table.file.unique() if not (root / file).is_file()]
    for file in missing:
        problems.append({"file": file, "problem": f"{root / file} has a label but is missing."})
    found = table[~table.file.isin(missing)].reset_index(drop=True)
    return found, pd.DataFrame(problems, columns=["file", "problem"])
