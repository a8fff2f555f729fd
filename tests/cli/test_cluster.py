"""batch over a cluster, as users call it: local processes, and two hosts with TLS between them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from minitorch_style.cli import main
from tests.cli.processes import PAINTING, PHOTO, ROOT, command, started

pytest.importorskip("distributed")

PLACES = ("TLS__CA_FILE", "TLS__CLIENT__CERT", "TLS__CLIENT__KEY", "TLS__SCHEDULER__CERT", "TLS__SCHEDULER__KEY",
          "TLS__WORKER__CERT", "TLS__WORKER__KEY")  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        Image.open(PHOTO).resize((48, 24 + 2 * number)).save(folder / f"{number}.png")
    return folder


def batch(photos: Path, out: Path, *more: str, iterations: int = 2) -> list[str]:
    quick = ["--kernels", "numpy", "--size", "48", "--iterations", str(iterations)]
    return ["batch", str(photos), "--paintings", PAINTING, "-o", str(out), *quick, *more]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--scheduler", "tcp://192.0.2.1:8786"], "without TLS"),
        (["--scheduler", "tcp://localhost.example.org:8786"], "without TLS"),
        (["--scheduler", "192.0.2.1:8786"], "is no address"),
        (["--scheduler", "tcp://[::1"], "is no address"),
        (["--scheduler", "tls://127.0.0.1:1"], "name no certificates"),
        (["--scheduler", "tcp://127.0.0.1:1", "--workers", "2"], "give one of them"),
        (["--workers", "0"], "--workers must be from 1"),
    ],
)
def test_clusters_that_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(batch(photos, tmp_path / "out", *more)) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


@pytest.mark.slow
def test_local_workers_make_the_same_files(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    for name, more in (("one", []), ("two", ["--workers", "2"])):
        capsys.readouterr()
        assert main(batch(photos, tmp_path / name, "--contact-sheet", "--name", "{number}.jpg", *more)) == 1
        errors = capsys.readouterr().err.splitlines()
        assert sum(" failed: " in line for line in errors) == 1 and "6 made, 0 finished before, 1 failed" in errors[-2]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_interrupted_it_goes_on_with_the_rest(photos: Path, tmp_path: Path) -> None:
    """Ctrl-C as a terminal sends it: to the workers too."""
    out = tmp_path / "out"
    slow = batch(photos, out, "--workers", "2", "--json", iterations=60)
    with started(*slow, process_group=0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert errors.splitlines()[-2].endswith("goes on with the rest") and "Traceback" not in errors
    done = contents(out)
    assert 1 <= len(done) < 6 and all(name.endswith(".png") for name in done)
    with started(*slow) as process:
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and len(rest.splitlines()) == 6 - len(done)


@contextmanager
def two_hosts() -> Iterator[list[tuple[list[str], str]]]:
    """Two network namespaces joined by a cable: how to run a program in each, and its address."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux, root and iproute2")
    hosts = [f"ms{os.getpid()}a", f"ms{os.getpid()}b"]
    ip = ["ip"]
    with ExitStack() as stack:
        for host in hosts:
            if subprocess.run([*ip, "netns", "add", host], capture_output=True).returncode:
                pytest.skip("network namespaces are not allowed here")
            stack.callback(subprocess.run, [*ip, "netns", "del", host], check=True)
        cable = ["link", "add", "v0", "netns", hosts[0], "type", "veth", "peer", "name", "v0", "netns", hosts[1]]
        if subprocess.run([*ip, *cable], capture_output=True).returncode:
            pytest.skip("veth pairs are not allowed here")
        for number, host in enumerate(hosts, 1):
            for line in (f"address add 10.77.0.{number}/24 dev v0", "link set v0 up", "link set lo up"):
                subprocess.run([*ip, "-n", host, *line.split()], check=True)
        yield [(["ip", "netns", "exec", host], f"10.77.0.{number}") for number, host in enumerate(hosts, 1)]


def with_certificate(folder: Path) -> dict[str, str]:
    """An environment in which Dask's settings name one certificate for everybody."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed for a certificate")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2", "-keyout"]
    subprocess.run([*request, key, "-out", certificate], check=True, capture_output=True)
    named = {place: key if place.endswith("KEY") else certificate for place in PLACES}
    return {**os.environ, **{f"DASK_DISTRIBUTED__COMM__{place}": path for place, path in named.items()}}


@pytest.fixture
def background() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts programs that are ended with the test."""
    with ExitStack() as stack:

        def start(*words: str, **options: Any) -> subprocess.Popen[str]:
            process = subprocess.Popen(words, cwd=ROOT, text=True, **options)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


@pytest.mark.slow
def test_two_hosts_with_tls_one_killed(
    photos: Path, tmp_path: Path, background: Callable[..., subprocess.Popen[str]]
) -> None:
    assert main(batch(photos, tmp_path / "alone", "--quiet", iterations=30)) == 0
    quiet = {"env": with_certificate(tmp_path), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli"]
    with two_hosts() as ((here, address), (there, other)):
        scheduler = f"tls://{address}:8786"
        background(
            *here, *dask[:2], "distributed.cli.dask_scheduler", "--host", f"tls://{address}", "--no-dashboard", **quiet
        )
        workers = [
            background(*inside, *dask[:2], "distributed.cli.dask_worker", scheduler, "--host", f"tls://{own}", "--no-nanny",
                       "--no-dashboard", "--nthreads", "1", "--local-directory", str(tmp_path), **quiet)
            for inside, own in ((here, address), (there, other))
        ]  # fmt: skip
        begin = [*here, *command(*batch(photos, tmp_path / "out", "--scheduler", scheduler, "--json", iterations=30))]
        for _ in range(20):  # until scheduler and workers are there
            told = subprocess.run(
                [*here, sys.executable, "-c", f"from distributed import Client; Client({scheduler!r}).wait_for_workers(2, 20)"],
                env=quiet["env"], capture_output=True, cwd=ROOT,
            )  # fmt: skip
            if told.returncode == 0:
                break
            time.sleep(0.5)
        assert told.returncode == 0, told.stderr
        with subprocess.Popen(begin, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=quiet["env"]) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            workers[1].kill()
            rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert [json.loads(line)["state"] for line in (first, *rest.splitlines())] == ["made"] * 6
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
