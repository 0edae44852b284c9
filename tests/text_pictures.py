"""Drawn pictures without people: pages of text, a table, a chart and patterns.

Letters are hard for a face detector that was trained on people alone: it takes some of them for
faces. Notebook 03 looks for such mistakes. The fonts are those that matplotlib brings along.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
TEXT = (
    "A face mask covers nose and mouth. It should sit close to the skin, without gaps at the "
    "sides. Change it when it is damp, and wash your hands before and after. A mask that hangs "
    "below the nose protects nobody. Keep your distance where many people meet, and open a window "
    "when you can. Masks of cloth are washed warm and dried well. Children learn by example."
)
LINE_HEIGHT = 1.35  # in font sizes


@dataclass(frozen=True)
class Page:
    """How a page of text looks: font, its size in pixels, colours, and the picture's size."""

    font: str
    size: int
    paper: str = "white"
    ink: str = "black"
    resolution_wh: tuple[int, int] = (640, 480)


PAGES = {
    "text_bold_large": Page("DejaVuSans-Bold.ttf", 44),
    "text_bold_small": Page("DejaVuSans-Bold.ttf", 28, resolution_wh=(400, 520)),
    "text_bold_serif": Page("DejaVuSerif-Bold.ttf", 44, resolution_wh=(400, 520)),
    "text_white_on_black": Page("DejaVuSerif.ttf", 44, "#222222", "#eeeeee"),
    "text_old_paper": Page("DejaVuSans-Bold.ttf", 44, "#f4e6c8", "#402010"),
    "text_typewriter": Page("DejaVuSansMono.ttf", 28, resolution_wh=(400, 520)),
    "text_plain": Page("DejaVuSans.ttf", 18, resolution_wh=(400, 520)),
    "text_printed": Page("cmr10.ttf", 18, resolution_wh=(400, 520)),
}


def draw_page(page: Page) -> np.ndarray:
    """Return a page filled with text: (H, W, 3) uint8."""
    width, height = page.resolution_wh
    image = Image.new("RGB", page.resolution_wh, page.paper)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FONTS / page.font), page.size)
    words = cycle(TEXT.split())
    word = next(words)
    y = page.size
    while y < height - LINE_HEIGHT * page.size:
        line = word
        word = next(words)
        while draw.textlength(f"{line} {word}", font=font) < width - 2 * page.size:
            line = f"{line} {word}"
            word = next(words)
        draw.text((page.size, y), line, font=font, fill=page.ink)
        y += round(LINE_HEIGHT * page.size)
    return np.array(image)


def draw_table() -> np.ndarray:
    """Return a table of numbers with rules: (480, 640, 3) uint8."""
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FONTS / "DejaVuSans-Bold.ttf"), 26)
    rows = [["day", "masks", "none", "all"]]
    for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        masks, none = rng.integers(10, 1000, 2).tolist()
        rows.append([day, str(masks), str(none), str(masks + none)])
    for number, row in enumerate(rows):
        y = 28 + 54 * number
        draw.line([(30, y + 42), (610, y + 42)], fill="#777777", width=2)
        for column, text in enumerate(row):
            draw.text((40 + 150 * column, y), text, font=font, fill="black")
    return np.array(image)


def draw_chart() -> np.ndarray:
    """Return a bar chart with its labels: (480, 640, 3) uint8."""
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 20)
    draw.text((180, 20), "Masks sold in a week", font=font, fill="black")
    for number, value in enumerate((120, 260, 180, 330, 90, 300, 210)):
        x = 70 + 78 * number
        draw.rectangle([x, 420 - value, x + 50, 420], fill="#4878a8")
        draw.text((x + 8, 392 - value), str(value), font=font, fill="black")
        draw.text((x + 16, 428), "MTWTFSS"[number], font=font, fill="black")
    draw.line([(50, 420), (610, 420)], fill="black", width=2)
    return np.array(image)


def draw_smileys() -> np.ndarray:
    """Return rows of drawn smileys: (480, 640, 3)."""
    image = np.full((480, 640, 3), (196, 205, 190), np.uint8)
    for y in range(60, 480, 120):
        for x in range(64, 640, 128):
            cv2.circle(image, (x, y), 46, (232, 196, 160), -1, cv2.LINE_AA)
            cv2.circle(image, (x - 17, y - 10), 6, (60, 45, 40), -1, cv2.LINE_AA)
            cv2.circle(image, (x + 17, y - 10), 6, (60, 45, 40), -1, cv2.LINE_AA)
            cv2.ellipse(image, (x, y + 20), (14, 5), 0, 0, 360, (150, 70, 60), -1, cv2.LINE_AA)
    return image


def draw_waves() -> np.ndarray:
    """Return a pattern of crossing waves: (480, 640, 3) uint8."""
    rows, columns = np.mgrid[0:480, 0:640]
    first = np.sin(columns / 19) * np.sin(rows / 23)
    second = np.sin((columns + 2 * rows) / 31)
    channels = [128 + 90 * first, 128 + 90 * second, 128 + 60 * (first + second)]
    return np.clip(np.dstack(channels), 0, 255).round().astype(np.uint8)


def draw_pictures() -> dict[str, np.ndarray]:
    """Return all pictures by name."""
    pictures = {name: draw_page(page) for name, page in PAGES.items()}
    pictures["table"] = draw_table()
    pictures["chart"] = draw_chart()
    pictures["smileys"] = draw_smileys()
    pictures["waves"] = draw_waves()
    return pictures
