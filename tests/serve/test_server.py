"""The command as a person runs it: a process, a port, signals."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.conftest import ROOT, running
from tests.serve.test_pictures import picture

pytestmark = pytest.mark.slow


def raw(link: str, data: bytes, seconds: float = 20) -> bytes:
    """What comes back for bytes that may be no request, until the server closes."""
    address = urlsplit(link)
    with socket.create_connection((address.hostname, address.port), timeout=seconds) as connection:
        connection.sendall(data)
        found = b""
        try:
            while part := connection.recv(65536):
                found += part
        except (ConnectionResetError, TimeoutError):
            pass
        return found


def test_bytes_that_are_no_request(link: str) -> None:
    rng = random.Random(3)
    host = urlsplit(link).netloc.encode()
    begin = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n"
    assert raw(link, begin + b"\r\n").startswith(b"HTTP/1.1 200")
    flood = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 200) for number in range(2000))
    for data in (rng.randbytes(2000), b"GET / HTTP/9.9\r\n\r\n", begin + b"Host: evil\r\n\r\n", begin + flood + b"\r\n",
                 b"PUT /pictures HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                 b"GET " + b"/x" * 40_000 + b" HTTP/1.1\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"):  # fmt: skip
        answer = raw(link, data)
        assert not answer or answer.split()[1].startswith(b"4"), answer[:100]
    assert httpx.get(f"{link}health").status_code == 200


def test_a_connection_that_says_nothing_is_closed(link: str) -> None:
    begun = time.monotonic()
    assert raw(link, b"GET /health HT", 60) == b""
    assert time.monotonic() - begun < 45


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc that tells a process's memory")
def test_memory_does_not_grow() -> None:
    """Hundreds of uploads that are refused leave nothing behind in the server."""
    body = b"no" + bytes(1_000_000)
    with running() as (link, process), httpx.Client(base_url=link, timeout=60) as client:

        def resident() -> int:
            return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096

        for number in range(200):
            answer = client.put("/pictures", content=body, headers={"content-type": "application/octet-stream"})
            assert answer.status_code == 415
            if number == 20:
                before = resident()
        assert resident() - before < 30_000_000


def _children(pid: int) -> list[int]:
    """The worker and the decoder."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _gone(pids: list[int]) -> bool:
    for _ in range(600):
        states = [Path(f"/proc/{pid}/stat") for pid in pids]
        if all(not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z" for state in states):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc that tells a process's children")
def test_ctrl_c_ends_it_cleanly_and_a_killed_one_starts_again(tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    with running(environment=environment) as (link, process):
        port = str(urlsplit(link).port)
        httpx.put(
            f"{link}pictures", content=picture("PNG"), headers={"content-type": "application/octet-stream"}, timeout=60
        )
        assert len(list(tmp_path.glob("minitorch_style-serve-*"))) == 1
        children = _children(process.pid)
        process.kill()
        process.wait()
        assert children and _gone(children), "the processes of a killed server end by themselves"
    with running("--port", port, environment=environment) as (link, process):
        assert urlsplit(link).port == int(port)
        assert len(list(tmp_path.glob("minitorch_style-serve-*"))) == 1, "what the killed one left is swept away"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    assert not list(tmp_path.glob("minitorch_style-serve-*"))


def test_on_a_network_the_link_has_a_key_and_a_picture_of_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine is in no network")
    with running("--lan") as (link, _):
        address = urlsplit(link)
        assert address.query.startswith("token=") and len(address.query) > 20
        plain = f"http://{address.netloc}/health"
        assert httpx.get(plain).status_code == 401
        assert httpx.get(f"{plain}?{address.query}").status_code == 200


def test_with_a_certificate_it_is_https(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with running("--certificate", str(certificate), "--key", str(key)) as (link, _):
        assert link.startswith("https://")
        answer = httpx.get(link, verify=ssl.create_default_context(cafile=str(certificate)))
        assert answer.status_code == 200 and "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--max-size", "3"], "--max-size must be from 16"), (["--certificate", "x"], "need each other"),
     (["--paintings", "/nowhere"], "cannot be read"), (["--certificate", "/nowhere", "--key", "/nowhere"], "no such file")],
)  # fmt: skip
def test_bad_options_are_one_line(options: list[str], sentence: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "minitorch_style", "serve", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 2 and sentence in told.stderr and len(told.stderr.splitlines()) == 1


def test_a_port_in_use_is_one_line(link: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "minitorch_style", "serve", "--port", str(urlsplit(link).port)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.returncode == 2 and "cannot be used" in told.stderr
