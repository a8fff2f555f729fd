"""The page's live box in a real browser."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from tests.serve.conftest import browsing, chromium
from tests.serve.pages import Page
from tests.serve.test_live import serving_live

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("source", ["camera", "video"])
def test_live_by_camera_or_video(tmp_path: Path, source: str) -> None:
    """With a painter that inverts, and Chromium's own camera: a green field with a lighter, turning mark."""
    webdriver = pytest.importorskip("selenium.webdriver")
    found = chromium()
    if found is None:
        pytest.skip("no Chromium with its driver here (Debian: chromium, chromium-driver)")
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with serving_live(tmp_path) as (link, app), browsing(webdriver, *found, flags=camera) as browser:
        page = Page(browser, link.replace("ws", "http").removesuffix("live"))
        assert page["live-box"].is_displayed()
        page.click("#live-camera")
        assert "Choose a painting" in page["message"].text
        page.click("[data-id=ink-wash]")
        if source == "camera":
            page.click("#live-camera")
        else:
            page["from-video"].send_keys(str(_film(page, tmp_path)))
        drawn = "return Number(document.getElementById('live-shown').dataset.frames ?? 0)"
        page.until(lambda: page.script(drawn) > 5)
        corner = """const context = document.getElementById('live-shown').getContext('2d');
            return [...context.getImageData(20, 100, 1, 1).data.slice(0, 3)]"""
        before = page.script(corner)
        page.click("[data-id=ink-wash]")
        page.click("[data-id=mosaic]")  # as it is
        page.until(lambda: np.abs(np.add(page.script(corner), before) - 255).max() < 25)
        page.until(lambda: "pictures a second" in page["live-state"].text)
        page.click("#live-stop")
        page.until(lambda: not app.queue.processor.locked())
        assert page["empty"].is_displayed() and not page["living"].is_displayed() and not page["message"].text
        assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def _film(page: Page, folder: Path) -> Path:
    """Two seconds of red, made by the browser."""
    text = """const done = arguments[0], canvas = document.createElement("canvas");
        canvas.width = 160; canvas.height = 120;
        const context = canvas.getContext("2d");
        const timer = setInterval(() => {
            context.fillStyle = "rgb(180, 40, 60)"; context.fillRect(0, 0, 160, 120);
        }, 30);
        const recorder = new MediaRecorder(canvas.captureStream(30)), parts = [];
        recorder.ondataavailable = (event) => parts.push(event.data);
        recorder.onstop = async () => {
            clearInterval(timer);
            const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
            done(btoa(String.fromCharCode(...bytes)));
        };
        recorder.start();
        setTimeout(() => recorder.stop(), 2000)"""
    path = folder / "film.webm"
    path.write_bytes(base64.b64decode(page.browser.execute_async_script(text)))
    return path
