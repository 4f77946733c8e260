"""`python -m hatcli`, the same as `hat`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from hatcli.cli import app

    app(prog_name="hat")


if __name__ == "__main__":
    main()
