"""What a run did: its counts, records and problems, and its exit code."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from utils.classes import MASK_CLASSES


@dataclass
class Report:
    """What a run did.

    Attributes:
        keep: whether records are kept; a webcam left on for a day would fill the memory.
        records: as ``records.make_record`` makes them.
        problems: a sentence for each source that failed.
        counts: "images" (or frames), "faces", and each class.
        interrupted: whether Ctrl-C ended it before its end.
        people: of a video, how many there were of each class.
    """

    keep: bool = True
    records: list[dict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    interrupted: bool = False
    people: dict[str, int] | None = None

    def add(self, record: dict) -> None:
        """Count an image and its faces, and keep its record."""
        self.counts["images"] += 1
        self.counts["faces"] += len(record["faces"])
        self.counts.update(face["class_name"] for face in record["faces"])
        if self.keep:
            self.records.append(record)

    def fail(self, sentence: str) -> None:
        """Tell of a source that failed, above the progress bar, and go on."""
        self.problems.append(sentence)
        self.warn(sentence)

    def warn(self, sentence: str) -> None:
        """Tell of something that is no failure yet, such as a stream that is tried again."""
        from tqdm import tqdm

        tqdm.write(sentence, file=sys.stderr)

    @property
    def exit_code(self) -> int:
        """0: all done; 1: some of the sources, or stopped before the end; 2: none could be done."""
        if self.interrupted or (self.problems and self.counts["images"]):
            return 1
        return 2 if self.problems else 0

    def summary(self, unit: str, copies: list[Path]) -> str:
        """One line, such as "3 images, 2 faces: 1 with_mask, 1 without_mask; annotated copies in output/"."""
        images, faces = self.counts["images"], self.counts["faces"]
        text = f"{images} {unit}{'s' * (images != 1)}, {faces} face{'s' * (faces != 1)}"
        counts = self.counts
        if self.people is not None:
            counts, people = self.people, sum(self.people.values())
            text = f"{images} {unit}{'s' * (images != 1)}, {people} {'person' if people == 1 else 'people'}"
        if classes := [f"{counts[name]} {name}" for name in MASK_CLASSES if counts[name]]:
            text += f": {', '.join(classes)}"
        if copies:
            text += (
                f"; annotated copies in {copies[0].parent}/"
                if len(copies) > 1
                else f"; annotated copy {copies[0]}"
            )
        return text + ("; stopped before the end." if self.interrupted else ".")
