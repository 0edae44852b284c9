"""Test pages without people: text, tables and plots, drawn in other ways than those of training.

The training pictures of ``train.render_page`` use font files. These pages use letters that are in
no font file: OpenCV's strokes (Hershey, 1967) and the font inside Pillow. Their plots are drawn by
Matplotlib, whose default font, DejaVu Sans, is among those of training.
"""

from __future__ import annotations

import io

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
KINDS = ("strokes", "print", "plot")
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
    return _draw_plot(rng, width, height)


def draw_test_pages(count: int, seed: int = 0) -> list[np.ndarray]:
    """Return pages without people, the kinds in turn; the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [draw_test_page(rng, KINDS[number % len(KINDS)]) for number in range(count)]


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
