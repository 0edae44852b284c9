"""Archives of a commit: fetched in pieces, and checked by what lies in them."""

import dataclasses
import hashlib
import subprocess

import pytest

from tests.collect.public_sets.archive_server import ArchiveServer, make_archive
from utils.collect.public_sets.archives import (
    GitHubSet,
    PublicSetError,
    blob_id,
    digest_files,
    download_archive,
    read_archive,
)

FILES = {"a/one.jpg": b"one", "a/two.jpg": bytes(range(256)) * 2000, "b/three.xml": b"<xml/>"}
OTHERS = {"README.md": b"not of the set"}


def make_set(files=FILES, pattern=r"[ab]/[^/]+"):
    blob_ids = {path: blob_id(data) for path, data in files.items()}
    return GitHubSet(
        name="small",
        repository="someone/pictures",
        commit="0123456789abcdef0123456789abcdef01234567",
        count=len(files),
        digest=digest_files(blob_ids),
        pattern=pattern,
    )


@pytest.fixture
def server():
    with ArchiveServer() as server:
        public_set = make_set()
        path = f"/{public_set.repository}/archive/{public_set.commit}.zip"
        server.archives[path] = make_archive("pictures-0123456789", FILES | OTHERS)
        yield server


def test_the_digest_is_that_of_git(tmp_path):
    for path, data in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "files"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    tree = subprocess.run(
        ["git", "ls-tree", "-r", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    lines = []
    for line in tree.splitlines():
        description, path = line.split("\t")
        lines.append(f"{description.split()[2]} {path}")
    expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert digest_files({path: blob_id(data) for path, data in FILES.items()}) == expected


def test_an_archive_is_fetched_once(server, tmp_path):
    public_set = make_set()
    archive = download_archive(public_set, tmp_path, server.url)
    assert set(read_archive(public_set, archive)) == set(FILES)
    assert download_archive(public_set, tmp_path, server.url) == archive
    assert len(server.requests) == 1


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_broken_download_goes_on(server, tmp_path, has_ranges):
    server.break_after = 1500
    server.has_ranges = has_ranges
    archive = download_archive(make_set(), tmp_path, server.url)
    assert set(read_archive(make_set(), archive)) == set(FILES)
    assert [header for _, header in server.requests] == [None, "bytes=1500-"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"small: .*zip could not be fetched \(HTTP 404\)"),
        ("a page", r"it is not a zip archive"),
        ("no server", r"small: .* could not be fetched \(no connection\)"),
    ],
)
def test_a_download_that_fails_is_one_sentence(server, tmp_path, change, message):
    path = next(iter(server.archives))
    url = server.url
    if change == "missing":
        server.archives.clear()
    elif change == "a page":
        server.archives[path] = b"<html>Sign in to continue</html>"
    else:
        url = "http://127.0.0.1:9"
    with pytest.raises(PublicSetError, match=message):
        download_archive(make_set(), tmp_path, url)
    assert list(tmp_path.glob("*.zip")) == []


@pytest.mark.parametrize(
    "files",
    [
        FILES | {"a/one.jpg": b"other"},
        FILES | {"a/more.jpg": b"more"},
        {"a/one.jpg": b"one"},
        {},
    ],
    ids=["changed", "one more", "two missing", "empty"],
)
def test_other_contents_are_refused(tmp_path, files):
    archive = tmp_path / "small.zip"
    archive.write_bytes(make_archive("pictures", files))
    with pytest.raises(PublicSetError, match=r"small\.zip does not hold the files of someone/pict"):
        read_archive(make_set(), archive)


def test_files_that_the_pattern_leaves_out_do_not_count(tmp_path):
    archive = tmp_path / "small.zip"
    archive.write_bytes(make_archive("pictures", FILES))
    only_xml = dataclasses.replace(make_set({"b/three.xml": FILES["b/three.xml"]}), pattern="b/.*")
    assert set(read_archive(only_xml, archive)) == {"b/three.xml"}
