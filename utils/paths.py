"""Where the project keeps its files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL_DIR = ROOT / "model"
DATA_DIR = ROOT / "data"
EXAMPLES_DIR = DATA_DIR / "examples"
SHARED_DIR = (
    ROOT.parent / "shared"
)  # data and weights beside the checkout, where a machine has them
FACES, CROPS = (
    "faces.csv",
    "crops",
)  # the table and the folder that an extraction of faces writes side by side


def is_crop(image: str | Path) -> bool:
    """Whether an image is a face that an extraction cut out, and no photograph."""
    return any(
        folder.name == CROPS and (folder.parent / FACES).is_file() for folder in Path(image).parents
    )


def find_model(name: str) -> Path:
    """Path of a model file in ``model/``, else in ``../shared/models``.

    Raises:
        FileNotFoundError: neither folder has it; the sentence says how to get it.
    """
    for folder in (MODEL_DIR, SHARED_DIR / "models"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"The model file {name} is not in {MODEL_DIR}: run `make models` to fetch it."
    )
