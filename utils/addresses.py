"""Addresses of streams: recognise them, and hide the secrets in them before they are shown."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "***"  # stands in for the value of a secret parameter
# A parameter whose name contains one of these may be a secret. Cameras use "loginpas", "api_key",
# "X-Amz-Signature" and many others, so hide rather too much.
SECRET_PARTS = (
    "pwd", "pass", "pasw", "psw", "token", "key", "auth", "user", "usr", "login", "secret", "sig",
    "credential", "account", "session", "ticket", "cookie", "jwt", "hash", "otp",
)  # fmt: skip
# Short names are compared as a whole.
SECRET_NAMES = ("u", "p", "pw", "un", "uid", "sid", "pin", "code", "pas", "admin")
# A parameter: its name, "=", and its value up to the next parameter. A path may hold parameters
# too, as in rtsp://host/user=admin&password=1234.
PARAMETER = re.compile(r"([^\s/?&;,#=]+)=([^\s&;#]*)")
SECRET_IN_VALUE = re.compile(rf"({'|'.join(SECRET_PARTS)})\w*=")
# A part of a path that is followed by its value, as in /token/1234.
PATH_PAIR = re.compile(
    r"(?<=/)(pwd|pass|password|passwd|token|key|apikey|auth|secret|sig)/[^/?#\s]+", re.IGNORECASE
)


def is_address(text: str) -> bool:
    """Return whether a text is the address of a stream, not a path."""
    return "://" in text


def hide_secrets(text: str) -> str:
    """Return an address without its name and password, and with secret parameters hidden.

    Everything before the last ``@`` goes, because a password may hold ``/`` and ``@``. The values
    of parameters that may be secrets (``SECRET_PARTS``) become ``***``, in the query and in the
    path.

    Args:
        text: an address, or what the user wrote in its place.
    """
    if is_address(text):
        text = re.sub(r"://.*@", "://", text)
    else:  # an address whose scheme was forgotten or misspelled: admin:1234@host, rtsp:/...
        text = re.sub(r"^[^\s@]*:.*@", "", text)
    text = PATH_PAIR.sub(rf"\1/{HIDDEN}", text)
    return PARAMETER.sub(_hide_value, text)


def hide_secrets_in_message(message: str) -> str:
    """Return a sentence with the secrets of every address in it hidden."""
    return re.sub(r"\S+", lambda word: hide_secrets(word[0]), message)


def _hide_value(parameter: re.Match[str]) -> str:
    name = unquote(parameter[1]).lower()
    is_secret = name in SECRET_NAMES or any(part in name for part in SECRET_PARTS)
    # A value may hold further parameters, as in user=admin_password=1234: hide all of it.
    is_secret = is_secret or bool(SECRET_IN_VALUE.search(unquote(parameter[2]).lower()))
    return f"{parameter[1]}={HIDDEN}" if is_secret and parameter[2] else parameter[0]
