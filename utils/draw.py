"""Draw boxes and captions on images, and blur faces. All functions draw on a copy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from utils.boxes import Detections, as_boxes, box_area, box_iou, clip_boxes
from utils.classes import CLASS_COLORS, CLASS_NAMES, decide

TEXT_COLOR = (0, 0, 0)  # RGB; unlike white, black has enough contrast to all class colours
FACE_COLOR = (86, 180, 233)  # RGB, of faces that are not classified
STATUS_COLOR = (255, 255, 255)  # RGB
TEXT_SHARE = 1 / 30  # height of letters, as a share of the image's shorter side
MIN_TEXT = 11  # pixels, the least height of letters
TEXT_WEIGHT = 500  # of the font: 400 is regular, 700 bold
LINE_SHARE = 1 / 200  # width of a box's line, as a share of the image's shorter side
MIN_LINE = 2  # pixels, the least width of a box's line
# The side of a blurred face in flat squares. 6 x 6 is too little to recognise a face.
BLUR_BLOCKS = 6
BLUR_MARGIN = 0.15  # margin that is blurred too, as a share of the face's width and height


class Caption(NamedTuple):
    """A text and a place for it.

    Attributes:
        text: the text.
        size: height of the letters in pixels.
        origin: (x, y) in pixels, the left end of the baseline.
        xyxy: (x_min, y_min, x_max, y_max) in pixels, the background of the text.
    """

    text: str
    size: int
    origin: tuple[int, int]
    xyxy: tuple[int, int, int, int]


_font_lock = Lock()  # a font keeps its size, so threads must not use it at the same time


@cache
def _font() -> cv2.FontFace:
    """Return the font of all texts, loaded once."""
    return cv2.FontFace("sans")


def _text_bounds(text: str, size: int) -> tuple[int, int, int]:
    """Return the top (relative to the baseline), width and height of a text in pixels."""
    with _font_lock:
        _, top, width, height = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, TEXT_WEIGHT)
    return top, width, height


def _put_text(
    canvas: np.ndarray, text: str, origin: tuple[int, int], color: Sequence[int], size: int
) -> None:
    """Draw a text; ``origin`` is the left end of its baseline."""
    with _font_lock:
        cv2.putText(canvas, text, origin, color, _font(), size, TEXT_WEIGHT)


def _text_size(image: np.ndarray) -> int:
    """Return the height of letters for an image in pixels."""
    return max(MIN_TEXT, round(min(image.shape[:2]) * TEXT_SHARE))


def draw_detections(
    image: np.ndarray, detections: Detections, remarks: Sequence[str] | None = None
) -> np.ndarray:
    """Draw a box in the colour of its class and a caption such as "with_mask 97 %" for each face.

    The caption of an unsure face ends with "?": "with_mask 62 %?". Lines and letters grow with the
    image. A caption stays inside the image and covers no other face or caption. If there is no room
    for both, it is the class alone, or else it is left out.

    Args:
        image: (H, W, 3) uint8 RGB; it is not changed.
        detections: the faces. Without ``y_prob``, captions show the detector's confidence. With a
            ``track_id`` above 0, the caption begins with it: "3: with_mask 97 %".
        remarks: one more text for each face, shown at the end of its caption if there is room.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    names, _ = _label_faces(detections)
    most_confident_first = np.argsort(-detections.confidence, kind="stable")
    texts = list_texts(detections, remarks)
    return _draw_faces(image, detections.xyxy, names, texts, most_confident_first)


