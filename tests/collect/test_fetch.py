"""Fetching from local servers with faults: contents, reasons of failures, retries and pauses."""

import io
import time
from threading import Timer

import numpy as np
import pytest
from PIL import Image

from tests.fake_bing import FakeBing, draw_bomb, draw_photo
from utils.collect.fetch import (
    FetchError,
    PoliteSession,
    check_header,
    is_temporary,
    make_user_agent,
)


@pytest.fixture(scope="module")
def server():
    with FakeBing({}) as fake:
        yield fake


def make_session(**options) -> PoliteSession:
    return PoliteSession(
        **{"contact": "tests", "delay": 0, "tries": 2, "wait": 0.01, "timeout": 0.5} | options
    )


def encode(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def test_bytes_are_unchanged_and_user_agent_names_the_project(server):
    assert make_session().fetch(server.address("ok/a.jpg")) == draw_photo("a.jpg")
    assert make_user_agent("me@example.org").startswith(
        "Mozilla/5.0 (compatible; face-mask-detector"
    )
    assert make_user_agent("me@example.org").endswith("; me@example.org)")
    assert "; )" not in make_user_agent()
    assert make_session(contact="me").headers["User-Agent"] == make_user_agent("me")


REFUSED = {  # result: reason, number of requests with two tries
    "404/b.jpg": ("HTTP 404", 1),
    "403/b.jpg": ("HTTP 403", 1),
    "500/b.jpg": ("HTTP 500", 2),
    "429/b.jpg": ("HTTP 429", 2),
    "late/b.jpg": ("timeout", 2),
    "drip/b.jpg": ("timeout", 2),
    "cut/b.jpg": ("interrupted", 2),
    "huge/b.jpg": ("too large", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(("result", "expected"), REFUSED.items())
def test_failures_have_a_reason_and_temporary_ones_are_retried(server, result, expected):
    server.asked.clear()
    with pytest.raises(FetchError) as error:
        make_session(timeout=0.4, max_bytes=1_000_000).fetch(server.address(result))
    assert (error.value.reason, server.count_images()) == expected
    assert is_temporary(error.value.reason) == (expected[1] == 2)


ADDRESSES = {
    "no server": ("http://127.0.0.1:9/a.jpg", "unreachable"),
    "no address": ("a.jpg", "bad address"),
    "another scheme": ("data:image/png;base64,AAAA", "bad address"),
    "half a host": ("http://[::1/a.jpg", "bad address"),
    "no host": ("http:///a.jpg", "bad address"),
    "a host no name can have": (f"http://{'a' * 70}.org/a.jpg", "bad address"),
}


@pytest.mark.parametrize(("url", "reason"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_bad_addresses_have_a_reason(url, reason):
    with pytest.raises(FetchError) as error:
        make_session().fetch(url)
    assert error.value.reason == reason


def test_temporary_error_is_retried_after_a_wait(server):
    start = time.monotonic()
    assert make_session(wait=0.2).fetch(server.address("shaky/c.jpg")) == draw_photo("c.jpg")
    assert time.monotonic() - start >= 0.2


@pytest.mark.slow
def test_retry_after_is_respected(server):
    start = time.monotonic()
    assert make_session().fetch(server.address("busy/c.jpg")) == draw_photo("c.jpg")
    assert time.monotonic() - start >= 1


def test_requests_to_one_host_are_a_delay_apart(server):
    session, start = make_session(delay=0.15), time.monotonic()
    for name in "abc":
        session.fetch(server.address(f"ok/{name}.jpg"))
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize("result", ["503/d.jpg", "drip/d.jpg"])
def test_stopping_the_session_ends_waits_and_transfers(server, result):
    session, start = make_session(wait=30, tries=5, timeout=20), time.monotonic()
    Timer(0.2, session.stopped.set).start()
    with pytest.raises(FetchError, match="stopped"):
        session.fetch(server.address(result))
    assert time.monotonic() - start < 10


HEADERS = {
    "nothing": (b"", "not an image"),
    "HTML": (b"<html>", "not an image"),
    "GIF": (encode("GIF"), "not an image"),
    "a sound": (b"RIFF\0\0\0\0WAVEfmt " + bytes(40), "not an image"),
    "JPEG": (encode("JPEG"), ".jpg"),
    "PNG": (encode("PNG"), ".png"),
    "WebP": (encode("WEBP"), ".webp"),
    "beginning of a JPEG": (encode("JPEG")[:30], "truncated"),
    "beginning of a PNG": (encode("PNG")[:12], "truncated"),
    "beginning of a WebP": (encode("WEBP")[:30], "truncated"),
    "bomb": (draw_bomb(), "decompression bomb"),
    "a little bomb": (draw_bomb(10_000, 8_001), "decompression bomb"),
    "just no bomb": (draw_bomb(10_000, 8_000), ".png"),
    "small": (encode("PNG", (200, 31)), "too small"),
    "just large enough": (encode("PNG", (32, 200)), ".png"),
}


@pytest.mark.parametrize(("data", "expected"), HEADERS.values(), ids=HEADERS.keys())
def test_header_gives_the_true_format(data, expected):
    try:
        assert check_header(data, min_side=32) == expected
    except FetchError as error:
        assert error.reason == expected
        assert not is_temporary(expected)


def test_damaged_headers_raise_only_fetch_errors():
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP"):
        data = np.frombuffer(encode(kind), np.uint8)
        for _ in range(150):
            damaged = data.copy()
            damaged[rng.integers(4, len(data), 5)] = rng.integers(0, 256, 5)
            try:
                assert check_header(damaged.tobytes()).startswith(".")
            except FetchError as error:
                assert error.reason in (
                    "truncated",
                    "not an image",
                    "decompression bomb",
                    "too small",
                )
