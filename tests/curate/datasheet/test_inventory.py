"""Inventory: counts of unusual tables. Whole tables are checked in test_datasheet.py."""

import numpy as np
import pandas as pd
import pytest

from utils.classes import CLASS_NAMES
from utils.curate.datasheet.inventory import (
    count_detection,
    count_refusals,
    list_faces,
    match_files,
    name_site,
    read_filters,
)

YES, *_, NO_FACE = CLASS_NAMES
SITES = {
    "https://www.a.org/b": "a.org",
    "http://User@B.example:8080/": "b.example",
    "https://xn--mgba.example": "xn--mgba.example",
    "no address": "",
    "": "",
    "https://[half": "",
}


@pytest.mark.parametrize(("address", "site"), SITES.items(), ids=repr)
def test_the_site_of_an_address(address, site):
    assert name_site(address) == site


FILTERS = {
    "": ("", ""),
    '{"language": "de"}': ("de", ""),
    '{"type": "photo", "size": ">640x480", "language": "en-US"}': (
        "en-US",
        "type: photo, size: >640x480",
    ),
    "type=photo": ("", "type=photo"),
    "[1]": ("", "[1]"),
}


@pytest.mark.parametrize(("text", "expected"), FILTERS.items(), ids=repr)
def test_filters_are_read(text, expected):
    assert read_filters(text) == expected


def test_files_match_below_the_crawl_folder_and_below_its_parent():
    known = pd.Series(["a/1.jpg", "b/2.jpg"])
    found = match_files(pd.Series(["a/1.jpg", "bing/b/2.jpg", "x/y/b/2.jpg", "2.jpg"]), known)
    assert found.fillna("none").tolist() == ["a/1.jpg", "b/2.jpg", "none", "none"]
    assert (
        match_files(pd.Series([], dtype="str"), known).empty
        and match_files(known, known[:0]).isna().all()
    )


def test_a_face_is_listed_once():
    rows = [
        ("a", YES, 1),
        ("a", YES, None),
        ("a", YES, 2),
        ("b", YES, None),
        ("c", NO_FACE, 1),
        ("c", YES, None),
    ]
    labels = pd.DataFrame(rows, columns=["file", "class_name", "x_min"])
    assert list_faces(labels).index.tolist() == [0, 2, 3, 5]


def test_an_address_whose_image_came_in_the_end_was_not_refused():
    refused = pd.DataFrame({"url": ["a", "a", "b"], "reason": ["timeout", "HTTP 404", "timeout"]})
    assert count_refusals(refused, pd.DataFrame({"url": ["b"]})).to_dict("records") == [
        {"reason": "HTTP 404", "addresses": 1}
    ]


def test_a_kept_face_has_a_label_if_the_rounded_boxes_are_equal():
    box = {"y_min": 2.0, "x_max": 30.0, "y_max": 40.0}
    faces = pd.DataFrame(
        [
            {"file": f"{n}.jpg", "x_min": 1.3, **box, "kept": kept}
            for n, kept in enumerate([True, True, "False"])
        ]
    )
    labels = pd.DataFrame([{"file": "0.jpg", "x_min": np.float32(1.3), **box}])
    assert count_detection(pd.DataFrame({"file": ["0.jpg", "9.jpg"]}), faces, labels) == (1, 1, 1)
