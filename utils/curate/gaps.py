"""Who is missing from a data set, as far as its tables can show."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from utils.classes import MASK_CLASSES
from utils.curate.inventory import SIZES, find_leaning, list_faces, size_faces
from utils.curate.markdown import escape, say_number, say_share

LEANING = 0.8  # of a class's faces from one source or site: a score for the class is then a score for that
# The languages with the most speakers (Ethnologue, 2024), by the codes that Bing takes.
WIDELY_SPOKEN = {
    **{"ar": "Arabic", "bn": "Bengali", "en": "English", "es": "Spanish", "fr": "French"},
    **{"hi": "Hindi", "pt": "Portuguese", "ru": "Russian", "ur": "Urdu", "zh": "Chinese"},
}


def _list(values: Iterable[object]) -> str:
    return ", ".join(f"“{escape(value)}”" for value in values)


def find_gaps(labels: pd.DataFrame, phrases: pd.DataFrame, few: int) -> list[str]:
    """What the tables show of who is missing, a sentence each.

    Args:
        labels: from ``inventory.join_sources``.
        phrases: from ``inventory.count_phrases``.
        few: a class under so many faces is named.
    """
    faces = list_faces(labels)
    counts = faces.class_name.value_counts().reindex(MASK_CLASSES, fill_value=0)
    gaps = [
        f"`{name}` has {say_number(n, 'face')}, fewer than {few}."
        for name, n in counts.items()
        if n < few
    ]
    return [
        *gaps,
        *_find_small(faces),
        *_find_leaning(faces),
        *_find_silent(phrases),
        *_find_languages(phrases),
    ]


def _find_small(faces: pd.DataFrame) -> list[str]:
    size = size_faces(faces)
    boxed = faces[size.isin(SIZES)]
    if boxed.empty:
        return ["No face has a box: how small the faces are is not known."]
    count = int((size == SIZES[0]).sum())
    gaps = [
        f"{count} of {say_number(len(boxed), 'face')} with a box ({say_share(count / len(boxed))}) are {SIZES[0]}."
    ]
    for name in boxed.class_name.unique():
        empty = [text for text in SIZES if not ((size == text) & (faces.class_name == name)).any()]
        gaps += [f"`{name}` has no face of {' and none of '.join(empty)}."] if empty else []
    return gaps


def _find_leaning(faces: pd.DataFrame) -> list[str]:
    gaps = []
    for by in ("source", "site"):
        names = set(faces[by].dropna()) - {""}
        if len(names) == 1:
            gaps += [f"Every face whose {by} is known is from the {by} {_list(names)}."]
            continue
        for row in find_leaning(faces, by).itertuples():
            if row.share > LEANING:
                name = _list([getattr(row, by)])
                text = (
                    f"{say_share(row.share)} of its {say_number(row.n, 'face')} whose {by} is known"
                )
                gaps += [f"`{row.class_name}` leans on the {by} {name}: {text}."]
    return gaps


def _find_silent(phrases: pd.DataFrame) -> list[str]:
    photos = phrases.groupby("phrase", sort=False)[["photos", "faces"]].sum()
    silent, faceless = (
        photos.index[photos.photos == 0],
        photos.index[(photos.photos > 0) & (photos.faces == 0)],
    )
    gaps = [f"Asked for in vain, without one photograph: {_list(silent)}."] if len(silent) else []
    return gaps + (
        [f"Brought photographs, but no labelled face: {_list(faceless)}."] if len(faceless) else []
    )


def _find_languages(phrases: pd.DataFrame) -> list[str]:
    asked = sorted(set(phrases.language) - {""})
    if not asked:
        return ["In which languages was asked is not known."]
    codes = {code.split("-")[0].lower() for code in asked}
    rest = [name for code, name in WIDELY_SPOKEN.items() if code not in codes]
    text = f"Bing was asked in {', '.join(map(escape, asked))} alone"
    return [
        f"{text}; of widely spoken languages not in {', '.join(sorted(rest))}."
        if rest
        else f"{text}."
    ]
