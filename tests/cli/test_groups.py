"""Options grouped as dataclasses: what people type, what the command gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from hatcli.cli.shared.console import command
from hatcli.cli.shared.groups import grouped
from hatcli.errors import UsageError


@dataclass(frozen=True)
class Speed:
    device: Annotated[str, typer.Option("-d", "--device", help="Where it runs.")] = "auto"
    fast: Annotated[bool, typer.Option("--fast")] = False


@dataclass(frozen=True)
class Talk:
    verbose: Annotated[bool, typer.Option("-v", "--verbose")] = False


def app_of(got: list[Any]) -> typer.Typer:
    @command
    @grouped
    def work(
        name: Annotated[str, typer.Argument()], *, speed: Speed, times: Annotated[int, typer.Option()] = 1, talk: Talk
    ) -> None:
        """Do it."""
        got.append((name, speed, times, talk))
        if name == "wrong":
            raise UsageError("that is wrong")

    app = typer.Typer()
    app.command()(work)
    return app


def test_fields_are_options_and_the_command_gets_the_group() -> None:
    got: list[Any] = []
    result = CliRunner().invoke(app_of(got), ["a", "-d", "cpu", "--fast", "--times", "3"])
    assert result.exit_code == 0, result.output
    assert got == [("a", Speed("cpu", True), 3, Talk(False))]
    assert CliRunner().invoke(app_of(got), ["a"]).exit_code == 0
    assert got[-1] == ("a", Speed(), 1, Talk())


def test_help_names_every_option_in_the_order_of_the_signature() -> None:
    said = CliRunner().invoke(app_of([]), ["--help"]).output
    places = [said.index(option) for option in ("--device", "--fast", "--times", "--verbose")]
    assert places == sorted(places)
    assert "Where it runs." in said


def test_the_error_boundary_still_sees_verbose() -> None:
    quiet = CliRunner().invoke(app_of([]), ["wrong"])
    loud = CliRunner().invoke(app_of([]), ["wrong", "-v"])
    assert (quiet.exit_code, loud.exit_code) == (2, 2)
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_two_options_of_one_name_are_a_bug_seen_at_once() -> None:
    def work(*, speed: Speed, device: str) -> None: ...

    with pytest.raises(TypeError, match="two parameters called device"):
        grouped(work)
