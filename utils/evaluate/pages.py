"""Test pages without people, drawn in other ways than those of training.

They show text, tables, plots, patterns and screenshots.

The training pictures of ``train.render_page`` use font files. These pages use letters that are in
no font file: OpenCV's strokes (Hershey, 1967) and the font inside Pillow. Their plots are drawn by
Matplotlib, whose default font, DejaVu Sans, is among those of training.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-()%&?"
HERSHEY_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
TABLE = "table"
PATTERN = "pattern"
SCREENSHOT = "screenshot"
KINDS = ("strokes", "print", "plot", TABLE, PATTERN, SCREENSHOT)
SIDES = (320, 720)  # pixels: least and greatest side of a page; the greatest is excluded
LETTER_SIZES = (10, 120)  # pixels: least and greatest font size
HERSHEY_HEIGHT = 30  # pixels: height of a line of Hershey letters at scale 1


def draw_test_page(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Return a page without people, (H, W, 3) uint8 RGB.

    Args:
        rng: source of the random numbers.
        kind: one of ``KINDS``.
    """
    width, height = rng.integers(*SIDES, 2).tolist()
    if kind == "strokes":
        return _draw_strokes(rng, width, height)
    if kind == "print":
        return _draw_print(rng, width, height)
    if kind == TABLE:
        return _draw_table(rng, width, height)
    if kind == PATTERN:
        return _draw_pattern(rng, width, height)
    if kind == SCREENSHOT:
        return _draw_screenshot(rng, width, height)
    return _draw_plot(rng, width, height)


def draw_test_pages(count: int, seed: int = 0, kinds: Sequence[str] = KINDS) -> list[np.ndarray]:
    """Return pages without people, the kinds in turn; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [draw_test_page(rng, kinds[number % len(kinds)]) for number in range(count)]


def _draw_colours(
    rng: np.random.Generator,
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the colours of paper and ink, which differ in brightness."""
    paper = rng.integers(150, 256, 3).tolist()
    ink = rng.integers(0, 100, 3).tolist()
    if rng.random() < 0.3:
        paper, ink = ink, paper
    return tuple(paper), tuple(ink)


def _draw_line(rng: np.random.Generator, letters: int) -> str:
    """Return random letters, with a space after each word."""
    words = []
    while letters > 0:
        length = min(letters, int(rng.integers(1, 11)))
        chosen = rng.integers(0, len(LETTERS), length).tolist()
        words.append("".join(LETTERS[number] for number in chosen))
        letters -= length + 1
    return " ".join(words)


def _draw_letter_size(rng: np.random.Generator) -> int:
    """Return a font size, pixels; all scales are equally likely."""
    low, high = np.log(LETTER_SIZES)
    return int(np.exp(rng.uniform(low, high)))


