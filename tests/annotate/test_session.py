"""Labelling sessions: the order of the faces, undo, resume, and the resulting label table."""

import numpy as np
import pytest

from tests.annotate.faces import FACES, KEYS, press
from utils.annotate.journal import read_hand_labels, read_journal, record_label
from utils.annotate.session import LabelSession
from utils.classes import CLASS_NAMES, LabelError
from utils.labels import BOX_COLUMNS, apply_corrections, make_label_table

Y_PROB = np.array([[0.9, 0.1, 0, 0], [0.4, 0.3, 0.2, 0.1], [0.5, 0.5, 0, 0], [0, 0.3, 0.7, 0]])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hand_labels.csv"


def current_labels(session: LabelSession) -> list[str]:
    return [session.current_label(position) for position in range(len(session.faces))]


def test_no_faces(path):
    session = LabelSession(FACES[:0], path, "ann", np.zeros((0, 4)))
    assert (session.position, session.done, session.left) == (None, 0, 0)
    assert press(session, "1su") == [None] * 3
    assert not path.exists()


ORDERS = {
    "hardest": ({"suggestions": Y_PROB}, [2, 1, 3, 0]),
    "given": ({"suggestions": Y_PROB, "order": "given"}, [0, 1, 2, 3]),
    "no suggestions": ({}, [0, 1, 2, 3]),
}


@pytest.mark.parametrize(("options", "expected"), ORDERS.values(), ids=ORDERS.keys())
def test_order_of_the_faces(path, options, expected):
    assert LabelSession(FACES, path, "ann", **options).queue == expected


def test_a_suggestion_is_the_most_likely_class(path):
    session = LabelSession(FACES, path, "ann", Y_PROB)
    assert session.suggestion(3) == ("mask_worn_incorrectly", 0.7)
    assert LabelSession(FACES, path, "ann").suggestion(3) is None


# keys; the next face after each; the keys of the classes in effect; the queue after a resume
KEYS_PRESSED = {
    "two labels": ("12", [1, 2], "12  ", [2, 3]),
    "all": ("1234", [1, 2, 3, None], "1234", []),
    "one too many": ("12341", [1, 2, 3, None, None], "1234", []),
    "skipped": ("s2", [1, 2], " 2  ", [2, 3, 0]),
    "all skipped": ("ssss", [1, 2, 3, None], "    ", [0, 1, 2, 3]),
    "nothing to undo": ("u", [0], "    ", [0, 1, 2, 3]),
    "undone": ("12u", [1, 2, 1], "1   ", [1, 2, 3]),
    "all undone, and more": ("12uuu", [1, 2, 1, 0, 0], "    ", [0, 1, 2, 3]),
    "undone and labelled again": ("12u3", [1, 2, 1, 2], "13  ", [2, 3]),
    "a skip undone": ("su", [1, 0], "    ", [0, 1, 2, 3]),
    "undone at the end": ("1234u", [1, 2, 3, None, 3], "123 ", [3]),
}


@pytest.mark.parametrize(
    ("keys", "positions", "in_effect", "resumed"), KEYS_PRESSED.values(), ids=KEYS_PRESSED.keys()
)
def test_keys_and_resume(path, keys, positions, in_effect, resumed):
    session = LabelSession(FACES, path, "ann")
    assert press(session, keys) == positions
    assert session.done + session.left == len(FACES)
    again = LabelSession(FACES, path, "ann")
    expected = [KEYS.get(key, "") for key in in_effect]
    assert current_labels(session) == current_labels(again) == expected
    assert again.queue == resumed
    assert [again.counts[name] for name in CLASS_NAMES] == [
        expected.count(name) for name in CLASS_NAMES
    ]


@pytest.mark.parametrize("before", ["123", "12u33", "1s2us3", "s123u", "12uu123"])
@pytest.mark.parametrize("after", ["u", "uu", "u4u", "uuuuu"])
def test_undo_after_a_resume(tmp_path, before, after):
    one, two = (LabelSession(FACES, tmp_path / name, "ann") for name in ("one.csv", "two.csv"))
    press(one, before + after)
    press(two, before)
    size = len((tmp_path / "two.csv").read_bytes())
    start = (tmp_path / "two.csv").read_bytes()
    resumed = LabelSession(FACES, tmp_path / "two.csv", "ann")
    press(resumed, after)
    assert current_labels(resumed) == current_labels(one)
    assert resumed.position == one.position
    # Rows written before are not changed.
    assert (tmp_path / "two.csv").read_bytes()[:size] == start


