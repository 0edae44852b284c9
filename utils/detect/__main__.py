"""Fetch the face detectors of other projects into ``model/``.

The command is ``python -m utils.detect``, or ``make detectors``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from utils.paths import MODEL_DIR, SHARED_DIR
from utils.program import require_packages

if __name__ == "__main__":
    require_packages("pooch", extra="models", target="detectors")

import pooch

TIMEOUT = 30  # seconds without an answer


class DownloadError(OSError):
    """A file that cannot be fetched. The message is one sentence for the user."""


@dataclass(frozen=True)
class ModelFile:
    """A model file of another project.

    Attributes:
        name: file name in ``model/``.
        url: address of the file, at a commit or tag, so that it never changes.
        checksum: ``algorithm:digest`` of the file.
    """

    name: str
    url: str
    checksum: str


GITHUB = "https://raw.githubusercontent.com/opencv"
GITHUB_LFS = "https://media.githubusercontent.com/media/opencv"  # serves files in Git LFS
OPENCV_COMMIT = "ab129cfb80ea437e194c702f4b39fd67153ee15c"
OPENCV_ZOO_COMMIT = "47534e27c9851bb1128ccc0102f1145e27f23f98"
MODEL_FILES = (
    # YuNet, MIT license.
    ModelFile(
        name="face_detection_yunet_2026may.onnx",
        url=f"{GITHUB_LFS}/opencv_zoo/{OPENCV_ZOO_COMMIT}"
        "/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
        checksum="sha256:ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    ),
    # Res10 in 8 bits. OpenCV states its checksum in samples/dnn/face_detector.
    ModelFile(
        name="opencv_face_detector_uint8.pb",
        url=f"{GITHUB}/opencv_3rdparty/dnn_samples_face_detector_20180220_uint8"
        "/opencv_face_detector_uint8.pb",
        checksum="sha1:4f2fdf6f231d759d7bbdb94353c5a68690f3d2ae",
    ),
    ModelFile(
        name="opencv_face_detector.pbtxt",
        url=f"{GITHUB}/opencv/{OPENCV_COMMIT}/samples/dnn/face_detector/opencv_face_detector.pbtxt",
        checksum="sha256:5397808362fc6fb7c4044484848e297b22449d913a267fa7f8bd9d86dce29144",
    ),
)


def fetch_model(file: ModelFile, folder: str | Path = MODEL_DIR) -> Path:
    """Fetch one file, unless the folder has it already with the right checksum.

    Args:
        file: the file.
        folder: where to write it; created if missing.

    Returns:
        The path of the file.

    Raises:
        DownloadError: the file cannot be fetched, or has a wrong checksum. It is then not kept.
    """
    pooch.get_logger().setLevel("ERROR")  # main prints what was done
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    try:
        path = pooch.retrieve(
            url=file.url,
            known_hash=file.checksum,
            fname=file.name,
            path=folder,
            downloader=downloader,
        )
    except ValueError as error:
        raise DownloadError(
            f"{file.url} is not the expected file (wrong checksum): try again later."
        ) from error
    except OSError as error:  # of the network (through requests) or of the folder
        kind = type(error).__name__
        raise DownloadError(
            f"{file.url} cannot be fetched to {folder} ({kind}): check network and folder."
        ) from error
    return Path(path)


def main(folder: str | Path = MODEL_DIR, files: tuple[ModelFile, ...] = MODEL_FILES) -> int:
    """Fetch all files and name each failure. Files in ``../shared/models`` are there already.

    Returns:
        The exit code: 0 if all files are there, else 1.
    """
    exit_code = 0
    for file in files:
        shared = SHARED_DIR / "models" / file.name
        if shared.is_file() and Path(folder) == MODEL_DIR:
            print(f"{shared} is there.")
            continue
        try:
            path = fetch_model(file, folder)
        except DownloadError as error:
            print(error, file=sys.stderr)
            exit_code = 1
        else:
            print(f"{path} is there.")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
