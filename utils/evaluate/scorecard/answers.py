"""Read the answers of any program: COCO results, YOLO text files, or the script's JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from utils.boxes import Detections, as_boxes
from utils.classes import CLASS_NAMES, NO_FACE, LabelError, to_class_name
from utils.evaluate.scorecard.truth import FileMatcher, Truth
from utils.formats import load_json, parse_bbox, read_yolo_names

FACE_NAMES = ("face", "faces", "head")  # class names that say nothing about a mask
NOT_TEXTS = ("classes.txt", "train.txt", "val.txt", "test.txt", "readme.txt")


@dataclass
class Answers:
    """The answers about the photographs of a truth.

    Attributes:
        found: the detections of each photograph; empty where there is no answer.
        unanswered: the photographs without any answer.
        unknown: how many boxes there are about each image that the truth does not list.
        no_face: number of boxes of the class ``no_face``, which are left out.
    """

    found: dict[str, Detections]
    unanswered: list[str]
    unknown: Counter[str] = field(default_factory=Counter)
    no_face: int = 0


@dataclass
class _Box:
    """One answer: box, confidence and class. The class is None if it is only called a face."""

    xyxy: list[float]
    confidence: float
    class_id: int | None


class _Collector:
    """Sorts boxes by the photograph that they are about.

    Args:
        truth: lists the photographs.
        path: of the answers, for messages.
    """

    def __init__(self, truth: Truth, path: Path) -> None:
        self._truth = truth
        self._path = path
        self._matcher = FileMatcher(truth.files)
        self._boxes: dict[str, list[_Box]] = {}
        self._name_of_file: dict[str, tuple[str, int]] = {}
        self._unknown: Counter[str] = Counter()

    def find(self, name: str) -> str | None:
        """Return the photograph of a path, or None. See ``FileMatcher.find``."""
        try:
            return self._matcher.find(name)[0]
        except LabelError as error:
            raise LabelError(f"{self._path}: {error}") from error

    def add(self, name: str, boxes: list[_Box]) -> None:
        """Add the boxes about an image, which may be none.

        Raises:
            LabelError: its name is ambiguous, or two images have the name of one photograph.
        """
        try:
            file, agreement = self._matcher.find(name)
        except LabelError as error:
            raise LabelError(f"{self._path}: {error}") from error
        if file is None:
            self._unknown[name] += len(boxes)
            return
        other, other_agreement = self._name_of_file.get(file, (name, agreement))
        if other != name:
            if agreement == other_agreement:
                raise LabelError(
                    f"{self._path} holds {other} and {name}, and either may be {file}: write more "
                    "of their paths, or score one folder at a time."
                )
            if agreement < other_agreement:
                self._unknown[name] += len(boxes)
                return
            self._unknown[other] += len(self._boxes.pop(file))
        self._name_of_file[file] = (name, agreement)
        self._boxes.setdefault(file, []).extend(boxes)

    def add_file(self, file: str, boxes: list[_Box]) -> None:
        """Add the boxes about a photograph of the truth."""
        self._boxes.setdefault(file, []).extend(boxes)

    def add_unknown(self, name: str) -> None:
        """Count a box about an image that the truth does not list."""
        self._unknown[name] += 1

    def finish(self) -> Answers:
        """Return the answers. Unless all boxes have a class, the detections have no ``y_prob``."""
        every = [box for boxes in self._boxes.values() for box in boxes]
        is_classified = all(box.class_id is not None for box in every)
        found = {}
        no_face = 0
        for file in self._truth.files:
            boxes = [box for box in self._boxes.get(file, []) if box.class_id != NO_FACE]
            no_face += len(self._boxes.get(file, [])) - len(boxes)
            y_prob = None
            if is_classified:
                class_id = np.array([box.class_id for box in boxes], int)
                y_prob = np.eye(len(CLASS_NAMES), dtype=np.float32)[class_id]
            found[file] = Detections(
                xyxy=as_boxes([box.xyxy for box in boxes]),
                confidence=np.array([box.confidence for box in boxes], np.float32),
                y_prob=y_prob,
            )
        unanswered = [file for file in self._truth.files if file not in self._boxes]
        return Answers(found, unanswered, self._unknown, no_face)


def read_answers(path: str | Path, truth: Truth) -> Answers:
    """Read the answers of a program.

    Args:
        path: one of these:

            - a JSON file of COCO results, a list of ``image_id, category_id, bbox, score``; or a
              COCO file of images and annotations with a ``score``, as ``--labels coco`` writes it;
            - the JSON file that the script writes with ``--json``;
            - a folder of YOLO text files, ``class x_center y_center width height confidence``. The
              names of the classes come from ``classes.txt`` or ``data.yaml`` in it or beside it, or
              from the truth.
        truth: what they are about.

    Raises:
        LabelError: they cannot be read. Nothing is skipped, because a score would be wrong.
    """
    path = Path(path)
    if not path.exists():
        raise LabelError(f"There is no {path}: check the path.")
    collector = _Collector(truth, path)
    if path.is_dir():
        _read_yolo(path, truth, collector)
        return collector.finish()
    if path.suffix.lower() != ".json":
        raise LabelError(
            f"{path} is no JSON file: name COCO results, the script's JSON, or a folder of YOLO "
            "text files."
        )
    content = load_json(path)
    if isinstance(content, list):
        _read_results(path, content, truth, collector)
    elif isinstance(content, dict) and isinstance(content.get("annotations"), list):
        _read_coco(path, content, collector)
    elif isinstance(content, dict) and isinstance(content.get("images"), list):
        _read_records(path, content["images"], collector)
    else:
        raise LabelError(
            f"{path} holds neither COCO results (a list of boxes) nor the script's JSON (images "
            "with faces): export it again."
        )
    return collector.finish()


def _read_class(name: str, place: str) -> int | None:
    """Return the class id of a name, or None if it is only a face."""
    if name.strip().casefold() in FACE_NAMES:
        return None
    return CLASS_NAMES.index(to_class_name(name, place))


def _read_confidence(value: Any, place: str) -> float:
    """Return a confidence. Raise LabelError if it is no number from 0 to 1."""
    try:
        confidence = float(value)
    except (TypeError, ValueError):
        confidence = float("nan")
    if not 0 <= confidence <= 1:
        raise LabelError(f"{place} has no confidence between 0 and 1, and AP needs one.")
    return confidence


def _name_entries(items: Iterable[Any], path: Path, noun: str) -> Iterable[tuple[str, dict]]:
    """Yield each entry with its place for messages. Raise LabelError if it is no object."""
    for number, item in enumerate(items, 1):
        place = f"{path}, {noun} {number},"
        if not isinstance(item, dict):
            raise LabelError(f"{place} is no object: export it again.")
        yield place, item


def _read_result(entry: dict, categories: dict[str, str], place: str) -> _Box:
    """Return the box of an entry of COCO."""
    category = str(entry.get("category_id"))
    if category not in categories:
        raise LabelError(f"{place} has the category {category}, which no list of categories names.")
    class_id = _read_class(categories[category], place)
    try:
        box = parse_bbox(entry.get("bbox"))
    except LabelError as error:
        raise LabelError(f"{place} has no usable box: {error}. Export it again.") from error
    return _Box(box.tolist(), _read_confidence(entry.get("score"), place), class_id)


def _read_results(path: Path, content: list, truth: Truth, collector: _Collector) -> None:
    """Add COCO results, which name images and classes by the ids of the truth."""
    if not truth.image_ids:
        raise LabelError(
            f"{path} holds COCO results, which name images by id, and {truth.path} is no COCO file "
            "with these ids: name the COCO file that they were made with as TRUTH."
        )
    for place, entry in _name_entries(content, path, "result"):
        box = _read_result(entry, truth.categories, place)
        image_id = str(entry.get("image_id"))
        if image_id in truth.image_ids:
            collector.add_file(truth.image_ids[image_id], [box])
        else:
            collector.add_unknown(f"image id {image_id}")


def _read_coco(path: Path, content: dict, collector: _Collector) -> None:
    """Add a COCO file of images and annotations with scores."""
    categories = {}
    for _, category in _name_entries(content.get("categories") or [], path, "category"):
        categories[str(category.get("id"))] = str(category.get("name", ""))
    boxes: dict[str, list[_Box]] = {}
    for place, entry in _name_entries(content["annotations"], path, "annotation"):
        box = _read_result(entry, categories, place)
        boxes.setdefault(str(entry.get("image_id")), []).append(box)
    for _, image in _name_entries(content.get("images") or [], path, "image"):
        collector.add(str(image.get("file_name", "")), boxes.pop(str(image.get("id")), []))
    for image_id, others in boxes.items():
        for _ in others:
            collector.add_unknown(f"image id {image_id}")


def _read_records(path: Path, records: list, collector: _Collector) -> None:
    """Add the records that the script writes."""
    for place, record in _name_entries(records, path, "image"):
        if "frame" in record:
            raise LabelError(f"{path} is about frames of a video: score photographs instead.")
        boxes = []
        for _, face in _name_entries(record.get("faces") or [], path, "face"):
            box = face.get("box")
            try:
                xyxy = [float(value) for value in box or []]
            except (TypeError, ValueError):
                xyxy = []
            if len(xyxy) != 4 or not np.isfinite(xyxy).all():
                raise LabelError(f"{place} has a face without a box of four numbers.")
            confidence = _read_confidence(face.get("confidence"), place)
            boxes.append(_Box(xyxy, confidence, _read_class(str(face.get("class_name")), place)))
        collector.add(str(record.get("file", "")), boxes)


def _read_yolo(folder: Path, truth: Truth, collector: _Collector) -> None:
    """Add the text files of a folder."""
    texts = [path for path in sorted(folder.rglob("*.txt")) if path.name.lower() not in NOT_TEXTS]
    if not texts:
        raise LabelError(f"{folder} holds no YOLO text files: name the folder of the answers.")
    names = _find_names(folder, truth)
    for text in texts:
        name = text.relative_to(folder).with_suffix("").as_posix().replace("labels/", "")
        file = collector.find(name)
        try:
            lines = text.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LabelError(f"{text} cannot be read ({error}): export it again.") from error
        lines = [line for line in lines if line.strip()]
        # The size of an image that is not in the truth is not needed.
        width, height = (1, 1) if file is None or not lines else truth.find_size(file)
        scale = np.array([width, height, width, height], float)
        boxes = []
        for number, line in enumerate(lines, 1):
            boxes.append(_read_line(line, f"{text}, line {number},", names, scale))
        collector.add(name, boxes)


def _find_names(folder: Path, truth: Truth) -> dict[int, str]:
    """Return the class names of a folder of YOLO text files."""
    for place in (folder, folder.parent):
        try:
            return read_yolo_names(place)[0]
        except LabelError:
            continue
    if not truth.class_names:
        raise LabelError(
            f"{folder} does not name its classes: add classes.txt, with a name a line in the order "
            "of the numbers."
        )
    return truth.class_names


def _read_line(line: str, place: str, names: dict[int, str], scale: np.ndarray) -> _Box:
    """Return the box of a line of a YOLO text file."""
    try:
        numbers = [float(value) for value in line.split()]
    except ValueError:
        numbers = []
    if len(numbers) == 5:
        raise LabelError(
            f"{place} has no confidence, and AP needs one: export it with the confidence "
            "(save_conf=True in Ultralytics)."
        )
    if len(numbers) != 6 or not np.isfinite(numbers).all():
        raise LabelError(f"{place} is not a class, four numbers and a confidence: export it again.")
    class_id, x_center, y_center, width, height, confidence = numbers
    if class_id not in names:
        raise LabelError(f"{place} has the class {class_id:g}, which has no name.")
    shares = np.array(
        [x_center - width / 2, y_center - height / 2, x_center + width / 2, y_center + height / 2]
    )
    return _Box(
        xyxy=(shares * scale).tolist(),
        confidence=_read_confidence(confidence, place),
        class_id=_read_class(names[int(class_id)], place),
    )
