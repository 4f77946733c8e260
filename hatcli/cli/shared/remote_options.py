"""Options of `hat upscale` that send the work to a server, and which of the others go with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hatcli.errors import UsageError

if TYPE_CHECKING:
    from hatcli.batch.batch import Batch
    from hatcli.batch.outcomes import Event
    from hatcli.batch.plan import Plan
    from hatcli.serve.client import Client

PANEL = "Server"
SENT: tuple[str, ...] = (
    "scale",
    "width",
    "height",
    "long_edge",
    "short_edge",
    "megapixels",
    "quality",
    "lossless",
    "alpha",
)
SENT += ("precision", "tile", "tta", "strip_metadata")
HERE: tuple[str, ...] = (
    "inputs",
    "more_inputs",
    "output",
    "recursive",
    "follow_links",
    "suffix",
    "name",
    "file_format",
    "overwrite",
)
HERE += ("skip_existing", "ignore_free_space", "max_megapixels", "as_json", "fail_fast", "writers")


@dataclass(frozen=True)
class Remote:
    """Who does the work, if not this machine."""

    server: Annotated[
        str | None,
        typer.Option("--server", help="Let a running hat serve do it.", rich_help_panel=PANEL, metavar="URL"),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            "--token", help="What hat serve has printed.", rich_help_panel=PANEL, envvar="HAT_TOKEN", metavar="TEXT"
        ),
    ] = None

    def parameters(self, model: str, *groups: Any) -> dict[str, Any]:
        """What is asked of the server.

        Raises:
            UsageError: an option means nothing there.
        """
        found: dict[str, Any] = {"model": model}
        if self.server is None:
            return found
        for group in groups:
            for field in dataclasses.fields(group):
                value = getattr(group, field.name)
                by_model = field.name in ("suffix", "name") and "{model}" in (value or "")
                if value == field.default or (field.name in HERE and not by_model):
                    continue
                if field.name not in SENT:
                    name = field.name.replace("_", "-").replace("part", "shard")
                    raise UsageError(f"--{name} and --server do not go together", hint="leave one of them out")
                found[field.name] = int(value) if isinstance(value, bool) else value
        if "scale" in found:
            from hatcli.cli.shared.upscale_options import factor

            found["scale"] = factor(found["scale"])
        return found

    def planned(self, plan: Plan, asked: dict[str, Any]) -> Plan:
        """The plan, with what is asked of the server if there is one: its results are not those of this machine."""
        return dataclasses.replace(plan, asked=None if self.server is None else asked)

    def on_server(self, batch: Batch) -> Batch:
        """The same pictures, enlarged there.

        Raises:
            HatError: the server does not answer, or does not let us in.
        """
        if any(job.source.path is None or job.output is None for job in batch.jobs):
            raise UsageError("--server takes files and gives files", hint="name a file instead of - or a URL")
        client = self._client()
        client.ask("GET", "/limits")
        return dataclasses.replace(batch, devices=(client.address,))

    def events(self, batch: Batch, parameters: dict[str, Any]) -> Generator[Event, None, None]:
        """What the server does, as a run here would tell it."""
        from hatcli.serve.client import enlarge

        return enlarge(list(batch.jobs), self._client(), batch.plan, batch.journals, parameters)

    def _client(self) -> Client:
        from hatcli.serve.client import Client

        assert self.server is not None
        return Client(self.server, self.token)
