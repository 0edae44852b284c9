"""A recorded crawl is replayed by the real crawl code, and no address outside it is answered."""

from collections.abc import Iterator

import pandas as pd
import pytest

from tests.fake_bing import draw_photo
from tests.recorded_crawl import NOT_FOUND, WEB_PAGE, Recording, Result
from tests.sample_data import PHRASES
from utils.collect import (
    FetchError,
    RecordingError,
    crawl_images,
    open_recording,
    read_refused,
    read_sources,
)
from utils.paths import SAMPLE_DIR


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Every connection fails."""

    def refuse(*args: object, **options: object) -> Iterator[None]:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture
def recording(tmp_path):
    """A recording of three searches."""
    photos = [Result(f"Photo {name}", draw_photo(name)) for name in "abc"]
    recording = Recording(tmp_path / "recording")
    recording.add_search("mask & nose", "en-US", [photos[0], WEB_PAGE, photos[1], NOT_FOUND])
    recording.add_search("foule", "fr-FR", [photos[2], photos[0]])
    recording.add_search("vergebens", "de-DE", [])
    recording.write_table()
    return recording.folder


def test_the_crawl_replays_a_recording(recording, tmp_path):
    session = open_recording(recording)
    crawl = tmp_path / "bing"
    new, problems = crawl_images({"with_mask": ["mask & nose"]}, crawl, 10, session)
    assert sorted(new.title) == ["Photo a", "Photo b"]  # downloads run side by side
    assert problems.empty
    filters = {"license": "creativecommons"}
    new, _ = crawl_images({"": ["foule"]}, crawl, 10, session, filters, language="fr-FR")
    assert new.title.tolist() == ["Photo c"]
    assert (crawl / new.file[0]).read_bytes() == draw_photo("c")
    assert sorted(read_refused(crawl).reason) == ["HTTP 404", "duplicate", "not an image"]
    _, problems = crawl_images({"": ["vergebens"]}, crawl, 10, session, language="de-DE")
    assert problems.phrase.tolist() == ["vergebens"]


def test_a_second_crawl_finds_everything_there(recording, tmp_path):
    for expected in (2, 0):
        session = open_recording(recording)
        new, _ = crawl_images({"": ["mask & nose"]}, tmp_path / "bing", 10, session)
        assert len(new) == expected


@pytest.mark.parametrize("language", ["en-US", "fr-FR"])
def test_a_search_that_was_not_recorded_is_an_error_that_lists_those_that_were(
    recording, tmp_path, language
):
    known = r"'foule' \(fr-FR\), 'mask & nose' \(en-US\), 'vergebens' \(de-DE\)"
    message = rf"no answer to 'people' \({language}\): search for one of {known}"
    with pytest.raises(RecordingError, match=message):
        crawl_images(
            {"": ["people"]}, tmp_path / "bing", 5, open_recording(recording), language=language
        )


@pytest.mark.parametrize("url", ["https://example.org/1.jpg", "http://127.0.0.1:9/images/async"])
def test_another_address_is_an_error(recording, url):
    with pytest.raises(RecordingError, match="recording has no answer to"):
        open_recording(recording).fetch(url)


def test_a_status_is_answered_as_recorded(recording):
    table = pd.read_csv(recording / "answers.csv")
    gone = table.url[table.status == 404].item()
    with pytest.raises(FetchError, match="HTTP 404"):
        open_recording(recording).fetch(gone)


def test_a_folder_without_a_recording_is_an_error(tmp_path):
    with pytest.raises(RecordingError, match=r"holds no answers\.csv"):
        open_recording(tmp_path)


def test_the_sample_has_photographs_of_every_phrase_and_every_kind_of_refusal(tmp_path):
    problems = []
    for language, phrases in PHRASES.items():
        session = open_recording(SAMPLE_DIR / "crawl")
        _, failed = crawl_images(phrases, tmp_path, 6, session, language=language)
        problems += failed.phrase.tolist()
    assert problems == ["Gesichter ohne Maske"]
    counts = read_sources(tmp_path).groupby("phrase").size()
    assert len(counts) == 6
    assert counts.min() >= 3
    assert set(read_refused(tmp_path).reason) == {
        "HTTP 404",
        "duplicate",
        "not an image",
        "too small",
        "truncated",
    }
