"""The page in a real browser: what a person does, from the photo to the file."""

from __future__ import annotations

import importlib.util
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from minitorch_style.serve.asked import allowed
from tests.serve.conftest import EXAMPLES
from tests.serve.pages import Page
from tests.serve.test_pictures import heic

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser: Any, link: str) -> Iterator[Page]:
    """The page, which may ask no other host and complain of nothing."""
    made = Page(browser, link)
    yield made
    hosts = {urlsplit(url).netloc for url in made.requests() if url.startswith("http")}
    assert hosts == {urlsplit(link).netloc}
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE" and "422" not in entry["message"]
                and "415" not in entry["message"]]  # fmt: skip


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """The photo as a phone held upright would have it: on its side, with a note that says so."""
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(EXAMPLES / "photo.jpg") as photo:
        photo.save(path, exif=exif)
    return path


def test_from_a_photo_to_a_file_and_back(page: Page, tmp_path: Path) -> None:
    page.paint(EXAMPLES / "photo.jpg", quality="default")
    previews: set[str] = set()

    def watched() -> bool:
        previews.add(page["shown"].get_attribute("src"))
        return bool(page["play"].is_displayed())

    page.until(watched)
    page.painted()
    assert len([source for source in previews if "preview" in source]) >= 2, "previews were shown as they changed"
    assert page.script("return document.querySelector('#curve polyline').points.length") > 5

    neutral = page.canvas()
    assert np.array_equal(neutral, np.asarray(page.download()))
    for strength, colors in ((40, "painting"), (70, "photo")):
        page.set("blend", strength)
        page.click(f"[name=play-colors][value={colors}]")
        page.until(lambda s=strength, c=colors: f'{s / 100},"colors":"{c}"' in page.script(
            "return document.getElementById('result').dataset.drawn"), 20)  # fmt: skip
        drawn, served = page.canvas().astype(int), np.asarray(page.download()).astype(int)
        assert np.abs(drawn - served).max() <= 1, "the page and the file agree"
        assert np.abs(drawn - neutral).mean() > 2
    page.set("split", 250)
    assert page["before"].get_attribute("style").startswith("clip-path: inset(0px 75%")
    page.click("#zoom-in")
    assert page["zoom"].text == "2×"

    page.click("[name=play-colors][value=painting]")
    page.set("blend", 100)
    for kind in ("webp", "jpeg", "png"):
        page.set("format", kind)
        path = tmp_path / f"ours.{kind}"
        path.write_bytes(httpx.get(page["download"].get_attribute("href"), timeout=60).content)
        if page.css("[data-id=woodblock-wave]").get_attribute("aria-pressed") == "true":
            page.click("[data-id=woodblock-wave]")
        page.click("[name=size][value='512']")
        page.give(path)
        page.until(lambda: page.script("return document.querySelector('[name=size]:checked').value") == "320", 20)
        assert "settings" in page["message"].text
        assert page.css("[data-id=woodblock-wave]").get_attribute("aria-pressed") == "true"
    page.click("#with-settings")
    assert not page.download().text  # type: ignore[attr-defined]
    assert page["history"].find_elements("tag name", "button"), "it is in the history"


def test_a_reload_finds_the_job_and_stop_keeps_what_is_there(page: Page) -> None:
    page.set("set-method", "gram")
    SMALL_LONG = {"iterations": "500"}
    page.give(EXAMPLES / "photo.jpg")
    page.click("[data-id=mosaic]")
    page.click("[name=size][value='320']")
    for name, value in SMALL_LONG.items():
        page.set(f"set-{name}", value)
    page.until(lambda: page["paint"].is_enabled())
    page.click("#paint")
    page.until(lambda: "Iteration" in page["state"].text)
    page.open()
    page.until(lambda: "Iteration" in page["state"].text)
    page.until(lambda: "preview" in page["shown"].get_attribute("src"))
    page.click("#stop")
    page.painted()
    assert "kept" in page["message"].text
    page.open()
    page.painted()


def test_a_turned_photo_stands_upright(page: Page, turned: Path) -> None:
    page.paint(turned)
    page.painted()
    width, height = page.download().size
    assert height > width
    page.click("#finer")
    page.until(lambda: page["working"].is_displayed())
    page.painted()


