"""What is said goes to streams that may be closed, full, gone or of few characters; the picture is made all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minitorch_style.cli import main
from tests.cli.processes import PAINTING, ROOT, command, painting, require_whole, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="devices and links as POSIX has them")


def shell(line: str, tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Runs the program in a shell, so that streams can be closed; $0 is the command."""
    return subprocess.run(
        ["bash", "-c", line, *command(*painting(tmp_path / "out.png", *more))],
        capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('"$0" "$@" 2>&-', 0),
        ('"$0" "$@" 2>/dev/full', 0),
        ('"$0" "$@" >/dev/full', 1),
        ('"$0" "$@" >&-', 0),
        ('"$0" "$@" >&- 2>&- <&-', 0),
        ('"$0" "$@" >/dev/full 2>/dev/full', 1),
        ('"$0" "$@" | head -1; exit ${PIPESTATUS[0]}', 0),
        ('"$0" "$@" 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}', 0),
    ],
)
def test_streams_that_fail(tmp_path: Path, line: str, code: int) -> None:
    """What cannot be said is not said; the picture is made, and stdout holds JSON or nothing."""
    done = shell(line, tmp_path, "--json", "--save-every", "1")
    assert done.returncode == code, done.stderr
    for name in ("out.png", "out-0001.png", "out-0002.png"):
        require_whole(tmp_path / name)
    for text in done.stdout.splitlines():
        json.loads(text)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    if line.endswith('"$@" >/dev/full'):
        assert "standard output cannot be written" in done.stderr


SAYING_MUCH = [
    ["--help"],
    ["stylize", "--help"],
    ["networks"],
    ["weights", "list"],
    ["bench", "--help"],
    ["stylize", "é×→\udcff"],
]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_of_the_terminal(encoding: str) -> None:
    """All with one start of Python."""
    code = (
        "import json, sys\n"
        "from minitorch_style.cli import main\n"
        "for arguments in json.loads(input()):\n"
        "    try:\n"
        "        code = main(arguments)\n"
        "    except SystemExit as end:\n"
        "        code = end.code\n"
        "    print('exit code', code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(SAYING_MUCH), capture_output=True, cwd=ROOT, timeout=120,
        env={**os.environ, "PYTHONIOENCODING": encoding}, encoding=encoding, errors="strict", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("exit code")]
    assert said == [*["exit code 0"] * 5, "exit code 2"]
    assert "Traceback" not in done.stderr


def test_the_version() -> None:
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("minitorch_style 0.")


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x1b[2Jb.jpg", "a\u202eb.jpg"])
def test_names_cannot_command_the_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stylize", name, PAINTING, "-o", "out.png"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and errors[:-1].isprintable()
