"""A real server in a process of its own, and a real browser where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import started

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

for library in ("starlette", "uvicorn", "segno", "httpx"):
    pytest.importorskip(library, reason=f"{library} is not installed (the web and test extras)")


@contextmanager
def running(*options: str, environment: dict[str, str] | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """(link, process) of `serve` on a free port."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
    with started("serve", "--port", "0", *options, env=environment) as process:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        try:
            assert link.startswith("http"), process.communicate()[1]
            yield link, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


@pytest.fixture(scope="session")
def link() -> Iterator[str]:
    """The address of a server that all tests of a worker share."""
    with running() as (found, _):
        yield found


def chromium() -> tuple[str, str] | None:
    """(browser, driver), the one at CHROMIUM first."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium, which logs every request and every message of its console."""
    webdriver = pytest.importorskip("selenium.webdriver")
    found = chromium()
    if found is None:
        pytest.skip("no Chromium with its driver here (Debian: chromium, chromium-driver)")
    with browsing(webdriver, *found) as driven:
        yield driven


@contextmanager
def browsing(
    webdriver: Any, program: str, driver: str, width: int = 1280, height: int = 960, flags: tuple[str, ...] = ()
) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en",
                 "--disable-background-networking", "--no-first-run", f"--window-size={width},{height}", *flags):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    driven.set_script_timeout(120)
    try:
        yield driven
    finally:
        driven.quit()
