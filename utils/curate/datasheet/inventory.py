"""Counts of a data set, from its tables: phrases, sites, refusals, sizes, classes, annotators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.labels import BOX_COLUMNS

# Face sizes: edges and names of the bins, by the longer side of the box in pixels.
SIZE_EDGES = [-np.inf, 32, 64, 128, np.inf]
SIZES = ["under 32 px", "32-64 px", "64-128 px", "128 px and more"]
WHOLE = "whole image"  # the size of a face without a box


class DetectionCounts(NamedTuple):
    """What became of the faces that a detector found."""

    discarded: int  # faces that a person discarded
    unlabelled: int  # faces that were kept and have no label
    without_face: int  # photographs in which the detector found no face


def name_site(address: str) -> str:
    """Return the host of a web address without ``www.``; empty if there is none."""
    try:
        host = urlsplit(address).hostname
    except ValueError:  # an incomplete IPv6 host
        return ""
    return (host or "").removeprefix("www.")


def read_filters(text: str) -> tuple[str, str]:
    """Return the language and the other filters from a ``filters`` cell of ``sources.csv``.

    A cell that another program wrote, and that is not a JSON object, is returned as it is.
    """
    try:
        filters = dict(json.loads(text or "{}"))
    except (ValueError, TypeError):
        return "", text
    language = str(filters.pop("language", ""))
    return language, ", ".join(f"{name}: {value}" for name, value in filters.items())


def describe_sources(sources: pd.DataFrame) -> pd.DataFrame:
    """Return ``sources.csv`` with the columns ``site``, ``language`` and ``other_filters``.

    The site is that of the web page, or that of the image if the page is not known.
    """
    sites = [name_site(row.page_url) or name_site(row.url) for row in sources.itertuples()]
    filters = [read_filters(text) for text in sources.filters]
    return sources.assign(
        site=pd.Series(sites, sources.index, dtype="str"),
        language=pd.Series([language for language, _ in filters], sources.index, dtype="str"),
        other_filters=pd.Series([others for _, others in filters], sources.index, dtype="str"),
    )


def match_files(files: pd.Series, known: pd.Series) -> pd.Series:
    """Return for each file its name in the crawl folder, or NaN if it is not from the crawl.

    Args:
        files: paths below the crawl folder, or below the folder that holds the crawl folder.
        known: the ``file`` column of ``sources.csv``: paths below the crawl folder.
    """
    below = files.map(lambda file: file.partition("/")[2])
    names = set(known)
    return files.where(files.isin(names), below.where(below.isin(names)))


def join_sources(labels: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Return the label table with the source of each photograph.

    Args:
        labels: a label table.
        sources: from ``describe_sources``.

    Returns:
        The table with ``photo``, the photograph's name in ``sources.csv`` (NaN if it is not from
        the crawl), and that row's ``phrase``, ``meant``, ``site``, ``language`` and
        ``other_filters``.
    """
    columns = ["phrase", "meant", "site", "language", "other_filters"]
    rows = sources.rename(columns={"class_name": "meant", "file": "photo"})
    rows = rows.drop_duplicates("photo", keep="last")
    labels = labels.drop(columns=columns, errors="ignore")
    labels = labels.assign(photo=match_files(labels.file, sources.file))
    return labels.merge(rows[["photo", *columns]], on="photo", how="left")


