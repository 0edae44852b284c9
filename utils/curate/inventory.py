"""What a data set holds, counted from its tables: phrases, sites, refusals, sizes, labellers, groups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from utils.classes import CLASS_NAMES, MASK_CLASSES

SIZES = ["under 32 px", "32-64 px", "64-128 px", "128 px and more"]
WHOLE = "whole image"


def name_site(address: str) -> str:
    """The site of an address, without ``www.``; empty where it has none."""
    with suppress(ValueError):  # half an IPv6 host
        return (urlsplit(address).hostname or "").removeprefix("www.")
    return ""


def read_filters(text: str) -> tuple[str, str]:
    """The language and the other filters, as words, of a ``filters`` cell of ``sources.csv``."""
    try:
        filters = dict(json.loads(text or "{}"))
    except (ValueError, TypeError):  # of another program
        return "", text
    language = str(filters.pop("language", ""))
    return language, ", ".join(f"{name}: {value}" for name, value in filters.items())


def describe_sources(sources: pd.DataFrame) -> pd.DataFrame:
    """``sources.csv`` with ``site`` (of the page, else of the image), ``language`` and ``other_filters``."""
    sites = [name_site(row.page_url) or name_site(row.url) for row in sources.itertuples()]
    filters = [read_filters(text) for text in sources.filters]
    table = sources.assign(
        site=sites,
        language=[text for text, _ in filters],
        other_filters=[text for _, text in filters],
    )
    return table.astype(dict.fromkeys(["site", "language", "other_filters"], "str"))


def match_files(files: pd.Series, known: pd.Series) -> pd.Series:
    """The name in ``known`` (below a crawl folder) of each file (below it, or the folder that holds it), else NaN."""
    below, known = files.map(lambda file: file.partition("/")[2]), set(known)
    return files.where(files.isin(known), below.where(below.isin(known)))


def join_sources(labels: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """The label table with ``photo``, the file in ``sources.csv`` (NaN: not from the crawl), and that row's columns.

    Args:
        labels: a label table.
        sources: from ``describe_sources``.
    """
    columns = ["phrase", "meant", "site", "language", "other_filters"]
    rows = sources.rename(columns={"class_name": "meant", "file": "photo"}).drop_duplicates(
        "photo", keep="last"
    )
    labels = labels.drop(columns=columns, errors="ignore").assign(
        photo=match_files(labels.file, sources.file)
    )
    return labels.merge(rows[["photo", *columns]], on="photo", how="left")


def list_faces(labels: pd.DataFrame) -> pd.DataFrame:
    """The rows that stand for a face, each face once: no ``no_face``, and no whole image whose face has a box too, as
    ``prepare.find_background`` adds it."""
    rows = labels[labels.class_name.isin(MASK_CLASSES)]
    return rows[rows.x_min.notna() | ~rows.file.isin(rows.file[rows.x_min.notna()])]


def count_classes(labels: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows of a label table by class and by another column, with their sums: a row a value of it, and ``all``."""
    counts = pd.crosstab(labels[by].astype("str"), labels.class_name).reindex(
        columns=CLASS_NAMES, fill_value=0
    )
    if isinstance(labels[by].dtype, pd.CategoricalDtype):
        counts = counts.reindex(labels[by].cat.categories, fill_value=0).rename_axis(by)
    counts.loc["all"] = counts.sum()
    return counts.assign(all=counts.sum(axis=1)).rename_axis(columns=None).reset_index()


def size_faces(labels: pd.DataFrame) -> pd.Series:
    """The size of each face, by its box's longer side; ``WHOLE`` where there is no box."""
    side = np.maximum(labels.x_max - labels.x_min, labels.y_max - labels.y_min)
    bins = pd.cut(side, [-np.inf, 32, 64, 128, np.inf], right=False, labels=SIZES)
    return pd.Series(
        pd.Categorical(bins.astype(object).fillna(WHOLE), [*SIZES, WHOLE]),
        labels.index,
        name="size",
    )