def test_undo_of_a_skip_of_an_earlier_session(path):
    press(LabelSession(FACES, path, "ann"), "s")
    session = LabelSession(FACES, path, "ann")
    assert (session.queue, session.undo(), session.queue) == ([1, 2, 3, 0], 0, [0, 1, 2, 3])


def test_resume_after_a_crash_in_a_row(path):
    press(LabelSession(FACES, path, "ann"), "123")
    path.write_bytes(path.read_bytes()[:-30])
    session = LabelSession(FACES, path, "ann")
    assert session.queue == [2, 3]
    press(session, "4")
    assert current_labels(LabelSession(FACES, path, "ann")) == [KEYS[key] for key in "124"] + [""]


def test_annotators_do_not_see_each_other(path):
    ann, bob = LabelSession(FACES, path, "ann"), LabelSession(FACES, path, "bob")
    press(ann, "11")
    press(bob, "2")
    press(ann, "u")
    assert current_labels(LabelSession(FACES, path, "bob")) == ["without_mask", "", "", ""]
    assert current_labels(LabelSession(FACES, path, "ann")) == ["with_mask", "", "", ""]


def test_boxes_at_float32_are_the_same_faces(path):
    press(LabelSession(FACES, path, "ann"), "1")
    assert LabelSession(FACES.astype(dict.fromkeys(BOX_COLUMNS, "float32")), path, "ann").done == 1


def test_decisions_by_another_method_are_not_undone(path):
    press(LabelSession(FACES, path, "ann"), "12")
    record_label(path, "a.jpg", FACES.loc[1, BOX_COLUMNS], "no_face", "ann", "labelimg")
    session = LabelSession(FACES, path, "ann")
    assert press(session, "uu") == [0, 0]
    assert current_labels(session) == ["", "no_face", "", ""]


def test_a_face_stays_next_if_its_label_cannot_be_stored(path):
    session = LabelSession(FACES, path, "ann")
    press(session, "1")
    path.rename(path.with_suffix(".old"))
    path.mkdir()
    for act in (session.undo, session.skip, lambda: session.label("no_face")):
        with pytest.raises(LabelError, match="cannot be written"):
            act()
    assert (session.position, session.done, current_labels(session)[0]) == (1, 1, "with_mask")
    with pytest.raises(LabelError, match="unknown"):
        session.label("cat")


def test_a_review_shows_every_face_once_and_skipping_keeps_labels(path):
    press(LabelSession(FACES, path, "ann"), "12")
    labelled = FACES.assign(class_name=["no_face", "no_face", "with_mask", np.nan])
    session = LabelSession(labelled, path, "ann", review=True)
    # The journal's label has priority over the table's.
    assert current_labels(session) == ["with_mask", "without_mask", "with_mask", ""]
    assert press(session, "3s") == [1, 2]
    assert current_labels(session)[:2] == ["mask_worn_incorrectly", "without_mask"]
    again = LabelSession(labelled, path, "ann", review=True)
    assert again.queue == [2, 3]
    assert press(again, "uuu") == [1, 0, 0]
    assert current_labels(again) == ["with_mask", "without_mask", "with_mask", ""]


def test_a_review_corrects_a_label_table(path):
    table = make_label_table(FACES.assign(class_name="no_face").to_dict("records"))
    press(LabelSession(table, path, "ann", review=True), "1s")
    corrected = apply_corrections(table, read_hand_labels(path))
    assert corrected.class_name.tolist() == ["with_mask", "no_face", "no_face", "no_face"]


WRONG = {"suggestions": {"suggestions": Y_PROB[:2]}, "order": {"order": "easiest"}}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG.keys())
def test_invalid_options(path, options):
    with pytest.raises(ValueError, match="2 suggestions for 4 faces|order 'easiest' is unknown"):
        LabelSession(FACES, path, "ann", **options)


def test_the_journal_names_the_annotator_and_the_method(path):
    press(LabelSession(FACES, path, " ann "), "1u")
    assert [(entry.annotator, entry.method) for entry in read_journal(path)] == [
        ("ann", "buttons"),
        ("ann", "undo"),
    ]