def test_files_that_are_no_pictures_get_a_sentence(page: Page, tmp_path: Path) -> None:
    heic = tmp_path / "photo.jpg"
    heic.write_bytes(bytes(4) + b"ftypheic" + bytes(2000))
    page.give(heic)
    said = "not a JPEG" if importlib.util.find_spec("pillow_heif") else "HEIC"  # of one that tells no size
    page.until(lambda: said in page["message"].text)
    assert page["empty"].is_displayed() and not page["paint"].is_enabled()
    heic.write_bytes(b"nonsense")
    page.give(heic)
    page.until(lambda: "not a JPEG" in page["message"].text)


def test_a_refusal_that_comes_before_the_picture_is_drawn_is_heard(page: Page, tmp_path: Path) -> None:
    slow = """const decode = HTMLImageElement.prototype.decode;
        HTMLImageElement.prototype.decode = async function () {
            await new Promise((resolve) => setTimeout(resolve, 1500));
            return decode.call(this);
        }"""
    page.script(slow)
    nonsense = tmp_path / "photo.jpg"
    nonsense.write_bytes(b"nonsense")
    page.give(nonsense)
    page.until(lambda: "not a JPEG" in page["message"].text)
    assert page["empty"].is_displayed()


def test_a_refused_file_leaves_the_photo_and_the_last_one_given_counts(page: Page, tmp_path: Path) -> None:
    page.give(EXAMPLES / "photo.jpg")
    page.click("[data-id=ink-wash]")
    page.until(lambda: page["paint"].is_enabled())
    nonsense = tmp_path / "nonsense.jpg"
    nonsense.write_bytes(b"nonsense")
    page.give(nonsense)
    page.until(lambda: "not a JPEG" in page["message"].text)
    shape = "const one = document.getElementById('shown'); return [one.naturalWidth, one.naturalHeight]"
    with Image.open(EXAMPLES / "photo.jpg") as photo:
        page.until(lambda: page.script(shape) == list(photo.size))
    assert page["paint"].is_enabled() and page["shown"].is_displayed()
    late = """const real = window.fetch;
        let first = true;
        window.fetch = async (...given) => {
            const wait = first ? 1500 : 0;
            first = false;
            await new Promise((resolve) => setTimeout(resolve, wait));
            return real(...given);
        }"""
    page.script(late)
    for size in ((300, 200), (200, 300)):  # the answer to the first comes after that to the second
        path = tmp_path / f"{size}.png"
        Image.new("RGB", size, "teal").save(path)
        page.give(path)
    page.until(lambda: page.script(shape) == [200, 300])
    time.sleep(2)
    page.begin("instant")
    page.painted()
    height, width, _ = page.canvas().shape
    assert height > width


def test_a_painting_of_ones_own_and_a_blend(page: Page) -> None:
    page.give(EXAMPLES / "painting.jpg", "own-painting")
    page.until(lambda: page["wall"].find_elements("css selector", "[aria-pressed=true]"))
    page.paint(EXAMPLES / "photo.jpg", "ink-wash")
    assert len(page["blends"].find_elements("tag name", "input")) == 2
    page.painted()
    assert page.download().text["minitorch_style.style_blend"] == "(50, 50)"  # type: ignore[attr-defined]


def test_a_phone_has_no_sideways_scrolling_and_thumbs_hit(page: Page) -> None:
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.paint(EXAMPLES / "photo.jpg")
    page.painted()
    for language in ("de", "en"):
        page.set("language", language)
        for selector in ("#play", "#more summary", "#history-box"):
            page.script("document.querySelector(arguments[0]).scrollIntoView()", selector)
            assert page.script("return document.documentElement.scrollWidth") <= 360
    page.script("document.getElementById('more').open = true")
    assert page.script("return document.documentElement.scrollWidth") <= 360
    small = page.script(
        """const all = [...document.querySelectorAll("button, a.button, select, .choices label")];
        return all.filter((one) => one.offsetParent && Math.min(one.offsetHeight, one.offsetWidth) < 36)
                  .map((one) => one.id || one.textContent)"""
    )
    assert not small


