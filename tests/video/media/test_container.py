"""Containers: whether a file is shorter than it says, and whether its clock may jump."""

from fractions import Fraction

import pytest

from tests.odd_videos import write_film
from utils.video.media.container import ends_early, may_jump, stores_count

pytest.importorskip("av")

FILMS = {
    "a.mp4": {},
    "front.mp4": {"options": {"movflags": "faststart"}},
    "a.mov": {},
    "a.mkv": {},
    "a.webm": {"codec": "libvpx"},
    "a.avi": {"codec": "mpeg4", "time_base": Fraction(1, 10)},
}


@pytest.mark.parametrize(("name", "options"), FILMS.items(), ids=FILMS.keys())
def test_whole_file_ends_where_it_says_and_a_cut_one_does_not(tmp_path, name, options):
    path = write_film(tmp_path / name, **options)
    assert ends_early(path) is False
    assert stores_count(path) is (path.suffix in (".mp4", ".mov", ".avi"))
    data = path.read_bytes()
    path.write_bytes(data + b"\0" * 100)  # padding
    assert not ends_early(path)
    for share in (0.3, 0.6, 0.95):
        path.write_bytes(data[: int(share * len(data))])
        assert ends_early(path) is True


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.flv", "live.mkv", "a.gif", "empty", "text"])
def test_file_that_does_not_say_where_it_ends(tmp_path, name):
    path = tmp_path / name
    if name == "empty":
        path.touch()
    elif name == "text":
        path.write_bytes(b"no video" * 100)
    else:
        codecs = {"a.mpg": "mpeg2video", "a.flv": "flv", "a.gif": "gif"}
        rate = 25 if name == "a.mpg" else 10
        write_film(
            path,
            codec=codecs.get(name, "libx264"),
            rate=rate,
            time_base=Fraction(1, 1000) if name == "live.mkv" else Fraction(1, rate),
            times=[number / rate for number in range(40)],
            form="matroska" if name == "live.mkv" else None,
            is_live=name == "live.mkv",
        )
    assert ends_early(path) is None
    assert may_jump(path) is (name in ("a.ts", "a.mpg"))
