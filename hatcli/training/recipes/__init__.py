"""The recipes that come with the package: their names and texts; reads no numbers."""

from __future__ import annotations

from importlib import resources

ENDING = ".toml"


def packaged_names() -> list[str]:
    """Their names."""
    return sorted(
        entry.name.removesuffix(ENDING) for entry in resources.files(__name__).iterdir() if entry.name.endswith(ENDING)
    )


def packaged_text(name: str) -> str:
    """The TOML of one of them."""
    return (resources.files(__name__) / f"{name}{ENDING}").read_text(encoding="utf-8")
