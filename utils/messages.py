"""What messages to the user share: their errors, counts, lists of names, and no secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

SHOWN_NAMES = 5  # of a list, before "and 2 more"

HIDDEN = "***"  # stands in for the value of a secret parameter
# A parameter whose name contains one of these may be a secret. Cameras use "loginpas", "api_key",
# "X-Amz-Signature" and many others, so hide rather too much.
SECRET_PARTS = (
    "pwd", "pass", "pasw", "psw", "token", "key", "auth", "user", "usr", "login", "secret", "sig",
    "credential", "account", "session", "ticket", "cookie", "jwt", "hash", "otp", "phrase",
    "bearer", "kennwort", "contras", "clave", "senha", "parol",
)  # fmt: skip
# Short names are compared as a whole.
SECRET_NAMES = ("u", "p", "k", "pw", "un", "uid", "sid", "pin", "code", "pas", "admin")
# A parameter: its name, "=" or ":", and its value up to the next parameter. A path may hold
# parameters too, as in rtsp://host/user=admin&password=1234.
# A & or ; that no other name follows, also written as &amp;, is a part of the value.
NAME = r"""[^\s/?&;,#=:"'{}]+"""
PARAMETER = re.compile(rf"""({NAME})(["']?[=:])((?:[^&;]|[&;](?!{NAME}["']?[=:]))*)""")
# The key of a stream to publish is the last part of an RTMP address, after the application.
STREAM_KEY = re.compile(
    r"^(rtmp\w*://[^/]*/[^/]+(?:/[^/]+)*)/[^/?#]+(?=/?(?:[?#]|$))", re.IGNORECASE
)
# A name and a password whose @ is missing, as after a space: no port is a word.
WRONG_PORT = re.compile(r"(?<=://)[^/?#\[\]:]+:(?!\d*$)[^/?#]*$")
# A value may hold further parameters. An SRT stream's begin with #!:: and name a user and session.
SECRET_IN_VALUE = re.compile(
    rf"(?:{'|'.join(SECRET_PARTS)})\w*[\"']?[=:]|\b(?:{'|'.join(SECRET_NAMES)})=|#!::"
)
# A part of a path that is followed by its value, as in /token/1234.
PATH_PAIR = re.compile(
    r"(?<=/)(pwd|pw|psw|pass|password|passwd|passphrase|token|key|apikey|auth|secret|sig|login|user"
    r"|username|usr|pin|code|jwt|session|sid)/[^/?#\s]+",
    re.IGNORECASE,
)
# A name and a password as a part of a path, as in /admin:secret/video. A time such as 12:30 is not.
PATH_LOGIN = re.compile(r"(?<=/)([^/?#&;=:\s]+):(?![\d:.]*(?:[/?#]|$))[^/?#\s]+")
JSON_WEB_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?")
SCHEME_AND_HOST = re.compile(r"^[^/?#]*://[^/?#]*")
MAX_ENCODINGS = 3  # times that a part of an address may be percent-encoded


class UserError(Exception):
    """An error that the user can correct. Its message is one sentence that says how."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that Jupyter shows: the sentence alone, without a traceback."""
        return [str(self)]


def format_count(count: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 face", "2 faces".

    Args:
        count: the number.
        singular: the noun of one.
        plural: the noun of several, where it is not the singular with an "s".
    """
    if count == 1:
        return f"{count} {singular}"
    return f"{count} {plural or singular + 's'}"


def name_some(names: Iterable[object]) -> str:
    """Return the first names of a list, and how many more there are: "a, b and 3 more"."""
    texts = [str(name) for name in names]
    text = ", ".join(texts[:SHOWN_NAMES])
    more = len(texts) - SHOWN_NAMES
    return f"{text} and {more} more" if more > 0 else text


def is_address(text: str) -> bool:
    """Return whether a text is the address of a stream, not a path."""
    return "://" in text


def hide_secrets(text: str) -> str:
    """Return an address without its name and password, and with secret parameters hidden.

    Everything before the last ``@`` goes, because a password may hold ``/`` and ``@``. The values
    of parameters that may be secrets (``SECRET_PARTS``) become ``***``, in the query, in the
    fragment and in the path. If secrets are percent-encoded, the address is shown decoded.

    Args:
        text: an address, or what the user wrote in its place.
    """
    shown = _hide_once(text)
    decoded = shown
    for _ in range(MAX_ENCODINGS):
        decoded = unquote(decoded)
        hidden = _hide_once(decoded)
        if hidden != decoded:
            return hidden
    return shown


def _hide_once(text: str) -> str:
    """Return an address with the secrets hidden that are not percent-encoded."""
    if is_address(text):
        text = re.sub(r"://.*[@＠]", "://", text, flags=re.DOTALL)
    else:  # an address whose scheme was forgotten or misspelled: admin:1234@host, rtsp:/...
        text = re.sub(r"^[^\s@＠]*:.*[@＠]", "", text, flags=re.DOTALL)
    text = STREAM_KEY.sub(rf"\1/{HIDDEN}", text)
    host = ""
    rest = text
    match = SCHEME_AND_HOST.match(text)
    if match:  # a folder of this machine may be called user
        host = WRONG_PORT.sub(HIDDEN, match[0])
        rest = PATH_LOGIN.sub(rf"\1:{HIDDEN}", text[len(match[0]) :])
        rest = PATH_PAIR.sub(rf"\1/{HIDDEN}", rest)
    rest = JSON_WEB_TOKEN.sub(HIDDEN, rest)
    return host + PARAMETER.sub(_hide_value, rest)


def hide_secrets_in_message(message: str) -> str:
    """Return a sentence with the secrets of every address in it hidden.

    A password may hold spaces, so everything from a scheme to the last ``@`` goes, and what stands
    before an ``@`` in any word.
    """
    message = re.sub(r"://.*[@＠]", "://", message, flags=re.DOTALL)
    message = re.sub(r"\S+[@＠](?=\S)", "", message)
    return re.sub(r"\S+", lambda word: hide_secrets(word[0]), message)


def _hide_value(parameter: re.Match[str]) -> str:
    name, separator, value = parameter.groups()
    plain_name = unquote(name).lower()
    is_secret = plain_name in SECRET_NAMES or any(part in plain_name for part in SECRET_PARTS)
    # A value may hold further parameters, as in user=admin_password=1234: hide all of it.
    is_secret = is_secret or bool(SECRET_IN_VALUE.search(unquote(value).lower()))
    return f"{name}{separator}{HIDDEN}" if is_secret and value else parameter[0]
