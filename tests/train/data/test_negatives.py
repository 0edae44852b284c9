"""Views without a face: rendered pages, parts of pictures, and mined false faces."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tests.conftest import draw_blocks, find_blocks
from utils.images import write_image
from utils.labels import BOX_COLUMNS
from utils.train.data.mining import load_negatives, mine_false_faces
from utils.train.data.negatives import PAGE_SHARES, Negatives, cut_negative, find_fonts, render_page

SIZE = 96


@pytest.fixture(scope="module")
def fonts():
    return find_fonts()


@pytest.mark.parametrize("kind", PAGE_SHARES)
def test_a_page_depends_on_its_seed_alone(fonts, kind):
    pages = [render_page(np.random.default_rng(seed), SIZE, fonts, kind) for seed in (0, 0, 1)]
    assert (pages[0].shape, pages[0].dtype) == ((SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(pages[0], pages[1])
    assert (pages[0] != pages[2]).any()


def test_pages_differ_in_contrast_and_letters_in_size(fonts):
    pages = [render_page(np.random.default_rng(seed), SIZE, fonts, "text") for seed in range(60)]
    contrast = [page.astype(int).max() - page.astype(int).min() for page in pages]
    assert min(contrast) < 150 and max(contrast) == 255


def test_fonts_hold_letters():
    """Matplotlib's fonts are always there; symbol fonts are left out."""
    fonts = find_fonts()
    assert any(font.startswith(matplotlib.get_data_path()) for font in fonts)
    assert not any("cmex" in font for font in fonts)
    assert len(fonts) == len(set(fonts)) > 10


def test_without_fontconfig_the_fonts_of_matplotlib_remain(monkeypatch):
    monkeypatch.setenv("PATH", "")
    fonts = find_fonts()
    assert fonts and all(font.startswith(matplotlib.get_data_path()) for font in fonts)


def test_a_view_shows_the_spot_and_holds_no_face():
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:100, 140:160] = (255, 0, 0)
    spot = np.array([140, 80, 160, 100], np.float32)
    for seed in range(60):
        view = cut_negative(image, SIZE, np.random.default_rng(seed), spot)
        assert view.image.shape == (SIZE, SIZE, 3)
        assert len(view.xyxy) == len(view.class_id) == len(view.ignored) == 0
        assert (view.image[:, :, 0] > view.image[:, :, 1]).any(), f"seed {seed}"


def test_each_kind_of_negative_comes():
    """The pictures have one colour each, and a page has others."""
    images = [np.full((40, 60, 3), colour, np.uint8) for colour in ((9, 200, 9), (9, 9, 200))]
    spots = [(1, np.array([10, 10, 20, 20], np.float32))]
    negatives = Negatives(images=images[:2], mined=spots, fonts=find_fonts())
    rng = np.random.default_rng(0)
    greens = blues = others = 0
    for _ in range(200):
        view = negatives(32, rng).image
        greens += bool((view == (9, 200, 9)).all(axis=2).any())
        blues += bool((view == (9, 9, 200)).all(axis=2).any())
        others += not ((view == (9, 200, 9)) | (view == (9, 9, 200))).all(axis=2).any()
    assert 60 < others < 120  # rendered
    assert greens > 10 and blues > greens  # the second picture is also mined


@pytest.mark.parametrize(
    "negatives", [Negatives(fonts=find_fonts()[:1]), Negatives([np.zeros((9, 9, 3), np.uint8)])]
)
def test_pages_or_pictures_are_enough(negatives):
    assert negatives(16, np.random.default_rng(0)).image.shape == (16, 16, 3)


def test_no_negatives_are_named():
    with pytest.raises(ValueError, match="need pictures without people, or fonts"):
        Negatives()(16, np.random.default_rng(0))


BLOCKS = {
    "with_mask": (10, 20, 40, 60),
    "without_mask": (100, 20, 130, 60),
    "no_face": (200, 20, 230, 60),
}


@pytest.fixture
def pictures(tmp_path):
    """Write an image of three blocks, which ``find_blocks`` takes for faces."""
    for file in ("a.png", "b.png"):
        write_image(tmp_path / file, draw_blocks(*BLOCKS.items(), resolution_wh=(260, 80)))
    return tmp_path


def table_of(*rows):
    return pd.DataFrame([[file, *box] for file, box in rows], columns=["file", *BOX_COLUMNS])


def test_boxes_near_known_faces_and_near_faces_of_the_teacher_are_not_mined(pictures):
    nothing = table_of()
    mined = mine_false_faces(["a.png"], pictures, find_blocks, nothing)
    assert sorted(map(tuple, mined[BOX_COLUMNS].to_numpy())) == sorted(BLOCKS.values())
    # A face that lies beside the first block, and one that is the second.
    known = table_of(("a.png", (45, 20, 60, 60)), ("a.png", BLOCKS["without_mask"]))
    mined = mine_false_faces(["a.png", "b.png"], pictures, find_blocks, known)
    assert mined.file.tolist() == ["a.png", "b.png", "b.png", "b.png"]
    np.testing.assert_array_equal(mined[BOX_COLUMNS].iloc[0], BLOCKS["no_face"])
    mined = mine_false_faces(["a.png"], pictures, find_blocks, nothing, teacher=find_blocks)
    assert mined.empty and mined.columns.tolist() == ["file", *BOX_COLUMNS, "confidence"]
    assert mine_false_faces([], pictures, find_blocks, nothing).empty


def test_of_a_photograph_with_people_only_the_surroundings_are_read(pictures):
    mined = table_of(("a.png", BLOCKS["no_face"]), ("b.png", BLOCKS["no_face"]))
    negatives = load_negatives(["a.png"], pictures, mined)
    whole, crop = negatives.images
    assert whole.shape == (80, 260, 3)
    # The block is 30 x 40: its square has a side of 40, widened by 20 on each side.
    assert crop.shape == (80, 80, 3)
    for number, box in negatives.mined:
        x_min, y_min, x_max, y_max = box.astype(int)
        block = negatives.images[number][y_min:y_max, x_min:x_max]
        assert (block == block[0, 0]).all()
    assert load_negatives([], pictures).images == []
