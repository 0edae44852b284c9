"""Training views without a face: rendered pages, and parts of pictures without people.

A detector that never sees such pictures takes letters, twigs and shells for faces. Pages of text,
tables, charts, patterns and screenshots are drawn here, so no picture of them has to be collected.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.boxes import as_boxes
from utils.train.data.views import Photograph, render_view

# Shares of the kinds of rendered pictures.
PAGE_SHARES = {"text": 0.5, "chart": 0.15, "table": 0.15, "pattern": 0.1, "screenshot": 0.1}
COLOURED_SHARE = 0.5  # of the pictures whose paper, and of those whose ink, has a random colour
SHADED_SHARE = 0.3  # of the pictures with a smooth blend of colours behind the text
SMALLEST_LETTER = 6  # pixels: the smallest font size
LARGEST_LETTER = 0.6  # the largest font size, as a share of the picture's side
# Of the negatives that are drawn: rendered pages, and parts around a mined false face. The rest are
# parts of pictures without people. A part is missing if there are no pictures for it.
RENDERED_SHARE = 0.45
MINED_SHARE = 0.27
SPOT_SHIFT = 0.35  # greatest distance of a mined face from the middle of its view, in view sides
# Letters of many shapes; the fonts that matplotlib brings have all of these.
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    "0123456789.,%+-=()",
    "abcdefghijklmnopqrstuvwxyzäöüéèñçßøå",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "!?&@#*/:;()[]{}<>",
)
# Fonts whose characters are no letters, or of which most characters are missing.
SYMBOL_FONTS = ("symbol", "sizes", "emoji", "cmex", "cmsy", "dingbat", "stixnonuni", "awesome")

Draw = Callable[["_Page"], None]


def find_fonts() -> list[str]:
    """Return the font files to draw with: those of matplotlib, then those that fontconfig finds."""
    own = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf"))
    files = [str(path) for path in own] + _list_system_fonts()
    return [file for file in files if not _has_symbols_only(file)]


def _list_system_fonts() -> list[str]:
    """Return the font files that fontconfig knows, sorted; none without fontconfig."""
    try:
        listed = subprocess.run(
            ["fc-list", "--format", "%{file}\n"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    files = set(listed.stdout.splitlines())
    return sorted(file for file in files if file.lower().endswith((".ttf", ".otf")))


def _has_symbols_only(file: str) -> bool:
    """Return whether a font has no usual letters, judged by its name."""
    name = Path(file).name.lower()
    return any(word in name for word in SYMBOL_FONTS)


class _Page:
    """A picture that is being drawn, with its colours and its source of random numbers."""

    def __init__(self, rng: np.random.Generator, size: int, fonts: Sequence[str]) -> None:
        self.rng = rng
        self.size = size
        self.fonts = fonts
        paper = self._draw_paper()
        self.ink = self.draw_colour() if rng.random() < COLOURED_SHARE else (0, 0, 0)
        self.image = Image.new("RGB", (size, size), paper)
        if rng.random() < SHADED_SHARE:
            self._shade()
        self.pen = ImageDraw.Draw(self.image)

    def draw_colour(self) -> tuple[int, int, int]:
        """Return a random colour."""
        red, green, blue = self.rng.integers(0, 256, 3).tolist()
        return red, green, blue

    def _draw_paper(self) -> tuple[int, int, int]:
        """Return the colour of the paper: any, white, or a light grey."""
        if self.rng.random() < COLOURED_SHARE:
            return self.draw_colour()
        grey = 255
        if self.rng.random() < 0.3:
            grey = int(self.rng.integers(200, 256))
        return grey, grey, grey

    def _shade(self) -> None:
        """Blend the paper with a smooth mixture of colours, as light on a photographed page."""
        rows, columns = self.rng.integers(2, 8, 2).tolist()
        coarse = self.rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize(self.image.size, Image.Resampling.BICUBIC)
        self.image = Image.blend(self.image, smooth, float(self.rng.uniform(0.1, 0.9)))

    def write(self, x: float, y: float, width: float, height: float, letter: int) -> None:
        """Fill a rectangle with lines of text in one font.

        Args:
            x, y: left and top, pixels.
            width, height: of the rectangle, pixels.
            letter: font size, pixels.
        """
        font = self._draw_font(letter)
        alphabet = ALPHABETS[int(self.rng.integers(len(ALPHABETS)))]
        line_height = letter * float(self.rng.uniform(1.0, 1.8))
        letters = max(1, round(width / (0.55 * letter)))
        line_y = y
        while line_y < min(y + height, self.size):
            line = self._draw_line(alphabet, letters)
            self.pen.text((x, line_y), line, fill=self.ink, font=font)
            line_y += line_height

    def _draw_font(self, letter: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Return a random font in a size in pixels; Pillow's own if the file cannot be used."""
        file = self.fonts[int(self.rng.integers(len(self.fonts)))]
        try:
            return ImageFont.truetype(file, letter)
        except OSError:
            return ImageFont.load_default(letter)

    def _draw_line(self, alphabet: str, letters: int) -> str:
        """Return a line of random words with the given number of letters and spaces."""
        chosen = self.rng.integers(0, len(alphabet), letters)
        line = [alphabet[number] for number in chosen.tolist()]
        position = int(self.rng.integers(1, 10))
        while position < letters:
            line[position] = " "
            position += int(self.rng.integers(2, 11))
        text = "".join(line)
        return text.title() if self.rng.random() < 0.3 else text