@pytest.mark.shared_data
def test_only_the_people_are_painted(page: Page, shared: Path) -> None:
    page.paint(shared / "pictures" / "content_astronaut.png")
    page.painted()
    under = np.asarray(Image.open(io.BytesIO(httpx.get(_photo_link(page)).content)))
    for region in ("person", "background"):
        page.click(f"[name=play-region][value={region}]")
        page.until(lambda r=region: f'"region":"{r}"' in page.script(
            "return document.getElementById('result').dataset.drawn"), 20)  # fmt: skip
        drawn = page.canvas()
        assert np.abs(drawn.astype(int) - np.asarray(page.download()).astype(int)).max() <= 1
        same = np.all(np.abs(drawn.astype(int) - under) <= 1, axis=2).mean()
        assert 0.05 < same < 0.95, "a part is the photo, a part is painted"


def _photo_link(page: Page) -> str:
    return str(page["download"].get_attribute("href").partition("/picture")[0] + "/photo")


def test_by_keyboard_alone(page: Page) -> None:
    from selenium.webdriver import ActionChains, Keys

    def press(*keys: str) -> None:
        ActionChains(page.browser).send_keys(*keys).perform()

    def focus_on(there: str) -> None:
        for _ in range(80):
            if page.script(f"return document.activeElement.matches({there!r})"):
                return
            press(Keys.TAB)
        raise AssertionError(f"no way to {there} by the tab key")

    page.give(EXAMPLES / "photo.jpg")
    page.until(lambda: page["photo-again"].is_displayed())
    focus_on("[data-id=composition]")
    press(Keys.SPACE)
    assert page.css("[data-id=composition]").get_attribute("aria-pressed") == "true"
    focus_on("[name=size]")
    press(Keys.ARROW_LEFT)
    assert page.script("return document.querySelector('[name=size]:checked').value") == "320"
    focus_on("[name=quality]")
    press(Keys.ARROW_LEFT)
    focus_on("#paint")
    press(Keys.ENTER)
    page.painted()
    page.script("document.getElementById('stage').scrollIntoView(); document.activeElement.blur()")
    focus_on("#split")
    press(Keys.ARROW_RIGHT)
    assert page["split"].get_attribute("value") == "501"


def test_everything_has_a_name_and_contrast(page: Page) -> None:
    nameless = page.script(
        """const all = [...document.querySelectorAll("button, a, input:not([tabindex='-1']), select")];
        const named = (one) => one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.title;
        return all.filter((one) => !named(one)).map((one) => one.outerHTML)"""
    )
    assert not nameless
    ratios = page.script(
        """const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const light = (name) => {
          const one = document.createElement("i");
          one.style.color = `var(--${name})`;
          document.body.append(one);
          const [r, g, b] = getComputedStyle(one).color.match(/[0-9.]+/g).map(Number).map(linear);
          one.remove();
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        return arguments[0].map((pair) => {
          const [x, y] = pair.map(light).sort((p, q) => q - p);
          return [...pair, (x + 0.05) / (y + 0.05)];
        })""",
        [
            ["ink", "paper"],
            ["soft", "paper"],
            ["soft", "card"],
            ["soft", "wall"],
            ["on-accent", "accent"],
            ["ink", "wall"],
        ],
    )
    assert len(ratios) == 6 and all(ratio >= 4.5 for _, _, ratio in ratios), ratios


def test_a_heic_is_shown_though_no_browser_here_can(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(heic())
    page.give(path)
    page.until(lambda: page.script("return document.getElementById('shown').naturalWidth") == 74)
    assert not page["message"].text


def test_both_languages_have_the_same_words() -> None:
    static = Path(__file__).resolve().parents[2] / "minitorch_style" / "serve" / "static"
    words = json.loads((static / "words.json").read_text("utf-8"))
    explained = words["de"].pop("settings")
    assert words["en"].keys() == words["de"].keys()
    shown = [one for one in allowed() if one.name not in ("size", "stroke_size")]  # which have words of their own
    assert explained.keys() >= {one.name for one in shown} and explained.keys() <= {one.name for one in allowed()}
    for one in shown:
        assert explained[one.name] != one.help and len(explained[one.name]) > 5, one.name
    page = (static / "index.html").read_text("utf-8")
    for key in words["en"]:
        used = f'"{key}"' in page or any(f'"{key}"' in path.read_text("utf-8") for path in static.glob("*.js"))
        assert used, f"nobody says {key}"
