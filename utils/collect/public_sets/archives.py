"""Download the archive of one commit of a GitHub repository, and check what lies in it.

GitHub does not guarantee that an archive keeps its bytes, so a hash of the whole archive would not
do. Instead, the check is a digest over the files in it (``digest_files``).
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from tqdm.auto import tqdm

from utils.messages import UserError

GITHUB = "https://github.com"
TIMEOUT_S = 30.0
BLOCK_BYTES = 1 << 20


class PublicSetError(UserError, ValueError):
    """A public set that cannot be fetched, or that differs from the expected one."""


class BrokenDownload(requests.RequestException):
    """A download that broke off; the next try continues it."""


@dataclass(frozen=True)
class GitHubSet:
    """Files of a repository at one commit: one row of ``data/public_sets.csv``.

    Attributes:
        name: of the set.
        repository: "owner/name".
        commit: 40 hexadecimal digits.
        count: number of files that match ``pattern``.
        digest: what ``digest_files`` returns for these files.
        pattern: regular expression that the whole path of a file in the repository must match.
    """

    name: str
    repository: str
    commit: str
    count: int
    digest: str
    pattern: str


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name there, and git's id of its content."""

    name: str
    blob_id: str


def blob_id(data: bytes) -> str:
    """Return the id that git gives a file: the SHA-1 of a short header and its content."""
    header = b"blob %d\0" % len(data)
    return hashlib.sha1(header + data).hexdigest()


def digest_files(blob_ids: Mapping[str, str]) -> str:
    """Return the SHA-256 over the lines ``<blob id> <path>``, sorted by path.

    ``git ls-tree -r COMMIT`` prints the same ids and paths.

    Args:
        blob_ids: git's id of each file, by its path in the repository.
    """
    lines = [f"{blob_ids[path]} {path}" for path in sorted(blob_ids)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def download_archive(
    public_set: GitHubSet, folder: str | Path, server: str = GITHUB, tries: int = 3
) -> Path:
    """Download the archive of a set's commit, with a progress bar; return its path.

    The part that arrived before an interruption is kept. The next try asks for the rest, and starts
    again if the server sends the whole file.

    Args:
        public_set: which archive.
        folder: where to write the archive; created if missing.
        server: GitHub, or another that serves ``/OWNER/NAME/archive/COMMIT.zip``.
        tries: how often a broken download is continued.

    Raises:
        PublicSetError: the server cannot be reached, or does not send the archive.
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{public_set.name}-{public_set.commit[:12]}.zip"
    if archive.is_file():
        return archive
    part = archive.with_suffix(".zip.part")
    url = f"{server.rstrip('/')}/{public_set.repository}/archive/{public_set.commit}.zip"
    problem = ""
    for _ in range(tries):
        try:
            _download_rest(url, part, public_set.name)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            problem = _describe_failure(error)
            continue
        if not zipfile.is_zipfile(part):
            problem = "the download ended early, or it is not a zip archive"
            part.unlink()
            continue
        part.replace(archive)
        return archive
    raise PublicSetError(
        f"{public_set.name}: {url} could not be fetched ({problem}). Check the network and run the "
        "same command again; finished sets are kept."
    )


def _download_rest(url: str, part: Path, name: str) -> None:
    """Append the missing part to a download; start again if the server cannot continue it."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == requests.codes.range_not_satisfiable:
            part.unlink()
            raise BrokenDownload("the partial download did not fit")
        response.raise_for_status()
        is_rest = response.status_code == requests.codes.partial_content
        if not is_rest:
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            open(part, "ab" if is_rest else "wb") as file,
            tqdm(
                desc=f"downloading {name}", initial=start, total=total, unit="B", unit_scale=True
            ) as bar,
        ):
            # read1 returns what has arrived, so that nothing is lost if the connection breaks off.
            block = response.raw.read1(BLOCK_BYTES)
            while block:
                file.write(block)
                bar.update(len(block))
                block = response.raw.read1(BLOCK_BYTES)
    if total is not None and part.stat().st_size < total:
        raise BrokenDownload("the connection broke off")


def _describe_failure(error: Exception) -> str:
    """Return a few words for the reason of a failed request."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, BrokenDownload):
        return str(error)
    return "no connection"


def read_archive(public_set: GitHubSet, archive: str | Path) -> dict[str, Member]:
    """Check the content of an archive; return its members by their path in the repository.

    Raises:
        PublicSetError: it does not hold the files of this commit, or is damaged.
    """
    members = {}
    try:
        with zipfile.ZipFile(archive) as content:
            for info in tqdm(content.infolist(), desc=f"checking {public_set.name}", unit="file"):
                path = info.filename.partition("/")[2]  # the first part names repository and commit
                if info.is_dir() or not re.fullmatch(public_set.pattern, path):
                    continue
                members[path] = Member(info.filename, blob_id(content.read(info)))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise PublicSetError(
            f"{archive} is damaged ({error}): delete it and run the same command again."
        ) from error
    blob_ids = {path: member.blob_id for path, member in members.items()}
    if len(members) != public_set.count or digest_files(blob_ids) != public_set.digest:
        raise PublicSetError(
            f"{archive} does not hold the files of {public_set.repository} at commit "
            f"{public_set.commit[:12]} ({len(members)} files found, {public_set.count} expected): "
            "nothing was converted. Delete it and run the same command again."
        )
    return members
