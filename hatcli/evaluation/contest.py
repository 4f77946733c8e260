"""Who races in a measurement of speed: this project's networks with random weights, and the reference beside them."""

from __future__ import annotations

import torch

from hatcli.engine import opened
from hatcli.errors import UsageError, WeightsError
from hatcli.evaluation.reference import reference_network
from hatcli.evaluation.speed import Contestant, inference
from hatcli.network.config import preset
from hatcli.network.hat import HAT
from hatcli.upscaling.device import PRECISIONS


def known_shapes(text: str, scale: int) -> list[str]:
    """`hat-t,hat` to names of shapes that there are at this factor."""
    shapes = [name.strip() for name in text.split(",") if name.strip()]
    if not shapes:
        raise UsageError("no model was named", hint="try -n hat-t")
    for shape in shapes:
        try:
            preset(shape, upscale=scale)
        except WeightsError as error:
            raise UsageError(error.message, hint=error.hint or "use 2, 3 or 4 for --scale") from None
    return shapes


def contestants(shape: str, scale: int, *, precision: str, device: torch.device, reference: bool) -> list[Contestant]:
    """The reference (if wanted and installed) and this project's network in each precision, with the same weights."""
    config = preset(shape, upscale=scale)
    work = config.multiply_adds()
    network = HAT(config).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found: list[Contestant] = []
    other = reference_network(config) if reference else None
    if other is not None:
        network.load_state_dict(other.state_dict())
        found.append(
            Contestant(
                "reference",
                inference(opened(other, scale=scale, device=device, dtype=torch.float32)),
                work,
                torch.float32,
            )
        )
    for name, dtype in PRECISIONS.items():
        if precision in (name, "both"):
            running = opened(network, scale=scale, device=device, dtype=dtype)
            found.append(Contestant(f"hat {name}", inference(running), work, dtype))
    return found
