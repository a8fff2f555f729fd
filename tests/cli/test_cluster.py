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
from tests.cli.processes import PAINTING, PHOTO, ROOT, SMALL, command, started

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


@pytest.mark.slow
def test_local_workers_share_the_memory(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([*batch(photos, out, "--workers", "2"), "--max-memory", "900M"]) == 0
    assert "2 workers with 450 MB of memory each" in capsys.readouterr().err
    assert len(contents(out)) == 6
    Image.open(PHOTO).resize((96, 90)).save(photos / "large.png")
    assert main([*batch(photos, tmp_path / "none", "--workers", "2"), "--size", "96", "--max-memory", "290M"]) == 2
    said = capsys.readouterr().err
    assert "large.png, with 145 MB for each of 2 workers: " in said and said.count("\n") == 1
    assert not contents(tmp_path / "none")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


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


@contextmanager
def cluster_of_two_hosts(
    folder: Path, background: Callable[..., subprocess.Popen[str]]
) -> Iterator[tuple[list[str], str, dict[str, str], subprocess.Popen[str]]]:
    """How to run a program on one of them, the scheduler's address, the environment, and the worker on the other one."""
    environment = with_certificate(folder)
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m"]
    with two_hosts() as ((here, address), (there, other)):
        scheduler = f"tls://{address}:8786"
        background(
            *here, *dask, "distributed.cli.dask_scheduler", "--host", f"tls://{address}", "--no-dashboard", **quiet
        )
        workers = [
            background(*inside, *dask, "distributed.cli.dask_worker", scheduler, "--host", f"tls://{own}", "--no-nanny",
                       "--no-dashboard", "--nthreads", "1", "--local-directory", str(folder), **quiet)
            for inside, own in ((here, address), (there, other))
        ]  # fmt: skip
        for _ in range(20):  # until scheduler and workers are there
            told = subprocess.run(
                [*here, sys.executable, "-c", f"from distributed import Client; Client({scheduler!r}).wait_for_workers(2, 20)"],
                env=environment, capture_output=True, cwd=ROOT,
            )  # fmt: skip
            if told.returncode == 0:
                break
            time.sleep(0.5)
        assert told.returncode == 0, told.stderr
        yield here, scheduler, environment, workers[1]


@pytest.mark.slow
def test_two_hosts_with_tls_one_killed(
    photos: Path, tmp_path: Path, background: Callable[..., subprocess.Popen[str]]
) -> None:
    assert main(batch(photos, tmp_path / "alone", "--quiet", iterations=30)) == 0
    with cluster_of_two_hosts(tmp_path, background) as (here, scheduler, environment, worker):
        begin = [*here, *command(*batch(photos, tmp_path / "out", "--scheduler", scheduler, "--json", iterations=30))]
        with subprocess.Popen(begin, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            worker.kill()
            rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert [json.loads(line)["state"] for line in (first, *rest.splitlines())] == ["made"] * 6
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def shared(out: Path, *more: str, iterations: int = 4) -> list[str]:
    """stylize of a picture in four tiles."""
    return ["stylize", PHOTO, PAINTING, "-o", str(out), *SMALL, "--size", "128", "--iterations", str(iterations),
            "--tiles", "4", *more]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "auto", "--workers", "2"], "is made with the method gram"),
        (["--optimizer", "sgd", "--workers", "2"], "vectors of the optimizer lbfgs"),
        (["--max-memory", "1G", "--workers", "2"], "limits one process"),
        (["--scheduler", "tcp://192.0.2.1:8786"], "without TLS"),
        (["--workers", "0"], "--workers must be from 1"),
    ],
)
def test_pictures_that_are_not_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(["stylize", PHOTO, PAINTING, "-o", str(tmp_path / "out.png"), *SMALL, *more]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


@pytest.mark.slow
def test_one_picture_by_local_workers(tmp_path: Path) -> None:
    assert main(shared(tmp_path / "alone.png", "--quiet")) == 0
    assert main(shared(tmp_path / "shared.png", "--quiet", "--workers", "3")) == 0
    assert contents(tmp_path)["alone.png"] == contents(tmp_path)["shared.png"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_one_picture_interrupted_goes_on_alone(tmp_path: Path) -> None:
    """Ctrl-C as a terminal sends it; what the workers held is in the checkpoint."""
    assert main(shared(tmp_path / "alone.png", "--quiet", iterations=12)) == 0
    written = ["--checkpoint", str(tmp_path / "run"), "--checkpoint-every", "0"]
    with started(
        *shared(tmp_path / "out.png", "--workers", "2", "--json", *written, iterations=12), process_group=0
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT and "Traceback" not in errors, errors
    assert (tmp_path / "out.png").is_file()
    assert main(["resume", str(tmp_path / "run"), "--quiet"]) == 0
    assert contents(tmp_path)["alone.png"] == contents(tmp_path)["out.png"]


@pytest.mark.slow
def test_one_picture_over_two_hosts_one_killed(
    tmp_path: Path, background: Callable[..., subprocess.Popen[str]]
) -> None:
    assert main(shared(tmp_path / "alone.png", "--quiet", iterations=16)) == 0
    with cluster_of_two_hosts(tmp_path, background) as (here, scheduler, environment, worker):
        begin = [*here, *command(*shared(tmp_path / "out.png", "--scheduler", scheduler, "--json", iterations=16))]
        with subprocess.Popen(begin, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
            assert process.stdout is not None
            first = [process.stdout.readline() for _ in range(8)]
            worker.kill()
            rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    told = [json.loads(line) for line in (*first, *rest.splitlines())]
    assert [line["iteration"] for line in told[:-1]] == list(range(1, 17)) and not told[-1]["interrupted"]
    assert contents(tmp_path)["alone.png"] == contents(tmp_path)["out.png"]
