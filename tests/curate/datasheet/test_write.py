"""The datasheet: every number on the page is counted again here in another way."""

import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from utils.annotate import read_hand_labels, record_label
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.collect import (
    COLUMNS,
    REFUSED,
    SOURCE_COLUMNS,
    SOURCES,
    TAKEN_DOWN,
    read_refused,
    read_sources,
    read_taken_down,
)
from utils.csv_lines import TableError, append_rows
from utils.curate import write_datasheet
from utils.labels import BOX_COLUMNS

YES, NO, BADLY, NO_FACE = CLASS_NAMES
PHRASES = {
    YES: ["Menschen | mit *Maske*", "マスクをした人 <b>", "asked in vain"],
    NO: ["people in the street"],
    BADLY: "mask under the nose",
}
FILTERS = {"license": "creativecommons", "type": "photo"}


def make_crawl():
    """Return sources, found faces and labels from a fixed seed. Their texts hold pipes and tags."""
    rng = np.random.default_rng(0)
    sources, faces, labels = [], [], []
    searches = [
        (YES, PHRASES[YES][0]),
        (YES, PHRASES[YES][1]),
        (NO, PHRASES[NO][0]),
        (BADLY, PHRASES[BADLY]),
    ]
    for folder, (meant, phrase) in enumerate(searches):
        for number in range(int(rng.integers(20, 40))):
            www = "www." if number % 2 else ""
            page_url = f"https://{www}site{int(rng.integers(0, 6 + 3 * folder))}.example/p"
            filters = {"language": "en-US" if folder else "de-DE"}
            file = f"{folder}/{number:06}.jpg"
            source = {
                "file": file,
                "url": f"https://cdn.example/{file}",
                "page_url": "" if number == 3 else page_url,
                "title": "a | b",
                "phrase": phrase,
                "class_name": meant,
                "width": 800,
                "height": 600,
                "licence": "creativecommons" if folder else "",
                "sha256": f"{folder}{number:063}",
                "filters": json.dumps({**FILTERS, **filters} if folder else filters),
                "fetched_at": f"2026-10-{int(rng.integers(2, 29)):02}T10:00:00+00:00",
            }
            sources.append(source)
            face_count = int(rng.integers(0, 4)) if meant != BADLY else 0
            for step in range(face_count):
                x = 200 * step
                side = int(rng.choice([20, 31, 32, 63, 64, 127, 128, 190]))
                box = dict(zip(BOX_COLUMNS, [x, 10, x + side // 2, 10 + side], strict=True))
                face = {"file": f"bing/{file}", "source": f"folder | {folder}", **box}
                kept = bool(rng.random() < 0.8)
                faces.append({**face, "kept": kept})
                if kept and rng.random() < 0.8:
                    class_name = str(rng.choice([YES, NO, NO_FACE], p=[0.6, 0.3, 0.1]))
                    labels.append({**face, "class_name": class_name})
    whole = dict.fromkeys(BOX_COLUMNS, np.nan)
    for number in range(3):
        file = f"public/{number}.jpg"
        labels.append({"file": file, "source": "public", "class_name": BADLY, **whole})
    labels = pd.DataFrame(labels)
    labels["group"] = labels.groupby("file").ngroup() // 3
    labels["split"] = labels.group.map(lambda group: ("test", "val", *["train"] * 4)[group % 6])
    return pd.DataFrame(sources), pd.DataFrame(faces), labels


SOURCES_TABLE, FACES_TABLE, LABELS = make_crawl()
REFUSALS = pd.DataFrame(
    [
        ("a", "timeout"),
        ("b", "HTTP 404"),
        ("c", "duplicate"),
        ("d", "duplicate"),
        ("a", "HTTP 404"),
        ("e", "timeout"),
    ],
    columns=["url", "reason"],
)
CAME_LATER = pd.DataFrame({"url": SOURCES_TABLE.url[:2], "reason": "timeout"})
REFUSALS = pd.concat([REFUSALS, CAME_LATER])
GONE = pd.DataFrame({"source": ["a.org", "a.org", "b.org"], "file": ["x/1.jpg", "x/2.jpg", ""]})


def make_hand_labels():
    """Return labels of two people from a fixed seed, and a third person who labelled nothing."""
    rng = np.random.default_rng(1)
    rows = []
    for row in LABELS.dropna().itertuples():
        for who, share in (("Ann", 1.0), ("Bo | <i>", 0.5)):
            same = rng.random() < 0.8
            name = row.class_name if same else str(rng.choice(CLASS_NAMES))
            way = str(rng.choice(["buttons", "labelimg"]))
            if rng.random() < share:
                label = {
                    "file": row.file,
                    **{column: getattr(row, column) for column in BOX_COLUMNS},
                    "class_name": name,
                    "labeller": who,
                    "way": way,
                    "labelled_at": f"2026-11-{int(rng.integers(1, 9)):02}T00:00:00+00:00",
                }
                rows.append(label)
    idle = {**rows[0], "class_name": "", "labeller": "Cy"}
    return pd.DataFrame([*rows, idle])


HAND = make_hand_labels()


def read_tables(page):
    """Return the tables of a Markdown page by their first heading, each as a list of dicts."""
    tables = {}
    for block in re.findall(r"(?:^\|.*\|\n)+", page, flags=re.MULTILINE):
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        head, _, *rows = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in cells]
        assert all(len(row) == len(head) for row in rows)
        tables[head[0]] = [dict(zip(head, row, strict=True)) for row in rows]
    return tables


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    tables = [SOURCES_TABLE, REFUSALS, FACES_TABLE, LABELS, HAND, GONE]
    before = [table.copy() for table in tables]
    path = write_datasheet(
        tmp_path_factory.mktemp("new") / "below/DATASHEET.md",
        *tables,
        {"en-US": PHRASES},
        contact="a@b.org",
        motivation="To *see*.",
    )
    for table, copy in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(table, copy)
    assert [file.name for file in path.parent.iterdir()] == ["DATASHEET.md"]
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(page):
    return read_tables(page)


def check_counts(rows, by, values):
    """Compare a table of classes by another value with a plain count."""
    counts = Counter(zip(values, LABELS.class_name, strict=True))
    for row in rows:
        for name in (*CLASS_NAMES, "all"):
            expected = sum(
                n
                for (value, label), n in counts.items()
                if row[by] in (value, "all") and name in (label, "all")
            )
            assert row[name] == str(expected), (row[by], name)
    assert set(values) <= {row[by] for row in rows}


def test_classes_are_counted_by_source_size_and_split(page, tables):
    check_counts(tables["source"], "source", LABELS.source.tolist())
    check_counts(tables["split"], "split", LABELS.split.tolist())
    limits = {
        "under 32 px": (0, 32),
        "32-64 px": (32, 64),
        "64-128 px": (64, 128),
        "128 px and more": (128, 10**6),
    }
    names = []
    for row in LABELS.itertuples():
        fits = [name for name, (low, high) in limits.items() if low <= row.y_max - row.y_min < high]
        names.append(fits[0] if fits else "whole image")
    check_counts(tables["size"], "size", names)
    assert [row["size"] for row in tables["size"]] == [*limits, "whole image", "all"]
    faces = LABELS[LABELS.class_name != NO_FACE]
    lead = f"**{len(faces)} faces in {len(set(faces.file))} photographs**; and "
    assert lead + f"{len(LABELS) - len(faces)} `no_face` rows" in page and "two rows" not in page


def test_a_face_with_two_rows_is_one_face(tmp_path):
    first = LABELS[LABELS.class_name == YES].head(1)
    whole = first.assign(**dict.fromkeys(BOX_COLUMNS, np.nan))
    page = write_datasheet(tmp_path / "a.md", labels=pd.concat([first, whole])).read_text(
        encoding="utf-8"
    )
    assert "**1 face in 1 photograph**, 1 of them with two rows" in page
    assert f"`{YES}` has 1 face, fewer" in page and read_tables(page)["source"][0][YES] == "2"


def test_groups_are_counted_also_those_on_two_sides(page, tmp_path):
    sizes = Counter(LABELS.drop_duplicates("file").group)
    several = sum(size > 1 for size in sizes.values())
    assert (
        f"form {len(sizes)} groups, {several} of them with more than one photograph; "
        f"the largest has {max(sizes.values())}.\nOn two sides of the split: 0 groups."
    ) in page
    split = ["val", *["train"] * (len(LABELS) - 1)]
    on_two_sides = LABELS.assign(split=split, group=[0, 0, *range(1, len(LABELS) - 1)])
    path = write_datasheet(tmp_path / "a.md", labels=on_two_sides)
    assert "On two sides of the split: 1 group." in path.read_text(encoding="utf-8")
    plain = LABELS.drop(columns=["group", "split"])
    text = write_datasheet(tmp_path / "a.md", labels=plain).read_text(encoding="utf-8")
    assert "is not split into train, val and test" in text
    assert "Near-duplicates were not searched for" in text


def test_phrases_are_listed_with_what_they_brought(page, tables, tmp_path):
    phrase_of = dict(zip("bing/" + SOURCES_TABLE.file, SOURCES_TABLE.phrase, strict=True))
    faces = LABELS[LABELS.class_name != NO_FACE]
    by_phrase = faces.assign(phrase=faces.file.map(phrase_of))
    expected = {}
    for meant, texts in PHRASES.items():
        for phrase in [texts] if isinstance(texts, str) else texts:
            rows = by_phrase[by_phrase.phrase == phrase]
            photos = sum(SOURCES_TABLE.phrase == phrase)
            expected[phrase] = (meant, photos, len(rows), sum(rows.class_name == meant))
    found = {row["phrase"]: row for row in tables["phrase"]}
    assert found.keys() == expected.keys() and len(tables["phrase"]) == len(found)
    for phrase, numbers in expected.items():
        row = found[phrase]
        counts = [int(row[name]) for name in ("photographs", "faces", "as meant")]
        assert (row["meant to bring"], *counts) == numbers
    assert found[PHRASES[YES][0]]["language"] == "de-DE" and found[PHRASES[YES][0]]["filters"] == ""
    assert found["asked in vain"]["language"] == "en-US"
    assert found[PHRASES[YES][1]]["filters"] == "license: creativecommons, type: photo"
    days = [text[:10] for text in SOURCES_TABLE.fetched_at]
    assert f"Fetched from {min(days)} to {max(days)}." in page
    one_day = write_datasheet(
        tmp_path / "a.md", SOURCES_TABLE.assign(fetched_at=days[0])
    ).read_text(encoding="utf-8")
    assert f"Fetched on {days[0]}." in one_day
    assert "These phrases brought no photograph: “asked in vain”." in page
    assert f"but no labelled face: “{PHRASES[BADLY]}”." in page
    assert (
        "Bing was searched only in de-DE, en-US. Widely spoken languages that are missing: Arabic,"
    ) in page
    assert "English" not in page and "Chinese" in page


def test_sites_and_licences_are_counted(page, tables):
    sites = Counter()
    for row in SOURCES_TABLE.itertuples():
        sites[(row.page_url or row.url).split("/")[2].removeprefix("www.")] += 1
    assert len(sites) > 10 and f"From {len(sites)} sites; the 10 with the most photographs:" in page
    assert len(tables["site"]) == 10
    for row in tables["site"]:
        assert int(row["photographs"]) == sites[row["site"]]
        assert row["share"] == f"{100 * sites[row['site']] / len(SOURCES_TABLE):.1f} %"
        at_site = [
            f"bing/{s.file}"
            for s in SOURCES_TABLE.itertuples()
            if f"/{row['site']}/" in f"{s.page_url or s.url}".replace("www.", "")
        ]
        assert int(row["faces"]) == sum((LABELS.class_name != NO_FACE) & LABELS.file.isin(at_site))
    assert [int(row["photographs"]) for row in tables["site"]] == sorted(
        sites.values(), reverse=True
    )[:10]
    licences = Counter(SOURCES_TABLE.licence.replace("", "none"))
    assert {
        row["licence asked for"]: int(row["photographs"]) for row in tables["licence asked for"]
    } == licences
    assert "A filter is not a licence." in page
    assert "3 labelled photographs came another way" in page


def test_an_address_is_refused_once_and_not_at_all_if_it_came_later(tables):
    assert {row["reason"]: row["addresses"] for row in tables["reason"]} == {
        "HTTP 404": "2",
        "duplicate": "2",
        "timeout": "1",
    }


def test_detected_faces_are_counted_by_what_became_of_them(page):
    discarded = sum(~FACES_TABLE.kept)
    labelled = LABELS.x_min.notna().sum()
    without = set("bing/" + SOURCES_TABLE.file) - set(FACES_TABLE.file)
    assert (
        f"A detector found {len(FACES_TABLE)} faces.\n"
        f"A person discarded {discarded} of them; of the faces kept, "
        f"{len(FACES_TABLE) - discarded - labelled} have no label.\n"
        f"In {len(without)} photographs the detector found no face."
    ) in page


def test_annotators_and_their_agreement(tables):
    labels = HAND[HAND.class_name != ""]
    rows = {row["annotator"]: row for row in tables["annotator"]}
    assert rows.keys() == {"Ann", "Bo | <i>", "Cy"}
    for who, row in rows.items():
        theirs = labels[labels.labeller == who]
        assert (row["buttons"], row["all"]) == (str(sum(theirs.way == "buttons")), str(len(theirs)))
        days = sorted(theirs.labelled_at.str[:10]) or [""]
        assert (row["first"], row["last"]) == (days[0], days[-1])
    by_face = {}
    for row in labels.itertuples():
        by_face.setdefault((row.file, row.x_min, row.y_min), {})[row.labeller] = row.class_name
    both = [(face["Ann"], face["Bo | <i>"]) for face in by_face.values() if len(face) == 2]
    first, *undefined = tables["first"]
    assert (first["first"], first["second"], first["faces"]) == ("Ann", "Bo | <i>", str(len(both)))
    assert first["same label"] == f"{100 * sum(a == b for a, b in both) / len(both):.1f} %"
    assert first["kappa"] == f"{cohen_kappa_score(*zip(*both, strict=True)):.2f}"
    assert float(first["95 % from"]) < float(first["kappa"]) < float(first["to"])
    for row in undefined:
        assert row["second"] == "Cy" and row["faces"] == "0"
        assert row["same label"] == row["kappa"] == row["95 % from"] == row["to"] == ""


def test_gaps_that_the_tables_show_are_listed(page):
    counts = LABELS.class_name.value_counts()
    for name in MASK_CLASSES:
        assert (f"`{name}` has {counts.get(name, 0)} faces, fewer than 100." in page) == (
            counts.get(name, 0) < 100
        )
    boxed = LABELS[LABELS.x_min.notna() & (LABELS.class_name != NO_FACE)]
    small = sum(boxed.y_max - boxed.y_min < 32)
    share = f"{100 * small / len(boxed):.1f} %"
    assert f"{small} of {len(boxed)} faces with a box ({share}) are under 32 px." in page
    assert f"`{BADLY}` depends on the source “public”: 100.0 % of its 3 faces" in page
    assert f"`{YES}` depends on" not in page
    assert "Age, sex, skin colour" in page


def test_motivation_contact_removal_and_rebuild_are_there(page):
    assert "## Why was it made?\n\nTo *see*.\n" in page
    assert "Ask a@b.org.\nRemoved so far: 2 images from 2 sources." in page
    assert f"{len(SOURCES_TABLE)} of its photographs have an address and a hash" in page
    assert "python -m utils.collect rebuild" in page
    assert "\n\n\n" not in page and page.endswith(".\n")


EMPTY = {
    "no tables": [],
    "empty tables": [
        table[:0] for table in (SOURCES_TABLE, REFUSALS, FACES_TABLE, LABELS, HAND, GONE)
    ],
    "nobody labelled": [None, None, None, None, HAND[HAND.class_name == ""]],
}


@pytest.mark.parametrize("tables", EMPTY.values(), ids=EMPTY.keys())
def test_missing_tables_are_named(tmp_path, tables):
    page = write_datasheet(tmp_path / "a.md", *tables).read_text(encoding="utf-8")
    sentences = [
        "nothing is labelled",
        "the origin of the photographs is not known",
        "No refused address is recorded",
        "no table of the faces",
        "It is not recorded why the data set was made",
        "No contact is recorded",
        "**0 faces in 0 photographs**",
        "The languages of the search are not known",
        "0 images from 0 sources",
        *[f"`{name}` has 0 faces" for name in MASK_CLASSES],
    ]
    for sentence in sentences:
        assert sentence in page
    assert "nan" not in page.lower()
    assert "\n\n\n" not in page and page.endswith(".\n")


def test_a_single_annotator_is_named_as_such(tmp_path):
    page = write_datasheet(tmp_path / "a.md", hand_labels=HAND[HAND.labeller == "Ann"]).read_text(
        encoding="utf-8"
    )
    assert "There is only one annotator" in page and len(read_tables(page)["annotator"]) == 1


def test_tables_read_from_files_give_the_same_page(page, tmp_path):
    append_rows(tmp_path / SOURCES, SOURCES_TABLE.to_dict("records"), SOURCE_COLUMNS)
    append_rows(tmp_path / REFUSED, REFUSALS.to_dict("records"), COLUMNS[REFUSED])
    append_rows(tmp_path / TAKEN_DOWN, GONE.to_dict("records"), COLUMNS[TAKEN_DOWN])
    for name, table in (("faces", FACES_TABLE), ("labels", LABELS), ("hand", HAND)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    faces, labels, hand = (
        pd.read_csv(tmp_path / f"{name}.csv") for name in ("faces", "labels", "hand")
    )
    crawl = read_sources(tmp_path), read_refused(tmp_path)
    gone = read_taken_down(tmp_path)
    path = write_datasheet(
        tmp_path / "a.md",
        *crawl,
        faces,
        labels,
        hand,
        gone,
        {"en-US": PHRASES},
        contact="a@b.org",
        motivation="To *see*.",
    )
    assert path.read_text(encoding="utf-8") == page


def test_a_journal_can_be_passed_as_it_is_read(tmp_path):
    record_label(tmp_path / "journal.csv", "a.jpg", (1, 2, 3, 4), YES, "Ann | Bo", "buttons")
    hand_labels = read_hand_labels(tmp_path / "journal.csv")
    page = write_datasheet(tmp_path / "a.md", hand_labels=hand_labels).read_text(encoding="utf-8")
    assert [row["annotator"] for row in read_tables(page)["annotator"]] == ["Ann | Bo"]


def test_a_datasheet_that_cannot_be_written_leaves_the_old_one(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(TableError, match=r"file.* cannot be written"):
        write_datasheet(tmp_path / "file/DATASHEET.md")
    assert (tmp_path / "file").read_text() == "kept"
