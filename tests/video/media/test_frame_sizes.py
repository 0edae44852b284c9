"""Videos in a container whose frames change their size, read without PyAV."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from tests.odd_videos import draw_frame, write_film
from utils.images import SourceError
from utils.video import Video, VideoWriter
from utils.video.media.frame_sizes import list_sizes, read_size

SIZES = ((160, 120), (120, 160), (240, 90))
PART = 12  # frames of each size
TIME_BASE = Fraction(1, 25)
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:repeat-headers=1"}
CODECS = {
    "a.webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "b.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "c.mkv": ("libx264", {"preset": "ultrafast"}),
    "d.mp4": ("libx264", {"preset": "ultrafast"}),
    "e.mkv": ("libx265", X265),
    "f.mp4": ("libx265", X265),
    "g.ts": ("libx265", X265),
    "h.mpg": ("mpeg2video", {}),
    "i.mkv": ("mpeg2video", {}),
    "j.avi": ("mjpeg", {}),
}
AV1 = {"k.mkv": ("libsvtav1", {"preset": "12"}), "l.mp4": ("libsvtav1", {"preset": "12"})}


def encode_part(av, codec, options, size_wh, first) -> list:
    """Return the packets of a video of one size, 25 frames a second."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = size_wh
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.time_base = TIME_BASE
    context.framerate = 1 / TIME_BASE
    context.options = options
    context.bit_rate = 2_000_000
    packets = []
    for number in range(PART):
        frame = av.VideoFrame.from_ndarray(draw_frame(number, size_wh), format="rgb24")
        frame.pts = first + number
        frame.time_base = TIME_BASE
        packets += context.encode(frame)
    return packets + context.encode(None)


def write_changing(path, codec, options, sizes=SIZES):
    """Write a video whose frames change their size."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1 / TIME_BASE)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        stream.bit_rate = 2_000_000
        stream.options = options
        for number, size_wh in enumerate(sizes):
            for packet in encode_part(av, codec, options, size_wh, number * PART):
                packet.stream = stream
                container.mux(packet)
    return path


@pytest.fixture(params=CODECS)
def changing(request, tmp_path):
    """Return a video whose frames change their size twice."""
    return write_changing(tmp_path / request.param, *CODECS[request.param])


def test_each_frame_has_its_own_size_and_the_copy_is_fitted(changing, without_pyav):
    found = list_sizes(changing)
    assert [size_wh for _, size_wh in found] == list(SIZES)
    assert [time_s for time_s, _ in found] == pytest.approx([0, PART / 25, 2 * PART / 25], abs=2e-3)
    video = Video(changing)
    count = 0
    with VideoWriter(changing.with_name("copy.mp4"), video.fps) as writer:
        for _, time_s, image in video:
            # By time, because FFmpeg's MPEG-2 decoder drops the frame before a change.
            number = round(time_s / TIME_BASE)
            expected = draw_frame(number % PART, SIZES[number // PART])
            assert image.shape == expected.shape
            # OpenCV squeezed it before, so that edges are less sharp.
            assert np.abs(image.astype(float) - expected).mean() < 6
            writer.add(image, time_s)
            count += 1
    assert count >= len(SIZES) * PART - 2
    assert {image.shape for _, _, image in Video(writer.path)} == {(*SIZES[0][::-1], 3)}


@pytest.mark.parametrize("name", AV1)
def test_av1_tells_its_sizes_and_that_it_needs_pyav(tmp_path, without_pyav, name):
    sizes = ((320, 240), (240, 320), (480, 180))
    # SVT-AV1 makes the thread that encodes real-time if it may, and with it each program that the
    # thread starts later: a browser in another test then keeps all other programs from running.
    with ThreadPoolExecutor(1) as executor:
        path = executor.submit(write_changing, tmp_path / name, *AV1[name], sizes).result()
    assert [size_wh for _, size_wh in list_sizes(path)] == list(sizes)
    with pytest.raises(SourceError, match=rf"^{path} is AV1 video, which OpenCV cannot decode"):
        list(Video(path))


def test_large_mpeg2_is_not_taken_for_another_codec(tmp_path):
    """The codes of its slices look like those of H.264 from row 624 on."""
    sizes = ((64, 1088), (64, 800))
    path = write_changing(tmp_path / "a.mkv", "mpeg2video", {}, sizes)
    assert [size_wh for _, size_wh in list_sizes(path)] == list(sizes)


def test_one_size_is_no_change(tmp_path):
    pytest.importorskip("av")
    assert list_sizes(write_film(tmp_path / "a.mp4")) == []


def test_other_codecs_tell_no_size(tmp_path):
    pytest.importorskip("av")
    path = write_film(tmp_path / "a.avi", codec="mpeg4", time_base=Fraction(1, 10))
    assert list_sizes(path) == []


@pytest.mark.parametrize("packet", [b"", b"\0\0\1\x67", bytes(40), b"\x83\x49\x83\x42"])
def test_a_damaged_packet_tells_no_size(packet):
    assert read_size(packet) is None
