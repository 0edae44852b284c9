"""Fetch the face detectors from their upstream into ``model/``: ``python -m utils.download``, or ``make models``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pooch

from utils.paths import MODEL_DIR


class DownloadError(OSError):
    """A file that cannot be fetched. Its text is one sentence for a person."""


@dataclass(frozen=True)
class ModelFile:
    """A file of upstream's.

    Attributes:
        name: in ``model/``.
        url: where upstream keeps it, at a commit or tag, so that it never changes.
        checksum: ``algorithm:digest`` of the file there.
    """

    name: str
    url: str
    checksum: str


GITHUB = "https://raw.githubusercontent.com/opencv"
MODEL_FILES = (
    ModelFile(  # YuNet, MIT. OpenCV Zoo keeps its models in Git LFS, whose files this host serves.
        "face_detection_yunet_2026may.onnx",
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98"
        "/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
        "sha256:ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    ),
    ModelFile(  # Res10 in 8 bits. The checksum is the one that OpenCV itself gives, in samples/dnn/face_detector.
        "opencv_face_detector_uint8.pb",
        f"{GITHUB}/opencv_3rdparty/dnn_samples_face_detector_20180220_uint8/opencv_face_detector_uint8.pb",
        "sha1:4f2fdf6f231d759d7bbdb94353c5a68690f3d2ae",
    ),
    ModelFile(
        "opencv_face_detector.pbtxt",
        f"{GITHUB}/opencv/ab129cfb80ea437e194c702f4b39fd67153ee15c/samples/dnn/face_detector/opencv_face_detector.pbtxt",
        "sha256:5397808362fc6fb7c4044484848e297b22449d913a267fa7f8bd9d86dce29144",
    ),
)


def fetch_model(file: ModelFile, folder: str | Path = MODEL_DIR) -> Path:
    """Fetch one file, unless the folder has it already with the right checksum.

    Returns:
        Its path.

    Raises:
        DownloadError: it cannot be fetched, or what came is not what it should be; nothing is kept then.
    """
    pooch.get_logger().setLevel("ERROR")  # our own sentences say it
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=30)
    try:
        return Path(
            pooch.retrieve(file.url, file.checksum, file.name, folder, downloader=downloader)
        )
    except ValueError as error:
        raise DownloadError(
            f"{file.url} is not the file expected (wrong checksum): try again later."
        ) from error
    except OSError as error:  # the network's, through requests, and the folder's
        kind = type(error).__name__
        raise DownloadError(
            f"{file.url} cannot be fetched to {folder} ({kind}): check network and folder."
        ) from error


def main(folder: str | Path = MODEL_DIR, files: tuple[ModelFile, ...] = MODEL_FILES) -> int:
    """Fetch all files: 0 when all are there, else 1, each failure named."""
    failed = 0
    for file in files:
        try:
            print(f"{fetch_model(file, folder)} is there.")
        except DownloadError as error:
            print(error, file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