def list_faces(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a label table that stand for a face, one row per face.

    ``no_face`` rows are left out. So are whole-image rows whose face also has a box, which
    ``prepare.find_background`` adds.
    """
    rows = labels[labels.class_name.isin(MASK_CLASSES)]
    has_box = rows.x_min.notna()
    files_with_boxes = rows.file[has_box]
    return rows[has_box | ~rows.file.isin(files_with_boxes)]


def count_classes(labels: pd.DataFrame, by: str) -> pd.DataFrame:
    """Count the rows of a label table by class and by another column.

    Returns:
        A table with the column ``by``, a column for each class, and their sum ``all``. It has a row
        for each value of the column, and a last row ``all`` with the sums.
    """
    counts = pd.crosstab(labels[by].astype("str"), labels.class_name)
    counts = counts.reindex(columns=CLASS_NAMES, fill_value=0)
    if isinstance(labels[by].dtype, pd.CategoricalDtype):
        counts = counts.reindex(labels[by].cat.categories, fill_value=0).rename_axis(by)
    counts.loc["all"] = counts.sum()
    return counts.assign(all=counts.sum(axis=1)).rename_axis(columns=None).reset_index()


def size_faces(labels: pd.DataFrame) -> pd.Series:
    """Return the size of each face, by its box's longer side; ``WHOLE`` if the face has no box."""
    width = labels.x_max - labels.x_min
    height = labels.y_max - labels.y_min
    side = np.maximum(width, height)
    bins = pd.cut(side, SIZE_EDGES, right=False, labels=SIZES)
    sizes = pd.Categorical(bins.astype(object).fillna(WHOLE), [*SIZES, WHOLE])
    return pd.Series(sizes, index=labels.index, name="size")


def count_phrases(
    sources: pd.DataFrame,
    labels: pd.DataFrame,
    phrases: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> pd.DataFrame:
    """Count the photographs and faces that each search phrase brought.

    Args:
        sources: from ``describe_sources``.
        labels: from ``join_sources``.
        phrases: the phrases of the search, by language and class. They add the phrases that brought
            no photograph.

    Returns:
        A table with ``phrase``, ``meant`` (the class that the phrase was meant to bring),
        ``language``, ``other_filters``, ``photos``, ``faces`` and ``as_meant`` (faces labelled with
        the class that was meant).
    """
    key = ["phrase", "meant", "language", "other_filters"]
    rows = sources.rename(columns={"class_name": "meant"})
    photos = rows.groupby(key, sort=False).size().rename("photos").reset_index()
    found = list_faces(labels[labels.photo.notna()])
    found = found.assign(as_meant=found.class_name == found.meant)
    faces = found.groupby(key).as_meant.agg(faces="size", as_meant="sum").reset_index()
    table = photos.merge(faces, on=key, how="left")

    known = set(table.phrase)
    asked = [row for row in _list_phrases(phrases or {}) if row["phrase"] not in known]
    missing = pd.DataFrame(asked, columns=["phrase", "meant", "language"])
    table = pd.concat([table, missing], ignore_index=True)
    for name in ("photos", "faces", "as_meant"):
        table[name] = table[name].fillna(0).astype(int)
    return table.fillna("")


def _list_phrases(phrases: Mapping[str, Mapping[str, Sequence[str]]]) -> list[dict[str, str]]:
    """Return a row for each phrase of the search. A class may have one phrase instead of a list."""
    rows = []
    for language, classes in phrases.items():
        for class_name, texts in classes.items():
            if isinstance(texts, str):
                texts = [texts]
            for text in texts:
                phrase = " ".join(text.split())
                rows.append({"phrase": phrase, "meant": class_name, "language": language})
    return rows


def count_sites(sources: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Count photographs and faces by site, the site with the most photographs first.

    Returns:
        A table with ``site``, ``photos``, ``share`` (of all photographs) and ``faces``.
    """
    photos = sources.groupby("site").size()
    faces = list_faces(labels).groupby("site").size()
    share = photos / max(1, len(sources))
    table = pd.DataFrame({"photos": photos, "share": share, "faces": faces})
    table = table.assign(faces=table.faces.fillna(0).astype(int))
    table = table.rename_axis("site").reset_index()
    return table.sort_values(["photos", "site"], ascending=[False, True], ignore_index=True)


def count_refusals(refused: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Count refused addresses by reason: ``reason, addresses``.

    An address that was tried several times counts once, with its last reason. An address whose
    image was saved later does not count.
    """
    last = refused[~refused.url.isin(sources.url)].drop_duplicates("url", keep="last")
    counts = last.groupby("reason").size().sort_values(ascending=False, kind="stable")
    return counts.rename("addresses").reset_index()


def count_detection(
    sources: pd.DataFrame, faces: pd.DataFrame, labels: pd.DataFrame
) -> DetectionCounts:
    """Count what became of the faces that a detector found.

    Args:
        sources: ``sources.csv``.
        faces: the faces table, with ``kept``.
        labels: the label table. A face has a label if both boxes are equal when rounded to pixels.
    """
    is_kept = faces.kept.astype(str).str.lower() != "false"  # a CSV file may hold "False" as text
    kept = _list_rounded_boxes(faces[is_kept])
    labelled = _list_rounded_boxes(labels)
    searched = set(match_files(faces.file, sources.file))
    return DetectionCounts(
        discarded=int((~is_kept).sum()),
        unlabelled=len(kept - labelled),
        without_face=len(set(sources.file) - searched),
    )


def _list_rounded_boxes(table: pd.DataFrame) -> set[tuple]:
    """Return each file with its box, rounded to pixels."""
    rows = table[["file", *BOX_COLUMNS]].dropna().round()
    return set(rows.itertuples(index=False, name=None))


def count_annotators(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """Count the faces that each person labelled.

    Returns:
        A table with ``labeller`` (who it was), a column for each way of labelling, their sum
        ``all``, and the days of the ``first`` and ``last`` label. People who labelled no face have
        zeros.
    """
    labels = hand_labels[hand_labels.class_name.fillna("") != ""]
    counts = pd.crosstab(labels.labeller, labels.way).rename_axis(columns=None)
    counts = counts.assign(all=counts.sum(axis=1))
    people = sorted(hand_labels.labeller.dropna().unique())
    counts = counts.reindex(people, fill_value=0).astype(int)
    days = labels.labelled_at.str[:10].groupby(labels.labeller).agg(first="min", last="max")
    days = days.reindex(people).fillna("")
    return counts.join(days).rename_axis("labeller").reset_index()


def find_main_values(labels: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the most frequent value of a column in each class: ``class_name, <by>, share, n``.

    ``share`` is the value's share of the class's ``n`` faces that have a value.
    """
    rows = []
    for class_name in MASK_CLASSES:
        values = labels[labels.class_name == class_name][by].dropna()
        values = values[values != ""]
        if len(values):
            shares = values.value_counts(normalize=True)
            rows.append((class_name, shares.index[0], shares.iloc[0], len(values)))
    return pd.DataFrame(rows, columns=["class_name", by, "share", "n"])
