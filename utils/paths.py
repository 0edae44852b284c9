"""Where the project keeps its files."""

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL_DIR = ROOT / "model"
DATA_DIR = ROOT / "data"
RAW_DIR = DATA_DIR / "raw"  # the user's photographs
SAMPLE_DIR = DATA_DIR / "sample"  # a small set that ships, see tests/small_data.py
EXAMPLES_DIR = DATA_DIR / "examples"
OUTPUT_DIR = ROOT / "output"
SHARED_DIR = ROOT.parent / "shared"  # optional: data and weights beside the checkout

# Extracting faces writes this table and this folder of crops side by side.
FACES = "faces.csv"
CROPS = "crops"


def is_crop(image: str | Path) -> bool:
    """Return whether an image is a face that was cut out of a photograph by an extraction."""
    for folder in Path(image).parents:
        if folder.name == CROPS and (folder.parent / FACES).is_file():
            return True
    return False


@cache
def digest_code() -> str:
    """Return a digest of the source of this package, which differs between its versions."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / "utils").rglob("*.py")):
        digest.update(file.relative_to(ROOT).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def get_version(path: str | Path) -> tuple[int, int]:
    """Return the size and the time of the last change of a file; zeros if it is missing.

    A job of ``utils.batch`` compares it, so that it does not use results of an older file.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def find_model(name: str) -> Path:
    """Return the path of a model file, in ``model/`` or else in ``../shared/models``.

    Raises:
        FileNotFoundError: neither folder has the file.
    """
    for folder in (MODEL_DIR, SHARED_DIR / "models"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"The model file {name} is not in {MODEL_DIR}: run `make detectors` to fetch it."
    )
