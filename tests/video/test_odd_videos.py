"""Odd videos: every frame at its time, in its size, and a copy that lasts as long as the source."""

import json

import numpy as np
import pytest

from tests.odd_videos import FRAMES, ODD_FILMS, SIZE, STEADY, measure_length, odd, write_film
from utils.cli import JsonStream, Report, process_video
from utils.images import ImageError, SourceError
from utils.video import Monitor, Video, VideoWriter

pytest.importorskip("av")  # writes the odd videos


@pytest.mark.parametrize("film", ODD_FILMS.values(), ids=ODD_FILMS.keys())
def test_copy_lasts_as_long_as_its_source(pipeline, tmp_path, library, film):
    video = Video(film.write(tmp_path / film.name))
    report = Report()
    (copy,) = process_video(video, Monitor(pipeline), tmp_path / "out", report)
    count = FRAMES * len(film.sizes)
    if film.name in ("joined.ts", "later.ts"):
        count = 2 * FRAMES
    assert (report.problems, len(report.records)) == ([], count)
    assert measure_length(copy) == pytest.approx(film.length_s, abs=film.frame_s)
    times = [record["time_s"] for record in report.records]
    assert times[0] == 0 and np.all(np.diff(times) > 0)
    sizes = [(record["width"], record["height"]) for record in report.records]
    assert list(dict.fromkeys(sizes)) == list(film.sizes)
    faces = [len(record["faces"]) for record in report.records]
    assert faces == [1] * count  # the block keeps its shape
    if library == "PyAV":
        assert [time_s for _, time_s, _ in Video(copy)] == pytest.approx(times, abs=1e-3)


def test_face_keeps_its_shape_when_the_size_changes_and_the_copy_is_letterboxed(
    pipeline, tmp_path, library
):
    film = ODD_FILMS["another size from the middle on"]
    report = Report()
    (copy,) = process_video(
        Video(film.write(tmp_path / film.name)), Monitor(pipeline), tmp_path / "out", report
    )
    for record in (report.records[0], report.records[FRAMES]):
        x_min, y_min, x_max, y_max = record["faces"][0]["box"]
        assert (x_max - x_min, y_max - y_min) == (
            pytest.approx(40, abs=3),
            pytest.approx(50, abs=3),
        )
    images = [image for _, _, image in Video(copy)]
    assert {image.shape for image in images} == {(*SIZE[::-1], 3)}
    assert images[-1][:, :20].mean() < 10 and images[-1][:, 70:90].mean() > 60


def test_short_mkv_and_mp4_that_are_cut_off_say_so(tmp_path, library):
    for name, options in {"a.mkv": {}, "b.mp4": {"options": {"movflags": "faststart"}}}.items():
        path = write_film(tmp_path / name, **options)
        assert len(list(Video(path))) == FRAMES
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        frames = []
        with pytest.raises(
            SourceError, match=rf"^{path} ends after .* of .*: it is cut off\. Copy"
        ):
            frames.extend(Video(path))
        assert 10 < len(frames) < FRAMES


def test_damage_within_a_file_is_said(tmp_path):
    path = write_film(tmp_path / "a.mp4", key_frame_every=1)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    third = (len(data) - start) // 3
    data[start + third : start + 2 * third] = bytes(third)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=rf"^{path} is damaged, and \d+ of its 40 frames cannot"):
        list(Video(path))


@pytest.mark.parametrize("name", ["2021-05-01T12:30:00.mp4", "rtsp:film.mp4", "a@b?pwd=c.mp4"])
@pytest.mark.parametrize("output", [".", "out"])
def test_file_is_a_file_whatever_its_name(pipeline, tmp_path, monkeypatch, library, name, output):
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "film.mp4").rename(tmp_path / name)
    report = Report()
    video = Video(name)
    (copy,) = process_video(video, Monitor(pipeline), output, report)
    assert (video.name, len(report.records), report.problems) == (name, FRAMES, [])
    assert len(list(Video(copy))) == FRAMES


def test_folder_with_a_number_as_its_name_is_a_folder(tmp_path, monkeypatch):
    from utils.images import write_image

    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "001" / "1.png", np.zeros((8, 8, 3), np.uint8))
    assert len(list(Video("001"))) == 1


@pytest.mark.parametrize("device", ["/dev/video97", "97"])
def test_device_is_a_camera(device):
    with pytest.raises(SourceError, match=f"^Camera {device} cannot be opened: plug it in"):
        Video(device)


def test_file_address_is_a_file(tmp_path):
    path = write_film(tmp_path / "a b.mp4")
    video = Video(path.as_uri())
    assert (video.files, len(list(video))) == ([path], FRAMES)


def test_very_long_address_is_named_in_one_sentence():
    with pytest.raises(SourceError, match="does not answer"):
        Video("http://127.0.0.1:1/" + "a" * 400)


def test_copy_that_fails_costs_no_record(pipeline, tmp_path, monkeypatch, library):
    add = VideoWriter.add

    def fail_later(writer, image, time_s):
        if time_s > 1:
            raise ImageError("The copy failed.")
        add(writer, image, time_s)

    monkeypatch.setattr(VideoWriter, "add", fail_later)
    report = Report()
    monitor = Monitor(pipeline)
    (copy,) = process_video(
        video=Video(write_film(tmp_path / "a.mp4")),
        monitor=monitor,
        output=tmp_path / "out",
        report=report,
        stream=JsonStream(tmp_path / "a.json"),
    )
    assert (report.problems, report.exit_code) == (["The copy failed."], 1)
    records = json.loads((tmp_path / "a.json").read_text())["images"]
    assert len(records) == FRAMES and sum(monitor.counter.counts.values()) == 1
    assert len(list(Video(copy))) == 11


def test_missing_sound_is_said(pipeline, tmp_path, capsys):
    film = odd("a.mkv", 4.0, sound_s=2.0)
    path = film.write(tmp_path / film.name)
    (copy,) = process_video(Video(path), Monitor(pipeline), tmp_path / "out", Report())
    assert f"{copy} has no sound: the sound of {path} is left out." in capsys.readouterr().err
    assert STEADY[-1] == pytest.approx(3.9)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_both_libraries_turn_and_stretch_alike(tmp_path, monkeypatch, turn):
    import av

    from tests.video.conftest import hide_pyav

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        stream.set_display_rotation(turn)
        pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels.repeat(8, 0).repeat(8, 1), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    ((_, _, ours),) = Video(path)
    hide_pyav(monkeypatch)
    ((_, _, theirs),) = Video(path)
    assert ours.shape == ((48, 128, 3) if turn % 180 == 0 else (128, 48, 3))
    np.testing.assert_allclose(ours.astype(int), theirs, atol=1)
