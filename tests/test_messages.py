"""Messages: errors are one sentence, numbers have their nouns, and no address shows a secret."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from utils.classes import LabelError
from utils.collect.bing import CrawlError
from utils.collect.fetch import FetchError
from utils.collect.public_sets import PublicSetError
from utils.collect.recording import RecordingError
from utils.images import ImageError, SourceError
from utils.messages import UserError, format_count, hide_secrets, hide_secrets_in_message, name_some
from utils.tables import TableError

SHOWN = {
    "": "",
    "film.mp4": "film.mp4",
    "rtsp://host/film": "rtsp://host/film",
    "rtsp://user:secret@host/film": "rtsp://host/film",
    "rtsp://user:se@cret@host/film": "rtsp://host/film",
    "rtsp://user:se/cret@host/film": "rtsp://host/film",
    "http://secret@host:80/a?b=c": "http://host:80/a?b=c",
    "rtsp://host/cam?channel=1&subtype=0": "rtsp://host/cam?channel=1&subtype=0",
    "rtsp://host/a?user=admin&pwd=secret&channel=1": "rtsp://host/a?user=***&pwd=***&channel=1",
    "rtsp://host/user=admin&password=secret&channel=1": (
        "rtsp://host/user=***&password=***&channel=1"
    ),
    "rtsp://host/user=admin;password=secret": "rtsp://host/user=***;password=***",
    # An XMEye camera separates its parameters by underscores.
    "rtsp://host/user=admin_password=secret_channel=1.sdp": "rtsp://host/user=***",
    "rtsp://host/ch=1_password=secret.sdp": "rtsp://host/ch=***",
    "http://host/a?loginuse=admin&loginpas=secret": "http://host/a?loginuse=***&loginpas=***",
    "http://host/a?X-Amz-Signature=secret&w=640": "http://host/a?X-Amz-Signature=***&w=640",
    "http://host/a?API_KEY=secret": "http://host/a?API_KEY=***",
    "http://host/a?%70wd=secret": "http://host/a?%70wd=***",
    "http://host/a?pwd=se/cret?more": "http://host/a?pwd=***",
    "http://host/a?p=secret&pw=secret&u=admin": "http://host/a?p=***&pw=***&u=***",
    "http://host/a#access_token=secret": "http://host/a#access_token=***",
    "http://host/token/secret/live": "http://host/token/***/live",
    "http://host/a?pwd=": "http://host/a?pwd=",
    # Percent-encoded, once or twice, or in JSON.
    "http://host/a?pwd%3Dsecret": "http://host/a?pwd=***",
    "http://host/a?%2570wd=secret": "http://host/a?%70wd=***",
    "http://host/a?url=http%3A%2F%2Fme%3Asecret%40b%2F": "http://b/",
    'http://host/a?q={"password":"secret"}': "http://host/a?q=***",
    "http://host/a%20b?x=1": "http://host/a%20b?x=1",
    # Spaces and # in a password, and other separators.
    "http://host/a?pwd=a b secret": "http://host/a?pwd=***",
    "http://host/a?pwd=a#secret&x=1": "http://host/a?pwd=***&x=1",
    "http://host/a?x=1&pwd:secret": "http://host/a?x=1&pwd:***",
    "rtsp://host/ch1;password=secret": "rtsp://host/ch1;password=***",
    "srt://host:9000?streamid=#!::u=admin,s=secret": "srt://host:9000?streamid=***",
    "http://host/me:secret/film": "http://host/me:***/film",
    "http://host/eyJhbGciOiJ9.eyJzdWIiOiJ9.secret/film": "http://host/***/film",
    "rtsp://host/film?time=12:30": "rtsp://host/film?time=12:30",
    "rtsp://me:secret@[fe80::1%25eth0]:554/film": "rtsp://[fe80::1%25eth0]:554/film",
    "http://user.local:8080/film": "http://user.local:8080/film",
    # The path of a file is shown.
    "/media/user/me/film.mp4": "/media/user/me/film.mp4",
    "C:/user/me/12:30.mp4": "C:/user/me/12:30.mp4",
    # The scheme is missing or misspelled.
    "admin:secret@host/film": "host/film",
    "rtsp:/admin:secret@host/film": "host/film",
    "host/a.cgi?pwd=secret": "host/a.cgi?pwd=***",
}


@pytest.mark.parametrize(("address", "shown"), SHOWN.items(), ids=SHOWN.keys())
def test_secrets_of_an_address_are_hidden(address, shown):
    assert hide_secrets(address) == shown
    assert hide_secrets(shown) == shown


@pytest.mark.parametrize(
    "name",
    ["pwd", "pass", "password", "passwd", "token", "key", "auth", "user", "login", "secret", "sig",
     "Password", "accessToken", "username", "loginpas", "usr", "signature", "sessionid", "psw"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["http://host/a?{}=s3cret", "rtsp://host/b=1&{}=s3cret&c=2"])
def test_any_parameter_that_may_be_a_secret_is_hidden(name, form):
    assert "s3cret" not in hide_secrets(form.format(name))


def test_each_address_in_a_message_is_hidden():
    message = "unrecognized arguments: rtsp://a:secret@b/c http://d/e?pwd=secret f"
    shown = "unrecognized arguments: rtsp://b/c http://d/e?pwd=*** f"
    assert hide_secrets_in_message(message) == shown


ERRORS = [
    UserError,
    CrawlError,
    FetchError,
    ImageError,
    LabelError,
    PublicSetError,
    RecordingError,
    SourceError,
    TableError,
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_jupyter_shows_the_sentence_without_a_traceback(error):
    shell = InteractiveShell.instance()
    shell.user_ns["error"] = error("There is no folder x: check the path.")
    with capture_output() as captured:
        shell.run_cell("raise error")
    assert captured.stdout == "There is no folder x: check the path.\n"
    assert captured.stderr == ""


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, ("face",), "0 faces"),
        (1, ("face",), "1 face"),
        (2, ("person", "people"), "2 people"),
        (1, ("person", "people"), "1 person"),
    ],
)
def test_a_number_stands_before_its_noun(count, nouns, text):
    assert format_count(count, *nouns) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (range(12), "0, 1, 2, 3, 4 and 7 more"),
    ],
    ids=["none", "one", "as many as are shown", "more"],
)
def test_the_first_names_of_a_list_are_shown(names, text):
    assert name_some(names) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtmp://live.host.tv/app/live_1_SECRET", "rtmp://live.host.tv/app/***"),
        ("rtmps://host:443/app/inst/SECRET?x=1", "rtmps://host:443/app/inst/***?x=1"),
        ("rtmp://host/app", "rtmp://host/app"),
        ("rtsp://host/?user=a&amp;password=SECRET", "rtsp://host/?user=***;password=***"),
        ("rtsp://host/?password=ab&amp;SECRET", "rtsp://host/?password=***"),
        ("rtsp://host/?password=ab&SECRET&channel=1", "rtsp://host/?password=***&channel=1"),
        ("rtsp://admin:SECRET", "rtsp://***"),
        ("rtsp://host:554/stream1", "rtsp://host:554/stream1"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
    ],
)
def test_stream_keys_and_escaped_passwords_are_hidden(address, shown):
    assert hide_secrets(address) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("SECRET@host/x is not the value", "host/x is not the value"),
        ("--video: rtsp://admin:pa SECRET@host/x", "--video: rtsp://host/x"),
        ("unrecognized arguments: --foo", "unrecognized arguments: --foo"),
    ],
)
def test_a_password_with_a_space_is_hidden_in_a_message(message, shown):
    assert hide_secrets_in_message(message) == shown
