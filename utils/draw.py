"""Boxes and captions on pixels, on a copy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from utils.boxes import Detections, as_boxes, box_iou, clip_boxes
from utils.classes import CLASS_COLORS, CLASS_NAMES, decide

TEXT_COLOR = (0, 0, 0)  # black stands out from every class's colour, white does not
FACE_COLOR = (86, 180, 233)  # a face that nobody has judged yet
TEXT_SHARE, MIN_TEXT = (
    1 / 30,
    11,
)  # height of the letters: a share of the image's shorter side, pixels at least
TEXT_WEIGHT = 500
BLOCKS = 6  # a side of a blurred face: fewer pixels than any face was ever recognised by


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _list_captions(box: list[int], texts: list[str], resolution_wh: tuple[int, int]) -> list[tuple]:
    """Where each text could stand, the best first (text, size, origin, xyxy): above the box, below, in a tall one."""
    width, height = resolution_wh
    captions = []
    for text in texts:
        for size in (max(MIN_TEXT, round(min(width, height) * TEXT_SHARE)), MIN_TEXT):
            _, top, text_width, text_height = cv2.getTextSize(
                (0, 0), text, (0, 0), _font(), size, TEXT_WEIGHT
            )
            margin = size // 4
            caption_width, caption_height = text_width + 2 * margin, text_height + margin
            x, rows = min(box[0], width - caption_width), [box[1] - caption_height, box[3]]
            if box[3] - box[1] > 4 * caption_height:
                rows.append(box[1])
            for y in rows:
                if x >= 0 and 0 <= y <= height - caption_height:
                    origin = (x + margin, y + margin // 2 - top)
                    captions.append(
                        (text, size, origin, (x, y, x + caption_width, y + caption_height))
                    )
    return captions


def blur_faces(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """A copy of an image whose faces cannot be recognised: each, with a margin, is made of a few flat squares."""
    canvas = np.ascontiguousarray(image).copy()
    boxes = as_boxes(xyxy)
    margin = 0.15 * (boxes[:, 2:] - boxes[:, :2])
    boxes = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
    for x_min, y_min, x_max, y_max in (
        clip_boxes(boxes, canvas.shape[1::-1]).round().astype(int).tolist()
    ):
        if x_max > x_min and y_max > y_min:
            face = cv2.resize(
                canvas[y_min:y_max, x_min:x_max], (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA
            )
            size = (x_max - x_min, y_max - y_min)
            canvas[y_min:y_max, x_min:x_max] = cv2.resize(
                face, size, interpolation=cv2.INTER_NEAREST
            )
    return canvas


def _measure_text(text: str, size: int) -> int:
    """Its width in pixels."""
    return cv2.getTextSize((0, 0), text, (0, 0), _font(), size, TEXT_WEIGHT)[2]


def draw_status(image: np.ndarray, text: str) -> np.ndarray:
    """A copy of an image with a line of text in its upper left corner, or with more where one is too long for it."""
    canvas = np.ascontiguousarray(image).copy()
    height, width = canvas.shape[:2]
    size = max(MIN_TEXT, round(min(width, height) * TEXT_SHARE))
    lines = [""]
    for part in text.replace(", ", ",\n").split("\n"):
        longer = f"{lines[-1]} {part}".strip()
        lines[-1:] = (
            [longer]
            if not lines[-1] or _measure_text(longer, size) + size <= width
            else [lines[-1], part]
        )
    step = round(1.4 * size)
    band = canvas[
        : step * len(lines) + size // 4, : max(_measure_text(line, size) for line in lines) + size
    ]
    band[:] = band // 3  # dark, and still transparent
    for row, line in enumerate(lines):
        origin = (size // 2, step * row + round(1.15 * size))
        cv2.putText(canvas, line, origin, (255, 255, 255), _font(), size, TEXT_WEIGHT)
    return canvas


def _name_faces(detections: Detections) -> tuple[list[str], np.ndarray]:
    """Each face's class and its probability; before faces are judged "face" and the detector's confidence."""
    if detections.y_prob is None:
        return ["face"] * len(detections), detections.confidence
    class_ids = decide(detections.y_prob)
    return [CLASS_NAMES[class_id] for class_id in class_ids], detections.y_prob[
        range(len(class_ids)), class_ids
    ]


def list_texts(detections: Detections, remarks: Sequence[str] | None = None) -> list[list[str]]:
    """What can be written at each face, the fullest first: with its remark, its class, its probability alone.

    Args:
        detections, remarks: as ``draw_detections`` takes them.
    """
    texts = []
    for index, (name, share) in enumerate(zip(*_name_faces(detections), strict=True)):
        percent = f"{min(99, round(100 * float(share)))} %"  # a hundred would be certainty, which nobody has
        own = [f"{name} {percent}", percent]
        if detections.track_id is not None and detections.track_id[index]:
            own = [f"{detections.track_id[index]}: {text}" for text in own]
        if remarks is not None and remarks[index]:
            own = [f"{text}, {remarks[index]}" for text in own] + own
        texts.append(own)
    return texts


def draw_detections(
    image: np.ndarray, detections: Detections, remarks: Sequence[str] | None = None
) -> np.ndarray:
    """A copy of an image with a box and a caption such as "with_mask 97 %" for each face, in its class's colour.

    Lines and letters grow with the image. A caption never leaves it and covers no other face and no other caption:
    where the class has no room it is the probability alone, and where that has none, the colour says enough.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is.
        detections: with ``y_prob``; without, boxes are drawn with the detector's confidence. Where they have a
            ``track_id`` above 0, a caption begins with it: "3: with_mask 97 %".
        remarks: more words for each face's caption, where it has room.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    resolution_wh = canvas.shape[1::-1]
    boxes = clip_boxes(detections.xyxy, resolution_wh).round().astype(int)
    colors = [CLASS_COLORS.get(name, FACE_COLOR) for name in _name_faces(detections)[0]]
    texts = list_texts(detections, remarks)
    line = max(2, round(min(resolution_wh) / 200))
    order = np.argsort(-detections.confidence, kind="stable")
    for index in order[::-1]:  # the most confident lies on top
        x_min, y_min, x_max, y_max = boxes[index].tolist()
        width = max(
            1, min(line, min(x_max - x_min, y_max - y_min) // 8)
        )  # a small face stays visible
        inside = np.s_[y_min + width : y_max - width, x_min + width : x_max - width]
        face = canvas[inside].copy()
        canvas[y_min:y_max, x_min:x_max] = colors[index]
        canvas[inside] = face
    written: list[tuple] = []
    for index in order:  # the most confident has the first choice
        captions = _list_captions(boxes[index].tolist(), texts[index], resolution_wh)
        others = np.delete(boxes, index, axis=0)
        taken = np.concatenate([others, as_boxes(written)])
        free = ~(box_iou([xyxy for *_, xyxy in captions], taken) > 0).any(axis=1)
        if not free.any():
            continue
        text, size, origin, xyxy = captions[int(free.argmax())]
        canvas[xyxy[1] : xyxy[3], xyxy[0] : xyxy[2]] = colors[index]
        cv2.putText(canvas, text, origin, TEXT_COLOR, _font(), size, TEXT_WEIGHT)
        written.append(xyxy)
    return canvas
