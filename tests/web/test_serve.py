"""Serving the page on this machine."""

import http.client
import threading

import pytest
import requests

from utils.web import WebError, make_server
from utils.web.__main__ import run_web


@pytest.fixture
def address(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<h1>page</h1>" * 100)
    (tmp_path / "page" / "a.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("secret")
    server = make_server(tmp_path / "page", port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_page_is_compressed_and_isolated(address):
    whole = requests.get(f"{address}/", headers={"Accept-Encoding": "identity"}, timeout=10)
    assert whole.text.startswith("<h1>page</h1>") and "Content-Encoding" not in whole.headers
    answer = requests.get(f"{address}/", headers={"Accept-Encoding": "gzip"}, timeout=10)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) < len(whole.content) / 5
    assert answer.content == whole.content
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    again = {"If-None-Match": answer.headers["ETag"]}
    assert requests.get(f"{address}/", headers=again, timeout=10).status_code == 304


def test_types_are_those_that_browsers_need(address):
    answer = requests.get(f"{address}/a.wasm", timeout=10)
    assert answer.headers["Content-Type"] == "application/wasm"


@pytest.mark.parametrize("path", ["missing.js", "../secret.txt", "%2e%2e/secret.txt"])
def test_other_files_are_not_served(address, path):
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)  # sends a path as it is
    connection.request("GET", f"/{path}")
    answer = connection.getresponse()
    assert answer.status == 404
    connection.close()


def test_what_cannot_be_served_is_said(tmp_path, capsys):
    assert run_web(["serve", "--folder", str(tmp_path)]) == 2
    assert "There is no page in" in capsys.readouterr().err
    (tmp_path / "index.html").write_text("page")
    with make_server(tmp_path, port=0) as server:
        port = server.server_port
        with pytest.raises(WebError, match=f"Port {port} cannot be used"):
            make_server(tmp_path, port)