def draw_labels(
    image: np.ndarray, xyxy: ArrayLike, class_names: Sequence[str], captions: bool = True
) -> np.ndarray:
    """Draw a box in the colour of its class and the class, without a percentage, for each label.

    Args:
        image: (H, W, 3) uint8 RGB; it is not changed.
        xyxy: (N, 4) labelled boxes.
        class_names: N names. One that is no class, such as "face", has the colour of faces that are
            not classified.
        captions: whether to write the classes. Without them, only colours show the class, and
            nothing covers a small image.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    texts = [[name] if captions else [] for name in class_names]
    largest_first = np.argsort(-box_area(xyxy), kind="stable")
    return _draw_faces(image, as_boxes(xyxy), class_names, texts, largest_first)


def _draw_faces(
    image: np.ndarray,
    xyxy: np.ndarray,
    class_names: Sequence[str],
    texts: list[list[str]],
    order: np.ndarray,
) -> np.ndarray:
    """Draw boxes and captions on a copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        xyxy: (N, 4) boxes.
        class_names: N names; they decide the colours.
        texts: the possible captions of each face, the best first.
        order: (N,) positions: the first is drawn on top and chooses the place of its caption first.
    """
    canvas = np.ascontiguousarray(image).copy()
    boxes = clip_boxes(xyxy, (canvas.shape[1], canvas.shape[0])).round().astype(int)
    colors = [CLASS_COLORS.get(name, FACE_COLOR) for name in class_names]
    for index in order[::-1]:
        _draw_box(canvas, boxes[index].tolist(), colors[index])

    taken: list[tuple[int, int, int, int]] = []
    for index in order:
        captions = _list_captions(boxes[index].tolist(), texts[index], canvas)
        other_faces = np.delete(boxes, index, axis=0)
        caption = _choose_caption(captions, np.concatenate([other_faces, as_boxes(taken)]))
        if caption is None:
            continue
        x_min, y_min, x_max, y_max = caption.xyxy
        canvas[y_min:y_max, x_min:x_max] = colors[index]
        _put_text(canvas, caption.text, caption.origin, TEXT_COLOR, caption.size)
        taken.append(caption.xyxy)
    return canvas


def _draw_box(canvas: np.ndarray, box: list[int], color: tuple[int, int, int]) -> None:
    """Draw the outline of a box, inside it, on the canvas itself."""
    x_min, y_min, x_max, y_max = box
    line = max(MIN_LINE, round(min(canvas.shape[:2]) * LINE_SHARE))
    # At most an eighth of the face, so that a small one stays visible.
    line = max(1, min(line, min(x_max - x_min, y_max - y_min) // 8))
    inside = np.s_[y_min + line : y_max - line, x_min + line : x_max - line]
    face = canvas[inside].copy()
    canvas[y_min:y_max, x_min:x_max] = color
    canvas[inside] = face


def _list_captions(box: list[int], texts: list[str], canvas: np.ndarray) -> list[Caption]:
    """Return the captions of a face that fit into the image, the best first.

    A caption is above the box, below it, or inside a tall one. Letters are of the usual size or of
    the smallest.
    """
    height, width = canvas.shape[:2]
    x_min, y_min, _, y_max = box
    captions = []
    for text in texts:
        for size in (_text_size(canvas), MIN_TEXT):
            top, text_width, text_height = _text_bounds(text, size)
            margin = size // 4
            caption_width = text_width + 2 * margin
            caption_height = text_height + margin
            x = min(x_min, width - caption_width)
            rows = [y_min - caption_height, y_max]
            if y_max - y_min > 4 * caption_height:
                rows.append(y_min)
            for y in rows:
                if x < 0 or y < 0 or y + caption_height > height:
                    continue
                origin = (x + margin, y + margin // 2 - top)
                xyxy = (x, y, x + caption_width, y + caption_height)
                captions.append(Caption(text, size, origin, xyxy))
    return captions


def _choose_caption(captions: list[Caption], taken: np.ndarray) -> Caption | None:
    """Return the first caption that overlaps none of the taken boxes (M, 4), or None."""
    boxes = as_boxes([caption.xyxy for caption in captions])
    is_free = ~(box_iou(boxes, taken) > 0).any(axis=1)
    if not is_free.any():
        return None
    return captions[int(is_free.argmax())]


def _label_faces(detections: Detections) -> tuple[list[str], np.ndarray]:
    """Return the class name of each face and its probability (N,).

    If faces are not classified, they are "face" and the detector's confidence.
    """
    if detections.y_prob is None:
        return ["face"] * len(detections), detections.confidence
    class_ids = decide(detections.y_prob)
    names = [CLASS_NAMES[class_id] for class_id in class_ids]
    return names, detections.y_prob[np.arange(len(class_ids)), class_ids]


def list_texts(detections: Detections, remarks: Sequence[str] | None = None) -> list[list[str]]:
    """Return the possible captions of each face, the longest first.

    Args:
        detections: as for ``draw_detections``.
        remarks: as for ``draw_detections``.

    Returns:
        For each face: class and probability, then the class alone. With a remark, both come with
        the remark first.
    """
    names, shares = _label_faces(detections)
    texts = []
    for index, (name, share) in enumerate(zip(names, shares, strict=True)):
        percent = f"{min(99, round(100 * float(share)))} %"  # never 100 %: no model is certain
        own = [f"{name} {percent}", name]
        if detections.is_unsure is not None and detections.is_unsure[index]:
            own = [f"{text}?" for text in own]
        if detections.track_id is not None and detections.track_id[index]:
            own = [f"{detections.track_id[index]}: {text}" for text in own]
        if remarks is not None and remarks[index]:
            own = [f"{text}, {remarks[index]}" for text in own] + own
        texts.append(own)
    return texts


def blur_faces(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """Return a copy of an image in which faces are reduced to a few flat squares.

    Args:
        image: (H, W, 3) uint8 RGB.
        xyxy: (N, 4) boxes of the faces. A margin around each is blurred too.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    boxes = as_boxes(xyxy)
    margin = BLUR_MARGIN * (boxes[:, 2:] - boxes[:, :2])
    boxes = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
    boxes = clip_boxes(boxes, (canvas.shape[1], canvas.shape[0])).round().astype(int)
    for x_min, y_min, x_max, y_max in boxes.tolist():
        if x_max <= x_min or y_max <= y_min:
            continue
        face = canvas[y_min:y_max, x_min:x_max]
        blocks = cv2.resize(face, (BLUR_BLOCKS, BLUR_BLOCKS), interpolation=cv2.INTER_AREA)
        face_wh = (x_max - x_min, y_max - y_min)
        face[:] = cv2.resize(blocks, face_wh, interpolation=cv2.INTER_NEAREST)
    return canvas


def draw_status(image: np.ndarray, text: str) -> np.ndarray:
    """Write a status text into the upper left corner of a copy of an image.

    A text that is too long for the image is broken into lines at its commas.

    Args:
        image: (H, W, 3) uint8 RGB.
        text: parts with ", " between them.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    size = _text_size(canvas)
    lines = _break_lines(text, size, canvas.shape[1] - size)
    step = round(1.4 * size)
    longest = max(_text_bounds(line, size)[1] for line in lines)
    band = canvas[: step * len(lines) + size // 4, : longest + size]
    band[:] = band // 3  # darker, but the image still shows through
    for row, line in enumerate(lines):
        origin = (size // 2, step * row + round(1.15 * size))
        _put_text(canvas, line, origin, STATUS_COLOR, size)
    return canvas


def _break_lines(text: str, size: int, width: int) -> list[str]:
    """Break a text at its commas into lines that are at most ``width`` pixels, if possible."""
    first, *rest = text.replace(", ", ",\n").split("\n")
    lines = [first]
    for part in rest:
        longer = f"{lines[-1]} {part}"
        if _text_bounds(longer, size)[1] <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
