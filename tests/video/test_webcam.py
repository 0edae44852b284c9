"""Webcam: the kernel's half by messages, and the whole widget in a browser with a fake camera."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser import PATIENCE_S, jupyter_lab, open_notebook, run_cell
from tests.conftest import draw_blocks
from utils.boxes import box_iou
from utils.classes import MASK_CLASSES
from utils.detect import FAST_PASSES, load_pipeline
from utils.formats import read_voc
from utils.images import fit_image, read_image
from utils.paths import EXAMPLES_DIR
from utils.video.monitor import Monitor
from utils.video.webcam import Webcam

FRAMES = 60


def send(webcam: Webcam, image: np.ndarray | bytes) -> dict:
    """Send a frame as the browser does, and return the answer."""
    answers = []
    webcam.send = answers.append
    jpeg = (
        image
        if isinstance(image, bytes)
        else cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    )
    webcam._receive(
        webcam, {"kind": "frame", "sent": 7.5, "jpeg": b64encode(bytes(jpeg)).decode()}, []
    )
    (answer,) = answers
    return answer


def test_frame_is_answered_with_boxes_captions_and_counts(pipeline):
    webcam = Webcam(Monitor(pipeline))
    image = draw_blocks(("with_mask", (20, 40, 60, 90)), ("without_mask", (90, 10, 130, 60)))
    for _ in range(5):
        answer = send(webcam, image)
    json.dumps(answer)  # a message must be JSON
    assert (answer["sent"], webcam.frame_count) == (7.5, 5)
    assert answer["counts"] == [1, 1, 0] and "2 people" in answer["status"]
    for (x, y, width, height, caption, color), box, class_id in zip(
        answer["faces"], [(20, 40, 40, 50), (90, 10, 40, 50)], (0, 1), strict=True
    ):
        np.testing.assert_allclose((x, y, width, height), box, atol=3)
        assert re.match(rf"\d: {MASK_CLASSES[class_id]} \d+ %$", caption)
        assert color == webcam.classes[class_id][1]


def test_people_too_close_are_marked_and_counted(pipeline):
    webcam = Webcam(Monitor(pipeline, min_distance=5.0))
    answer = send(
        webcam, draw_blocks(("with_mask", (20, 40, 60, 90)), ("without_mask", (90, 40, 130, 90)))
    )
    assert [face[4].endswith("%, too close") for face in answer["faces"]] == [True, True]
    assert answer["status"].endswith(", 2 too close")


def test_boxes_to_blur_are_sent_only_on_request(pipeline):
    image = draw_blocks(("with_mask", (20, 40, 60, 90)))
    for blur, expected in ((False, []), (True, [[20, 40, 60, 90]])):
        answer = send(Webcam(Monitor(pipeline, blur=blur)), image)
        np.testing.assert_allclose(
            np.reshape(answer["blurred"], (-1, 4)), np.reshape(expected, (-1, 4)), atol=3
        )


def test_frame_without_faces_and_bad_frames(pipeline):
    webcam = Webcam(Monitor(pipeline))
    assert send(webcam, draw_blocks())["faces"] == []
    assert "not an image" in send(webcam, b"no picture")["problem"]
    assert webcam.problem.startswith("The camera's frame")
    webcam._receive(webcam, {"kind": "problem", "text": "There is no camera."}, [])
    assert webcam.problem == "There is no camera."


def test_each_start_begins_with_new_counts_and_each_stop_is_answered_with_the_plot(pipeline):
    drawn = []

    def plot(counter):
        drawn.append(sum(counter.counts.values()))
        return b"a picture"

    webcam = Webcam(Monitor(pipeline, min_distance=5.0), plot)
    image = draw_blocks(("with_mask", (20, 40, 60, 90)))
    answers = []
    webcam.send = answers.append
    webcam._receive(webcam, {"kind": "stop"}, [])
    assert answers == []  # there is nothing to plot
    for frames in (5, 4):
        webcam._receive(webcam, {"kind": "start"}, [])
        assert webcam.frame_count == 0
        for _ in range(frames):
            answer = send(webcam, image)
        assert answer["second"] == 0
        answers = []
        webcam.send = answers.append
        webcam._receive(webcam, {"kind": "stop"}, [])
        assert answers == [{"plot": b64encode(b"a picture").decode()}]
        assert webcam.frame_count == frames
    assert drawn == [1, 1]
    assert webcam.monitor.min_distance == 5.0


CELLS = [
    """
    import json
    import pandas as pd
    from utils import plots
    from utils.detect import FAST_PASSES, load_pipeline
    from utils.video.monitor import Monitor
    from utils.video.webcam import Webcam

    pipeline = load_pipeline("fcos", 0.25, passes=FAST_PASSES)
    seen = []

    def detect(image):
        found = pipeline(image)
        seen.append((image.shape, found.xyxy.tolist()))
        return found

    def plot(counter):
        return plots.to_png(plots.plot_shares(pd.DataFrame(counter.list_intervals())))

    webcam = Webcam(Monitor(detect), plot)
    webcam
    """,
    """
    counter = webcam.monitor.counter
    with open("seen.json", "w") as file:
        json.dump({"seen": seen, "counts": counter.counts, "tracks": counter.list_tracks()}, file)
    """,
]


@pytest.fixture
def camera(tmp_path):
    """A video for the fake camera, a trembling example picture, and the true boxes of its faces."""
    name, resolution_wh, faces = read_voc(EXAMPLES_DIR / "annotations" / "three_classes.xml")
    frame = cv2.cvtColor(fit_image(read_image(EXAMPLES_DIR / name), (640, 480)), cv2.COLOR_RGB2BGR)
    parts = [
        cv2.imencode(".jpg", np.roll(frame, shift, axis=1))[1].tobytes()
        for shift in (0, 1, 2, 3, 2, 1)
    ]
    path = tmp_path / "camera.mjpeg"
    path.write_bytes(b"".join(parts))
    scale = min(640 / resolution_wh[0], 480 / resolution_wh[1])
    corner = (np.array([640, 480]) - scale * np.array(resolution_wh)) / 2
    return path, np.array([box for _, box in faces]) * scale + np.tile(corner, 2)


@contextmanager
def choose_kernel(place: str, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the working folder of the kernel, and the JupyterLab flags that send it there.

    Args:
        place: "here" or "on another server".
        folder: the folder of the notebook.
    """
    if place == "here":
        yield folder, []
        return
    far = folder.parent / "far"
    far.mkdir()
    with jupyter_lab(far, lab_flags=["--ServerApp.disable_check_xsrf=True"]) as address:
        yield far, [f"--GatewayClient.url={address}"]


