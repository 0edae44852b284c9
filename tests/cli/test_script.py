"""The script: its arguments, outputs and exit codes, and one clear sentence for each problem."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from tests.conftest import draw_blocks, find_blocks
from tests.films import write_video
from tests.mjpeg_server import Stream
from tests.test_ground import HEAVY
from utils import paths
from utils.boxes import Detections, box_iou
from utils.cli import run as run_module
from utils.cli import video as video_module
from utils.detect import DETECTOR_FILE, RES10_FILES, YUNET_FILE
from utils.detect import pipeline as detect
from utils.formats import read_voc
from utils.images import read_image
from utils.video import Video

SCRIPT = paths.ROOT / "03-detect_face_using_mask.py"
BLOCK = ("with_mask", (20, 40, 60, 90))
IMAGE = draw_blocks(BLOCK)


@pytest.fixture
def run(script, fake_classifier, monkeypatch, tmp_path, capsys):
    """Run the script's ``main`` with fake models in an empty folder.

    Returns the exit code, the images of the JSON file or None, standard output, standard error.
    """
    for module in (run_module, video_module):
        monkeypatch.setattr(
            module, "load_models", lambda *args, **options: (find_blocks, fake_classifier)
        )
    monkeypatch.setattr(run_module, "has_display", lambda: False)
    monkeypatch.chdir(tmp_path)

    def call(
        *argv: str | Path, output: str | Path = "copies", json_file: str | Path = "faces.json"
    ):
        try:
            code = script.main([*map(str, argv), "--output", str(output), "--json", str(json_file)])
        except SystemExit as error:
            code = error.code
        images = None
        if Path(json_file).is_file():
            images = json.loads(Path(json_file).read_text(encoding="utf-8"))["images"]
        return code, images, *capsys.readouterr()

    return call


def save(path: Path, image: Image.Image | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.fromarray(IMAGE)).save(path, **options)
    return path


def run_process(*argv: str | Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPT, *argv], capture_output=True, text=True, timeout=300, **options
    )


def test_files_that_are_passed_over_or_hold_several_pictures_are_counted_and_named(run, tmp_path):
    for name in ("a.jfif", "b.jpeg", "no suffix"):
        save(tmp_path / "photos" / name, format="PNG")
    picture = Image.fromarray(IMAGE)
    save(tmp_path / "photos" / "c.gif", picture, save_all=True, append_images=[picture.rotate(90)])
    for name in ("d.heic", "e.HEIC", "film.mp4", "notes.txt", "font.ttf", "._a.jfif"):
        (tmp_path / "photos" / name).touch()
    code, images, out, err = run("--image", "photos")
    assert code == 0
    assert [Path(image["file"]).name for image in images] == [
        "a.jfif",
        "b.jpeg",
        "c.gif",
        "no suffix",
    ]
    assert out == (
        "4 images, 4 faces: 4 with_mask; annotated copies in copies/; 5 files passed over.\n"
    )
    assert "2 files are passed over (photos/d.heic, photos/e.HEIC). Each is a HEIC file" in err
    assert "photos/film.mp4 is passed over. It is a video: name it with --video." in err
    assert "2 files are passed over (photos/font.ttf, photos/notes.txt). None is an image:" in err
    assert "photos/c.gif holds several pictures: the first is read." in err


HYPHENS = {
    "an image": (["--image", "-selfie.jpg"], "-selfie.jpg"),
    "an image after another": (["--image", "a.jpg", "-selfie.jpg"], "-selfie.jpg"),
    "an image that does not exist": (["--image", "-other.JPG"], "-other.JPG"),
    "a video": (["--video", "-film.mp4"], "-film.mp4"),
    "a folder": (["--image", "-photos"], "-photos"),
}


@pytest.mark.parametrize(("arguments", "name"), HYPHENS.values(), ids=HYPHENS.keys())
def test_a_name_with_a_hyphen_gives_the_way_to_write_it(run, tmp_path, arguments, name):
    for path in ("-selfie.jpg", "a.jpg", "-photos/a.jpg"):
        save(tmp_path / path)
    code, _, _, err = run(*arguments)
    assert code == 2
    assert f"{name} begins with a hyphen, as options do: write ./{name}" in err
    if Path(name).exists():
        assert run(arguments[0], f"./{name}")[0] == 0


def test_folder_gives_copies_json_csv_and_a_summary(run, tmp_path):
    for name in ("10.png", "2.png", "below/x.png"):
        save(tmp_path / "photos" / name)
    code, images, out, err = run("--image", "photos", "--csv", "faces.csv")
    assert code == 0 and "3/3" in err  # the progress bar's last word
    assert [image["file"] for image in images] == [
        "photos/2.png",
        "photos/10.png",
        "photos/below/x.png",
    ]
    assert out == "3 images, 3 faces: 3 with_mask; annotated copies in copies/.\n"
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == [
        "10.jpg",
        "2.jpg",
        "x.jpg",
    ]
    assert pd.read_csv("faces.csv").file.tolist() == [image["file"] for image in images]


def test_defaults(script):
    args = script.parse_arguments(["--image", "a.jpg"])
    assert (args.detector, args.min_confidence, args.model) == ("fcos", 0.5, script.CLASSIFIER_FILE)
    assert (args.json, args.csv, args.no_show, args.video) == (None, None, False, None)
    assert set(detect.DETECTORS) == {"fcos", "yunet", "res10"}


def test_earlier_name_of_the_detector_works_and_is_hidden(script, capsys):
    args = script.parse_arguments(["--image", "a.jpg", "--detector", "ssd"])
    assert args.detector == "fcos"
    with pytest.raises(SystemExit):
        script.parse_arguments(["--help"])
    text = capsys.readouterr().out
    assert "{fcos,yunet,res10}" in text and "ssd" not in text


def test_copies_go_to_output_by_default_and_no_other_file_is_written(
    script, fake_classifier, tmp_path, monkeypatch, capsys
):
    loaded = []

    def load_models(*args):
        loaded.append(args)
        return find_blocks, fake_classifier

    monkeypatch.setattr(run_module, "load_models", load_models)
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png")
    argv = [
        "--image",
        "a.png",
        "--no-show",
        "--detector",
        "res10",
        "--min-confidence",
        "0.25",
        "--model",
        "my.onnx",
    ]
    assert script.main(argv) == 0
    assert loaded == [("res10", 0.25, Path("my.onnx"))]
    assert capsys.readouterr() == (
        f"1 image, 1 face: 1 with_mask; annotated copy {Path('output/a.jpg')}.\n",
        "",
    )
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert files == ["a.png", "output", "output/a.jpg"]


def test_standard_output_holds_only_the_json(run, tmp_path, capsys):
    save(tmp_path / "a.png")
    code, _, out, err = run("--image", "a.png", json_file="-")
    (image,) = json.loads(out)["images"]
    assert (code, image["file"], [face["box"] for face in image["faces"]]) == (
        0,
        "a.png",
        [list(BLOCK[1])],
    )
    assert err.startswith("1 image, 1 face")


def test_options_of_videos_are_said_to_do_nothing_with_images(run, tmp_path):
    save(tmp_path / "a.png")
    code, _, _, err = run("--image", "a.png", "--distance", "1.5", "--alert", "ls")
    assert code == 0
    assert "--alert is for --video, and does nothing with --image." in err
    assert "--distance is for --video, and does nothing with --image." in err


def test_a_picture_given_as_a_video_is_sent_to_image(run, tmp_path):
    save(tmp_path / "a.png")
    code, _, _, err = run("--video", "a.png")
    assert code == 0
    assert "a.png is one picture, and people are counted over several frames: name it with" in err


def set_orientation(orientation: int) -> dict:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def write_16_bit(path: Path) -> Path:
    pixels = cv2.cvtColor(IMAGE, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


PANORAMA = ("without_mask", (19_900, 60, 19_960, 120))
TRANSPARENT = Image.fromarray(
    np.dstack([IMAGE, np.where(IMAGE[..., 0] == 128, 0, 255).astype(np.uint8)])
)
SIDEWAYS = Image.fromarray(np.rot90(IMAGE).copy())  # as a phone stores it if held sideways
UNUSUAL = {
    "one pixel": (partial(save, image=Image.new("RGB", (1, 1))), "a.png", (1, 1), []),
    "grey": (partial(save, image=Image.new("L", (60, 50), 99)), "a.jpg", (60, 50), []),
    "16 bits": (write_16_bit, "a.png", (160, 120), [BLOCK[1]]),
    "transparent": (partial(save, image=TRANSPARENT), "a.png", (160, 120), [BLOCK[1]]),
    "CMYK": (
        partial(save, image=Image.fromarray(IMAGE).convert("CMYK"), quality=95),
        "a.jpg",
        (160, 120),
        [BLOCK[1]],
    ),
    "rotated by EXIF": (
        partial(save, image=SIDEWAYS, quality=95, **set_orientation(6)),
        "a.jpg",
        (160, 120),
        [BLOCK[1]],
    ),
    "a panorama": (
        partial(save, image=Image.fromarray(draw_blocks(PANORAMA, resolution_wh=(20_000, 200)))),
        "a.png",
        (20_000, 200),
        [PANORAMA[1]],
    ),
    "spaces and accents": (save, "mes photos/Élodie à la fête 猫.png", (160, 120), [BLOCK[1]]),
}


@pytest.mark.parametrize(
    ("write", "name", "resolution_wh", "boxes"), UNUSUAL.values(), ids=UNUSUAL.keys()
)
def test_unusual_image_gives_boxes_in_its_upright_pixels(
    run, tmp_path, write, name, resolution_wh, boxes
):
    write(tmp_path / name)
    code, (image,), _, err = run("--image", name)
    assert (code, err) == (0, "")
    assert (image["file"], image["width"], image["height"]) == (name, *resolution_wh)
    found = np.array([face["box"] for face in image["faces"]]).reshape(-1, 4)
    np.testing.assert_allclose(found, np.reshape(boxes, (-1, 4)), atol=2)
    with Image.open(tmp_path / "copies" / f"{Path(name).stem}.jpg") as copy:
        assert (copy.format, copy.size, copy.getexif().get(0x0112)) == ("JPEG", resolution_wh, None)


def write_text(path: Path) -> None:
    path.write_text("no photograph")


def cut_off(path: Path) -> None:
    path.write_bytes(save(path).read_bytes()[:1200])


BAD = {
    "missing": (lambda path: None, "bad.jpg: check the path."),
    "an empty folder": (Path.mkdir, "bad.jpg holds no images"),
    "text": (write_text, "bad.jpg is not an image that can be read"),
    "an empty file": (Path.touch, "bad.jpg is not an image that can be read"),
    "cut off": (cut_off, "bad.jpg is cut off before its end"),
}


@pytest.mark.parametrize(("write", "sentence"), BAD.values(), ids=BAD.keys())
def test_bad_image_is_named_in_one_sentence_and_the_others_are_done(run, tmp_path, write, sentence):
    write(tmp_path / "bad.jpg")
    save(tmp_path / "good.png")
    code, images, _, err = run("--image", "bad.jpg")
    assert (code, images or []) == (2, [])
    assert sentence in err and err.count("\n") == 1
    code, images, out, err = run("--image", "bad.jpg", "good.png")
    assert (code, [image["file"] for image in images], out.split(",")[0]) == (
        1,
        ["good.png"],
        "1 image",
    )
    assert sentence in err and "Traceback" not in err
    assert (tmp_path / "copies" / "good.jpg").is_file()


@pytest.mark.parametrize("option", ["output", "json_file"])
def test_output_that_cannot_be_written_is_named_before_the_work(run, tmp_path, option):
    save(tmp_path / "good.png")
    (tmp_path / "file").write_text("a file is no folder")
    code, _, out, err = run("--image", "good.png", **{option: "file/below"})
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"{Path('file/below')} cannot be written (")
    assert not (tmp_path / "copies" / "good.jpg").exists()


def test_output_that_cannot_be_written_at_the_end_does_not_cost_the_others(
    run, script, tmp_path, monkeypatch
):
    save(tmp_path / "good.png")
    (tmp_path / "table").mkdir()
    monkeypatch.setattr(run_module, "check_outputs", lambda **outputs: None)
    code, images, out, err = run("--image", "good.png", "--csv", "table")
    assert (code, len(images)) == (1, 1)
    assert err.startswith("table cannot be written (") and "annotated copy" in out
    code, _, out, err = run("--image", "good.png", "--csv", "faces.csv", json_file="table")
    assert code == 1 and err.startswith("table cannot be written (") and "annotated copy" in out
    assert len(pd.read_csv("faces.csv")) == 1


@pytest.mark.parametrize("option", ["--csv", "--json"])
@pytest.mark.parametrize(
    ("source", "name", "target"),
    [
        ("--image", "a.png", "a.png"),
        ("--video", "a.mp4", "a.mp4"),
        ("--video", "a.mp4", "output/a.mp4"),
    ],
)
def test_output_never_replaces_a_source_or_a_copy(
    run, script, tmp_path, capsys, source, name, target, option
):
    content = (save if source == "--image" else write_video)(tmp_path / name).read_bytes()
    assert script.main([source, name, option, target]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{target} cannot be written (it is ")
    assert (tmp_path / name).read_bytes() == content
    assert not (tmp_path / "output").exists()


def test_blurring_covers_faces_under_the_minimum_confidence_too(
    run, script, fake_classifier, monkeypatch, tmp_path
):
    sure = ("with_mask", (20, 40, 60, 90))
    unsure = ("without_mask", (90, 40, 130, 90))
    image = draw_blocks(sure, unsure)
    image[np.arange(len(image)) // 5 % 2 == 0] //= 3  # stripes, which a blur removes
    save(tmp_path / "a.png", Image.fromarray(image))

    def load(detector, min_confidence, model):
        boxes = np.array([sure[1], unsure[1]], np.float32)
        confidence = np.array([0.9, 0.3], np.float32)
        found = Detections(boxes, confidence)[confidence >= min_confidence]
        return lambda image: found, fake_classifier

    monkeypatch.setattr(run_module, "load_models", load)
    changed = []
    for options in ([], ["--blur-faces"]):
        code, (record,), _, _ = run("--image", "a.png", *options)
        assert (code, [face["box"] for face in record["faces"]]) == (0, [list(sure[1])])
        x_min, y_min, x_max, y_max = unsure[1]
        inner = np.s_[y_min + 12 : y_max - 12, x_min + 12 : x_max - 12]
        copy = read_image(tmp_path / "copies" / "a.jpg").astype(int)
        changed.append(np.abs(copy[inner] - image[inner]).mean())
    assert changed[1] > 3 * changed[0]


@pytest.mark.parametrize("argument", ["", 300 * "a"], ids=["empty", "too long"])
def test_impossible_file_name_is_reported(run, tmp_path, argument):
    save(tmp_path / "good.png")
    code, _, out, err = run("--image", argument)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert (argument or "The name of an image is empty") in err


def test_subfolder_that_cannot_be_read_is_reported(run, tmp_path, monkeypatch):
    save(tmp_path / "photos" / "good.png")
    save(tmp_path / "photos" / "locked" / "other.png")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the user root could read any folder
    code, images, _, err = run("--image", "photos")
    assert (code, len(images)) == (1, 1)
    assert f"The folder {Path('photos/locked')} cannot be read (Permission denied)" in err


@pytest.mark.skipif(os.name == "nt", reason="file names are always text there")
def test_video_whose_name_is_not_utf_8_is_reported(tmp_path):
    write_video(tmp_path / "film.mp4")
    bad = os.fsdecode(b"bad\xff")
    (tmp_path / f"{bad}.mp4").write_bytes((tmp_path / "film.mp4").read_bytes())
    for argv in (["--video", f"{bad}.mp4"], ["--video", "film.mp4", "--output", bad]):
        ran = run_process(*argv, "--no-show", cwd=tmp_path, errors="surrogateescape")
        assert ran.returncode in (1, 2) and "has a name that is not valid UTF-8" in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file on a full disk")
@pytest.mark.parametrize(
    "argv", [["--image", "a.png"], ["--video", "film.mp4"]], ids=["image", "video"]
)
@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_full_standard_output_gives_one_sentence(tmp_path, argv, option):
    save(tmp_path / "a.png")
    write_video(tmp_path / "film.mp4")
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, SCRIPT, *argv, option, "-", "--no-show"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert ran.returncode in (1, 2)
    assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr
    assert "Standard output cannot be written" in ran.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
def test_closed_standard_output_gives_no_traceback(tmp_path):
    save(tmp_path / "a.png")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        ran = subprocess.run(
            [sys.executable, SCRIPT, "--image", "a.png", "--no-show"],
            cwd=tmp_path,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    argv = [sys.executable, str(SCRIPT), "--image", "a.png", "--no-show"]
    closed = f"import os, subprocess; os.close(1); os._exit(subprocess.call({argv!r}))"
    ran = subprocess.run(
        [sys.executable, "-c", closed], cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=300
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.slow
def test_any_file_name_can_be_printed_in_any_terminal_encoding(tmp_path):
    save(tmp_path / "写真.png")
    for options in ([], ["--json", "-"]):
        ran = run_process(
            "--image",
            "写真.png",
            "--no-show",
            *options,
            cwd=tmp_path,
            env=os.environ | {"PYTHONIOENCODING": "cp1252"},
            encoding="utf-8",
        )
        assert ran.returncode == 0 and "写真" in ran.stdout


@pytest.mark.parametrize("content", [None, b"", b"no model"], ids=["missing", "empty", "damaged"])
def test_bad_classifier_is_named_in_one_sentence(script, tmp_path, monkeypatch, capfd, content):
    monkeypatch.setattr(detect, "load_detector", lambda *args: find_blocks)
    model = tmp_path / "my.onnx"
    if content is not None:
        model.write_bytes(content)
    save(tmp_path / "good.png")
    argv = [
        "--image",
        tmp_path / "good.png",
        "--no-show",
        "--model",
        model,
        "--output",
        tmp_path / "copies",
    ]
    assert script.main([str(argument) for argument in argv]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(
        f"The model file {model} is {'missing' if content is None else 'damaged'}"
    )


@pytest.mark.parametrize("detector", detect.DETECTORS)
@pytest.mark.parametrize("content", [None, b"no model"], ids=["missing", "damaged"])
def test_bad_detector_is_named_with_how_to_get_it(
    script, tmp_path, monkeypatch, capfd, detector, content
):
    for folder in ("MODEL_DIR", "SHARED_DIR"):
        monkeypatch.setattr(paths, folder, tmp_path)
    shipped = tmp_path / DETECTOR_FILE.name
    monkeypatch.setitem(detect.DETECTORS, "fcos", partial(detect.FCOS, path=shipped))
    if content:
        for name in (shipped.name, YUNET_FILE, *RES10_FILES):
            (tmp_path / name).write_bytes(content)
    save(tmp_path / "good.png")
    argv = [
        "--image",
        tmp_path / "good.png",
        "--no-show",
        "--detector",
        detector,
        "--output",
        tmp_path / "copies",
    ]
    assert script.main([str(argument) for argument in argv]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert ("restore" if detector == "fcos" else "run `make detectors`") in err


def test_detector_model_is_the_file_that_is_loaded(script, tmp_path, capfd):
    save(tmp_path / "good.png")
    argv = ["--image", tmp_path / "good.png", "--no-show", "--output", tmp_path / "copies"]
    argv += ["--detector-model", tmp_path / "my.onnx"]
    assert script.main([str(argument) for argument in argv]) == 2
    assert f"The model file {tmp_path / 'my.onnx'} is missing" in capfd.readouterr().err
    (tmp_path / "my.onnx").write_bytes(DETECTOR_FILE.read_bytes())
    assert script.main([str(argument) for argument in argv]) == 0


ARGUMENTS = {
    "nothing, and no display": ([], "no display for the webcam's window"),
    "an unknown argument": (["--imagine", "a.jpg"], "--imagine"),
    "no file": (["--image"], "--image"),
    "two sources": (["--image", "a.jpg", "--video", "b.mp4"], "--video"),
    "an unknown detector": (["--image", "a.jpg", "--detector", "haar"], "haar"),
    "a file for another detector": (
        ["--image", "a.jpg", "--detector", "yunet", "--detector-model", "my.onnx"],
        "--detector-model is for --detector fcos",
    ),
    "a confidence over 1": (
        ["--image", "a.jpg", "--min-confidence", "50"],
        "'50' is not a number from 0 to 1",
    ),
    "a confidence that is no number": (["--image", "a.jpg", "--min-confidence", "high"], "high"),
    "two things to standard output": (
        ["--image", "a.jpg", "--csv", "-", "--json", "-"],
        "standard output",
    ),
    "a distance of nothing": (
        ["--video", "a.mp4", "--distance", "0"],
        "'0' is not a number above 0",
    ),
    "a file without an option": (["a.jpg"], "a.jpg is not the value of an option: write --image"),
    "a name with spaces": (["--video", "my", "film.mp4"], "quotes around a name with spaces"),
    "no such video": (["--video", "film.mp4"], "There is no video film.mp4"),
    "no such camera": (["--video", "97"], "Camera 97 cannot be opened"),
    "workers without images": (["--video", "0", "--workers", "2"], "--workers is for --image"),
    "no workers": (["--image", "a.jpg", "--workers", "0"], "'0' is not a whole number"),
    "half a worker": (["--image", "a.jpg", "--workers", "1.5"], "'1.5' is not a whole number"),
    "workers in words": (["--image", "a.jpg", "--workers", "two"], "'two' is not a whole number"),
    "both": (
        ["--image", "a.jpg", "--workers", "2", "--scheduler", "tcp://x:1"],
        "--workers is for this machine",
    ),
    "parquet without a file": (
        ["--image", "a.jpg", "--output-format", "parquet"],
        "--output-format parquet needs a file",
    ),
    "parquet to standard output": (
        ["--image", "a.jpg", "--output-format", "parquet", "--csv", "-"],
        "--output-format parquet needs a file",
    ),
    "another format": (["--image", "a.jpg", "--output-format", "xls"], "invalid choice: 'xls'"),
}


@pytest.mark.parametrize(("argv", "sentence"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_wrong_arguments_give_one_sentence(script, tmp_path, monkeypatch, capfd, argv, sentence):
    monkeypatch.setattr(run_module, "has_display", lambda: False)
    monkeypatch.chdir(tmp_path)
    try:
        code = script.main(argv)
    except SystemExit as error:
        code = error.code
    out, err = capfd.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


def test_webcam_is_the_default_source_and_is_not_recorded(
    script, fake_classifier, tmp_path, monkeypatch, capsys
):
    opened = []
    shown = []

    def open_video(source, on_message):
        opened.append(source)
        video = Video(write_video(tmp_path / "webcam.mp4"))
        video._read_live = video._read_file
        video.is_live = True
        return video

    def show(window, image, wait=False):
        shown.append(image)
        return len(shown) < 3

    monkeypatch.setattr(
        video_module, "load_models", lambda *args, **options: (find_blocks, fake_classifier)
    )
    monkeypatch.setattr(run_module, "has_display", lambda: True)
    monkeypatch.setattr(video_module, "Video", open_video)
    monkeypatch.setattr(run_module.Window, "show", show)
    monkeypatch.chdir(tmp_path)
    assert script.main([]) == 0
    assert (opened, len(shown)) == ([0], 3)
    assert capsys.readouterr().out.startswith("3 frames, ")
    assert [path.name for path in tmp_path.iterdir()] == ["webcam.mp4"]


def test_video_gives_a_record_per_frame_a_table_of_people_and_a_copy(run, tmp_path):
    names = ["with_mask"] * 12 + ["no_face"] * 2
    write_video(tmp_path / "film é.mp4", fps=10, names=names)
    code, frames, out, _ = run("--video", "film é.mp4", "--csv", "people.csv", "--interval", "1")
    assert code == 0
    assert out.startswith("14 frames, 1 person: 1 with_mask; annotated copy copies")
    assert [(frame["file"], frame["frame"], frame["time_s"]) for frame in frames] == [
        ("film é.mp4", number, pytest.approx(number / 10)) for number in range(14)
    ]
    track_ids = [face.get("track_id", 0) for frame in frames for face in frame["faces"]]
    assert track_ids == [0] * 2 + [1] * 10
    (person,) = pd.read_csv("people.csv").to_dict("records")
    assert (person["track_id"], person["first_s"], person["last_s"]) == (1, 0.2, 1.1)
    shares = pd.read_csv("people-intervals.csv")
    assert (shares.people.tolist(), shares.share_with_mask.tolist()) == ([1, 1], [1.0, 1.0])
    assert len(list(Video(tmp_path / "copies" / "film é.mp4"))) == 14


SECRETS = {
    "user info": "{}://admin:S3cret@127.0.0.1:{}/a",
    "query": "{}://127.0.0.1:{}/videostream.cgi?user=admin&pwd=S3cret&channel=1",
    "path": "{}://127.0.0.1:{}/user=admin&password=S3cret&channel=1",
}


@pytest.mark.parametrize("form", SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_of_an_address_is_shown_or_stored(run, tmp_path, form, monkeypatch):
    with Stream([IMAGE]) as stream:
        address = form.format("http", stream.port)
        monkeypatch.setattr(Video, "_read_live", lambda video: iter([(0.0, IMAGE)]))
        code, images, stdout, stderr = run("--video", address, "--csv", "people.csv")
    assert (code, len(images)) == (0, 1)
    (copy,) = (tmp_path / "copies").iterdir()
    written = [path.read_text() for path in tmp_path.glob("*.*")]
    for text in (stdout, stderr, copy.name, *written):
        assert "S3cret" not in text and "admin" not in text


@pytest.mark.parametrize("form", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("option", ["--video", "--image", "--min-confidence", "--interval", "--x"])
def test_no_secret_is_in_a_sentence_about_an_error(run, form, option):
    address = form.format("rtsp", 1)
    code, images, stdout, stderr = run(option, address, json_file="none/a.json")
    assert (code, images, stdout) == (2, None, "")
    assert "S3cret" not in stderr and "127.0.0.1" in stderr


def test_ctrl_c_writes_the_images_done_so_far(run, script, fake_classifier, tmp_path, monkeypatch):
    images = [save(tmp_path / f"{number}.png") for number in range(3)]

    def find_until_the_second(image):
        if Path("copies/0.jpg").exists():
            raise KeyboardInterrupt
        return find_blocks(image)

    monkeypatch.setattr(
        run_module,
        "load_models",
        lambda *args, **options: (find_until_the_second, fake_classifier),
    )
    monkeypatch.setattr(run_module, "count_cores", lambda: 1)
    code, records, out, _ = run("--image", *images)
    assert (code, len(records)) == (1, 1)
    assert out.rstrip().endswith("stopped before the end.")


def test_script_reports_wrong_paths_and_imports_nothing_heavy(tmp_path):
    wrong = run_process("--image", "nope é.jpg", "--no-show", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "There is no file or folder nope é.jpg: check the path.\n"
    code = f"import runpy, sys; runpy.run_path({str(SCRIPT)!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "cv2" in loaded and loaded & HEAVY == set()


def test_script_finds_the_three_classes_and_prints_nothing_else(tmp_path):
    name, resolution_wh, truth = read_voc(paths.EXAMPLES_DIR / "annotations" / "three_classes.xml")
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[64] = 9  # an unknown rendering intent: libpng warns, and reads the image all the same
    picture = save(
        tmp_path / "é.png",
        Image.fromarray(read_image(paths.EXAMPLES_DIR / name)),
        icc_profile=bytes(profile),
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    done = run_process(
        *["--image", picture, "--no-show", "--json", "-", "--output", "copies"],
        cwd=tmp_path,
        env=environment | {"PYTHONUTF8": "1"},
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[1:] == [] and done.stderr.startswith(
        "1 image, 3 faces: 1 with_mask, 1 without_mask"
    )
    (image,) = json.loads(done.stdout)["images"]
    assert (image["file"], image["width"], image["height"]) == (picture.as_posix(), *resolution_wh)
    overlap = box_iou(
        np.array([box for _, box in truth]), np.array([face["box"] for face in image["faces"]])
    )
    assert overlap.max(axis=1).min() >= 0.5
    found = [image["faces"][position]["class_name"] for position in overlap.argmax(axis=1)]
    assert found == [class_name for class_name, _ in truth]
