"""The datasheet of a data set (T. Gebru et al., "Datasheets for Datasets", 2021).

``write_datasheet`` gathers the values from the data set's tables. The text is in the template
``datasheet.md.jinja``, next to this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from utils.annotate import JOURNAL_COLUMNS, compare_annotators
from utils.collect import COLUMNS as CRAWL_COLUMNS
from utils.collect import REFUSED, SOURCE_COLUMNS, TAKEN_DOWN
from utils.csv_lines import now
from utils.curate.datasheet import inventory
from utils.curate.datasheet.gaps import find_gaps
from utils.curate.datasheet.markdown import escape, format_table
from utils.labels import BOX_COLUMNS, COLUMNS
from utils.messages import format_count
from utils.tables import replace_text

TEMPLATE = Path(__file__).with_name("datasheet.md.jinja")
TOP_SITES = 10  # number of sites that the datasheet lists
FACE_COLUMNS = ["file", *BOX_COLUMNS, "kept"]


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
    """Write the datasheet of a data set as Markdown. It says which tables are missing or empty.

    Args:
        path: the file to write. An existing file is replaced.
        sources: from ``collect.read_sources``.
        refused: from ``collect.read_refused``.
        faces: the faces that a detector found, from ``collect.read_faces``.
        labels: the label table, with or without ``group`` and ``split``.
        hand_labels: from ``annotate.read_hand_labels``.
        taken_down: from ``collect.read_taken_down``.
        phrases: the phrases of the search, by language and class. Without it, phrases that brought
            no photograph are not known.
        title: title of the data set.
        motivation: why the data set was made, who made it and who paid for it, in Markdown.
        contact: contact for removal requests, in Markdown.
        few: a class with fewer faces is listed as missing.

    Returns:
        The path.

    Raises:
        TableError: the file cannot be written.
    """
    sources = inventory.describe_sources(_fill_columns(sources, SOURCE_COLUMNS))
    refused = _fill_columns(refused, CRAWL_COLUMNS[REFUSED])
    faces = _fill_columns(faces, FACE_COLUMNS)
    labels = inventory.join_sources(_fill_columns(labels, COLUMNS), sources)
    hand_labels = _fill_columns(hand_labels, JOURNAL_COLUMNS)
    taken_down = _fill_columns(taken_down, CRAWL_COLUMNS[TAKEN_DOWN])
    phrase_counts = inventory.count_phrases(sources, labels, phrases)
    text = _load_template().render(
        title=title,
        day=now()[:10],
        motivation=motivation,
        contact=contact,
        top_sites=TOP_SITES,
        labels=labels,
        sources=sources,
        found=faces,
        totals=_count_totals(labels),
        contents=_count_contents(labels),
        phrases=phrase_counts,
        search=_describe_search(sources, labels),
        refusals=inventory.count_refusals(refused, sources),
        detection=inventory.count_detection(sources, faces, labels),
        annotators=inventory.count_annotators(hand_labels),
        agreement=compare_annotators(hand_labels).rename(columns={"agreement": "share"}),
        gaps=find_gaps(labels, phrase_counts, few),
        with_hash=int((sources.sha256 != "").sum()),
        removed={
            "images": taken_down.file[taken_down.file != ""].nunique(),
            "sources": taken_down.source.nunique(),
        },
    )
    replace_text(path, text)
    return Path(path)


def _load_template() -> Template:
    """Return the datasheet's template with its filters."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["escape"] = escape
    environment.filters["count"] = format_count
    environment.filters["table"] = format_table
    return environment.get_template(TEMPLATE.name)


def _fill_columns(table: pd.DataFrame | None, columns: Sequence[str]) -> pd.DataFrame:
    """Return a table that has at least these columns.

    Args:
        table: the table; None is an empty table.
        columns: the columns. A missing value is NaN in a column of a box, and "" in the others.
    """
    if table is None:
        table = pd.DataFrame(columns=list(columns))
    others = [name for name in table.columns if name not in columns]
    table = table.reindex(columns=[*columns, *others]).reset_index(drop=True)
    for name in columns:
        if name in BOX_COLUMNS:
            table[name] = table[name].astype(float)
        else:
            table[name] = table[name].astype(object).fillna("")
    return table


def _count_totals(labels: pd.DataFrame) -> dict[str, int]:
    """Count faces, their photographs, faces with two rows, and ``no_face`` rows."""
    faces = inventory.list_faces(labels)
    background = int((labels.class_name == "no_face").sum())
    return {
        "faces": len(faces),
        "photographs": faces.file.nunique(),
        "with_two_rows": len(labels) - background - len(faces),
        "background": background,
    }


def _count_contents(labels: pd.DataFrame) -> dict[str, object]:
    """Count the rows of the label table by source, size and split, and the groups."""
    if labels.empty:
        return {}
    sizes = labels.assign(size=inventory.size_faces(labels))
    values: dict[str, object] = {
        "by_source": inventory.count_classes(labels, "source"),
        "by_size": inventory.count_classes(sizes, "size"),
    }
    if "split" in labels:
        values["by_split"] = inventory.count_classes(labels, "split")
    if "group" in labels:
        members = labels.groupby("group").file.nunique()
        values["groups"] = len(members)
        values["groups_of_several"] = int((members > 1).sum())
        values["largest_group"] = int(members.max())
    if "group" in labels and "split" in labels:
        sides = labels.groupby("group").split.nunique()
        values["groups_on_two_sides"] = int((sides > 1).sum())
    return values


def _describe_search(sources: pd.DataFrame, labels: pd.DataFrame) -> dict[str, object]:
    """Return the days of the search, the sites, and the licence filters."""
    days = sources.fetched_at.str[:10].replace("", "an unknown day")
    sites = inventory.count_sites(sources, labels)
    licences = sources.licence.replace("", "none").value_counts()
    return {
        "first_day": days.min(),
        "last_day": days.max(),
        "sites": sites[sites.site != ""],
        "without_site": int(sites[sites.site == ""].photos.sum()),
        "from_elsewhere": labels.file[labels.photo.isna()].nunique(),
        "licences": licences.rename_axis("licence").reset_index(name="photos"),
    }