def _draw_text(page: _Page) -> None:
    """Draw one to three blocks of text, each in its own size."""
    rng = page.rng
    for _ in range(int(rng.integers(1, 4))):
        largest = max(SMALLEST_LETTER + 1, LARGEST_LETTER * page.size)
        letter = int(np.exp(rng.uniform(np.log(SMALLEST_LETTER), np.log(largest))))
        x, y = rng.uniform(-0.1, 0.6, 2) * page.size
        width = rng.uniform(0.3, 1.1) * page.size
        height = rng.uniform(0.2, 1.1) * page.size
        page.write(x, y, width, height, letter)


def _draw_chart(page: _Page) -> None:
    """Draw bars, up to two lines over them, and a title."""
    rng = page.rng
    size = page.size
    bars = int(rng.integers(2, 14))
    step = size / bars
    for number in range(bars):
        height = float(rng.uniform(0.05, 0.9)) * size
        colour = page.draw_colour() if rng.random() < 0.5 else page.ink
        x = number * step
        page.pen.rectangle([x, size - height, x + 0.8 * step, size], fill=colour)
    for _ in range(int(rng.integers(0, 3))):
        heights = rng.uniform(0, size, 21).tolist()
        points = [(number * size / 20, height) for number, height in enumerate(heights)]
        page.pen.line(points, fill=page.draw_colour(), width=int(rng.integers(1, 5)))
    page.write(0, 0, size, 0.2 * size, letter=int(rng.integers(8, 24)))


def _draw_table(page: _Page) -> None:
    """Draw a table with rules and text in most cells."""
    rng = page.rng
    size = page.size
    rows = int(rng.integers(3, 16))
    columns = int(rng.integers(2, 8))
    row_height = size / rows
    column_width = size / columns
    letter = max(SMALLEST_LETTER, int(0.6 * row_height))
    for row in range(rows):
        page.pen.line([(0, row * row_height), (size, row * row_height)], fill=page.ink)
    for column in range(columns):
        page.pen.line([(column * column_width, 0), (column * column_width, size)], fill=page.ink)
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.8:
                x = column * column_width + 2
                page.write(x, row * row_height + 1, column_width, 1, letter)


def _draw_pattern(page: _Page) -> None:
    """Draw rows of equal dots, squares or rings."""
    rng = page.rng
    count = int(rng.integers(2, 24))
    step = page.size / count
    side = float(rng.uniform(0.2, 0.9)) * step
    shape = ("dot", "square", "ring")[int(rng.integers(3))]
    for row in range(count):
        for column in range(count):
            x = column * step
            y = row * step
            box = [x, y, x + side, y + side]
            colour = page.ink if rng.random() < 0.8 else page.draw_colour()
            if shape == "dot":
                page.pen.ellipse(box, fill=colour)
            elif shape == "square":
                page.pen.rectangle(box, fill=colour)
            else:
                page.pen.ellipse(box, outline=colour, width=max(1, int(side / 6)))


