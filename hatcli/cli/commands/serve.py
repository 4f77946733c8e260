"""`hat serve`: the local page where pictures are dropped, and the HTTP API under it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command, print_result
from hatcli.cli.shared.groups import grouped
from hatcli.cli.shared.serve_options import Amounts, Door
from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.serve.server import Listening


@command
@grouped
def serve(
    door: Door,
    amounts: Amounts,
    *,
    root: Annotated[
        Path | None, typer.Option("--root", help="A folder whose pictures the page may name.", metavar="FOLDER")
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Where the queue is kept.", metavar="FOLDER", show_default=False)
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Open a page in the browser where pictures are dropped, watched and compared.

    \b
    hat serve                                        opens the page on this machine
    hat serve --no-browser --json                    for programs: the API's address and token as JSON
    hat serve --root ~/Pictures                      results beside the originals, too
    """
    console = Console(quiet=quiet, verbose=verbose, progress=False)
    check_installed()
    door.check(console)

    from hatcli.serve.server import serve as run
    from hatcli.serve.state import default_folder

    def listening(found: Listening) -> None:
        address = f"{found.url}/?token={found.token}"
        if as_json:
            print_result(json.dumps({"event": "listening", "url": found.url, "token": found.token}))
        else:
            print_result(address)
            console.say("Ctrl-C ends it; the queue is kept")
        if door.browser and not as_json:
            open_browser(address)

    devices = [one.strip() for one in device.split(",") if one.strip()] or ["auto"]
    run(
        host=door.host,
        port=door.port,
        names=door.allow_host or [],
        folder=state or default_folder(),
        root=root,
        devices=devices,
        threads=threads,
        limits=amounts.limits(),
        wait_for_devices=any(one not in ("auto", "cpu") for one in devices),
        on_listening=listening,
    )


def check_installed() -> None:
    """Refuse without the packages of the extra `serve`."""
    from importlib.util import find_spec

    for name in ("starlette", "uvicorn", "python_multipart"):
        if find_spec(name) is None:
            raise UsageError("hat serve needs the extra packages `serve`", hint="pip install 'hatcli[serve]'")


def open_browser(address: str) -> None:
    """Show the page, without waiting for the browser."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
