"""The download, against a local server: files with the right checksum are kept, others are not."""

import hashlib
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from utils import paths
from utils.detect import RES10_FILES, YUNET_FILE
from utils.detect.__main__ import MODEL_FILES, DownloadError, ModelFile, fetch_model, main

CONTENT = bytes(range(256)) * 500
OTHER = b"<html>not what was asked for</html>"
DIGESTS = {
    algorithm: hashlib.new(algorithm, CONTENT).hexdigest() for algorithm in ("sha256", "sha1")
}


@pytest.fixture(scope="module")
def server():
    """Run a server on loopback; its ``requests`` lists the paths of all requests."""
    pages = {"/net.onnx": CONTENT, "/other.onnx": OTHER}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.requests.append(self.path)
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b""))

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.requests = []
        Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        yield http
        http.shutdown()


@pytest.fixture
def file(server, monkeypatch) -> ModelFile:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.requests.clear()
    return ModelFile(
        "net.onnx", f"http://127.0.0.1:{server.server_port}/net.onnx", f"sha256:{DIGESTS['sha256']}"
    )


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_file_is_fetched_only_once(server, file, tmp_path, algorithm):
    file = replace(file, checksum=f"{algorithm}:{DIGESTS[algorithm]}")
    for _ in range(2):
        path = fetch_model(file, tmp_path / "model é")
        assert path == tmp_path / "model é" / "net.onnx" and path.read_bytes() == CONTENT
    assert server.requests == ["/net.onnx"]


def test_a_damaged_file_is_fetched_again(server, file, tmp_path):
    (tmp_path / "net.onnx").write_bytes(CONTENT[:100])
    assert fetch_model(file, tmp_path).read_bytes() == CONTENT
    assert server.requests == ["/net.onnx"]


WRONG = {
    "another file": ("other.onnx", r"is not the expected file \(wrong checksum\)"),
    "no file": (
        "missing.onnx",
        r"cannot be fetched to .* \(HTTPError\): check network and folder\.",
    ),
}


@pytest.mark.parametrize(("page", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_not_kept(file, tmp_path, page, message):
    with pytest.raises(DownloadError, match=f"/{page} {message}"):
        fetch_model(replace(file, url=file.url.replace("net.onnx", page)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_server_is_reported(file, tmp_path):
    with pytest.raises(
        DownloadError,
        match=r"^http://127\.0\.0\.1:9/net\.onnx cannot be fetched to .*\(ConnectionError\)",
    ):
        fetch_model(replace(file, url="http://127.0.0.1:9/net.onnx"), tmp_path)


def test_a_folder_that_cannot_be_created_is_named(file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=f"cannot be fetched to {tmp_path}/file/model"):
        fetch_model(file, tmp_path / "file" / "model")


def test_one_failure_does_not_stop_the_others(file, tmp_path, capsys):
    bad = replace(file, name="bad.onnx", checksum="sha256:" + 64 * "0")
    assert main(tmp_path, (bad, file)) == 1
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'net.onnx'} is there.\n" and "wrong checksum" in err
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert main(tmp_path, (file,)) == 0


def test_all_files_of_the_detectors_are_fetched_from_permanent_addresses():
    assert {file.name for file in MODEL_FILES} == {YUNET_FILE, *RES10_FILES}
    for file in MODEL_FILES:
        assert file.url.startswith("https://") and Path(file.url).name == file.name
        assert "/main/" not in file.url and "/master/" not in file.url
        algorithm, digest = file.checksum.split(":")
        assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size


def test_the_checksum_matches_the_yunet_file_in_use():
    try:
        content = paths.find_model(YUNET_FILE).read_bytes()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    (yunet,) = (file for file in MODEL_FILES if file.name == YUNET_FILE)
    assert yunet.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
