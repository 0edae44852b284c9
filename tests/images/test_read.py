"""Images: read as Pillow reads them; a file that cannot be read gives one sentence."""

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, features

from utils.images import (
    IMAGE_SUFFIXES,
    ImageError,
    list_images,
    read_image,
    write_image,
)
from utils.paths import ROOT

LOSSLESS = (".png", ".bmp", ".tiff", ".webp")
ROUNDING = 2  # grey levels, the difference between two decoders of one JPEG


def draw_image(width: int = 64, height: int = 48) -> np.ndarray:
    """Return a smooth coloured image without symmetry."""
    clouds = np.random.default_rng(0).uniform(20, 235, (3, 4, 3)).astype(np.float32)
    return cv2.resize(clouds, (width, height)).round().astype(np.uint8)


def encode(image: np.ndarray | Image.Image, suffix: str, **options) -> bytes:
    """Return an image as the bytes of a file, written by Pillow."""
    buffer = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


def insert_segment(jpeg: bytes, content: bytes) -> bytes:
    """Return a JPEG with one more application segment at its start."""
    return jpeg[:2] + b"\xff\xe5" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def make_png_header(width: int, height: int) -> bytes:
    """Return a PNG that states a size and holds no pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c))
        for kind, c in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


ALPHA = np.add.outer(np.arange(48), 3 * np.arange(64)).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_a_photo_is_turned_upright_by_its_exif_tag(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "photo").write_bytes(encode(draw_image(), suffix, exif=exif))
    expected = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "photo")).convert("RGB"), int)
    assert np.abs(read_image(tmp_path / "photo") - expected).max() <= ROUNDING


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_turned_with_the_photo(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0131] = "maker", orientation, "program"
    data = encode(np.dstack([draw_image(), ALPHA]), suffix, exif=exif, lossless=True, exact=True)
    (tmp_path / "photo").write_bytes(data)
    image = ImageOps.exif_transpose(Image.open(tmp_path / "photo"))
    expected = np.array(
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"), int
    )
    assert np.abs(read_image(tmp_path / "photo") - expected).max() <= ROUNDING


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


@needs_avif
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_by_its_own_boxes_and_lies_on_white(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation  # Pillow writes it as irot and imir
    picture = Image.fromarray(np.dstack([draw_image(), ALPHA]))
    data = encode(picture, ".avif", exif=exif, quality=100)
    assert (b"irot" in data or b"imir" in data) == (orientation > 1)
    (tmp_path / "photo.avif").write_bytes(data)
    corrected = ImageOps.exif_transpose(Image.open(tmp_path / "photo.avif"))
    expected = Image.alpha_composite(Image.new("RGBA", corrected.size, "white"), corrected)
    np.testing.assert_array_equal(
        read_image(tmp_path / "photo.avif"), np.array(expected.convert("RGB"))
    )


@needs_avif
def test_an_avif_that_cannot_be_turned_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.AvifImagePlugin.SUPPORTED", False)
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(draw_image(), ".avif", exif=exif)
        (tmp_path / f"{orientation}.avif").write_bytes(data)
    assert read_image(tmp_path / "1.avif").shape == (48, 64, 3)
    with pytest.raises(ImageError, match="6.avif is an AVIF file that must be turned"):
        read_image(tmp_path / "6.avif")


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".tiff", ".png", ".avif", ".jpg"])
def test_of_several_pictures_the_first_is_read_and_their_number_told(tmp_path, suffix):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    pictures = [Image.fromarray(np.full((9, 7, 3), grey, np.uint8)) for grey in (40, 120, 240)]
    kind = {".jpg": "MPO"}.get(suffix) or Image.registered_extensions()[suffix]
    pictures[0].save(tmp_path / "one", kind)
    pictures[0].save(tmp_path / "three", kind, save_all=True, append_images=pictures[1:])
    numbers = []
    read_image(tmp_path / "one", numbers.append)
    assert numbers == []
    image = read_image(tmp_path / "three", numbers.append)
    assert numbers == [3]
    assert np.abs(image.astype(int) - 40).max() <= ROUNDING


SIXTEEN_BIT = np.random.default_rng(1).integers(0, 2**16, (9, 7), np.uint16)
GREY = draw_image()[:, :, 0]
UNUSUAL = {
    "grey jpeg": encode(GREY, ".jpg"),
    "grey png": encode(GREY, ".png"),
    "black and white": encode(Image.fromarray(GREY).convert("1"), ".png"),
    "palette": encode(Image.fromarray(draw_image()).convert("P"), ".png"),
    "palette with a transparent colour": encode(
        Image.fromarray(draw_image()).convert("P"), ".png", transparency=3
    ),
    "rgba png": encode(np.dstack([draw_image(), ALPHA]), ".png"),
    "rgba webp": encode(np.dstack([draw_image(), ALPHA]), ".webp", lossless=True, exact=True),
    "grey with alpha": encode(
        Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)]), ".png"
    ),
    "rgba tiff": encode(np.dstack([draw_image(), ALPHA]), ".tiff"),
    "rgba tiff, compressed": encode(
        np.dstack([draw_image(), ALPHA]), ".tiff", compression="tiff_deflate"
    ),
    "rgba jpeg 2000": encode(np.dstack([draw_image(), ALPHA]), ".jp2"),
    "rgba gif": encode(np.dstack([draw_image(), ALPHA]), ".gif"),
    "cmyk": encode(Image.fromarray(draw_image()).convert("CMYK"), ".jpg"),
    "progressive": encode(draw_image(), ".jpg", progressive=True),
    "one pixel": encode(draw_image()[:1, :1], ".png"),
    "jpeg with a video appended": encode(draw_image(), ".jpg") + b"film" + b"\xff\xda" * 9,
    "jpeg with a thumbnail": insert_segment(
        encode(draw_image(), ".jpg"), encode(draw_image(16, 12), ".jpg")
    ),
    "png with bytes appended": encode(draw_image(), ".png") + b"0" * 999,
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_images_match_pillow_on_white(tmp_path, data):
    (tmp_path / "image").write_bytes(data)
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    expected = np.array(
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"), int
    )
    assert np.abs(read_image(tmp_path / "image") - expected).max() <= ROUNDING


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_become_eight(tmp_path, suffix):
    (tmp_path / "image").write_bytes(encode(SIXTEEN_BIT, suffix))
    np.testing.assert_array_equal(read_image(tmp_path / "image"), np.dstack([SIXTEEN_BIT >> 8] * 3))


def test_a_panorama_is_read(tmp_path):
    (tmp_path / "wide.jpg").write_bytes(encode(draw_image(20_000, 40), ".jpg"))
    assert read_image(tmp_path / "wide.jpg").shape == (40, 20_000, 3)


BROKEN = {
    "empty": b"",
    "text": b"I am not a photograph.",
    "half a jpeg": encode(draw_image(), ".jpg")[:-600],
    "a jpeg without its last byte": encode(draw_image(), ".jpg")[:-1],
    "half a progressive jpeg": encode(draw_image(), ".jpg", progressive=True)[:-600],
    "half a jpeg after a thumbnail": insert_segment(
        encode(draw_image(), ".jpg"), encode(GREY, ".jpg")
    )[:-600],
    "a jpeg's first bytes": b"\xff\xd8\xff",
    "half a png": encode(draw_image(), ".png")[:-600],
    "half a webp": encode(draw_image(), ".webp", lossless=True)[:-600],
    "half a bmp": encode(draw_image(), ".bmp")[:-600],
    "half a tiff": encode(draw_image(), ".tiff", compression="tiff_deflate")[:-600],
    "a png that would fill the memory": make_png_header(10**6, 10**6),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_gives_one_sentence_and_no_other_output(tmp_path, capfd, data):
    path = tmp_path / "Été à Zürich.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path} ")
    assert str(error.value).count("\n") == 0
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_gives_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.jpg"):
        with pytest.raises(ImageError, match="cannot be read .*: check the path"):
            read_image(path)


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".jpg", ".JPEG"])
def test_written_images_are_read_back(tmp_path, capfd, suffix):
    path = write_image(tmp_path / "new" / f"with a space, é{suffix}", draw_image())
    difference = np.abs(read_image(path) - draw_image().astype(int))
    assert difference.max() <= (0 if suffix in LOSSLESS else 8)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "width", "message"),
    [
        ("a.xyz", 8, r"\.xyz is not an image format"),
        ("a", 8, "no suffix is not an image format"),
        ("file/a.jpg", 8, "choose another folder"),
        ("a.jpg", 70_000, r"70000 x 2 pixels are too many for \.jpg"),
    ],
)
def test_an_image_that_cannot_be_written_gives_one_sentence(tmp_path, name, width, message):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImageError, match=f"cannot be written.*{message}"):
        write_image(tmp_path / name, np.zeros((2, width, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_images_of_subfolders_are_listed_too_in_order(tmp_path):
    assert list_images(tmp_path) == []
    names = [
        "b/c/z.webp",
        "a.JPG",
        "b/a b.png",
        "é.tif",
        *(f"suffix{suffix}" for suffix in IMAGE_SUFFIXES),
    ]
    for name in [*names, "notes.txt", "b/labels.csv", "jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    assert list_images(tmp_path) == sorted(tmp_path / name for name in names)
    with pytest.raises(ImageError, match="There is no folder .*nowhere: check the path"):
        list_images(tmp_path / "nowhere")


def test_an_image_for_which_there_is_no_memory_is_not_called_damaged(tmp_path, monkeypatch):
    path = write_image(tmp_path / "a.jpg", np.zeros((8, 8, 3), np.uint8))

    def fail(*_):
        raise cv2.error("OpenCV: (-4:Insufficient memory) Failed to allocate 324000000 bytes")

    monkeypatch.setattr("utils.images.read.cv2.imdecode", fail)
    with pytest.raises(ImageError, match="a.jpg cannot be decoded: There is not enough memory"):
        read_image(path)


def test_a_grey_pfm_is_three_channels(tmp_path):
    grey = np.linspace(0, 255, 48, dtype=np.float32).reshape(6, 8)
    (tmp_path / "grey.pfm").write_bytes(b"Pf\n8 6\n-1.0\n" + grey[::-1].tobytes())
    image = read_image(tmp_path / "grey.pfm")
    assert image.shape == (6, 8, 3)
    np.testing.assert_array_equal(image[:, :, 0], image[:, :, 2])


def test_a_picture_that_claims_too_many_pixels_takes_no_memory(tmp_path):
    """In a process of its own, because OpenCV reads the limit when it is loaded."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    rows = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)), 9)
    for kind, content in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        data += struct.pack(">I", len(content)) + kind + content + crc
    (tmp_path / "huge.png").write_bytes(data)
    assert len(data) < 200_000
    code = """if True:
        import resource
        import sys
        from utils.images import ImageError, read_image
        limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_image(sys.argv[1])
        except ImageError as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1.5 * limit)
        """
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "huge.png")],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert run.stdout.splitlines() == [
        f"{tmp_path / 'huge.png'} cannot be decoded (damaged or too large): "
        "save it again as JPEG or PNG.",
        "True",
    ]