@pytest.mark.browser
@pytest.mark.parametrize("place", ["here", "on another server"])
def test_sixty_frames_in_a_browser_have_correct_boxes(camera, tmp_path, place):
    film, truth = camera
    (tmp_path / "work").mkdir()
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    flags.append(f"--use-file-for-fake-video-capture={film}")
    cells = ["\n".join(line[4:] for line in cell.splitlines()).strip() for cell in CELLS]
    with (
        choose_kernel(place, tmp_path / "work") as (far, lab_flags),
        open_notebook(tmp_path / "work", cells, "Light", flags, ["camera"], lab_flags) as page,
    ):
        run_cell(page, 0)
        status, shares = page.locator(".fmd-status"), page.locator(".fmd-shares")
        expect(status).to_have_text("The camera is off.")
        expect(page.locator(".fmd-camera")).to_be_hidden()
        page.get_by_role("button", name="Start", exact=True).click()
        expect(status).to_contain_text("ms to the boxes", timeout=1000 * PATIENCE_S)
        page.wait_for_function(
            "document.querySelector('.fmd-status').textContent.includes(' people')"
        )
        for _ in range(200):
            run_cell(page, 1)
            if len(json.loads((far / "seen.json").read_text())["seen"]) >= FRAMES:
                break
        expect(shares).to_have_attribute(
            "aria-label", re.compile(r"^People each second, up to \d, now \d, \d+ % with mask$")
        )
        page.locator(".fmd-camera").screenshot(path=tmp_path / "shot.png")
        page.screenshot(path=tmp_path / "page.png")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(status).to_contain_text("Stopped.")
        expect(page.locator(".fmd-camera")).to_be_hidden()
        expect(page.locator(".fmd-plot")).to_be_visible()
        page.screenshot(path=tmp_path / "stopped.png")
        page.wait_for_timeout(2000)  # a frame may be on its way
        run_cell(page, 1)
        count = len(json.loads((far / "seen.json").read_text())["seen"])
        page.wait_for_timeout(1000)
        run_cell(page, 1)
    answer = json.loads((far / "seen.json").read_text())
    assert len(answer["seen"]) == count  # no more frames are sent
    assert (far == tmp_path / "work") is (tmp_path / "work" / "seen.json").exists()
    assert len(answer["seen"]) >= FRAMES
    assert {tuple(shape) for shape, _ in answer["seen"]} == {(480, 640, 3)}
    for _, boxes in answer["seen"][:FRAMES]:
        assert box_iou(truth, np.array(boxes)).max(axis=1).min() > 0.5
    tracked = {
        row["class_name"] for row in answer["tracks"] if row["frames"] >= FRAMES - 5
    }  # never lost
    assert tracked == set(MASK_CLASSES)
    assert min(answer["counts"].values()) >= 1
    # The page shows the picture with its faces.
    shot = cv2.cvtColor(cv2.imread(str(tmp_path / "shot.png")), cv2.COLOR_BGR2RGB).astype(int)
    found = load_pipeline("fcos", 0.5, passes=FAST_PASSES)(shot.astype(np.uint8))
    assert len(found) >= 3


