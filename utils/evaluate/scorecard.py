"""One score sheet for anybody's answers: AP by class and size, F1 and counts, with intervals.

AP is COCO's: the mean precision at 101 recalls, and a face outside a range of sizes is neither
asked for nor wrong (T.-Y. Lin et al., "Microsoft COCO", 2014). The tables of the model cards give
the exact area under the same curve, which differs by a few thousandths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from utils.boxes import BOX_COLUMNS, Detections, as_boxes, box_area, box_iou, share_inside
from utils.classes import CLASS_NAMES, MASK_CLASSES, decide
from utils.evaluate.scores import wilson_interval

RECALLS = np.linspace(0, 1, 101)  # at which COCO takes the precision
ANY_SIZE = "all sizes"
# Least and greatest size of a face, pixels; the greatest is excluded. The size is the root of the
# area of the box, because COCO's ranges are areas: 32 and 96 are its limits of small and large.
FACE_SIZES: dict[str, tuple[float, float]] = {
    ANY_SIZE: (0, np.inf),
    "under 16 px": (0, 16),
    "16-32 px": (16, 32),
    "32-96 px": (32, 96),
    "96 px and more": (96, np.inf),
}
FACE = "face"
MEAN = "mean of three classes"
BOXES = "boxes"
BOXES_AND_LABELS = "boxes and labels"
NO_CLASS = -1
LEVEL = 0.95  # of the intervals
COLUMNS = ["score", "what", "size", "iou", "n", "value", "low", "high"]


@dataclass(frozen=True)
class _Boxes:
    """The boxes of all photographs, found or labelled, as parallel arrays of length N.

    Attributes:
        photograph: position of the photograph.
        size: root of the area, pixels.
        class_id: position in ``CLASS_NAMES``; ``NO_CLASS`` without a class.
        confidence: of found boxes; 1 of labelled ones.
        ignored: the greatest share of the box that is in one ignored region.
    """

    photograph: np.ndarray
    size: np.ndarray
    class_id: np.ndarray
    confidence: np.ndarray
    ignored: np.ndarray

    def select(self, positions: np.ndarray) -> _Boxes:
        """Return the boxes at some positions."""
        return _Boxes(
            photograph=self.photograph[positions],
            size=self.size[positions],
            class_id=self.class_id[positions],
            confidence=self.confidence[positions],
            ignored=self.ignored[positions],
        )

    def is_sized(self, size: str) -> np.ndarray:
        """Return which boxes are in a range of ``FACE_SIZES``."""
        low, high = FACE_SIZES[size]
        return (self.size >= low) & (self.size < high)


@dataclass(frozen=True)
class _Judged:
    """Found boxes that count, the most confident first, and the number of faces they should find.

    Attributes:
        rows: positions of the boxes.
        face: position of the face that each box matches, or -1.
        is_asked: which faces are asked for.
    """

    rows: np.ndarray
    face: np.ndarray
    is_asked: np.ndarray


class Sheet:
    """Found boxes, labelled faces, and the pairs of them that overlap.

    Args:
        found: detections of each file. Files without a label are pictures without faces.
        labels: the label table of these files, boxes only.
        ignored: a table ``file`` and boxes: regions in which a box without a face is not wrong. A
            box is in a region if a share of it is, as large as the least IoU of a match.
        least_iou: the least IoU of the pairs.
    """

    def __init__(
        self,
        found: Mapping[str, Detections],
        labels: pd.DataFrame,
        ignored: pd.DataFrame | None = None,
        least_iou: float = 0.3,
    ) -> None:
        self.files = list(found)
        self.is_classified = all(
            detections.y_prob is not None for detections in found.values() if len(detections)
        )
        faces_of_file = dict(tuple(labels.groupby("file")))
        regions_of_file = {} if ignored is None else dict(tuple(ignored.groupby("file")))
        box_parts = []
        face_parts = []
        pair_parts = []
        box_count = 0
        face_count = 0
        for number, (file, detections) in enumerate(found.items()):
            rows = faces_of_file.get(file, labels.iloc[:0])
            regions = regions_of_file.get(file, labels.iloc[:0])
            xyxy_true = as_boxes(rows[BOX_COLUMNS])
            inside = share_inside(detections.xyxy, as_boxes(regions[BOX_COLUMNS]))
            box_parts.append(
                _Boxes(
                    photograph=np.full(len(detections), number),
                    size=np.sqrt(box_area(detections.xyxy)),
                    class_id=self._name_ids(detections),
                    confidence=detections.confidence.astype(float),
                    ignored=inside.max(axis=1, initial=0),
                )
            )
            face_parts.append(
                _Boxes(
                    photograph=np.full(len(rows), number),
                    size=np.sqrt(box_area(xyxy_true)),
                    class_id=np.array([CLASS_NAMES.index(name) for name in rows.class_name], int),
                    confidence=np.ones(len(rows)),
                    ignored=np.zeros(len(rows)),
                )
            )
            iou = box_iou(detections.xyxy, xyxy_true)
            box, face = np.nonzero(iou >= least_iou)
            pair_parts.append(np.stack([box + box_count, face + face_count, iou[box, face]]))
            box_count += len(detections)
            face_count += len(rows)
        boxes = _join(box_parts)
        # The most confident box first; ``place`` is where each box is then.
        order = np.argsort(-boxes.confidence, kind="stable")
        place = np.empty(len(order), int)
        place[order] = np.arange(len(order))
        self.boxes = boxes.select(order)
        self.faces = _join(face_parts)
        pairs = np.concatenate([np.zeros((3, 0)), *pair_parts], axis=1)
        pair_box = place[pairs[0].astype(int)]
        by_box = np.lexsort((-pairs[2], pair_box))
        self._pair_box = pair_box[by_box]
        self._pair_face = pairs[1].astype(int)[by_box]
        self._pair_iou = pairs[2][by_box]

    @staticmethod
    def _name_ids(detections: Detections) -> np.ndarray:
        """Return the class id of each detection."""
        if detections.y_prob is None:
            return np.full(len(detections), NO_CLASS)
        return decide(detections.y_prob)

    def _match(self, is_box: np.ndarray, is_face: np.ndarray, min_iou: float) -> np.ndarray:
        """Return the face that each box matches, or -1: the most confident box chooses first."""
        face_of_box = np.full(len(is_box), -1)
        is_taken = ~is_face
        is_wanted = (self._pair_iou >= min_iou) & is_box[self._pair_box] & is_face[self._pair_face]
        pairs = zip(self._pair_box[is_wanted], self._pair_face[is_wanted], strict=True)
        for box, face in pairs:
            if face_of_box[box] < 0 and not is_taken[face]:
                face_of_box[box] = face
                is_taken[face] = True
        return face_of_box

    def judge(self, what: str, size: str, min_iou: float) -> _Judged:
        """Return which boxes count, and what each matches.

        Args:
            what: ``FACE``, or a class: then only its boxes and its faces count.
            size: a range of ``FACE_SIZES``. Faces outside it are ignored, and so are boxes that
                match such a face, or match none and are outside it themselves.
            min_iou: least IoU of a match.
        """
        is_box = np.ones(len(self.boxes.size), bool)
        is_face = np.ones(len(self.faces.size), bool)
        if what != FACE:
            is_box = self.boxes.class_id == CLASS_NAMES.index(what)
            is_face = self.faces.class_id == CLASS_NAMES.index(what)
        is_sized = self.faces.is_sized(size)
        face = self._match(is_box, is_face & is_sized, min_iou)
        rest = is_box & (face < 0)
        is_other = self._match(rest, is_face & ~is_sized, min_iou) >= 0
        is_ignored = is_other | ~self.boxes.is_sized(size) | (self.boxes.ignored >= min_iou)
        rows = np.flatnonzero(is_box & ~(rest & is_ignored))
        return _Judged(rows, face[rows], is_face & is_sized)

    def average_precision(self, judged: _Judged, weights: np.ndarray) -> float:
        """Compute COCO's AP, NaN without faces. Each photograph counts as often as its weight."""
        faces = weights[self.faces.photograph[judged.is_asked]].sum()
        if faces == 0:
            return float("nan")
        weight = weights[self.boxes.photograph[judged.rows]]
        hits = np.cumsum(weight * (judged.face >= 0))
        precision = hits / np.maximum(np.cumsum(weight), 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        # The first place with each recall; the precision of a recall that is not reached is 0.
        places = np.searchsorted(hits / faces, RECALLS, side="left")
        return float(np.append(precision, 0.0)[places].mean())

    def count(self, judged: _Judged, min_confidence: float) -> pd.DataFrame:
        """Count the outcomes in each photograph: ``right, wrong_label, false_face, missed``.

        Without classes, a found face counts as right.
        """
        is_kept = self.boxes.confidence[judged.rows] >= min_confidence
        rows = judged.rows[is_kept]
        face = judged.face[is_kept]
        is_hit = face >= 0
        is_right = is_hit.copy()
        if self.is_classified:
            class_true = self.faces.class_id[face[is_hit]]
            is_right[is_hit] = self.boxes.class_id[rows[is_hit]] == class_true
        is_missed = judged.is_asked.copy()
        is_missed[face[is_hit]] = False

        def count_by_photograph(photographs: np.ndarray) -> np.ndarray:
            return np.bincount(photographs, minlength=len(self.files))

        photograph = self.boxes.photograph[rows]
        return pd.DataFrame(
            {
                "right": count_by_photograph(photograph[is_right]),
                "wrong_label": count_by_photograph(photograph[is_hit & ~is_right]),
                "false_face": count_by_photograph(photograph[~is_hit]),
                "missed": count_by_photograph(self.faces.photograph[is_missed]),
            },
            index=self.files,
        )


def _join(parts: Sequence[_Boxes]) -> _Boxes:
    """Return the boxes of several photographs as one."""

    def join(values: Iterable[np.ndarray], kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *values])

    return _Boxes(
        photograph=join((part.photograph for part in parts), int),
        size=join((part.size for part in parts), float),
        class_id=join((part.class_id for part in parts), int),
        confidence=join((part.confidence for part in parts), float),
        ignored=join((part.ignored for part in parts), float),
    )


