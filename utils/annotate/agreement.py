"""Find doubtful labels: agreement between annotators, and labels that a model contradicts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import cohen_kappa_score

from utils.boxes import as_boxes, box_iou
from utils.classes import CLASS_NAMES, to_class_name
from utils.labels import BOX_COLUMNS

PAIR_COLUMNS = ["first", "second", "n", "agreement", "kappa", "low", "high"]
MIN_IOU = 0.5  # boxes of one file that overlap by this much are the same face
BOOTSTRAP_ROUNDS = 2000
BOOTSTRAP_SEED = 0
INTERVAL = (0.025, 0.975)  # quantiles of the 95 % interval


def _number_faces(labels: pd.DataFrame) -> pd.Series:
    """Return a number for each row that is equal for rows on the same face.

    Rows are on the same face if they have the same file and box, or if a chain of boxes that
    overlap by ``MIN_IOU`` connects them.
    """
    key = ["file", *BOX_COLUMNS]
    boxes = labels[key].drop_duplicates().reset_index(drop=True)
    xyxy = as_boxes(boxes[BOX_COLUMNS])
    faces = np.arange(len(boxes))
    for rows in boxes.groupby("file", sort=False).indices.values():
        if len(rows) > 1:
            overlaps = box_iou(xyxy[rows], xyxy[rows]) >= MIN_IOU
            _, members = connected_components(overlaps, directed=False)
            faces[rows] = rows[members]  # row numbers, which no other file has
    numbered = labels[key].merge(boxes.assign(face=faces), on=key, how="left")
    return numbered.face.set_axis(labels.index)


def _find_current_labels(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """Return the last label of each face by each annotator, with the face's number in ``face``.

    Rows without a class are left out.
    """
    has_class = hand_labels.class_name.fillna("") != ""
    labels = hand_labels[has_class].astype(dict.fromkeys(BOX_COLUMNS, "float64"))
    labels = labels.assign(face=_number_faces(labels))
    return labels.drop_duplicates(["face", "labeller"], keep="last")


def _compute_kappa(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Compute Cohen's kappa and its 95 % bootstrap interval.

    Args:
        first: (N,) class ids given by one annotator.
        second: (N,) class ids given by the other to the same faces.

    Returns:
        Kappa and the interval's ends; NaN if there are no faces, or one class is given to all.
    """
    if len(np.union1d(first, second)) < 2:
        return np.nan, np.nan, np.nan
    size = len(CLASS_NAMES)
    n = len(first)
    shares = np.bincount(first * size + second, minlength=size**2) / n
    # Drawing N faces with replacement is the same as drawing a confusion matrix from a multinomial
    # distribution with the observed shares. One call draws all rounds.
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    matrices = rng.multinomial(n, shares, BOOTSTRAP_ROUNDS).reshape(-1, size, size) / n
    observed = matrices.trace(axis1=1, axis2=2)
    expected = (matrices.sum(axis=1) * matrices.sum(axis=2)).sum(axis=1)
    is_defined = expected < 1 - 1e-9  # not if a round drew a single class
    kappas = (observed[is_defined] - expected[is_defined]) / (1 - expected[is_defined])
    low, high = np.quantile(kappas, INTERVAL)
    return float(cohen_kappa_score(first, second)), float(low), float(high)


def compare_annotators(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """Compute the agreement of each pair of annotators, with Cohen's kappa (J. Cohen, 1960).

    Two labels are on the same face if the boxes are equal or their IoU is 0.5 or more.

    Args:
        hand_labels: from ``read_hand_labels``: ``file``, a box, ``class_name`` (empty: no label)
            and ``labeller``.

    Returns:
        A table with a row for each pair:

        - ``first``, ``second``: the annotators.
        - ``n``: faces that both labelled.
        - ``agreement``: the share of these with the same label.
        - ``kappa``: the agreement beyond chance; 1 is perfect and 0 is chance.
        - ``low``, ``high``: its 95 % interval from a bootstrap over faces, with a fixed seed.

        Undefined values are NaN: without common faces, or if all have one class. If two annotators
        never disagree, the interval is 1 to 1 however few the faces are, so read it with ``n``.
    """
    labels = _find_current_labels(hand_labels)
    votes = labels.pivot(index="face", columns="labeller", values="class_name")
    # Annotators without labels get an empty column.
    votes = votes.reindex(columns=sorted(hand_labels.labeller.dropna().unique()))
    rows = []
    for first, second in combinations(votes.columns, 2):
        common = votes[[first, second]].dropna()
        class_ids = common.apply(lambda names: names.map(CLASS_NAMES.index)).to_numpy(int)
        a = class_ids[:, 0]
        b = class_ids[:, 1]
        agreement = (a == b).mean() if len(a) else np.nan
        rows.append((first, second, len(a), agreement, *_compute_kappa(a, b)))
    types: dict[str, type | str] = dict.fromkeys(PAIR_COLUMNS, float)
    types.update({"first": "str", "second": "str", "n": int})
    return pd.DataFrame(rows, columns=PAIR_COLUMNS).astype(types)


def find_disputes(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """Find the faces on which annotators disagree.

    Args:
        hand_labels: as for ``compare_annotators``.

    Returns:
        A table sorted by ``agreement``, lowest first, that a ``LabelSession`` can review: ``file``,
        the box of the face's first label, ``agreement`` (the share of annotators with the most
        frequent label) and ``labels`` (who gave which label).
    """
    labels = _find_current_labels(hand_labels)
    votes = labels.groupby(["face", "class_name"]).size().groupby("face")
    texts = labels.labeller + ": " + labels.class_name
    table = labels.drop_duplicates("face").set_index("face")[["file", *BOX_COLUMNS]]
    table = table.assign(
        agreement=votes.max() / votes.sum(),
        labels=texts.groupby(labels.face).agg(", ".join),
    )
    disputed = table[table.agreement < 1]
    return disputed.sort_values("agreement", kind="stable", ignore_index=True)


def rank_by_model_disagreement(table: pd.DataFrame, y_prob: np.ndarray) -> pd.DataFrame:
    """Sort a label table so that the labels a model believes least come first.

    The rank is the model's probability of the given label, called self-confidence (C. Northcutt,
    L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021).
    Use a model that was not trained on these labels: it would repeat them.

    Args:
        table: a label table.
        y_prob: (N, C) probabilities of its faces.

    Returns:
        The sorted table with the columns ``probability`` (of the given label), ``suggested`` (the
        most likely class), ``suggested_probability`` and ``position`` (the row in ``table`` and
        ``y_prob``). Ties keep their order.

    Raises:
        ValueError: the shape of ``y_prob`` does not fit the table.
        LabelError: a class is unknown.
    """
    y_prob = np.asarray(y_prob, float)
    shape = (len(table), len(CLASS_NAMES))
    if y_prob.shape != shape:
        raise ValueError(
            f"y_prob has the shape {y_prob.shape}, but needs {shape}: one row per face."
        )
    class_ids = {}
    for row in table.drop_duplicates("class_name").itertuples():
        class_name = to_class_name(str(row.class_name), row.file)
        class_ids[row.class_name] = CLASS_NAMES.index(class_name)
    positions = np.arange(len(table))
    y_label = table.class_name.map(class_ids).to_numpy(int)
    ranked = table.assign(
        probability=y_prob[positions, y_label],
        suggested=np.array(CLASS_NAMES)[y_prob.argmax(axis=1)],
        suggested_probability=y_prob.max(axis=1),
        position=positions,
    )
    return ranked.sort_values("probability", kind="stable", ignore_index=True)
