"""What a run did: its counts, records and problems, its summary and its exit code."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.classes import MASK_CLASSES
from utils.cli.outputs import OutputError
from utils.images import PassedOver, describe_passed_over
from utils.messages import UserError, format_count, name_some


@dataclass
class Report:
    """What a run did.

    Attributes:
        keep_records: whether ``add`` keeps records; those of a camera that runs all day would fill
            the memory.
        records: the records kept, from ``make_record``.
        problems: a sentence about each input or output that failed.
        counts: number of "images" (or frames), of "faces", of "unsure" faces, and of faces
            of each class.
        interrupted: whether Ctrl-C ended the run early.
        people: for a video, the number of people of each class.
        passed_over: files of folders that cannot be read as images.
        several: images with more than one picture, of which the first was read.
    """

    keep_records: bool = True
    records: list[dict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False
    people: dict[str, int] | None = None
    passed_over: list[PassedOver] = field(default_factory=list)
    several: list[Path] = field(default_factory=list)

    def add(self, record: dict) -> None:
        """Count an image and its faces, and keep its record if records are kept."""
        self.counts["images"] += 1
        self.counts["faces"] += len(record["faces"])
        self.counts.update(face["class_name"] for face in record["faces"])
        self.counts["unsure"] += sum(bool(face.get("unsure")) for face in record["faces"])
        if self.keep_records:
            self.records.append(record)

    def fail(self, message: str) -> None:
        """Note and print a problem; the run goes on."""
        self.problems.append(message)
        self.warn(message)

    def warn(self, message: str) -> None:
        """Print a message to standard error, above a progress bar; the run has not failed."""
        from tqdm import tqdm  # imported here because it takes time and few runs need it

        tqdm.write(message, file=sys.stderr)

    def warn_of_files(self) -> None:
        """Print which files were passed over, and which hold more pictures than were read."""
        for sentence in describe_passed_over(self.passed_over):
            self.warn(sentence)
        if len(self.several) == 1:
            self.warn(f"{self.several[0]} holds several pictures: the first is read.")
        elif self.several:
            self.warn(
                f"{len(self.several)} files hold several pictures, of which the first is read: "
                f"{name_some(self.several)}."
            )

    def write_output(
        self, write: Callable[..., None], output: str | Path | None, **content: Any
    ) -> bool:
        """Write one output if it is asked for, and return False if it cannot be written.

        A failure is reported, and the run goes on.

        Args:
            write: called with the output and the content; raises an ``OutputError``.
            output: the file or folder, ``-`` for standard output, or None.
            **content: what to write, as keyword arguments of ``write``.
        """
        if not output:
            return True
        try:
            write(output, **content)
        except (OutputError, UserError) as error:
            self.fail(str(error))
            return False
        return True

    @property
    def exit_code(self) -> int:
        """0 if all was done, 1 if some inputs failed or Ctrl-C ended the run, 2 if all failed."""
        if self.interrupted:
            return 1
        if not self.problems:
            return 0
        return 1 if self.counts["images"] else 2

    def summary(self, unit: str, copies: list[Path]) -> str:
        """Return one line, such as "3 images, 2 faces: 2 with_mask; annotated copies in output/."

        Args:
            unit: "image" or "frame".
            copies: the annotated copies written.
        """
        counts: Mapping[str, int]
        if self.people is None:
            counts = self.counts
            found = format_count(self.counts["faces"], "face")
        else:
            counts = self.people
            found = format_count(sum(self.people.values()), "person", "people")
        text = f"{format_count(self.counts['images'], unit, f'{unit}s')}, {found}"
        classes = [f"{counts[name]} {name}" for name in MASK_CLASSES if counts[name]]
        if classes:
            text += f": {', '.join(classes)}"
        if self.counts["unsure"]:
            text += (
                f"; {self.counts['unsure']} of {format_count(self.counts['faces'], 'face')} unsure"
            )
        if len(copies) == 1:
            text += f"; annotated copy {copies[0]}"
        elif copies:
            text += f"; annotated copies in {copies[0].parent}/"
        if self.passed_over:
            text += f"; {format_count(len(self.passed_over), 'file')} passed over"
        if self.problems:
            text += f"; {format_count(len(self.problems), 'problem')}, named above"
        if self.interrupted:
            text += "; stopped before the end"
        return f"{text}."
