"""Write labels as one COCO file of instances."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from utils.atomic import write_bytes
from utils.formats.labelled import LabelledImage, list_classes

COCO_FILE = "annotations/instances_default.json"  # the name that CVAT gives it


def write_coco(
    path: str | Path, images: Iterable[LabelledImage], class_names: Sequence[str] | None = None
) -> Path:
    """Write labels as one COCO file of instances. A confidence becomes the ``score`` of its box.

    Args:
        path: the JSON file; its folder is created.
        images: the labels; images without faces are listed too.
        class_names: the categories; None means those of the images.

    Returns:
        The path.
    """
    images = list(images)
    class_names = list_classes(images) if class_names is None else class_names
    entries = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        width, height = image.resolution_wh
        entries.append(
            {"id": image_id, "file_name": image.file, "width": int(width), "height": int(height)}
        )
        for index, (name, box) in enumerate(zip(image.class_names, image.xyxy, strict=True)):
            x_min, y_min, x_max, y_max = (round(float(value), 2) for value in box)
            box_width = round(x_max - x_min, 2)
            box_height = round(y_max - y_min, 2)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": class_names.index(name) + 1,
                "bbox": [x_min, y_min, box_width, box_height],
                "area": round(box_width * box_height, 2),
                "segmentation": [],
                "iscrowd": 0,
            }
            if image.confidence is not None:
                annotation["score"] = round(float(image.confidence[index]), 4)
            annotations.append(annotation)
    categories = [
        {"id": index, "name": name, "supercategory": "face"}
        for index, name in enumerate(class_names, start=1)
    ]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    text = json.dumps(content, ensure_ascii=False, indent=1)
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))