def _draw_strokes(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a page of OpenCV's letters."""
    paper, ink = _draw_colours(rng)
    page = np.full((height, width, 3), paper, np.uint8)
    font = HERSHEY_FONTS[int(rng.integers(len(HERSHEY_FONTS)))]
    letter = _draw_letter_size(rng)
    thickness = max(1, round(letter * float(rng.uniform(0.03, 0.15))))
    for y in range(letter, height + letter, round(1.4 * letter)):
        line = _draw_line(rng, letters=max(1, round(1.7 * width / letter)))
        scale = letter / HERSHEY_HEIGHT
        cv2.putText(page, line, (4, y), font, scale, ink, thickness, cv2.LINE_AA)
    return page


def _draw_print(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a page of Pillow's own letters, half of them in the cells of a table."""
    paper, ink = _draw_colours(rng)
    page = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(page)
    letter = _draw_letter_size(rng)
    font = ImageFont.load_default(letter)
    line_height = round(1.4 * letter)
    has_rules = rng.random() < 0.5
    for y in range(0, height, line_height):
        line = _draw_line(rng, letters=max(1, round(2 * width / letter)))
        pen.text((4, y), line, fill=ink, font=font)
        if has_rules:
            pen.line([(0, y), (width, y)], fill=ink)
    return np.asarray(page)


def _draw_plot(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a page with a plot by Matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    rows = int(rng.integers(1, 3))
    for number in range(1, rows + 1):
        ax = figure.add_subplot(rows, 1, number)
        values = rng.normal(0, 1, (3, 24)).cumsum(axis=1)
        form = ("lines", "bars", "points", "image")[int(rng.integers(4))]
        if form == "lines":
            ax.plot(values.T, label=["first", "second", "third"])
            ax.legend()
        elif form == "bars":
            ax.bar(range(24), values[0], color=rng.uniform(0, 1, 3))
        elif form == "points":
            ax.scatter(values[0], values[1], s=rng.uniform(5, 300, 24), alpha=0.6)
        else:
            ax.imshow(rng.uniform(0, 1, (8, 8)), cmap="viridis")
        ax.set_title(_draw_line(rng, letters=14).replace("$", ""))
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _draw_table(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a page with a table: ruled cells with a word or a number in each, a coloured head."""
    paper, ink = _draw_colours(rng)
    page = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(page)
    letter = int(rng.integers(10, 29))
    font = ImageFont.load_default(letter)
    row_height = round(1.6 * letter)
    column_width = int(rng.integers(4 * letter, 10 * letter))
    head = tuple(rng.integers(0, 256, 3).tolist())
    pen.rectangle([(0, 0), (width, row_height)], fill=head)
    for y in range(0, height, row_height):
        pen.line([(0, y), (width, y)], fill=ink)
        for x in range(0, width, column_width):
            is_number = rng.random() < 0.6
            text = f"{rng.normal(0, 100):.2f}" if is_number else _draw_line(rng, letters=6)
            pen.text((x + 4, y + 2), text, fill=ink, font=font)
    for x in range(0, width, column_width):
        pen.line([(x, 0), (x, height)], fill=ink)
    return np.asarray(page)


def _draw_pattern(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a page of one repeated form: stripes, checks, dots, waves or noise."""
    paper, ink = _draw_colours(rng)
    step = int(rng.integers(6, 80))
    y, x = np.mgrid[:height, :width]
    form = ("stripes", "checks", "dots", "waves", "noise")[int(rng.integers(5))]
    if form == "stripes":
        angle = rng.uniform(0, np.pi)
        is_ink = (np.cos(angle) * x + np.sin(angle) * y) % step < step / 2
    elif form == "checks":
        is_ink = (x // step + y // step) % 2 == 0
    elif form == "dots":
        is_ink = np.hypot(x % step - step / 2, y % step - step / 2) < step / 3
    elif form == "waves":
        is_ink = np.sin(2 * np.pi * (y / step + np.sin(2 * np.pi * x / (3 * step)))) > 0
    else:
        coarse = rng.random((height // step + 2, width // step + 2)).astype(np.float32)
        is_ink = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) > 0.5
    return np.where(is_ink[..., None], ink, paper).astype(np.uint8)


def _draw_screenshot(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return a page like a window: a title bar, a list at the side, buttons, text and icons."""
    paper, ink = _draw_colours(rng)
    page = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(page)
    letter = int(rng.integers(10, 19))
    font = ImageFont.load_default(letter)
    bar = 2 * letter
    side = int(rng.integers(width // 5, width // 3))
    accent = tuple(rng.integers(0, 256, 3).tolist())
    pen.rectangle([(0, 0), (width, bar)], fill=accent)
    pen.text((6, letter // 2), _draw_line(rng, letters=16), fill=paper, font=font)
    for number in range(3):
        x = width - (number + 1) * bar
        pen.ellipse([(x, bar // 4), (x + bar // 2, 3 * bar // 4)], fill=paper)
    pen.line([(side, bar), (side, height)], fill=ink)
    for y in range(2 * bar, height, bar):
        if rng.random() < 0.7:
            pen.rounded_rectangle([(6, y), (6 + letter, y + letter)], radius=3, fill=accent)
        pen.text((12 + letter, y), _draw_line(rng, letters=8), fill=ink, font=font)
        if rng.random() < 0.6:
            letters = max(1, 2 * (width - side) // letter)
            pen.text((side + 8, y), _draw_line(rng, letters), fill=ink, font=font)
        else:
            right = side + 8 + int(rng.integers(3 * letter, 9 * letter))
            corners = [(side + 8, y), (right, y + round(1.4 * letter))]
            pen.rounded_rectangle(corners, radius=letter // 2, outline=ink, fill=accent)
    return np.asarray(page)
