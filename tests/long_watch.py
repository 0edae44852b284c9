"""A film watched for long: `python -m tests.long_watch FILM FRAMES` prints the most memory that the process has needed.

All of the program is at work, copy and records too. The models look at every twentieth frame, and their last answer
stands for the others, so that ten thousand frames take a minute and not ten.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils.boxes import Detections
from utils.cli import JsonStream, Report, process_video
from utils.detect import load_models
from utils.video import Monitor, Video, VideoPipeline

LOOK = 20  # every how many frames the models are asked


class Rounds(Video):
    """A film that begins again until so many frames have come."""

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
    """The most memory of this process so far, MB."""
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # what `getrusage` tells there begins with the memory of the process that started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20


def watch_many(film: str, count: int) -> int:
    """Watch so many frames: the most memory needed, MB."""
    judge = VideoPipeline(*load_models("fcos", 0.25, tiled=False))
    asked, answer = 0, Detections.empty()

    def judge_sometimes(image: np.ndarray) -> Detections:
        nonlocal asked, answer
        if asked % LOOK == 0:
            answer = judge(image)
        asked += 1
        return answer

    with tempfile.TemporaryDirectory() as folder:
        stream, report = JsonStream(Path(folder) / "a.json"), Report(keep_records=False)
        process_video(Rounds(film, count), Monitor(judge_sometimes), folder, report, stream=stream)
    if report.problems or report.counts["images"] != count:
        raise RuntimeError(f"{report.counts['images']} frames were watched: {report.problems}")
    return measure_peak()


if __name__ == "__main__":
    print(watch_many(sys.argv[1], int(sys.argv[2])))
