"""minitorch_style serve: the page, for browsers of this machine or of the network at home."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path

from minitorch_style.cli.streams import say
from minitorch_style.cli.values import whole
from minitorch_style.errors import SettingsError, UnsupportedError
from minitorch_style.files import check_readable

HELP = "A page to paint photos with, for a browser here or for phones in the same network."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=whole, default=8765, metavar="N", help="default: 8765; 0 takes a free one")
    parser.add_argument(
        "--lan", action="store_true", help="for other devices in this network too, which need the key in the link"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--paintings", metavar="DIR", help="a folder of paintings to hang beside ours")
    parser.add_argument(
        "--max-size", type=whole, default=2048, metavar="PX", help="longest side of a result (default: 2048)"
    )
    parser.add_argument("--max-iterations", type=whole, default=500, metavar="N", help="of one job (default: 500)")
    parser.add_argument("--certificate", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    parser.add_argument("--key", metavar="FILE", help="its private key")


def run(options: argparse.Namespace) -> int:
    try:
        import segno
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UnsupportedError(f"the page needs {error.name}: pip install 'minitorch-style[web]'") from error
    from minitorch_style.serve import live
    from minitorch_style.serve.app import App
    from minitorch_style.serve.asked import Ceiling
    from minitorch_style.serve.folder import temporary_folder
    from minitorch_style.serve.server import listen, serve
    from minitorch_style.serve.wall import wall

    if not 16 <= options.max_size <= 8192 or options.max_iterations < 1 or not 0 <= options.port < 65536:
        raise SettingsError("--max-size must be from 16 to 8192, --max-iterations at least 1, --port from 0 to 65535")
    if (options.certificate is None) != (options.key is None):
        raise SettingsError("--certificate and --key need each other")
    files = [Path(name) for name in (options.certificate, options.key) if name is not None]
    for path in files:
        check_readable(path, SettingsError)
    paintings = wall(None if options.paintings is None else Path(options.paintings))
    address = listen(options.port, options.lan, bool(files))
    with temporary_folder() as folder:
        app = App(folder, paintings, Ceiling(options.max_size, options.max_iterations), live.found())
        print(address.link, flush=True)
        if options.lan:
            segno.make(address.link, error="m").terminal(sys.stdout, compact=True)
            say("for every device in this network that has the link; Ctrl-C ends it")
        else:
            say("for this machine alone; --lan lets in the phones of your network, Ctrl-C ends it")
        if options.open:
            webbrowser.open(address.link)
        serve(app, address, *files)
    return 0
