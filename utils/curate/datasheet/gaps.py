"""Gaps of a data set: classes, sizes, sources and languages with too few faces."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from utils.classes import MASK_CLASSES
from utils.curate.datasheet.inventory import SIZES, find_main_values, list_faces, size_faces
from utils.curate.datasheet.markdown import escape, format_percent
from utils.messages import format_count

# Share of a class's faces from one source or site. Above it, a score for the class is mostly a
# score for that source.
MAIN_SHARE = 0.8
# The languages with the most speakers (Ethnologue, 2024), by the codes that Bing takes.
WIDELY_SPOKEN = {
    "ar": "Arabic",
    "bn": "Bengali",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "pt": "Portuguese",
    "ru": "Russian",
    "ur": "Urdu",
    "zh": "Chinese",
}


def find_gaps(labels: pd.DataFrame, phrases: pd.DataFrame, few: int) -> list[str]:
    """Return the gaps that the tables show, one Markdown sentence each.

    Args:
        labels: from ``inventory.join_sources``.
        phrases: from ``inventory.count_phrases``.
        few: a class with fewer faces is a gap.
    """
    faces = list_faces(labels)
    return [
        *_find_small_classes(faces, few),
        *_find_missing_sizes(faces),
        *_find_main_origins(faces, "source"),
        *_find_main_origins(faces, "site"),
        *_find_phrases_without_result(phrases),
        _describe_languages(phrases),
    ]


def _quote(values: Iterable[object]) -> str:
    """Return values in quotation marks, separated by commas."""
    return ", ".join(f"“{escape(value)}”" for value in values)


def _find_small_classes(faces: pd.DataFrame, few: int) -> list[str]:
    """Return a sentence for each class with fewer than ``few`` faces."""
    counts = faces.class_name.value_counts().reindex(MASK_CLASSES, fill_value=0)
    return [
        f"`{name}` has {format_count(count, 'face')}, fewer than {few}."
        for name, count in counts.items()
        if count < few
    ]


def _find_missing_sizes(faces: pd.DataFrame) -> list[str]:
    """Return a sentence about the smallest faces, and one for each class that lacks sizes."""
    size = size_faces(faces)
    has_box = size.isin(SIZES)
    if not has_box.any():
        return ["No face has a box: the sizes of the faces are not known."]
    total = int(has_box.sum())
    smallest = int((size == SIZES[0]).sum())
    share = format_percent(smallest / total)
    boxed = f"{format_count(total, 'face')} with a box"
    gaps = [f"{smallest} of {boxed} ({share}) are {SIZES[0]}."]
    for name in faces.class_name[has_box].unique():
        found = set(size[faces.class_name == name])
        missing = [text for text in SIZES if text not in found]
        if missing:
            gaps.append(f"`{name}` has no face of these sizes: {', '.join(missing)}.")
    return gaps


def _find_main_origins(faces: pd.DataFrame, by: str) -> list[str]:
    """Return a sentence for each class whose faces come mainly from one source or site."""
    origins = set(faces[by].dropna()) - {""}
    if len(origins) == 1:
        return [f"All faces with a known {by} are from the {by} {_quote(origins)}."]
    gaps = []
    for row in find_main_values(faces, by).to_dict("records"):
        if row["share"] > MAIN_SHARE:
            share = format_percent(row["share"])
            faces_with_origin = format_count(row["n"], "face")
            gaps.append(
                f"`{row['class_name']}` depends on the {by} {_quote([row[by]])}: {share} of its"
                f" {faces_with_origin} with a known {by} are from it."
            )
    return gaps


def _find_phrases_without_result(phrases: pd.DataFrame) -> list[str]:
    """Return a sentence about phrases without a photograph, and one about those without a face."""
    counts = phrases.groupby("phrase", sort=False)[["photos", "faces"]].sum()
    without_photo = counts.index[counts.photos == 0]
    without_face = counts.index[(counts.photos > 0) & (counts.faces == 0)]
    gaps = []
    if len(without_photo):
        gaps.append(f"These phrases brought no photograph: {_quote(without_photo)}.")
    if len(without_face):
        gaps.append(
            f"These phrases brought photographs but no labelled face: {_quote(without_face)}."
        )
    return gaps


def _describe_languages(phrases: pd.DataFrame) -> str:
    """Return a sentence about the languages of the search, and one about missing languages."""
    searched = sorted(set(phrases.language) - {""})
    if not searched:
        return "The languages of the search are not known."
    text = f"Bing was searched only in {', '.join(escape(code) for code in searched)}."
    codes = {code.split("-")[0].lower() for code in searched}
    missing = [name for code, name in WIDELY_SPOKEN.items() if code not in codes]
    if missing:
        text += f" Widely spoken languages that are missing: {', '.join(sorted(missing))}."
    return text
