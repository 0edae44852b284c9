"""Labelling by hand: which face is asked for next, and the label table that comes of it. The widget is apart."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd

from utils.annotate.journal import (
    JOURNAL_NAME,
    Decision,
    as_box,
    read_hand_labels,
    read_journal,
    record_label,
    replay,
)
from utils.classes import CLASS_NAMES, LabelError
from utils.labels import BOX_COLUMNS, make_label_table


class LabelSession:
    """One labeller's way through a table of faces, resumed where the journal stopped.

    Faces without a label come first, then those skipped in an earlier session. To mend is to go through faces that
    have a label: each is asked for until it was looked at again, and to skip it is to leave it as it is.

    Attributes:
        faces: the table, numbered from 0; a face's position is its row.
        queue: positions still to be asked for, the next one first.
        suggestions: (N, C) ``y_prob``, or None.
    """

    def __init__(
        self,
        faces: pd.DataFrame,
        path: str | Path,
        labeller: str,
        suggestions: np.ndarray | None = None,
        order: str = "hardest",
        mend: bool = False,
    ) -> None:
        """Read the journal and line the faces up.

        Args:
            faces: ``file``, a box and perhaps ``class_name``, the label that is shown where the journal has none.
            path: the journal, made with the first label.
            labeller: who decides; another labeller's decisions are not seen.
            suggestions: (N, C) ``y_prob`` of a classifier.
            order: "hardest" asks for the least certain suggestion first (the smallest margin between the two
                likeliest classes; Scheffer et al., 2001), "given" for the faces as they are.
            mend: go through faces that are labelled.

        Raises:
            LabelError: the journal cannot be read.
            ValueError: the suggestions are not as many as the faces, or the order is unknown.
        """
        self.faces = faces.reset_index(drop=True)
        self.path, self.labeller, self.mend = Path(path), labeller.strip(), mend
        self.way = "mend" if mend else "buttons"
        self.suggestions = None if suggestions is None else np.asarray(suggestions, float)
        if self.suggestions is not None and len(self.suggestions) != len(faces):
            raise ValueError(
                f"There are {len(self.suggestions)} suggestions for {len(faces)} faces: give one a face."
            )
        if order not in ("hardest", "given"):
            raise ValueError(f"There is no order '{order}': use hardest or given.")
        self._keys = [
            (file, as_box(box))
            for file, *box in self.faces[["file", *BOX_COLUMNS]].itertuples(index=False)
        ]
        stacks = replay(read_journal(self.path))
        stacks = [stacks.get((*key, self.labeller), []) for key in self._keys]
        self._decisions: list[list[Decision]] = [
            [decision for _, decision in stack] for stack in stacks
        ]
        made_here = [
            (number, position)
            for position, stack in enumerate(
                stacks
            )  # what was decided another way since is not taken back from here
            for number, _ in takewhile(lambda item: item[1].way == self.way, reversed(stack))
        ]
        self._history = [position for _, position in sorted(made_here)]
        ranks = np.arange(len(faces))
        if self.suggestions is not None and order == "hardest":
            best = np.sort(self.suggestions, axis=1)
            ranks = np.argsort(best[:, -1] - best[:, -2], kind="stable")
        waiting = [int(position) for position in ranks if not self._is_settled(position)]
        self.queue = sorted(
            waiting, key=lambda position: not mend and bool(self._decisions[position])
        )

    def _is_settled(self, position: int) -> bool:
        last = self._decisions[position][-1:]
        return bool(last) and (last[0].way == self.way if self.mend else bool(last[0].class_name))

    def _record(self, position: int, class_name: str, way: str) -> Decision:
        return record_label(self.path, *self._keys[position], class_name, self.labeller, way)

    @property
    def position(self) -> int | None:
        """The face that is asked for, None at the end."""
        return self.queue[0] if self.queue else None

    @property
    def left(self) -> int:
        """How many faces are still to be asked for."""
        return len(self.queue)

    @property
    def done(self) -> int:
        """How many faces are labelled or skipped."""
        return len(self.faces) - len(self.queue)

    @property
    def counts(self) -> dict[str, int]:
        """The number of faces that this labeller gave each class, and of those ``skipped``."""
        counts = Counter(stack[-1].class_name or "skipped" for stack in self._decisions if stack)
        return {name: counts[name] for name in (*CLASS_NAMES, "skipped")}

    def present(self, position: int) -> str:
        """The class a face has now: this labeller's, else the one the table came with; empty where there is none."""
        if self._decisions[position]:
            return self._decisions[position][-1].class_name
        given = self.faces.class_name[position] if "class_name" in self.faces else ""
        return given if isinstance(given, str) else ""

    def suggestion(self, position: int) -> tuple[str, float] | None:
        """The likeliest class of a face and its probability, None where there are no suggestions."""
        if self.suggestions is None:
            return None
        class_id = int(self.suggestions[position].argmax())
        return CLASS_NAMES[class_id], float(self.suggestions[position, class_id])

    def label(self, class_name: str) -> int | None:
        """Give the present face its class; the position of the next face. At the end nothing happens.

        Raises:
            LabelError: the class is unknown or the journal cannot be written; the face is still the present one.
        """
        if self.queue:
            position = self.queue[0]
            self._decisions[position].append(self._record(position, class_name, self.way))
            self._history.append(self.queue.pop(0))
        return self.position

    def skip(self) -> int | None:
        """Leave the present face for another session, or as it is where labels are mended; the next position."""
        return self.label(self.present(self.queue[0]) if self.mend and self.queue else "")

    def undo(self) -> int | None:
        """Take the last decision back, also one of an earlier session, and ask for its face again; its position.

        The journal gets a row that says so. Where nothing is left to take back, nothing happens.

        Raises:
            LabelError: the journal cannot be written; the decision still holds.
        """
        if self._history:
            position = self._history[-1]
            stack = self._decisions[position]
            self._record(position, stack[-2].class_name if len(stack) > 1 else "", "undo")
            stack.pop()
            self._history.pop()
            self.queue = [position, *(other for other in self.queue if other != position)]
        return self.position


