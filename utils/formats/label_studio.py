"""Label Studio: tasks with predictions (https://labelstud.io/guide/predictions)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from utils.atomic import write_bytes
from utils.formats.labelled import LabelledImage, list_classes

TASKS_FILE = "tasks.json"
CONFIG_FILE = "labeling_config.xml"
LOCAL_FILES = "/data/local-files/?d="  # how Label Studio names a file of its document root
FROM_NAME = "label"
TO_NAME = "image"


def write_label_studio(
    folder: str | Path, images: Iterable[LabelledImage], model_version: str
) -> list[Path]:
    """Write ``tasks.json``, to import, and ``labeling_config.xml``, the project's interface.

    Args:
        folder: the folder of the two files.
        images: the labels. The path of an image is relative to Label Studio's document root
            (``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT``).
        model_version: the name under which Label Studio shows these predictions.

    Returns:
        The files.
    """
    folder = Path(folder)
    images = list(images)
    tasks = [_make_task(image, model_version) for image in images]
    labels = "\n".join(f'    <Label value="{name}"/>' for name in list_classes(images))
    config = (
        "<View>\n"
        f'  <Image name="{TO_NAME}" value="$image"/>\n'
        f'  <RectangleLabels name="{FROM_NAME}" toName="{TO_NAME}">\n{labels}\n'
        "  </RectangleLabels>\n</View>\n"
    )
    text = json.dumps(tasks, ensure_ascii=False, indent=1)
    return [
        write_bytes(folder / CONFIG_FILE, config.encode()),
        write_bytes(folder / TASKS_FILE, text.encode("utf-8", "backslashreplace")),
    ]


def _make_task(image: LabelledImage, model_version: str) -> dict[str, Any]:
    """Return the task of an image with one prediction; its score is the mean of its faces'."""
    width, height = image.resolution_wh
    results = []
    for index, (name, box) in enumerate(zip(image.class_names, image.xyxy, strict=True)):
        x_min, y_min, x_max, y_max = (float(value) for value in box)
        result: dict[str, Any] = {
            "id": f"face{index + 1}",
            "from_name": FROM_NAME,
            "to_name": TO_NAME,
            "type": "rectanglelabels",
            "original_width": int(width),
            "original_height": int(height),
            "image_rotation": 0,
            "value": {
                "rotation": 0,
                "x": 100 * x_min / width,
                "y": 100 * y_min / height,
                "width": 100 * (x_max - x_min) / width,
                "height": 100 * (y_max - y_min) / height,
                "rectanglelabels": [name],
            },
        }
        if image.confidence is not None:
            result["score"] = round(float(image.confidence[index]), 4)
        results.append(result)
    prediction: dict[str, Any] = {"model_version": model_version, "result": results}
    if image.confidence is not None and len(image.confidence):
        prediction["score"] = round(float(np.mean(image.confidence)), 4)
    path = quote(image.file, errors="surrogateescape")
    return {"data": {"image": f"{LOCAL_FILES}{path}"}, "predictions": [prediction]}
