"""Videos that are odd in one way each, as cameras, browsers and phones write them.

``python -m tests.odd_videos`` prints how long the annotated copy of each is, against its source.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.conftest import draw_blocks

SIZE = (160, 120)
FRAMES = 40
STEADY = tuple(number / 10 for number in range(FRAMES))  # seconds; 10 frames a second


def draw_frame(number: int, resolution_wh: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a frame with a block that moves right."""
    x = 10 + 2 * number
    return draw_blocks(("with_mask", (x, 30, x + 40, 80)), resolution_wh=resolution_wh)


class Unseekable(io.RawIOBase):
    """A file into which nothing can be written later, as when a browser records a stream."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def write_film(
    path: Path,
    times: Sequence[float] = STEADY,
    last_s: float = 0.1,
    codec: str = "libx264",
    rate: Fraction | int = 10,
    resolution_wh: tuple[int, int] = SIZE,
    time_base: Fraction = Fraction(1, 90_000),
    form: str | None = None,
    sar: Fraction | None = None,
    sound_s: float = 0.0,
    options: dict[str, str] | None = None,
    is_live: bool = False,
    key_frame_every: int = 12,
) -> Path:
    """Write a video whose frames have given times.

    Args:
        path: the file.
        times: of the frames, seconds.
        last_s: seconds that the last frame is shown.
        codec: FFmpeg's name of the encoder.
        rate: frames per second that the file claims.
        resolution_wh: width and height, pixels.
        time_base: unit of the timestamps, seconds.
        form: FFmpeg's name of the format; by default from the suffix.
        sar: width of a pixel / its height.
        sound_s: length of a soundtrack, seconds.
        options: of the format.
        is_live: whether nothing is written into the file later, such as its length.
        key_frame_every: number of frames from a frame that needs no other to the next.
    """
    import av

    target = Unseekable(path) if is_live else str(path)
    with av.open(target, "w", format=form, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = resolution_wh
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.time_base = time_base
        stream.gop_size = key_frame_every
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = sar
        if codec.startswith("libx264"):
            stream.options = {"preset": "ultrafast", "crf": "12"}
        if codec.startswith("libvpx"):
            stream.bit_rate = 2_000_000
            stream.options = {"deadline": "realtime", "cpu-used": "8"}
        sound = container.add_stream("aac", rate=8000, layout="mono") if sound_s else None
        ends = [*times[1:], times[-1] + last_s]
        durations = {}
        packets = []
        for number, (start, end) in enumerate(zip(times, ends, strict=True)):
            frame = av.VideoFrame.from_ndarray(draw_frame(number, resolution_wh), format="rgb24")
            frame.pts = round(start / time_base)
            frame.time_base = time_base
            durations[frame.pts] = round((end - start) / time_base)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets:
            packet.duration = durations.get(packet.pts, 0)
            container.mux(packet)
        if sound is not None:
            for number in range(round(sound_s * 8000 / 1024)):
                silence = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                silence.sample_rate = 8000
                silence.pts = 1024 * number
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    if is_live:
        target.close()
    return path


def write_joined(path: Path, parts: Sequence[dict]) -> Path:
    """Write several films and join their bytes, as broadcasts are joined."""
    data = b""
    for options in parts:
        data += write_film(path, **options).read_bytes()
    path.write_bytes(data)
    return path


def slow_down(number: int) -> float:
    return 0.007 * number**2


@dataclass(frozen=True)
class OddFilm:
    """A way to write an odd video, and the truth about it.

    Attributes:
        name: of the file.
        write: writes the file.
        length_s: how long the file is, seconds.
        frame_s: one frame time, seconds.
        sizes: width and height of its frames with square pixels.
    """

    name: str
    write: Callable[[Path], Path]
    length_s: float
    frame_s: float = 0.1
    sizes: tuple[tuple[int, int], ...] = (SIZE,)


def odd(name: str, length_s: float, frame_s: float = 0.1, sizes=(SIZE,), **options) -> OddFilm:
    return OddFilm(name, lambda path: write_film(path, **options), length_s, frame_s, sizes)


SLOWING = tuple(slow_down(number) for number in range(FRAMES))
PHONE = tuple(np.cumsum([0, *([1 / 30] * 20), *([0.1] * 10), *([1 / 30] * 9)]).tolist())
SCREEN = tuple([*STEADY[:20], *(time_s + 3 for time_s in STEADY[20:])])
MILLI = Fraction(1, 1000)
SLOMO = tuple(number / 140.5617 for number in range(FRAMES))

ODD_FILMS = {
    "a browser's recording, slower and slower": odd(
        "browser.webm", SLOWING[-1] + 0.1, codec="libvpx", times=SLOWING, time_base=MILLI
    ),
    "a live recording without a length": odd(
        "live.webm", 4.0, codec="libvpx", time_base=MILLI, form="webm", is_live=True
    ),
    "a screen that stands still for 3 s": odd("screen.mkv", 7.0, times=SCREEN, time_base=MILLI),
    "a sound that goes on after the pictures": odd("meeting.mkv", 4.0, sound_s=9.0),
    "slow motion": odd(
        "slow.mov", SLOMO[-1] + 0.1, 1 / 140.5617, times=SLOMO, last_s=0.1,
        rate=Fraction(1405617, 10000), time_base=Fraction(1, 105611),
    ),
    "a phone that is slow in the dark": odd(
        "phone.mp4", PHONE[-1] + 1 / 30, 1 / 30, times=PHONE, last_s=1 / 30, rate=30
    ),
    "a broadcast begun in the middle": odd(
        "middle.ts", 4.0, times=tuple(1000 + time_s for time_s in STEADY)
    ),
    "two broadcasts joined, the second from 0": OddFilm(
        "joined.ts",
        lambda path: write_joined(path, [{"times": [900 + t for t in STEADY]}, {}]),
        8.0,
    ),
    "two broadcasts joined, the second an hour later": OddFilm(
        "later.ts",
        lambda path: write_joined(path, [{}, {"times": [3600 + t for t in STEADY]}]),
        8.0,
    ),
    "another size from the middle on": OddFilm(
        "both.h264",
        lambda path: write_joined(
            path,
            [
                {"time_base": Fraction(1, 10)},
                {"time_base": Fraction(1, 10), "resolution_wh": SIZE[::-1]},
            ],
        ),
        8.0,
        sizes=(SIZE, SIZE[::-1]),
    ),
    "pixels that are not square": odd(
        "sar.mp4", 4.0, sizes=((640, 120),), sar=Fraction(4, 1)
    ),
    "NTSC in AVI": odd(
        "ntsc.avi", FRAMES * 1001 / 30000, 1001 / 30000, codec="mpeg4",
        rate=Fraction(30000, 1001), time_base=Fraction(1001, 30000),
        times=tuple(number * 1001 / 30000 for number in range(FRAMES)), last_s=1001 / 30000,
    ),
}  # fmt: skip


def measure_length(path: Path) -> float:
    """Return how long a video is, by its container, seconds."""
    import av

    with av.open(str(path)) as container:
        return container.duration / av.time_base


def main() -> None:
    """Print the length of each source and of its copy."""
    from utils.boxes import Detections
    from utils.classes import CLASS_NAMES
    from utils.cli import Report, process_video
    from utils.video import Monitor, Video

    nobody = replace(Detections.empty(), y_prob=np.zeros((0, len(CLASS_NAMES)), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        for title, film in ODD_FILMS.items():
            path = film.write(Path(folder) / film.name)
            report = Report()
            monitor = Monitor(lambda image: nobody)
            copies = process_video(Video(path), monitor, Path(folder) / "out", report)
            length_s = measure_length(copies[0])
            frames_off = (length_s - film.length_s) / film.frame_s
            print(
                f"{title}: source {film.length_s:.3f} s, copy {length_s:.3f} s, "
                f"{frames_off:+.2f} frame times; {' '.join(report.problems)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
