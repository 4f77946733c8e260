"""A network as attribution needs it: a call that passes gradients, its groups, its window; knows no files."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import torch
from torch import nn

from hatcli.attribution.lam import Network
from hatcli.models.foreign import Foreign
from hatcli.network.hat import HAT


@dataclass(frozen=True)
class Differentiable:
    """What is asked of any network.

    Attributes:
        call: `[N, 3, h, w]` to `[N, 3, s*h, s*w]`, not clamped; gradients pass through.
        groups: the parts of equal kind it is a row of: HAT's and SwinIR's layers, ESRGAN's blocks, RCAN's groups. Where
            nothing is called `layers`: in the outermost list that holds two or more parts of one kind, those parts.
            Empty if there is no such list, as in a plain row of convolutions.
        window: side of its attention windows in input pixels; None where it has none, or oblong ones.
        channels_last: whether its groups give maps `[1, H, W, C]` whatever their size.
        foreign: what spandrel calls its architecture, None for HAT. Foreign ones promise results for one picture at a
            time only, and may fail for reasons of their own.
    """

    call: Network
    groups: tuple[nn.Module, ...]
    window: int | None = None
    channels_last: bool = False
    foreign: str | None = None


def differentiable(network: nn.Module, device: torch.device, dtype: torch.dtype) -> Differentiable:
    """A network on a device in a precision, its weights fixed."""
    network = network.eval().requires_grad_(False).to(device, dtype)
    if isinstance(network, Foreign):
        body = network.network
        return Differentiable(network.with_gradients, groups_of(body), window_of(body), foreign=network.architecture)
    return Differentiable(network, groups_of(network), window_of(network), channels_last=isinstance(network, HAT))


def groups_of(body: nn.Module) -> tuple[nn.Module, ...]:
    """See `Differentiable.groups`."""
    layers = getattr(body, "layers", None)
    if isinstance(layers, nn.ModuleList) and len(layers) > 0:
        return tuple(layers)
    waiting = deque([body])
    while waiting:
        module = waiting.popleft()
        children = list(module.children())
        if isinstance(module, nn.ModuleList | nn.Sequential):
            kinds = Counter(type(child) for child in children if is_part(child))
            if kinds and max(kinds.values()) > 1:
                kind = kinds.most_common(1)[0][0]
                return tuple(child for child in children if type(child) is kind)
        waiting.extend(children)
    return ()


def is_part(module: nn.Module) -> bool:
    """Whether a module is a block of its own kind rather than a bare operation or a row of some."""
    return not isinstance(module, nn.ModuleList | nn.Sequential) and any(True for _ in module.children())


def window_of(body: nn.Module) -> int | None:
    """See `Differentiable.window`."""
    side = getattr(getattr(body, "config", body), "window_size", None)
    sides = set(side) if isinstance(side, tuple | list) else {side}
    only = sides.pop()
    return only if not sides and isinstance(only, int) else None
