"""Found boxes compared with labelled faces: which match, COCO's AP, and counts.

A box or a face outside a range of sizes is ignored, as in COCO (T.-Y. Lin et al., "Microsoft COCO",
2014): it counts neither as right nor as wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from utils.boxes import BOX_COLUMNS, Detections, as_boxes, box_area, box_iou, share_inside
from utils.classes import CLASS_NAMES, decide

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
FACE = "face"  # all classes together
NO_CLASS = -1


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
class Matches:
    """The found boxes that count, the most confident first, and the faces that they should find.

    Attributes:
        rows: positions of the boxes.
        face: position of the face that each box matches, or -1.
        is_wanted: (M,) which of all faces should be found.
    """

    rows: np.ndarray
    face: np.ndarray
    is_wanted: np.ndarray


class Comparison:
    """Found boxes, labelled faces, and the pairs of them that overlap.

    Args:
        found: detections of each file. Files without a label are pictures without faces.
        labels: the label table of these files, boxes only.
        ignored: a table ``file`` and boxes: regions in which a box without a face is not wrong. A
            box is in a region if the share of it that lies there is at least the least IoU of a
            match.
        min_iou: the least IoU of the pairs.
    """

    def __init__(
        self,
        found: Mapping[str, Detections],
        labels: pd.DataFrame,
        ignored: pd.DataFrame | None = None,
        min_iou: float = 0.3,
    ) -> None:
        self.files = list(found)
        self.is_classified = all(
            detections.y_prob is not None for detections in found.values() if len(detections)
        )
        faces_of_file = dict(tuple(labels.groupby("file")))
        regions_of_file = {} if ignored is None else dict(tuple(ignored.groupby("file")))
        nothing = labels.iloc[:0]
        box_parts = []
        face_parts = []
        pair_parts = []
        box_count = 0
        face_count = 0
        for number, (file, detections) in enumerate(found.items()):
            rows = faces_of_file.get(file, nothing)
            regions = regions_of_file.get(file, nothing)
            xyxy_true = as_boxes(rows[BOX_COLUMNS])
            box_parts.append(_list_found(number, detections, as_boxes(regions[BOX_COLUMNS])))
            face_parts.append(_list_labelled(number, xyxy_true, rows.class_name))
            iou = box_iou(detections.xyxy, xyxy_true)
            box, face = np.nonzero(iou >= min_iou)
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
        by_box = np.lexsort((-pairs[2], pair_box))  # of one box, the greatest IoU first
        self._pair_box = pair_box[by_box]
        self._pair_face = pairs[1].astype(int)[by_box]
        self._pair_iou = pairs[2][by_box]

    def _choose_faces(self, is_box: np.ndarray, is_face: np.ndarray, min_iou: float) -> np.ndarray:
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

    def match(self, what: str, size: str, min_iou: float) -> Matches:
        """Return which boxes count, and the face that each matches.

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
        face = self._choose_faces(is_box, is_face & is_sized, min_iou)
        rest = is_box & (face < 0)
        is_other_size = self._choose_faces(rest, is_face & ~is_sized, min_iou) >= 0
        is_in_region = self.boxes.ignored >= min_iou
        is_ignored = is_other_size | is_in_region | ~self.boxes.is_sized(size)
        rows = np.flatnonzero(is_box & ~(rest & is_ignored))
        return Matches(rows, face[rows], is_face & is_sized)

    def average_precision(self, matches: Matches, weights: np.ndarray) -> float:
        """Compute COCO's AP, NaN without faces. Each photograph counts as often as its weight."""
        faces = weights[self.faces.photograph[matches.is_wanted]].sum()
        if faces == 0:
            return float("nan")
        weight = weights[self.boxes.photograph[matches.rows]]
        hits = np.cumsum(weight * (matches.face >= 0))
        precision = hits / np.maximum(np.cumsum(weight), 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        # The first place with each recall; the precision of a recall that is not reached is 0.
        places = np.searchsorted(hits / faces, RECALLS, side="left")
        return float(np.append(precision, 0.0)[places].mean())

    def count(self, matches: Matches, min_confidence: float) -> pd.DataFrame:
        """Count the outcomes in each photograph: ``right, wrong_label, false_face, missed``.

        Without classes, a found face counts as right.
        """
        is_kept = self.boxes.confidence[matches.rows] >= min_confidence
        rows = matches.rows[is_kept]
        face = matches.face[is_kept]
        is_hit = face >= 0
        is_right = is_hit.copy()
        if self.is_classified:
            class_true = self.faces.class_id[face[is_hit]]
            is_right[is_hit] = self.boxes.class_id[rows[is_hit]] == class_true
        is_missed = matches.is_wanted.copy()
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


def _list_found(number: int, detections: Detections, regions: np.ndarray) -> _Boxes:
    """Return the found boxes of a photograph.

    Args:
        number: position of the photograph.
        detections: what was found in it.
        regions: (R, 4) its ignored regions.
    """
    class_id = np.full(len(detections), NO_CLASS)
    if detections.y_prob is not None:
        class_id = decide(detections.y_prob)
    inside = share_inside(detections.xyxy, regions)
    return _Boxes(
        photograph=np.full(len(detections), number),
        size=np.sqrt(box_area(detections.xyxy)),
        class_id=class_id,
        confidence=detections.confidence.astype(float),
        ignored=inside.max(axis=1, initial=0),
    )


def _list_labelled(number: int, xyxy: np.ndarray, class_names: Iterable[str]) -> _Boxes:
    """Return the labelled boxes of a photograph."""
    class_ids = [CLASS_NAMES.index(name) for name in class_names]
    return _Boxes(
        photograph=np.full(len(xyxy), number),
        size=np.sqrt(box_area(xyxy)),
        class_id=np.array(class_ids, int),
        confidence=np.ones(len(xyxy)),
        ignored=np.zeros(len(xyxy)),
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
