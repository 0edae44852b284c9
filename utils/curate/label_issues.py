"""Find doubtful labels: faces that were missed, swapped or misplaced.

A pipeline's detections are compared with the labels by cleanlab's *ObjectLab* scores (Tkachenko,
Thyagarajan and Mueller, "ObjectLab: Automated Diagnosis of Mislabeled Images in Object Detection
Data", 2023). A person then looks at what is found.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from utils.boxes import BOX_COLUMNS, Detections, box_iou
from utils.classes import MASK_CLASSES
from utils.evaluate.boxes import name_classes

ISSUE_COLUMNS = ["file", *BOX_COLUMNS, "class_name", "class_found", "issue", "score"]
MIN_CONFIDENCE = 0.5  # of the detections that labels are compared with
MIN_PROBABILITY = 0.7  # of another class, for a label to count as swapped
# A label is misplaced, or a detection belongs to a label, by cleanlab's similarity of two boxes:
# 0.9 x their IoU plus a tenth for near centres.
MAX_SIMILARITY = 0.4  # a label less like its detection is misplaced
MIN_SIMILARITY = 0.5  # a detection more like a label is the same face


# File, label rows and detections of a photograph.
LabelledPhotograph = tuple[str, pd.DataFrame, Detections]


def find_label_issues(
    labels: pd.DataFrame,
    found: Mapping[str, Detections],
    min_confidence: float = MIN_CONFIDENCE,
    min_probability: float = MIN_PROBABILITY,
) -> pd.DataFrame:
    """Find labels that a pipeline's detections contradict.

    Args:
        labels: a label table. Only rows with a box count. ``no_face`` rows are not labels.
        found: detections of each file with ``y_prob``, as from ``evaluate.run_pipeline``. Files
            that are not in it are not searched.
        min_confidence: least confidence of a detection that counts.
        min_probability: a label is ``swapped`` if the pipeline gives another class at least this
            probability, 0-1.

    Returns:
        A table, the most doubtful rows first: ``file``; the box columns, of the label, or of the
        detection for a missed face; ``class_name`` of the label, empty for a missed face;
        ``class_found``, the pipeline's class; ``issue``; and ``score``, 0-1, where 0 is the most
        doubtful. The issues are:

        - ``missed``: a detection that touches no label. Its score is 1 - confidence.
        - ``swapped``: a label whose detection has another class. Its score is 1 - the probability
          of that class.
        - ``misplaced``: a label that is too unlike its nearest detection, although no other label
          is nearer to that. Its score is cleanlab's similarity of the two boxes.

    Raises:
        ValueError: detections have no ``y_prob``.
    """
    # Imported here because it takes half a second.
    from cleanlab.object_detection import rank

    if not found:
        return pd.DataFrame(columns=ISSUE_COLUMNS)
    faces = labels[labels.class_name.isin(MASK_CLASSES) & labels.x_min.notna()]
    faces_of_file = dict(tuple(faces.groupby("file")))
    no_faces = faces.iloc[:0]
    pairs = []
    for file, detections in found.items():
        confident = detections[detections.confidence >= min_confidence]
        pairs.append((file, faces_of_file.get(file, no_faces), confident))

    # Whether a face is missed or misplaced does not depend on its class. Cleanlab compares boxes
    # of one class only, so both questions are asked as if there were one class.
    as_faces = _to_cleanlab(pairs, one_class=True)
    missed = rank.compute_overlooked_box_scores(
        **as_faces, high_probability_threshold=min_confidence
    )
    similarity = rank.compute_badloc_box_scores(
        **as_faces, low_probability_threshold=min_confidence
    )
    unlike_other_class = rank.compute_swap_box_scores(
        **_to_cleanlab(pairs, one_class=False), high_probability_threshold=min_probability
    )

    tables = []
    for position, (file, faces_here, confident) in enumerate(pairs):
        new = confident[np.isfinite(missed[position])]
        rows = pd.DataFrame(new.xyxy, columns=BOX_COLUMNS)
        tables.append(
            rows.assign(
                file=file,
                class_name=None,
                class_found=name_classes(new),
                issue="missed",
                score=1 - new.confidence.astype(float),
            )
        )
        if faces_here.empty or len(confident) == 0:
            continue

        iou = box_iou(faces_here[BOX_COLUMNS], confident.xyxy)
        nearest_position = iou.argmax(axis=1)
        nearest = confident[nearest_position]
        compared = faces_here.assign(class_found=name_classes(nearest))
        is_other_class = (compared.class_name != compared.class_found).to_numpy()
        is_swapped = is_other_class & (unlike_other_class[position] <= 1 - MIN_SIMILARITY)
        probability = _class_probabilities(nearest).max(axis=1)
        swapped = compared.assign(issue="swapped", score=1 - probability)
        tables.append(swapped[is_swapped])

        # In a crowd, the nearest detection may be the face beside it.
        is_its_own = iou.argmax(axis=0)[nearest_position] == np.arange(len(faces_here))
        is_misplaced = is_its_own & (similarity[position] <= MAX_SIMILARITY)
        misplaced = compared.assign(issue="misplaced", score=similarity[position])
        tables.append(misplaced[is_misplaced])
    tables = [table[ISSUE_COLUMNS] for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=ISSUE_COLUMNS)
    issues = pd.concat(tables, ignore_index=True)
    return issues.sort_values("score", kind="stable", ignore_index=True)


def _class_probabilities(detections: Detections) -> np.ndarray:
    """Return the probabilities of ``MASK_CLASSES``, (N, 3) float64. Detections may be empty."""
    if len(detections) == 0:
        return np.zeros((0, len(MASK_CLASSES)))
    if detections.y_prob is None:
        raise ValueError("The detections have no y_prob: run a pipeline, not a detector alone.")
    return detections.y_prob[:, : len(MASK_CLASSES)].astype(float)


def _to_cleanlab(pairs: list[LabelledPhotograph], one_class: bool) -> dict[str, list]:
    """Return labels and detections as cleanlab expects them.

    Args:
        pairs: file, label rows and detections of each photograph.
        one_class: all boxes become one class, and a detection's score is its confidence. Otherwise
            the classes are ``MASK_CLASSES``, and the score is the probability of the class.
    """
    class_names = ["face"] if one_class else list(MASK_CLASSES)
    labels = []
    predictions = []
    for _, faces, detections in pairs:
        if one_class:
            class_true = np.zeros(len(faces), int)
            class_found = np.zeros(len(detections), int)
            scores = detections.confidence
        else:
            class_true = faces.class_name.map(MASK_CLASSES.index).to_numpy(int)
            probabilities = _class_probabilities(detections)
            class_found = probabilities.argmax(axis=1)
            scores = probabilities.max(axis=1)
        boxes = faces[BOX_COLUMNS].to_numpy(float)
        labels.append({"bboxes": boxes, "labels": class_true})
        scored = np.column_stack([detections.xyxy, scores]).astype(float)
        predictions.append([scored[class_found == number] for number in range(len(class_names))])
    return {"labels": labels, "predictions": predictions}
