"""The datasheet of a data set, written from its tables (T. Gebru et al., "Datasheets for Datasets", 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from utils.annotate import JOURNAL_COLUMNS, compare_annotators
from utils.collect import COLUMNS as CRAWL_COLUMNS
from utils.collect import REFUSED, SOURCE_COLUMNS, TAKEN_DOWN
from utils.curate import inventory
from utils.curate.datasheet_text import (
    KAPPA,
    LICENCE,
    NO_CONTACT,
    NO_MOTIVATION,
    NO_SPLIT,
    NOT_RECORDED,
    ORIGIN,
    REBUILD,
    TAKE_DOWN,
    USES,
)
from utils.curate.gaps import find_gaps
from utils.curate.markdown import draw_table, escape, say_number
from utils.labels import BOX_COLUMNS, COLUMNS
from utils.tables import now, replace_text

TOP_SITES = 10
KEY = ["file", *BOX_COLUMNS]


def _complete(table: pd.DataFrame | None, columns: Sequence[str]) -> pd.DataFrame:
    """The table with at least these columns, what is not known in them being "", or NaN in a box. None is empty."""
    table = pd.DataFrame(columns=columns) if table is None else table
    table = table.reindex(columns=list(dict.fromkeys([*columns, *table.columns]))).reset_index(
        drop=True
    )
    texts = {
        name: table[name].astype(object).fillna("") for name in columns if name not in BOX_COLUMNS
    }
    return table.assign(**texts).astype({name: float for name in BOX_COLUMNS if name in columns})


def _describe_faces(labels: pd.DataFrame) -> list[str]:
    if labels.empty:
        return ["There is no label table, or it is empty: nothing is labelled."]
    page = [
        "Rows of the label table, by source:",
        draw_table(inventory.count_classes(labels, "source")),
    ]
    sizes = labels.assign(size=inventory.size_faces(labels))
    page += [
        "By the longer side of the box, in pixels of the photograph:",
        draw_table(inventory.count_classes(sizes, "size")),
    ]
    has_split = "split" in labels
    page += (
        ["By side of the split:", draw_table(inventory.count_classes(labels, "split"))]
        if has_split
        else [NO_SPLIT]
    )
    if "group" not in labels:
        return [*page, "Near-duplicates were not looked for."]
    members = labels.groupby("group").file.nunique()
    text = (
        f"Near-duplicates share a group: the photographs form {say_number(len(members), 'group')}, "
    )
    text += f"{(members > 1).sum()} of them with more than one photograph; the largest has {members.max()}."
    if has_split:
        torn = (labels.groupby("group").split.nunique() > 1).sum()
        text += f" On two sides of the split: {say_number(torn, 'group')}."
    return [*page, text]


def _describe_search(sources: pd.DataFrame, phrases: pd.DataFrame) -> list[str]:
    names = {
        "meant": "meant to bring",
        "other_filters": "filters",
        "photos": "photographs",
        "as_meant": "as meant",
    }
    asked = [draw_table(phrases, **names)] if len(phrases) else []
    if sources.empty:
        return [
            *asked,
            "There is no table of sources, or it is empty: where the photographs are from is not known.",
        ]
    days = sources.fetched_at.str[:10].replace("", "an unknown day")
    when = f"on {days.min()}" if days.nunique() == 1 else f"from {days.min()} to {days.max()}"
    text = f"Fetched {when}. The last column counts the faces with the class that was meant."
    return [text, *asked]


def _describe_sites(sources: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
    sites = inventory.count_sites(sources, labels)
    unknown = sites[sites.site == ""].photos.sum()
    sites = sites[sites.site != ""]
    others = labels.file[labels.photo.isna()].nunique()
    text = f"{say_number(others, 'labelled photograph')} came another way, of which these tables know nothing. "
    text = (text if others else "") + f"From {say_number(len(sites), 'site')}"
    text += f", and {unknown} from no known one" if unknown else ""
    top = f"; the {TOP_SITES} with the most photographs:" if len(sites) > TOP_SITES else ":"
    licences = (
        sources.licence.replace("", "none")
        .value_counts()
        .rename_axis("licence")
        .reset_index(name="photos")
    )
    return [
        *(
            "### Where they are from",
            text + top,
            draw_table(sites.head(TOP_SITES), photos="photographs"),
        ),
        *(
            "### Licences",
            draw_table(licences, licence="licence asked for", photos="photographs"),
            LICENCE,
        ),
    ]


def _describe_refusals(refused: pd.DataFrame, sources: pd.DataFrame) -> list[str]:
    refusals = inventory.count_refusals(refused, sources)
    if refusals.empty:
        return ["No refusal is noted."]
    return [
        "Addresses whose image was not kept, by the last reason that each gave:",
        draw_table(refusals),
    ]


def _describe_detection(sources: pd.DataFrame, faces: pd.DataFrame, labels: pd.DataFrame) -> str:
    if faces.empty:
        return "There is no table of the faces that a detector found, or it is empty."
    left_out, unlabelled, without = inventory.count_detection(sources, faces, labels)
    return (
        f"A detector found {say_number(len(faces), 'face')}. By eye {left_out} of them were left out; of those kept, "
        f"{unlabelled} have no label. In {say_number(without, 'photograph')} it found none: what a detector misses are "
        "people turned away, covered or far off."
    )


def _describe_labellers(hand_labels: pd.DataFrame) -> list[str]:
    counts = inventory.count_labellers(hand_labels)
    if counts.empty:
        return [
            "There is no table of hand labels, or it is empty: who gave the labels is not known."
        ]
    page = ["Labels given by hand, by person and way:", draw_table(counts)]
    pairs = compare_annotators(hand_labels)
    if pairs.empty:
        return [*page, "One person labelled alone: whether another would agree is not known."]
    names = {"n": "faces", "share": "same label", "low": "95 % from", "high": "to"}
    return [*page, KAPPA, draw_table(pairs.rename(columns={"agreement": "share"}), **names)]


def write_datasheet(
    path: str | Path,
    sources: pd.DataFrame | None = None,
    refused: pd.DataFrame | None = None,
    faces: pd.DataFrame | None = None,
    labels: pd.DataFrame | None = None,
    hand_labels: pd.DataFrame | None = None,
    taken_down: pd.DataFrame | None = None,
    phrases: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    title: str = "Faces with and without masks",
    motivation: str = "",
    contact: str = "",
    few: int = 100,
) -> Path:
    """Write a data set's datasheet as Markdown; tables that are missing or empty are said to be.

    Args:
        path: where to; what is there is replaced.
        sources: from ``provenance.read_sources``.
        refused: from ``provenance.read_refused``.
        faces: the faces table of the extraction.
        labels: the label table, perhaps with ``group`` and ``split``.
        hand_labels: from ``read_hand_labels``.
        taken_down: from ``provenance.read_taken_down``.
        phrases: what was asked, by language and class; phrases that brought nothing are known from here alone.
        title: of the data set.
        motivation: why it was made, by whom and who paid, in Markdown.
        contact: where to ask for a picture to be taken out.
        few: a class with fewer faces is named as missing.

    Returns:
        The path.

    Raises:
        TableError: it cannot be written.
    """
    sources = inventory.describe_sources(_complete(sources, SOURCE_COLUMNS))
    refused, taken_down = (
        _complete(refused, CRAWL_COLUMNS[REFUSED]),
        _complete(taken_down, CRAWL_COLUMNS[TAKEN_DOWN]),
    )
    faces, hand_labels = _complete(faces, [*KEY, "kept"]), _complete(hand_labels, JOURNAL_COLUMNS)
    labels = inventory.join_sources(_complete(labels, COLUMNS), sources)
    asked = inventory.count_phrases(sources, labels, phrases)
    seen, background = inventory.list_faces(labels), (labels.class_name == "no_face").sum()
    lead = f"**{say_number(len(seen), 'face')} in {say_number(seen.file.nunique(), 'photograph')}**"
    if twice := len(labels) - background - len(seen):
        lead += f", {twice} of them with two rows in the label table, one for the whole image and one for its box"
    lead += f"; and {say_number(background, '`no_face` row')}, of what a detector might take for a face."
    kept, gone = int((sources.sha256 != "").sum()), taken_down[taken_down.file != ""]
    gaps = find_gaps(labels, asked, few)
    taken = f"{say_number(gone.file.nunique(), 'image')} from {say_number(taken_down.source.nunique(), 'source')}"
    where = f"Ask {contact}." if contact else NO_CONTACT
    page = [
        *(f"# Datasheet: {escape(title)}", ORIGIN.format(day=now()[:10])),
        lead,
        *("## Why was it made?", motivation or NO_MOTIVATION),
        *("## What is in it?", *_describe_faces(labels)),
        *(
            "## How was it collected?",
            "### What was asked, and when",
            *_describe_search(sources, asked),
        ),
        *(_describe_sites(sources, labels) if len(sources) else []),
        *("### What was refused", *_describe_refusals(refused, sources)),
        *("## How were faces found and labelled?", _describe_detection(sources, faces, labels)),
        *_describe_labellers(hand_labels),
        *("## Who is missing?", "### What the tables show", "\n".join(f"- {gap}" for gap in gaps)),
        *("### What no table can show", NOT_RECORDED),
        *("## What must it not be used for?", USES),
        *("## How can it be had, and rebuilt?", REBUILD),
        f"Of its photographs {kept} have an address and a hash.",
        *(
            "## How is a picture taken out?",
            TAKE_DOWN,
            f"{where.strip()} Taken out so far: {taken}.",
        ),
    ]
    replace_text(path, "\n\n".join(text.strip() for text in page) + "\n")
    return Path(path)
