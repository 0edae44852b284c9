"""Videos in a container whose frames change their size, read without PyAV."""

from fractions import Fraction

import numpy as np
import pytest

from tests.odd_videos import draw_frame, write_film
from utils.video import Video, VideoWriter
from utils.video.frame_sizes import list_sizes, read_size

SIZES = ((160, 120), (120, 160), (240, 90))
PART = 12  # frames of each size
MILLI = Fraction(1, 1000)
CODECS = {
    "a.webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "b.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "c.mkv": ("libx264", {"preset": "ultrafast"}),
    "d.mp4": ("libx264", {"preset": "ultrafast"}),
}


def encode_part(av, codec, options, size_wh, first) -> list:
    """Return the packets of a video of one size, 10 frames a second."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = size_wh
    context.pix_fmt = "yuv420p"
    context.time_base = MILLI
    context.framerate = Fraction(10)
    context.options = options
    context.bit_rate = 2_000_000
    packets = []
    for number in range(PART):
        frame = av.VideoFrame.from_ndarray(draw_frame(number, size_wh), format="rgb24")
        frame.pts = 100 * (first + number)
        frame.time_base = MILLI
        packets += context.encode(frame)
    return packets + context.encode(None)


@pytest.fixture(params=CODECS)
def changing(request, tmp_path):
    """Return a video whose frames change their size twice."""
    av = pytest.importorskip("av")
    codec, options = CODECS[request.param]
    path = tmp_path / request.param
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = SIZES[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = MILLI
        stream.bit_rate = 2_000_000
        for number, size_wh in enumerate(SIZES):
            for packet in encode_part(av, codec, options, size_wh, number * PART):
                packet.stream = stream
                container.mux(packet)
    return path


def test_each_frame_has_its_own_size_and_the_copy_is_fitted(changing, without_pyav):
    found = list_sizes(changing)
    assert [size_wh for _, size_wh in found] == list(SIZES)
    assert [time_s for time_s, _ in found] == pytest.approx([0, 1.2, 2.4], abs=2e-3)
    video = Video(changing)
    with VideoWriter(changing.with_name("copy.mp4"), video.fps) as writer:
        for number, time_s, image in video:
            size_wh = SIZES[number // PART]
            assert image.shape == (*size_wh[::-1], 3)
            # OpenCV squeezed it before, so that edges are less sharp.
            expected = draw_frame(number % PART, size_wh).astype(float)
            assert np.abs(image - expected).mean() < 6
            writer.add(image, time_s)
    assert {image.shape for _, _, image in Video(writer.path)} == {(*SIZES[0][::-1], 3)}


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
