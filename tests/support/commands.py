"""The command line as a user types it, and what a refusal must look like."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from hatcli.cli import app

PHOTO = Path(__file__).parent.parent / "data" / "photo" / "budgie.png"


def hat(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["upscale", *map(str, arguments)], input=stdin)


def refused(result: Result, code: int) -> str:
    assert result.exit_code == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in result.stderr
    return lines[0]
