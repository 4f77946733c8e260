"""`--ray` to a session of a cluster."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hatcli.cli.shared.console import Console, show

if TYPE_CHECKING:
    from hatcli.cli.shared.option_groups import Running
    from hatcli.cli.shared.upscale_options import Cluster
    from hatcli.cluster.session import Session


def joined(cluster: Cluster, running: Running, console: Console, opened: ExitStack) -> Session | None:
    """The cluster that was asked for, until the command ends; None: none was.

    Raises:
        UsageError: it cannot be had.
    """
    if cluster.ray is None:
        return None
    from hatcli.cluster import session

    def say(text: str) -> None:
        console.say(show(text))

    device = "cpu" if running.cpu else running.device
    return opened.enter_context(
        session.joined(cluster.ray, device=device, workers=cluster.workers, threads=running.threads, say=say)
    )
