"""Evaluation: scores of classifiers and detectors as tables, with n and confidence intervals.

``classification_table``, ``accuracy_table`` and ``compare_table`` score a classifier;
``match_faces``, ``average_precision_table`` and ``recall_table`` score a detector;
``compare_detectors`` scores detectors by source and counts their faces in pictures without people,
such as those of ``draw_test_pages``. ``fit_temperature`` calibrates a classifier, and
``reliability_tables`` show how well. ``run_pipeline`` and ``score_pipeline`` run a detector, alone
or with a classifier, on labelled images.

``compare_systems`` makes the table of systems by source, ``find_operating_points`` the confidences
at which mistakes are rare, and ``condition_table`` recall and precision by size, class, brightness
and blur. ``python -m utils.evaluate`` scores the answers of any program.
"""

import sys

from utils.program import require_packages

if sys.argv[:1] == ["-m"]:  # imported for its command, before ``__main__``
    require_packages("pandas", "scipy", "sklearn", "PIL")

from utils.evaluate.boxes import (
    SIZES,
    average_precision,
    average_precision_table,
    count_outcomes,
    fit_confidence,
    match_boxes,
    match_faces,
    precision_recall,
    recall_table,
    select_class,
)
from utils.evaluate.calibration import (
    apply_calibration,
    calibration_error,
    certainty_table,
    choose_unsure_level,
    collect_opinions,
    fit_temperature,
    prior_bias,
    reliability_table,
    reliability_tables,
    unsure_table,
)
from utils.evaluate.conditions import condition_table, measure_faces
from utils.evaluate.operating import find_operating_points, operating_points
from utils.evaluate.pages import KINDS, draw_test_page, draw_test_pages
from utils.evaluate.report import (
    describe_share,
    fill_tables,
    join_intervals,
    read_tables,
    side_by_side,
)
from utils.evaluate.scorecard import (
    FACE_SIZES,
    Answers,
    Truth,
    read_answers,
    read_truth,
    score_answers,
)
from utils.evaluate.scores import (
    accuracy_table,
    bootstrap_interval,
    classification_table,
    compare_sources,
    compare_table,
    confusion_table,
    macro_f1,
    majority_baseline,
    slice_table,
    threshold_table,
    wilson_interval,
    worst_mistakes,
)
from utils.evaluate.sources import (
    compare_detectors,
    compare_systems,
    count_false_faces,
    score_sources,
    spread_systems,
)
from utils.evaluate.trials import classify_rows, crop_rows, run_pipeline, score_pipeline

__all__ = [
    "FACE_SIZES",
    "KINDS",
    "SIZES",
    "Answers",
    "Truth",
    "accuracy_table",
    "apply_calibration",
    "average_precision",
    "average_precision_table",
    "bootstrap_interval",
    "calibration_error",
    "certainty_table",
    "choose_unsure_level",
    "classification_table",
    "classify_rows",
    "collect_opinions",
    "compare_detectors",
    "compare_sources",
    "compare_systems",
    "compare_table",
    "condition_table",
    "confusion_table",
    "count_false_faces",
    "count_outcomes",
    "crop_rows",
    "describe_share",
    "draw_test_page",
    "draw_test_pages",
    "fill_tables",
    "find_operating_points",
    "fit_confidence",
    "fit_temperature",
    "join_intervals",
    "macro_f1",
    "majority_baseline",
    "match_boxes",
    "match_faces",
    "measure_faces",
    "operating_points",
    "precision_recall",
    "prior_bias",
    "read_answers",
    "read_tables",
    "read_truth",
    "recall_table",
    "reliability_table",
    "reliability_tables",
    "run_pipeline",
    "score_answers",
    "score_pipeline",
    "score_sources",
    "select_class",
    "side_by_side",
    "slice_table",
    "spread_systems",
    "threshold_table",
    "unsure_table",
    "wilson_interval",
    "worst_mistakes",
]