def draw_weights(group: np.ndarray, rounds: int, seed: int = 0) -> np.ndarray:
    """Draw bootstrap samples of whole groups.

    Args:
        group: (N,) group of each photograph.
        rounds: number of samples.
        seed: of the random draws.

    Returns:
        (rounds, N) how often each photograph is in each sample.
    """
    names, number = np.unique(np.asarray(group).astype(str), return_inverse=True)
    if len(names) == 0:
        return np.zeros((rounds, 0), int)
    rng = np.random.default_rng(seed)
    shares = np.full(len(names), 1 / len(names))
    return rng.multinomial(len(names), shares, size=rounds)[:, number]


def _add_interval(
    row: dict, score: Callable[[np.ndarray], float], weights: np.ndarray, photographs: int
) -> dict:
    """Return a row with its value and the bounds of the bootstrap's interval."""
    row["value"] = score(np.ones(photographs, int))
    values = np.array([score(weight) for weight in weights])
    values = values[np.isfinite(values)]
    row["low"], row["high"] = np.nan, np.nan
    if len(values):
        row["low"], row["high"] = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return row


def score_answers(
    found: Mapping[str, Detections],
    labels: pd.DataFrame,
    *,
    min_confidence: float = 0.5,
    min_ious: Sequence[float] = (0.3, 0.5),
    sizes: Iterable[str] = FACE_SIZES,
    ignored: pd.DataFrame | None = None,
    group: Mapping[str, object] | None = None,
    rounds: int = 300,
) -> pd.DataFrame:
    """Score the answers of a detector, or of a detector with a classifier.

    Args:
        found: detections of each photograph, also those of low confidence. Photographs without a
            detection and without a face are listed too.
        labels: the label table of these photographs, boxes only.
        min_confidence: confidence at which boxes are counted.
        min_ious: least IoUs of a found and a labelled box that match.
        sizes: ranges of ``FACE_SIZES``.
        ignored: regions that are ignored, see ``Sheet``.
        group: the near-duplicate group of each photograph, which the bootstrap resamples as a
            whole; each photograph is one by default.
        rounds: bootstrap samples for the 95 % intervals.

    Returns:
        A table ``score, what, size, iou, n, value, low, high`` with a row per figure:

        - ``ap`` of faces, of each class and the mean of the classes that have faces, by size;
        - ``precision``, ``recall`` and ``f1`` of ``boxes`` and of ``boxes and labels``;
        - ``right``, ``wrong_label``, ``false_face`` and ``missed``, which are counts. A face is
          right if it is found and its class is right;
        - on pictures without faces, ``false faces per 1,000``, and the share of pictures that have
          one, whose interval is Wilson's.

        ``n`` is the number of faces, or of pictures without faces.
    """
    sheet = Sheet(found, labels, ignored, min(min_ious))
    files = sheet.files
    groups = np.array([file if group is None else group[file] for file in files], object)
    weights = draw_weights(groups, rounds)
    rows: list[dict] = []
    for min_iou in min_ious:
        for size in sizes:
            rows += _score_ap(sheet, size, min_iou, weights)
        rows += _score_counts(sheet, min_iou, min_confidence, weights)
    rows += _score_empty(sheet, min_confidence, min(min_ious), weights)
    return pd.DataFrame(rows, columns=COLUMNS)


