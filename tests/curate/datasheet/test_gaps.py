"""Gaps: a sentence where a table shows a gap, and none where it does not."""

import pandas as pd
import pytest

from utils.classes import CLASS_NAMES
from utils.curate.datasheet.gaps import WIDELY_SPOKEN, find_gaps
from utils.labels import make_label_table

YES, NO, BADLY, NO_FACE = CLASS_NAMES


def make_labels(*rows):
    """Labels from (class_name, side, source, site), None for a whole image."""
    box = [
        {} if side is None else {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": side}
        for _, side, _, _ in rows
    ]
    table = make_label_table(
        [
            {"class_name": row[0], "source": row[2], **face}
            for row, face in zip(rows, box, strict=True)
        ]
    )
    return table.assign(site=[row[3] for row in rows])


def make_phrases(*rows):
    return pd.DataFrame(rows, columns=["phrase", "language", "photos", "faces"])


EVERYONE = [(name, side, source, site) for name in (YES, NO, BADLY) for side in (20, 40, 80, 200)
            for source, site in (("a", "a.org"), ("b", "b.org"))]  # fmt: skip
EVERYWHERE = [(f"in {code}", code, 5, 5) for code in WIDELY_SPOKEN]
FULL = make_labels(*EVERYONE), make_phrases(*EVERYWHERE)
NOT_BADLY = [row for row in EVERYONE if row[0] != BADLY]

GAPS = {
    "a class without faces": (
        make_labels(*NOT_BADLY),
        None,
        [f"`{BADLY}` has 0 faces, fewer than 8."],
    ),
    "a class with few": (
        make_labels(*NOT_BADLY, *EVERYONE[-7:]),
        None,
        [f"`{BADLY}` has 7 faces, fewer than 8."],
    ),
    "sizes": (
        make_labels(
            *(row for row in EVERYONE + EVERYONE if row[1] not in (20, 80) or row[0] != NO)
        ),
        None,
        [f"`{NO}` has no face of these sizes: under 32 px, 64-128 px."],
    ),
    "one source": (
        make_labels(*[(*row[:2], "a", row[3]) for row in EVERYONE]),
        None,
        ["All faces with a known source are from the source “a”."],
    ),
    "one site": (
        make_labels(*[(*row[:3], "a|b") for row in EVERYONE]),
        None,
        ["All faces with a known site are from the site “a\\|b”."],
    ),
    "most faces from one source": (
        make_labels(
            *EVERYONE, *[(YES, 20, "c", site) for site in ("a.org", "b.org") for _ in range(17)]
        ),
        None,
        [
            f"`{YES}` depends on the source “c”: "
            "81.0 % of its 42 faces with a known source are from it."
        ],
    ),
    "exactly 80 % from one source": (
        make_labels(
            *EVERYONE, *[(YES, 20, "c", site) for site in ("a.org", "b.org") for _ in range(16)]
        ),
        None,
        [],
    ),
    "background": (make_labels(*EVERYONE, *[(NO_FACE, 20, "c", "c.org")] * 99), None, []),
    "phrases without photographs": (
        None,
        make_phrases(*EVERYWHERE, ("x", "en", 0, 0), ("y", "en", 0, 0)),
        ["These phrases brought no photograph: “x”, “y”."],
    ),
    "without photographs, but not the only time": (
        None,
        make_phrases(*EVERYWHERE, ("in en", "en", 0, 0)),
        [],
    ),
    "phrases without faces": (
        None,
        make_phrases(*EVERYWHERE, ("x", "en", 3, 0)),
        ["These phrases brought photographs but no labelled face: “x”."],
    ),
}


@pytest.mark.parametrize(("labels", "phrases", "expected"), GAPS.values(), ids=GAPS.keys())
def test_each_gap_has_a_sentence(labels, phrases, expected):
    labels = FULL[0] if labels is None else labels
    phrases = FULL[1] if phrases is None else phrases
    always = ("with a box (", "Bing was searched only in")
    gaps = [
        gap for gap in find_gaps(labels, phrases, few=8) if not any(text in gap for text in always)
    ]
    assert gaps == expected


def test_small_faces_are_counted_among_those_with_a_box():
    gaps = find_gaps(
        make_labels(*EVERYONE, (NO_FACE, 5, "a", ""), (YES, None, "a", "")), FULL[1], few=1
    )
    assert "6 of 24 faces with a box (25.0 %) are under 32 px." in gaps
    assert "No face has a box: the sizes of the faces are not known." in find_gaps(
        make_labels(), FULL[1], few=1
    )


LANGUAGES = {
    "none": ([], "The languages of the search are not known."),
    "all": (list(WIDELY_SPOKEN), f"Bing was searched only in {', '.join(sorted(WIDELY_SPOKEN))}."),
    "all but one": (
        [code for code in WIDELY_SPOKEN if code != "ar"] + ["pt-BR", "sw"],
        "Bing was searched only in bn, en, es, fr, hi, pt, pt-BR, ru, sw, ur, zh. "
        "Widely spoken languages that are missing: Arabic.",
    ),
}


@pytest.mark.parametrize(("codes", "sentence"), LANGUAGES.values(), ids=LANGUAGES.keys())
def test_missing_languages_are_named(codes, sentence):
    phrases = make_phrases(*[(f"in {code}", code, 5, 5) for code in codes])
    assert find_gaps(FULL[0], phrases, few=1)[-1] == sentence
