"""Where the weights of a new network start: an image path that already enlarges, and a trunk that adds little."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hatcli.network.hat import HAT
from hatcli.training.growing import can_grow, keep_function

TRUNK_GAIN = 0.02  # what the body adds at first, so that the image path dominates
LEAK = 0.01  # slope of the head's LeakyReLU


@torch.no_grad()
def start_as_bilinear(model: HAT) -> None:
    """Make an untrained network enlarge bilinearly, in place.

    The image rides through the shortcut around the body: three channels carry +RGB and three -RGB, so that the
    LeakyReLU loses nothing ((L(x) - L(-x)) / (1 + LEAK) = x). Every weight stays free to move, the rest of the channels
    start at random. A run of minutes then learns detail instead of learning to copy.
    """
    if model.config.num_feat < 6 or model.config.embed_dim < 6:
        return
    signs = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    model.conv_after_body.weight.mul_(TRUNK_GAIN)
    before = model.conv_before_upsample[0]
    assert isinstance(before, nn.Conv2d)
    _silence(model.conv_first, 6)
    _silence(before, 6)
    for channel in range(6):
        model.conv_first.weight[channel, channel % 3, 1, 1] = signs[channel]
        before.weight[channel, channel, 1, 1] = 1.0
    for place, factor in enumerate(model.config.upsample_factors):
        conv = model.upsample[2 * place]
        assert isinstance(conv, nn.Conv2d)
        kernels = bilinear_phases(factor)  # [factor * factor, 3, 3]
        _silence(conv, 6 * factor**2)
        for channel in range(6):
            conv.weight[channel * factor**2 : (channel + 1) * factor**2, channel] = kernels
    model.conv_last.weight.mul_(TRUNK_GAIN)
    model.conv_last.weight[:, :6].zero_()
    model.conv_last.bias.zero_()  # type: ignore[union-attr]
    for channel in range(6):
        model.conv_last.weight[channel % 3, channel, 1, 1] = signs[channel] / (1 + LEAK)


def _silence(conv: nn.Conv2d, outputs: int) -> None:
    """Zero the first output channels of a convolution."""
    conv.weight[:outputs].zero_()
    if conv.bias is not None:
        conv.bias[:outputs].zero_()


def bilinear_phases(factor: int) -> Tensor:
    """The 3 x 3 kernels of the `factor * factor` sub-pixels of bilinear enlargement, in pixel-shuffle order."""
    rows = []
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5
        rows.append([max(0.0, -offset), 1 - abs(offset), max(0.0, offset)])
    taps = torch.tensor(rows)
    return torch.einsum("ay,bx->abyx", taps, taps).reshape(factor**2, 3, 3)


@torch.no_grad()
def start_from(model: HAT, trained: HAT, *, fresh: tuple[str, ...] = ()) -> int:
    """Copy every weight of `trained` that has the same name and shape, in place; how many were copied.

    Names that begin with one of `fresh` are left as they are.

    Between scales only the reconstruction head differs, so x2 and x3 start from the trunk of x4, or x4 from x2. A
    network with more blocks, or another weight of its channel attention blocks, starts as the same function.
    """
    own, other = model.state_dict(), trained.state_dict()
    same = {
        name: value
        for name, value in other.items()
        if name in own and own[name].shape == value.shape and not name.startswith(fresh)
    }
    model.load_state_dict({**own, **same})
    if can_grow(trained.config, model.config):
        keep_function(model, trained.config)
    return len(same)
