"""A stylisation on a whole emulated board: two Cortex-A9 and 512 MB that are really 512 MB, with Debian's kernel.

    python -m bench.arm.board [--models distilled enet] [--iterations 2] [--out bench/results/board.json]

Runs `stylize` of the example at 256 pixels and reports its peak of resident memory. Needs qemu-system-arm, cpio and what
bench.arm.check needs. The machine is QEMU's vexpress-a9; the userland and the bundle come to it over 9p. Slow (an
iteration of a small network takes a minute) and therefore run by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.arm.emulated import CACHE, HERE, IPAD, MODELS, REPOSITORY, bundle, make_root
from bench.record import RESULTS, save

MODULES = ("netfs", "fscache", "9pnet", "9pnet_virtio", "virtio_mmio", "9p")


def kernel() -> Path:
    """A folder with Debian's kernel for the board and busybox, fetched at the first call."""
    folder = CACHE / "kernel"
    if not (folder / "boot").exists():
        partial = CACHE / "kernel.tmp"
        shutil.rmtree(partial, ignore_errors=True)
        command = ["mmdebstrap", "--variant=extract", "--architectures=armhf"]
        hook = r'--setup-hook=sed -i /security/d "$1/etc/apt/sources.list"'  # as in rootfs
        packages = "--include=linux-image-armmp,busybox-static"
        subprocess.run([*command, packages, hook, "bookworm", partial], check=True)
        partial.rename(folder)
    return folder


def initial_memory(debian: Path, out: Path) -> None:
    """Writes the archive that the kernel starts from: busybox, the modules for 9p, and `init`."""
    tree = CACHE / "initial"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "sbin", "modules", "proc", "dev", "root"):
        (tree / name).mkdir(parents=True)
    busybox = next(debian.glob("**/bin/busybox"))
    shutil.copy(busybox, tree / "bin" / "busybox")
    for applet in ("sh", "mount", "insmod", "chroot", "cat", "sync", "poweroff"):
        (tree / "bin" / applet).symlink_to("busybox")
    for module in MODULES:
        shutil.copy(next(debian.glob(f"**/{module}.ko")), tree / "modules")
    shutil.copy(HERE / "init", tree / "init")
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))).encode()
    with out.open("wb") as file:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names, stdout=file, check=True)


def booted(arguments: list[str], work: Path) -> None:
    """Boots the board, whose Python gets `arguments` finds `work` at /mnt, and switches itself off."""
    debian, archive = kernel(), CACHE / "initial.cpio"
    initial_memory(debian, archive)
    (work / "command").write_text(" ".join(arguments))
    machine = ["-M", "vexpress-a9", "-cpu", "cortex-a9", "-smp", "2", "-m", "512", "-nographic", "-no-reboot"]
    start = [
        "-kernel",
        next(debian.glob("boot/vmlinuz-*")),
        "-initrd",
        archive,
        "-append",
        "console=ttyAMA0 quiet panic=-1",
    ]
    for mounted in ("proc", "dev", "tmp", "mnt"):  # an extracted userland has no such folders
        (IPAD.root / mounted).mkdir(exist_ok=True)
    shares = []
    for tag, folder, flags in (("userland", IPAD.root, ",readonly=on"), ("work", work, "")):
        shares += ["-fsdev", f"local,id={tag},path={folder},security_model=none{flags}"]
        shares += ["-device", f"virtio-9p-device,fsdev={tag},mount_tag={tag}"]
    tree = next(debian.glob("**/vexpress-v2p-ca9.dtb"))
    command = ["qemu-system-arm", *machine, *start, "-dtb", tree, *shares]
    subprocess.run(command, stdin=subprocess.DEVNULL, env={**os.environ, "QEMU_AUDIO_DRV": "none"}, check=True)


def stylised(model: str, iterations: int, size: int) -> dict[str, Any]:
    """What a run on the board reports: {model, size, iterations, peak_mb, total_mb}."""
    work = bundle([model])
    for path in (HERE / "job.py", REPOSITORY / "examples" / "photo.jpg", REPOSITORY / "examples" / "painting.jpg"):
        shutil.copy(path, work)
    booted(["/mnt/job.py", "picture", model, str(iterations), str(size), "/mnt/result.json"], work)
    found: dict[str, Any] = json.loads((work / "result.json").read_text())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=RESULTS / "board.json")
    options = parser.parse_args()
    make_root()
    rows = [stylised(model, options.iterations, options.size) for model in options.models]
    for row in rows:
        print(f"{row['model']}: {row['peak_mb']:.0f} MB resident at most, of {row['total_mb']:.0f} MB")
    save(rows, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
