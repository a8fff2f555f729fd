"""Fetching from a server on this machine that cuts connections, lies, redirects and resumes."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitorch_style.cli import main
from minitorch_style.errors import DownloadError, WeightsError
from minitorch_style.weights import download
from minitorch_style.weights import store as library
from minitorch_style.weights.download import fetch

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `cut` connections break off after 100,000 bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {"/file": CONTENT}
        self.cut, self.ranges = 0, True
        self.requests: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/file" if self.path == "/moved" else "http://example.invalid/file")
            self.end_headers()
            return
        if self.path not in self.server.files:
            self.send_error(404)
            return
        content, first = self.server.files[self.path], 0
        if wanted and self.server.ranges:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        body = content[first:]
        if self.server.cut:
            self.server.cut -= 1
            body = body[:100_000]
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def test_a_whole_file(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(server.url("/file"), tmp_path / "f", DIGEST, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "f").read_bytes() == CONTENT and seen[-1] == (300_000, 300_000)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_cut_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.cut = 2
    fetch(server.url("/file"), tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=100000-", "bytes=200000-"]


def test_what_arrived_is_kept_for_the_next_time(server: Server, tmp_path: Path) -> None:
    server.cut, server.ranges = 10, True
    server.files["/file"] = CONTENT * 3
    digest = hashlib.sha256(CONTENT * 3).hexdigest()
    with pytest.raises(DownloadError, match="goes on from there"):
        fetch(server.url("/file"), tmp_path / "f", digest)
    assert (tmp_path / "f.part").stat().st_size == 400_000 and not (tmp_path / "f").exists()
    server.cut = 0
    fetch(server.url("/file"), tmp_path / "f", digest)
    assert (tmp_path / "f").read_bytes() == CONTENT * 3 and server.requests[-1][1] == "bytes=400000-"


def test_servers_that_cannot_resume_start_over(server: Server, tmp_path: Path) -> None:
    server.cut, server.ranges = 1, False
    fetch(server.url("/file"), tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    fetch(server.url("/file"), tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    server.files["/file"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match=f"expected {DIGEST[:10]}"):
        fetch(server.url("/file"), tmp_path / "f", DIGEST)
    assert not list(tmp_path.iterdir())


def test_redirects_and_refusals(server: Server, tmp_path: Path) -> None:
    fetch(server.url("/moved"), tmp_path / "f", DIGEST)
    assert (tmp_path / "f").read_bytes() == CONTENT
    for url, reason in ((server.url("/moved-away"), "only https"), (server.url("/none"), "404"),
                        ("http://example.invalid/f", "only https"), ("file:///etc/passwd", "only https")):  # fmt: skip
        with pytest.raises(DownloadError, match=reason):
            fetch(url, tmp_path / "g", DIGEST)
    assert not (tmp_path / "g").exists()


def test_far_too_much_is_not_fetched(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LARGEST", len(CONTENT) - 1)
    with pytest.raises(DownloadError, match="far more"):
        fetch(server.url("/file"), tmp_path / "f", DIGEST)
    assert not (tmp_path / "f").exists()


@pytest.mark.torch
@pytest.mark.slow
def test_install_then_the_model_is_found(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from minitorch_style.engine.network import load_network
    from tests.tools.test_convert_torch import torchvision_like

    out = io.BytesIO()
    torch.save(torchvision_like(batch_norm=False), out)
    server.files["/vgg16.pth"] = out.getvalue()
    known = library.Published(server.url("/vgg16.pth"), hashlib.sha256(out.getvalue()).hexdigest(), "a licence")
    monkeypatch.setitem(library.PUBLISHED, "vgg16", known)
    monkeypatch.setenv("MINITORCH_STYLE_DATA", str(tmp_path / "data"))
    with pytest.raises(WeightsError, match="weights install vgg16"):
        load_network("vgg16")
    server.cut = 1
    assert main(["weights", "install", "vgg16"]) == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["vgg16.h5"]
    assert load_network("vgg16").provenance["licence"] == "a licence"
    assert main(["weights", "list"]) == 0
    assert "vgg16: installed" in capsys.readouterr().out
    server.files["/vgg16.pth"] += b"x"
    assert main(["weights", "install", "vgg16"]) == 2
    assert "SHA-256" in capsys.readouterr().err