def _score_ap(sheet: Sheet, size: str, min_iou: float, weights: np.ndarray) -> list[dict]:
    """Return the rows ``ap`` of one range of sizes and one IoU."""
    names = (FACE, *MASK_CLASSES) if sheet.is_classified else (FACE,)
    judged = {name: sheet.judge(name, size, min_iou) for name in names}
    rows = []
    for name in names:
        row = {"score": "ap", "what": name, "size": size, "iou": min_iou}
        row["n"] = int(judged[name].is_asked.sum())

        def score(weight: np.ndarray, name: str = name) -> float:
            return sheet.average_precision(judged[name], weight)

        rows.append(_add_interval(row, score, weights, len(sheet.files)))
    if sheet.is_classified:
        row = {"score": "ap", "what": MEAN, "size": size, "iou": min_iou, "n": rows[0]["n"]}

        def score_mean(weight: np.ndarray) -> float:
            ap = [sheet.average_precision(judged[name], weight) for name in MASK_CLASSES]
            ap = [value for value in ap if np.isfinite(value)]
            return float(np.mean(ap)) if ap else float("nan")

        rows.append(_add_interval(row, score_mean, weights, len(sheet.files)))
    return rows


def _score_counts(
    sheet: Sheet, min_iou: float, min_confidence: float, weights: np.ndarray
) -> list[dict]:
    """Return the rows of precision, recall, F1 and the counts at a confidence."""
    judged = sheet.judge(FACE, ANY_SIZE, min_iou)
    counts = sheet.count(judged, min_confidence)
    right, wrong, false, missed = counts.to_numpy().T
    faces = right + wrong + missed
    boxes = right + wrong + false
    hits = {BOXES: right + wrong}
    if sheet.is_classified:
        hits[BOXES_AND_LABELS] = right
    rows = []
    for what, hit in hits.items():
        terms = {
            "precision": (hit, boxes),
            "recall": (hit, faces),
            "f1": (2 * hit, boxes + faces),
        }
        for name, (numerator, denominator) in terms.items():
            row = {"score": name, "what": what, "size": ANY_SIZE, "iou": min_iou}
            row["n"] = int(faces.sum())

            def score(
                weight: np.ndarray,
                numerator: np.ndarray = numerator,
                denominator: np.ndarray = denominator,
            ) -> float:
                total = weight @ denominator
                return float(weight @ numerator / total) if total else float("nan")

            rows.append(_add_interval(row, score, weights, len(sheet.files)))
    what = BOXES_AND_LABELS if sheet.is_classified else BOXES
    for name in counts.columns:
        if name == "wrong_label" and not sheet.is_classified:
            continue
        row = {"score": name, "what": what, "size": ANY_SIZE, "iou": min_iou}
        row |= {"n": int(faces.sum()), "value": float(counts[name].sum())}
        rows.append(row | {"low": np.nan, "high": np.nan})
    return rows


def _score_empty(
    sheet: Sheet, min_confidence: float, min_iou: float, weights: np.ndarray
) -> list[dict]:
    """Return the rows about pictures without faces, if there are any."""
    is_empty = np.ones(len(sheet.files), bool)
    is_empty[sheet.faces.photograph] = False
    n = int(is_empty.sum())
    if n == 0:
        return []
    judged = sheet.judge(FACE, ANY_SIZE, min_iou)
    false = sheet.count(judged, min_confidence).false_face.to_numpy()
    row = {"score": "false faces per 1,000", "what": "pictures without faces", "n": n}
    row |= {"size": ANY_SIZE, "iou": np.nan}

    def score(weight: np.ndarray) -> float:
        pictures = weight @ is_empty
        return float(1000 * (weight * is_empty) @ false / pictures) if pictures else float("nan")

    rows = [_add_interval(dict(row), score, weights, len(sheet.files))]
    hits = int((false[is_empty] > 0).sum())
    low, high = wilson_interval(hits, n)
    row |= {"score": "share with a false face", "value": hits / n, "low": low, "high": high}
    rows.append(row)
    return rows
