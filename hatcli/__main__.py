"""`python -m hatcli`, the same as `hat`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    import sys

    from hatcli.cli import app, quick

    quick.prepare(sys.argv[1:])
    app(prog_name="hat")


if __name__ == "__main__":
    main()
