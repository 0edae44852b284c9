"""Sizes in the headers of video codecs."""

import numpy as np
import pytest

from utils.video.media.parameter_sets import H264, HEVC, MPEG2, find_codec

PACKETS = {
    "nothing": (b"", None),
    "no start code": (b"\0\0\2\x67\x64", None),
    "a start code alone": (b"\0\0\1", None),
    "H.264 SPS": (b"\0\0\0\1\x67\x64\0\x0a", H264),
    "H.264 delimiter": (b"\0\0\1\x09\xf0", H264),
    "H.264 timing": (b"\0\0\1\x06\x01", H264),
    "HEVC VPS": (b"\0\0\0\1\x40\x01\x0c", HEVC),
    "HEVC delimiter": (b"\0\0\1\x46\x01\x50", HEVC),
    "MPEG-2 sequence": (b"\0\0\1\xb3\x14\0\xf0", MPEG2),
    "MPEG-2 picture": (b"\0\0\1\0\x01", None),
    "MPEG-4 part 2": (b"\0\0\1\xb0\x01", None),
}


@pytest.mark.parametrize(("packet", "codec"), PACKETS.values(), ids=PACKETS.keys())
def test_the_codec_of_a_packet(packet, codec):
    assert find_codec(packet) is codec


@pytest.mark.parametrize("codec", [H264, HEVC, MPEG2], ids=["H.264", "HEVC", "MPEG-2"])
def test_a_damaged_header_is_an_error_or_a_size(codec):
    rng = np.random.default_rng(0)
    for _ in range(500):
        try:
            parameters = codec.parse(b"\x67" + rng.bytes(rng.integers(0, 60)))
        except ValueError:
            continue
        assert min(parameters.size_wh) > 0


def test_a_group_of_mpeg4_frames_is_no_sequence():
    assert MPEG2.read(bytes.fromhex("000001b3001007000001b6106071823db7f1b6dfc6db7f")) is None
