"""Annotated copies play in a browser, at the times of their source."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import PATIENCE_S, Chromium, kill_hanging_chromium
from tests.odd_videos import SIZE, draw_frame
from utils.video import VideoWriter
from utils.video.media import encoders
from utils.video.media.encoders import ENCODERS

pytest.importorskip("av")

TIMES_S = (0.0, 0.1, 0.2, 1.2, 1.3, 1.4)
END_S = 1.5
# Loads the video, plays it to its end, and returns what the page sees.
PLAY = """() => new Promise((resolve) => {
  const video = document.querySelector("video");
  const report = (problem) => resolve({
    problem,
    duration: video.duration,
    size: [video.videoWidth, video.videoHeight],
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
  });
  video.onended = () => report("");
  video.onerror = () => report(video.error.message);
  video.src = "copy.mp4";
  video.play().catch((error) => report(error.message));
})"""


@pytest.mark.browser
@pytest.mark.parametrize("encoder", ENCODERS, ids=[name for name, _ in ENCODERS])
def test_a_copy_plays_to_its_end_in_chromium(tmp_path, monkeypatch, encoder):
    monkeypatch.setattr(encoders, "ENCODERS", (encoder,))
    with VideoWriter(tmp_path / "copy.mp4", fps=10) as writer:
        for number, time_s in enumerate(TIMES_S):
            writer.add(draw_frame(number), time_s)
        writer.close(END_S)
    assert writer.plays_in_browsers
    page_file = tmp_path / "page.html"
    page_file.write_text("<!doctype html><video muted></video>")
    with sync_playwright() as playwright, kill_hanging_chromium():
        chromium = Chromium(playwright)
        page = chromium.browser.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.goto(page_file.as_uri())
        seen = page.evaluate(PLAY)
        chromium.close()
    assert seen["problem"] == ""
    assert seen["size"] == list(SIZE)
    assert seen["duration"] == pytest.approx(END_S, abs=0.05)
    assert seen["frames"] > 0
