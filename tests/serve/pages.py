"""What tests do with the page in a real browser."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

PATIENCE = 240  # seconds; a machine may be busy
# Pictures so small that a job takes seconds: through «more», where every setting is.
SMALL = {"plan_size": "64", "iterations": "20"}


class Page:
    """What a test does with the page."""

    def __init__(self, browser: Any, link: str) -> None:
        self.browser, self.link = browser, link
        self.open()

    def open(self) -> None:
        self.browser.get(self.link)
        self.until(lambda: self.script("return document.body.dataset.ready"))

    def script(self, text: str, *given: Any) -> Any:
        return self.browser.execute_script(text, *given)

    def __getitem__(self, id: str) -> Any:
        return self.browser.find_element("id", id)

    def css(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        seen = "const one = document.querySelector(arguments[0]); one.scrollIntoView({block: 'center'}); one.click()"
        self.script(seen, selector)

    def set(self, id: str, value: object) -> None:
        text = """const one = document.getElementById(arguments[0]);
            one.value = arguments[1];
            for (const name of ["input", "change"]) one.dispatchEvent(new Event(name, {bubbles: true}))"""
        self.script(text, id, str(value))

    def until(self, there: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        end = time.monotonic() + seconds
        while not (found := there()):
            assert time.monotonic() < end, f"nothing after {seconds} s; the page says: {self['message'].text}"
            time.sleep(0.1)
        return found

    def give(self, path: Path, input: str = "from-file") -> None:
        self[input].send_keys(str(path))

    def paint(self, photo: Path, painting: str = "woodblock-wave", quality: str = "instant") -> None:
        """Gives a photo, chooses, and begins."""
        self.give(photo)
        self.click(f"[data-id={painting}]")
        self.begin(quality)

    def begin(self, quality: str) -> None:
        self.click("[name=size][value='320']")
        self.click(f"[name=quality][value={quality}]")
        for name, value in SMALL.items():
            self.set(f"set-{name}", value)
        self.until(lambda: self["paint"].is_enabled())
        self.click("#paint")

    def painted(self) -> None:
        self.until(lambda: self["play"].is_displayed())
        self.until(lambda: self.script("return document.getElementById('result').dataset.drawn"))

    def canvas(self) -> Any:
        """(H, W, 3) as it is drawn."""
        url = self.script("return document.getElementById('result').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))

    def download(self) -> Image.Image:
        """What the link gives."""
        answer = httpx.get(self["download"].get_attribute("href"), timeout=60)
        return Image.open(io.BytesIO(answer.content))

    def requests(self) -> list[str]:
        found = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found