def count_phrases(
    sources: pd.DataFrame,
    labels: pd.DataFrame,
    phrases: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> pd.DataFrame:
    """What was asked and what it brought: ``phrase, meant, language, other_filters, photos, faces, as_meant``.

    Args:
        sources: from ``describe_sources``.
        labels: from ``join_sources``.
        phrases: by language and class what was asked; a phrase that brought nothing is known from here alone.

    Returns:
        The table; ``as_meant`` counts the faces that were labelled as the phrase was meant to bring.
    """
    key = ["phrase", "meant", "language", "other_filters"]
    photos = (
        sources.rename(columns={"class_name": "meant"})
        .groupby(key, sort=False)
        .size()
        .rename("photos")
        .reset_index()
    )
    found = list_faces(labels[labels.photo.notna()])
    faces = (
        found.assign(as_meant=found.class_name == found.meant)
        .groupby(key)
        .as_meant.agg(faces="size", as_meant="sum")
    )
    table = photos.merge(faces.reset_index(), on=key, how="left")
    asked = [
        {"phrase": " ".join(phrase.split()), "meant": class_name, "language": language}
        for language, classes in (phrases or {}).items()
        for class_name, texts in classes.items()
        for phrase in ([texts] if isinstance(texts, str) else texts)
    ]
    missing = [row for row in asked if row["phrase"] not in set(table.phrase)]
    table = pd.concat(
        [table, pd.DataFrame(missing, columns=["phrase", "meant", "language"])], ignore_index=True
    )
    counts = ["photos", "faces", "as_meant"]
    return table.assign(**table[counts].fillna(0).astype(int)).fillna("")


def count_sites(sources: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Photographs and faces by site, the most frequent first: ``site, photos, share, faces``."""
    photos = sources.groupby("site").size()
    faces = list_faces(labels).groupby("site").size()
    table = pd.DataFrame({"photos": photos, "share": photos / max(1, len(sources)), "faces": faces})
    table = table.assign(faces=table.faces.fillna(0).astype(int)).rename_axis("site").reset_index()
    return table.sort_values(["photos", "site"], ascending=[False, True], ignore_index=True)


def count_refusals(refused: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Addresses by why they were refused: ``reason, addresses``. One that was tried again counts once, by its last
    reason, and not at all when it came in the end."""
    last = refused[~refused.url.isin(sources.url)].drop_duplicates("url", keep="last")
    return (
        last.groupby("reason")
        .size()
        .sort_values(ascending=False, kind="stable")
        .rename("addresses")
        .reset_index()
    )


def count_detection(
    sources: pd.DataFrame, faces: pd.DataFrame, labels: pd.DataFrame
) -> tuple[int, int, int]:
    """What became of the faces table: faces left out by eye, faces kept but not labelled (boxes compared to the pixel),
    and photographs of the crawl in which no face was found."""
    key = ["file", "x_min", "y_min", "x_max", "y_max"]
    is_kept = faces.kept.astype(str).str.lower() != "false"  # as a CSV file has it, too
    kept, known = (
        {*map(tuple, table[key].dropna().round().to_numpy())} for table in (faces[is_kept], labels)
    )
    without = set(sources.file) - set(match_files(faces.file, sources.file))
    return int((~is_kept).sum()), len(kept - known), len(without)


def count_labellers(hand_labels: pd.DataFrame) -> pd.DataFrame:
    """Faces by who labelled them and how: ``labeller``, a column a way, ``all``, and the ``first`` and ``last`` day."""
    labels = hand_labels[hand_labels.class_name.fillna("") != ""]
    counts = pd.crosstab(labels.labeller, labels.way).rename_axis(columns=None)
    days = labels.labelled_at.str[:10].groupby(labels.labeller).agg(first="min", last="max")
    counts = counts.assign(all=counts.sum(axis=1)).join(days)
    everyone = sorted(hand_labels.labeller.dropna().unique())  # also who labelled nothing
    numbers = counts.columns.drop(["first", "last"])
    counts = counts.reindex(everyone).rename_axis("labeller").reset_index()
    return counts.assign(**counts[numbers].fillna(0).astype(int)).fillna("")


def find_leaning(labels: pd.DataFrame, by: str) -> pd.DataFrame:
    """The value of a column that most faces of each class share: ``class_name, <by>, share, n``."""
    rows = []
    for class_name in MASK_CLASSES:
        values = labels[labels.class_name == class_name][by].dropna()
        if len(values := values[values != ""]):
            shares = values.value_counts(normalize=True)
            rows.append((class_name, shares.index[0], shares.iloc[0], len(values)))
    return pd.DataFrame(rows, columns=["class_name", by, "share", "n"])