# Keeps every camera stream that the page opens, to see which are in use.
KEEP_STREAMS = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    window.streams.push(await open(wanted));
    return window.streams.at(-1);
  };
}"""
LIST_STATES = "() => window.streams.map((stream) => stream.getTracks()[0].readyState)"


@pytest.mark.browser
def test_the_camera_starts_again_and_is_released_on_stop_and_when_the_cell_is_run_again(
    camera, tmp_path
):
    film, _ = camera
    (tmp_path / "work").mkdir()
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    flags.append(f"--use-file-for-fake-video-capture={film}")
    cells = ["\n".join(line[4:] for line in cell.splitlines()).strip() for cell in CELLS]
    with open_notebook(tmp_path / "work", cells, "Light", flags, ["camera"]) as page:
        page.evaluate(KEEP_STREAMS)
        run_cell(page, 0)
        start = page.get_by_role("button", name="Start", exact=True)
        stop = page.get_by_role("button", name="Stop", exact=True)
        expect(stop).to_be_disabled()
        assert page.evaluate(LIST_STATES) == []
        for number in (1, 2):
            start.click()
            expect(page.locator(".fmd-plot")).to_be_hidden()
            expect(page.locator(".fmd-status")).to_contain_text(
                "ms to the boxes", timeout=1000 * PATIENCE_S
            )
            assert page.evaluate(LIST_STATES) == ["ended"] * (number - 1) + ["live"]
            expect(start).to_be_disabled()
            stop.click()
            assert page.evaluate(LIST_STATES) == ["ended"] * number
            expect(page.locator(".fmd-plot")).to_be_visible(timeout=1000 * PATIENCE_S)
        start.click()
        expect(page.locator(".fmd-camera")).to_be_visible(timeout=1000 * PATIENCE_S)
        assert page.evaluate(LIST_STATES)[-1] == "live"
        run_cell(page, 0)
        expect(page.locator(".fmd-status")).to_have_text("The camera is off.")
        assert page.evaluate(LIST_STATES) == ["ended"] * 3