def _draw_screenshot(page: _Page) -> None:
    """Draw boxes, discs, lines and text of all sizes over each other, as on a screen."""
    rng = page.rng
    for _ in range(int(rng.integers(3, 40))):
        x, y = (rng.uniform(-0.1, 1, 2) * page.size).tolist()
        width, height = np.exp(rng.uniform(np.log(4), np.log(page.size), 2)).tolist()
        box = [x, y, x + width, y + height]
        colour = page.draw_colour()
        shape = ("box", "disc", "line", "text")[int(rng.integers(4))]
        if shape == "box":
            page.pen.rectangle(box, fill=colour)
        elif shape == "disc":
            page.pen.ellipse(box, fill=colour)
        elif shape == "line":
            page.pen.line(box, fill=colour, width=int(rng.integers(1, 12)))
        else:
            page.write(x, y, width, height, letter=int(rng.integers(6, 60)))


_DRAW: dict[str, Draw] = {
    "text": _draw_text,
    "chart": _draw_chart,
    "table": _draw_table,
    "pattern": _draw_pattern,
    "screenshot": _draw_screenshot,
}


def render_page(
    rng: np.random.Generator, size: int, fonts: Sequence[str], kind: str | None = None
) -> np.ndarray:
    """Return a drawn picture without people, (S, S, 3) uint8.

    The same random numbers and fonts give the same picture.

    Args:
        rng: source of the random numbers.
        size: S, pixels.
        fonts: font files, from ``find_fonts``.
        kind: one of ``PAGE_SHARES``; by default each comes with its share.
    """
    if kind is None:
        kind = str(rng.choice(list(PAGE_SHARES), p=list(PAGE_SHARES.values())))
    page = _Page(rng, size, fonts)
    _DRAW[kind](page)
    return np.asarray(page.image)


def without_faces(image: np.ndarray) -> Photograph:
    """Return an image as a training photograph that shows no face."""
    no_class = np.zeros(0, np.int64)
    return Photograph(image, xyxy=as_boxes([]), class_id=no_class, ignored=as_boxes([]))


@dataclass(frozen=True)
class Negatives:
    """Draws training views without a face.

    Attributes:
        images: (H, W, 3) uint8 pictures without people.
        mined: boxes that a detector took for faces: number of the picture in ``images``, and the
            (4,) box.
        fonts: font files for rendered pages; none: no pages.
    """

    images: Sequence[np.ndarray] = ()
    mined: Sequence[tuple[int, np.ndarray]] = ()
    fonts: Sequence[str] = ()

    def __call__(self, size: int, rng: np.random.Generator) -> Photograph:
        """Return a view without a face.

        Args:
            size: side of the view, pixels.
            rng: source of the random numbers.

        Raises:
            ValueError: there are neither pictures nor fonts.
        """
        if not self.images and not self.fonts:
            raise ValueError("Views without a face need pictures without people, or fonts.")
        number = rng.random()
        if self.fonts and (number < RENDERED_SHARE or not self.images):
            return without_faces(render_page(rng, size, self.fonts))
        if self.mined and number < RENDERED_SHARE + MINED_SHARE:
            position, box = self.mined[int(rng.integers(len(self.mined)))]
            return cut_negative(self.images[position], size, rng, box)
        return cut_negative(self.images[int(rng.integers(len(self.images)))], size, rng)


def cut_negative(
    image: np.ndarray, size: int, rng: np.random.Generator, spot: np.ndarray | None = None
) -> Photograph:
    """Return a square part of a picture without people, at a random scale.

    Args:
        image: (H, W, 3) uint8.
        size: side of the view, pixels.
        rng: source of the random numbers.
        spot: (4,) box that the view shows, such as a mined false face; None for any part.
    """
    height, width = image.shape[:2]
    whole = size / max(height, width)  # the scale at which the picture just fits
    scale = np.exp(rng.uniform(np.log(0.6 * whole), np.log(max(4 * whole, 1.5))))
    scales = scale * np.exp(rng.uniform(-0.1, 0.1, 2))
    extent = size / scales
    if spot is None:
        center = rng.uniform(0, 1, 2) * [width, height]
    else:
        shift = rng.uniform(-SPOT_SHIFT, SPOT_SHIFT, 2) * np.minimum(extent, [width, height])
        center = (spot[:2] + spot[2:]) / 2 + shift
    corner = center - extent / 2
    if rng.random() < 0.8:  # most views stay inside the picture if they can
        limit = np.array([width, height]) - extent
        corner = np.clip(corner, np.minimum(0, limit), np.maximum(0, limit))
    view, _ = render_view(image, corner, scales, size)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    return without_faces(view)
