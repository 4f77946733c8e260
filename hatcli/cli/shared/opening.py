"""The models `-n` lists, opened: files, names of the catalogue fetched if missing, `all` that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatcli.cli.shared.console import Console, show
from hatcli.cli.shared.model_names import AUTO, BICUBIC, installed, listed, told_apart, wants_all

if TYPE_CHECKING:
    from hatcli.models.opening import Model


def open_models(
    given: list[str] | None, scale: int, console: Console, *, offline: bool, jpeg_quality: int | None = None
) -> list[tuple[str, Model]]:
    """The models to run at a scale by the names they are shown under, bicubic left out: it is always there.

    Args:
        jpeg_quality: of the picture they are for, where it is one picture; `auto` depends on it.
    """
    from hatcli.cli.shared.fetching import open_model
    from hatcli.models import opening

    here = installed() if wants_all(given) else []
    models: list[tuple[str, Model | None]] = [(BICUBIC, None)]
    for name in listed(given, default=[AUTO]):
        if name == BICUBIC:
            continue
        opened = opening.open(name) if name in here else open_model(name, [scale], console, offline=offline)
        model = opened.suited(jpeg_quality=jpeg_quality, factor=scale)
        if name == AUTO:
            console.say(f"auto chose {show(model.name)} for x{scale}")
        if scale not in model:
            console.say(f"{show(model.name)} has no weights for x{scale}: its results are resized to it")
        models.append((model.name, model))
    return [(label, model) for label, model in told_apart(models) if model is not None]
