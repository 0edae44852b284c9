"""Print the peak memory of processing a video for long: ``python -m tests.long_watch FILM FRAMES``.

The whole program is at work, including the annotated copy and the records. The models process every
twentieth frame, and their last answer is used for the others, so that 10,000 frames take a minute.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.boxes import Detections
from utils.cli import JsonStream, Report, process_video
from utils.detect import FAST_PASSES, load_models
from utils.video import Monitor, Video, VideoPipeline

STEP = 20  # the models process one frame in this many


class LoopedVideo(Video):
    """A video that starts again until a number of frames has been read."""

    def __init__(self, film: str, count: int) -> None:
        super().__init__(film)
        self.frame_count = count

    def __iter__(self) -> Iterator[tuple[int, float, np.ndarray]]:
        number = 0
        while True:
            for _, _, image in Video(self.path):
                yield number, number / self.fps, image
                number += 1
                if number == self.frame_count:
                    return


def measure_peak() -> int:
    """Return the peak memory of this process so far, MB."""
    # On Linux, getrusage includes the memory of the process that started this one.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20


def process_many(film: str, count: int) -> int:
    """Process a number of frames, and return the peak memory, MB."""
    pipeline = VideoPipeline(*load_models("fcos", 0.25, passes=FAST_PASSES))
    calls = 0
    answer = Detections.empty()

    def detect_sometimes(image: np.ndarray) -> Detections:
        nonlocal calls, answer
        if calls % STEP == 0:
            answer = pipeline(image)
        calls += 1
        return answer

    report = Report(keep_records=False)
    with tempfile.TemporaryDirectory() as folder:
        process_video(
            video=LoopedVideo(film, count),
            monitor=Monitor(detect_sometimes),
            output=folder,
            report=report,
            stream=JsonStream(Path(folder) / "a.json"),
        )
    if report.problems or report.counts["images"] != count:
        raise RuntimeError(f"{report.counts['images']} frames were processed: {report.problems}")
    return measure_peak()


if __name__ == "__main__":
    print(process_many(sys.argv[1], int(sys.argv[2])))
