"""Conversion: upright images of limited size, scaled annotations, no losses, no work done twice."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cut_writes import ENDS, check_none_cut, read_whole, requires_limits, run_cut
from tests.small_data import make_small_data
from utils.collect.convert import convert_images, find_broken_images, name_outputs
from utils.formats import read_labels
from utils.images import ImageError, limit_size, list_images, read_image, write_image
from utils.labels import BOX_COLUMNS


def draw_image(width: int, height: int) -> np.ndarray:
    return (
        np.add.outer(np.arange(height), np.arange(width))[:, :, None].repeat(3, 2).astype(np.uint8)
        // 2
    )


def read_files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and modification time of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return make_small_data(tmp_path_factory.mktemp("small_data"))


@pytest.fixture
def scenes(small_data, tmp_path):
    """A copy of labelled photographs that a test may change."""
    return Path(shutil.copytree(small_data / "scenes", tmp_path / "raw" / "scenes"))


@pytest.fixture
def source(tmp_path):
    """Downloads: all formats, a rotated photo, two broken files, equal stems, a text file."""
    folder = tmp_path / "raw"
    for name in (
        "big.png",
        "a b/é.webp",
        "a b/c/small.JPEG",
        "x.bmp",
        "y.tiff",
        "same.png",
        "same.webp",
    ):
        write_image(
            folder / name, draw_image(1024, 512) if name == "big.png" else draw_image(90, 60)
        )
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(draw_image(90, 60)).save(folder / "turned.jpg", exif=exif)
    (folder / "text.jpg").write_text("no photograph")
    (folder / "cut.jpg").write_bytes((folder / "turned.jpg").read_bytes()[:-300])
    (folder / "notes.txt").write_text("no image")
    return folder


def test_empty_folder_gives_empty_table(tmp_path):
    (tmp_path / "raw").mkdir()
    table = convert_images(tmp_path / "raw", tmp_path / "jpg")
    assert (len(table), *table.columns) == (0, "file", "output", "problem")
    assert find_broken_images([]).columns.tolist() == ["file", "problem"]


def test_broken_files_are_reported_and_others_converted(source, tmp_path):
    table = convert_images(source, tmp_path / "jpg").set_index("file")
    assert set(table.index) == {path.relative_to(source).as_posix() for path in list_images(source)}
    assert set(table.index[table.problem != ""]) == {"text.jpg", "cut.jpg"}
    assert all(str(source / file) in table.problem[file] for file in ("text.jpg", "cut.jpg"))
    done = table[table.problem == ""]
    assert set(done.output) == set(read_files(tmp_path / "jpg"))
    for file, output in done.output.items():
        expected = limit_size(read_image(source / file), 600).astype(int)
        assert np.abs(read_image(tmp_path / "jpg" / output) - expected).mean() < 2
        assert Path(output).parent == Path(file).parent
    assert read_image(tmp_path / "jpg/big.jpg").shape == (300, 600, 3)
    assert read_image(tmp_path / "jpg/turned.jpg").shape == (90, 60, 3)
    assert done.output[["same.png", "same.webp"]].tolist() == ["same_png.jpg", "same_webp.jpg"]


def test_broken_files_are_found(source):
    files = list_images(source)
    broken = find_broken_images(files)
    assert broken.file.tolist() == [str(source / "cut.jpg"), str(source / "text.jpg")]
    assert "cut off" in broken.problem[0]
    assert "not an image" in broken.problem[1]


def test_second_call_changes_nothing_and_source_stays(source, tmp_path):
    before = read_files(source)
    first = convert_images(source, tmp_path / "jpg", max_side=50)
    files = read_files(tmp_path / "jpg")
    assert convert_images(source, tmp_path / "jpg", max_side=40).equals(first)
    assert read_files(tmp_path / "jpg") == files
    (tmp_path / "jpg/big.jpg").unlink()
    convert_images(source, tmp_path / "jpg", max_side=50)
    again = read_files(tmp_path / "jpg")
    assert [name for name in files if again[name] != files[name]] == ["big.jpg"]
    assert again["big.jpg"][0] == files["big.jpg"][0]
    assert read_files(source) == before


def test_half_written_image_is_converted_again(source, tmp_path, monkeypatch):
    write_bytes = Path.write_bytes

    def stop(path, data):
        write_bytes(path, data[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", stop)
        convert_images(source, tmp_path / "jpg")
    table = convert_images(source, tmp_path / "jpg")
    outputs = table.output[table.problem == ""]
    assert find_broken_images(tmp_path / "jpg" / output for output in outputs).empty
    assert set(read_files(tmp_path / "jpg")) == set(outputs)


CONVERT = """
from utils.collect.convert import convert_images
limit()
convert_images(sys.argv[1], sys.argv[2])
"""


@requires_limits
@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [150, 3000])  # within an annotation, and within an image
def test_a_conversion_that_stops_within_a_write_leaves_no_cut_file(scenes, tmp_path, size, end):
    convert_images(scenes, tmp_path / "whole")
    whole = read_whole(tmp_path / "whole")
    assert {Path(name).suffix for name in whole} == {".jpg", ".xml"}
    run_cut(CONVERT, scenes, tmp_path / "cut", size=size, end=end)
    assert check_none_cut(tmp_path / "cut", whole) < len(whole)
    convert_images(scenes, tmp_path / "cut")
    assert read_whole(tmp_path / "cut") == whole


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_annotations_are_scaled_with_their_images(small_data, tmp_path, suffix):
    assert (
        convert_images(small_data, tmp_path / "small", max_side=150, suffix=suffix).problem == ""
    ).all()
    (table, problems), (old, _) = read_labels(tmp_path / "small"), read_labels(small_data)
    assert problems.empty
    assert table.file.tolist() == [str(Path(file).with_suffix(suffix)) for file in old.file]
    assert table.class_name.tolist() == old.class_name.tolist()
    scale = [min(1, 150 / max(read_image(small_data / file).shape)) for file in old.file]
    error = table[BOX_COLUMNS] - old[BOX_COLUMNS].mul(scale, axis=0)
    assert error.abs().max().max() <= 1  # rounding of the image size and of the box
    assert error.isna().sum().sum() == 4 * (table.source == "faces").sum()


def test_annotation_of_another_size_is_reported(scenes, tmp_path):
    write_image(scenes / "images/scene_03.jpg", draw_image(50, 50))
    (scenes / "annotations/scene_05.xml").write_text("no XML")
    problems = (
        convert_images(scenes, tmp_path / "small").query("problem != ''").set_index("file").problem
    )
    assert problems.index.tolist() == ["images/scene_03.jpg", "images/scene_05.jpg"]
    assert "label it again" in problems["images/scene_03.jpg"]
    assert not (tmp_path / "small/images/scene_05.jpg").exists()


def test_annotation_stays_with_its_image_if_stems_are_equal(scenes, tmp_path):
    write_image(scenes / "images/scene_02.png", draw_image(70, 70))
    assert (convert_images(scenes, tmp_path / "small").problem == "").all()
    annotations = {path.stem for path in (tmp_path / "small/annotations").glob("scene_02*")}
    assert annotations == {"scene_02_jpg"}


@pytest.mark.parametrize("output", ["raw", "raw/jpg", "raw/../raw/a"])
def test_output_inside_source_is_refused(source, output):
    with pytest.raises(ImageError, match="choose a folder outside of it"):
        convert_images(source, source.parent / output)


def test_images_are_not_separated_from_their_annotations(scenes, tmp_path):
    with pytest.raises(ImageError, match="convert .*scenes as a whole"):
        convert_images(scenes / "images", tmp_path / "jpg")
    with pytest.raises(ImageError, match="There is no folder"):
        convert_images(tmp_path / "nowhere", tmp_path / "jpg")


def test_output_names_are_unique():
    stems, suffixes = ("a", "A", "a_png", "a_jpg", "a_png_", "b"), (".png", ".jpg", ".webp")
    files = [Path(stem + suffix) for stem, suffix in itertools.product(stems, suffixes)]
    for count in range(len(files) + 1):
        outputs = name_outputs(files[:count], ".jpg")
        assert len({output.name.casefold() for output in outputs}) == count
    assert name_outputs([Path("x/a.png"), Path("y/a.webp")], ".jpg") == [
        Path("x/a.jpg"),
        Path("y/a.jpg"),
    ]


def test_images_of_other_formats_are_named_by_the_check_and_the_conversion(tmp_path):
    source = tmp_path / "source"
    for name in ("a.jpg", "b.png"):
        write_image(source / name, np.zeros((20, 30, 3), np.uint8))
    (source / "b.png").rename(source / "no suffix")
    for name in ("c.heic", "notes.txt", "._a.jpg"):
        (source / name).touch()
    broken = find_broken_images(source)
    assert broken.file.tolist() == [str(source / "c.heic")]
    assert "It is a HEIC file, which cannot be read" in broken.problem[0]
    assert find_broken_images([source / "a.jpg"]).empty
    table = convert_images(source, tmp_path / "converted")
    assert table.file.tolist() == ["a.jpg", "no suffix", "c.heic"]
    assert table.output.tolist() == ["a.jpg", "no suffix.jpg", ""]
    assert (table.problem != "").tolist() == [False, False, True]
