"""What attribution asks of any network: a call that passes gradients, its groups, its window; knows no files.

Networks of other architectures answer through spandrel's description of them, whose own call passes no gradients.
"""

from __future__ import annotations

from collections import Counter, deque

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hatcli.attribution.lam import Network
from hatcli.models.zoo import SMALLEST_SIDE, Foreign


def with_gradients(network: nn.Module) -> Network:
    """The network as a function `[N, 3, h, w]` to `[N, 3, s*h, s*w]` that gradients pass through, not clamped."""
    if not isinstance(network, Foreign):
        return network
    description = network._descriptor  # its own call runs in inference mode and clamps

    def call(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        least = (0, max(0, SMALLEST_SIDE - width), 0, max(0, SMALLEST_SIDE - height))
        padded = F.pad(images, least, "replicate") if any(least) else images.clone()  # some begin with a step in place
        columns, rows = description.size_requirements.get_padding(padded.shape[-1], padded.shape[-2])
        padded = mirrored(padded, rows, columns)
        parts = torch.split(padded, 1, dim=1) if description.input_channels == 1 else (padded,)
        result = torch.cat([description._call_fn(network.network, part) for part in parts], dim=1)
        return result[..., : height * network.scale, : width * network.scale]

    return call


def mirrored(images: Tensor, rows: int, columns: int) -> Tensor:
    """`[N, C, h, w]` with more rows and columns, as spandrel adds them: mirrored, beyond that repeated."""
    near = (0, min(columns, images.shape[-1] - 1), 0, min(rows, images.shape[-2] - 1))
    far = (0, columns - near[1], 0, rows - near[3])
    return F.pad(F.pad(images, near, "reflect"), far, "replicate")


def groups(network: nn.Module) -> list[nn.Module]:
    """The parts of equal kind a network is a row of: HAT's and SwinIR's `layers`, ESRGAN's blocks, RCAN's groups.

    Where nothing is called `layers`: in the outermost list that holds two or more parts of one kind, those parts. Empty
    if there is no such list, as in a plain row of convolutions.
    """
    body = network.network if isinstance(network, Foreign) else network
    layers = getattr(body, "layers", None)
    if isinstance(layers, nn.ModuleList) and len(layers) > 0:
        return list(layers)
    waiting = deque([body])
    while waiting:
        module = waiting.popleft()
        children = list(module.children())
        if isinstance(module, nn.ModuleList | nn.Sequential):
            kinds = Counter(type(child) for child in children if is_part(child))
            if kinds and max(kinds.values()) > 1:
                kind = kinds.most_common(1)[0][0]
                return [child for child in children if type(child) is kind]
        waiting.extend(children)
    return []


def is_part(module: nn.Module) -> bool:
    """Whether a module is a block of its own kind rather than a bare operation or a row of some."""
    return not isinstance(module, nn.ModuleList | nn.Sequential) and any(True for _ in module.children())


def window_side(network: nn.Module) -> int | None:
    """The side of the network's attention windows in input pixels, None where it has none (or oblong ones)."""
    body = network.network if isinstance(network, Foreign) else network
    side = getattr(getattr(body, "config", body), "window_size", None)
    sides = set(side) if isinstance(side, tuple | list) else {side}
    only = sides.pop()
    return only if not sides and isinstance(only, int) else None