def to_label_table(
    hand_labels: pd.DataFrame, faces: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The label table of one labeller, or of the majority of several.

    Args:
        hand_labels: from ``read_hand_labels``.
        faces: ``file`` and ``source``; the source of any other photograph is the folder that holds it.

    Returns:
        The label table, and the faces left out because no class has more than half of the labellers: ``file``, the
        box and ``labels``, who said what.
    """
    sources = {} if faces is None else dict(zip(faces.file, faces.source, strict=True))
    rows, disputed = [], []
    for (file, *box), labels in hand_labels.groupby(
        ["file", *BOX_COLUMNS], sort=False, dropna=False
    ):
        face = {"file": file, **dict(zip(BOX_COLUMNS, box, strict=True))}
        share = labels.class_name.value_counts(normalize=True)
        if share.iloc[0] > 0.5:
            rows.append(
                {
                    **face,
                    "source": sources.get(file, Path(file).parent.name),
                    "class_name": share.index[0],
                }
            )
        else:
            said = ", ".join(f"{row.labeller}: {row.class_name}" for row in labels.itertuples())
            disputed.append({**face, "labels": said})
    return make_label_table(rows), pd.DataFrame(disputed, columns=["file", *BOX_COLUMNS, "labels"])


def read_hand_folder(
    folder: str | Path, root: str | Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a folder that holds ``hand_labels.csv``, and perhaps ``faces.csv`` for the sources.

    Args:
        folder: holds the journal.
        root: the data root that ``file`` is relative to; the folder itself by default.

    Returns:
        The label table and a table of problems (``file``, ``problem``): labellers that disagree, images that are gone.
    """
    folder, root = Path(folder), Path(root or folder)
    try:
        hand_labels = read_hand_labels(folder / JOURNAL_NAME)
    except LabelError as error:
        return make_label_table([]), pd.DataFrame([{"file": JOURNAL_NAME, "problem": str(error)}])
    faces = pd.read_csv(folder / "faces.csv") if (folder / "faces.csv").is_file() else None
    table, disputed = to_label_table(hand_labels, faces)
    if faces is None:
        table["source"] = folder.name
    found = table.file.map({file: (root / file).is_file() for file in table.file.unique()}).astype(
        bool
    )
    problems = [
        (row.file, f"Its labellers disagree ({row.labels}): mend a label.")
        for row in disputed.itertuples()
    ]
    problems += [
        (file, f"{root / file} is labelled, but is not there.")
        for file in table.file[~found].unique()
    ]
    return table[found].reset_index(drop=True), pd.DataFrame(problems, columns=["file", "problem"])
