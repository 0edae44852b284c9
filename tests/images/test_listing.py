"""Listing: every image of a folder is found or named, whatever its suffix, case or link."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features

from utils.images import (
    IMAGE_SUFFIXES,
    ImageError,
    PassedOver,
    describe_passed_over,
    list_folder,
    read_image,
)
from utils.images.kinds import identify

PICTURE = cv2.resize(np.random.default_rng(0).uniform(20, 235, (3, 4, 3)), (64, 48)).astype("uint8")
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)


def save(path: Path, kind: str = "JPEG", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PICTURE).save(path, kind, **options)
    return path


def names(files: list) -> list[str]:
    return [Path(file).name for file in files]


READABLE = {
    "a.jpg": "JPEG",
    "b.JPG": "JPEG",
    "c.jfif": "JPEG",
    "d.jpe": "JPEG",
    "e.pjpeg": "JPEG",
    "f.jpg_large": "JPEG",
    "g.heic": "JPEG",
    "no suffix": "JPEG",
    "h.gif": "GIF",
    "i.jp2": "JPEG2000",
    "j.tif": "TIFF",
    "k.image": "PNG",
    "l": "WEBP",
    "m": "BMP",
    "n.ppm": "PPM",
    "p": "TIFF",
    "q": "GIF",
    "r": "JPEG2000",
    "s": "PPM",
}


@pytest.mark.parametrize(("name", "kind"), READABLE.items(), ids=READABLE.keys())
def test_what_the_decoder_reads_is_listed(tmp_path, name, kind):
    path = save(tmp_path / name, kind)
    assert list_folder(tmp_path).images == [path]
    assert read_image(path).shape == (48, 64, 3)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
@pytest.mark.parametrize("name", ["a.avif", "a", "a.jpg"])
def test_avif_is_listed_and_read(tmp_path, name):
    path = save(tmp_path / name, "AVIF")
    assert list_folder(tmp_path).images == [path]
    assert read_image(path).shape == (48, 64, 3)


UNREADABLE = {
    "a.heic": (HEIC, "a HEIC file"),
    "b": (HEIC, "a HEIC file"),
    "c.jxl": (b"\xff\x0a" + bytes(99), "a JPEG XL file"),
    "d.psd": (b"8BPS\0\1", "a Photoshop file"),
    "e.NEF": (b"MM\0*" + bytes(99), "a camera raw file"),
    "f.svg": (b"<svg/>", "a SVG file"),
    "h.sgi": (b"\x01\xda\x01\x01" + bytes(99), "an SGI file"),
    "i": (b"BLP2" + bytes(99), "a BLP file"),
    "j.FLI": (bytes(4) + b"\x11\xaf" + bytes(99), "an FLI file"),
    "k.pcd": (bytes(99), "a Photo CD file"),
    "g.exr": (b"\x76\x2f\x31\x01", "an OpenEXR file"),
}


@pytest.mark.parametrize(("name", "case"), UNREADABLE.items(), ids=UNREADABLE.keys())
def test_an_image_that_cannot_be_read_is_passed_over_with_its_kind(tmp_path, name, case):
    data, kind = case
    (tmp_path / name).write_bytes(data)
    listing = list_folder(tmp_path)
    assert listing.images == listing.others == []
    assert [(item.file.name, item.reason.split(",")[0]) for item in listing.passed_over] == [
        (name, kind)
    ]
    with pytest.raises(ImageError):
        read_image(tmp_path / name)


OTHERS = ["notes.txt", "a.XML", "labels.csv", "film.mp4", "README", "a.jpg.part", "model.onnx"]


def test_other_files_and_the_notes_of_a_mac_are_no_images(tmp_path):
    for name in OTHERS:
        (tmp_path / name).write_text("BM P6 is a note about images, not one of them.")
    for name in ("._a.jpg", ".DS_Store", "__MACOSX/a.jpg", "__MACOSX/b/._a.jpg"):
        save(tmp_path / name)
    listing = list_folder(tmp_path)
    assert listing.images == listing.passed_over == []
    assert names(listing.others) == sorted(OTHERS)


def test_folders_behind_links_are_read_once_and_loops_end(tmp_path):
    root = tmp_path / "photos"
    save(root / "real" / "a.jpg")
    save(tmp_path / "elsewhere" / "b.jpg")
    (root / "another").symlink_to(tmp_path / "elsewhere")
    (root / "a second way").symlink_to(root / "real")
    (root / "loop").symlink_to(root)
    (root / "real" / "up").symlink_to(tmp_path)
    (root / "self").symlink_to(root / "self")
    (root / "dead.jpg").symlink_to(root / "nowhere.jpg")
    (root / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    listing = list_folder(root)
    assert [path.relative_to(root).as_posix() for path in listing.images] == [
        "another/b.jpg",
        "linked.jpg",
        "real/a.jpg",
    ]
    assert [(item.file.name, item.reason) for item in listing.passed_over] == [
        ("dead.jpg", "a link to a file that is missing: mend the link")
    ]
    link = tmp_path / "link"
    link.symlink_to(root)
    assert len(list_folder(link).images) == 3


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_of_any_encoding_is_listed(tmp_path):
    name = os.fsdecode(b"Jos\xe9.jpg")
    save(tmp_path / "a.jpg").rename(tmp_path / name)
    assert names(list_folder(tmp_path).images) == [name]
    assert read_image(tmp_path / name).shape == (48, 64, 3)


def test_files_that_are_passed_over_are_counted_by_kind_and_the_first_are_named():
    assert describe_passed_over([]) == []
    few = [PassedOver(Path("a"), "a HEIC file: save it"), PassedOver(Path("b"), "a video: name it")]
    assert describe_passed_over(few) == [
        "a is passed over. It is a HEIC file: save it.",
        "b is passed over. It is a video: name it.",
    ]
    many = [PassedOver(Path(f"{number}.heic"), "a HEIC file: save it") for number in range(12)]
    assert describe_passed_over(many) == [
        "12 files are passed over (0.heic, 1.heic, 2.heic, 3.heic, 4.heic and 7 more). "
        "Each is a HEIC file: save it."
    ]


def test_files_of_unknown_kinds_are_passed_over_and_counted_by_suffix(tmp_path):
    for name in ("a.ttf", "b.TTF", "c.bin", "notes.txt", "LICENSE", "Thumbs.db", ".git/x.pack"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\1\0\0")
    listing = list_folder(tmp_path)
    assert sorted(names(listing.others)) == ["LICENSE", "Thumbs.db", "notes.txt", "x.pack"]
    (sentence,) = describe_passed_over(listing.passed_over)
    assert sentence.startswith("3 files are passed over (")
    assert sentence.endswith("None is an image: 2 .ttf, 1 .bin.")


def test_no_suffix_of_an_image_means_two_things():
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
    assert identify(b"") is None
