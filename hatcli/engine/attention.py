"""The banded form of `hatcli.network.attention`: projections ready for the fused kernel, windows without copies.

Shape letters: B images, H and W rows and columns, C channels, M window side, R rows of windows, h heads, d channels a
head.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from hatcli.network.attention import WindowProjection, in_image_order

HEAD_MULTIPLE = 8  # fused kernels want the channels of a head in multiples of this


class PaddedProjection:
    """One block's projections with the channels of a head padded by zeros.

    Zero channels change no product and no sum; made anew in every run, which costs nothing beside it.
    """

    def __init__(self, module: WindowProjection, index: Tensor) -> None:
        heads, channels = module.num_heads, module.dim
        width = channels // heads
        padded = -(-width // HEAD_MULTIPLE) * HEAD_MULTIPLE
        extra = padded - width
        weight = module.qkv.weight.view(3, heads, width, channels)
        self.qkv_weight = F.pad(weight, (0, 0, 0, extra)).reshape(3 * heads * padded, channels)
        bias = module.qkv.bias
        self.qkv_bias = None if bias is None else F.pad(bias.view(3, heads, width), (0, extra)).reshape(-1)
        projection = module.proj.weight.view(channels, heads, width)
        self.proj_weight = F.pad(projection, (0, extra)).reshape(channels, heads * padded)
        self.proj_bias = module.proj.bias
        self.dtype = weight.dtype  # of the products; the bias is added to their sums, wide where the kernel can
        on_cpu = weight.device.type == "cpu"
        self.bias = module.position_bias(index).to(None if on_cpu else weight.dtype)  # [h, queries, keys]
        self.heads, self.width, self.scale = heads, padded, module.scale

    def qkv(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Projections `first` to `last` (exclusive) of query, key, value: `[..., C]` to `[..., last - first, h, d]`."""
        step = self.heads * self.width
        part = slice(first * step, last * step)
        bias = None if self.qkv_bias is None else self.qkv_bias[part]
        projected = F.linear(tokens, self.qkv_weight[part], bias)
        return torch.unflatten(projected, -1, (last - first, self.heads, self.width))

    def project_into(self, result: Tensor, attended: Tensor) -> None:
        """`[..., h, d]` back to `result` `[..., C]`, whose memory is in one piece."""
        tokens = attended.flatten(-2).flatten(0, -2)
        torch.addmm(self.proj_bias, tokens, self.proj_weight.t(), out=result.view(-1, result.shape[-1]))


def pair_window_slices(
    image: Tensor, windows: Tensor, window: int, shift: int, rows: slice = slice(None)
) -> Iterator[tuple[Tensor, Tensor]]:
    """Which pixels of `image` `[B, H, W, C]` are which of windows that begin `shift` columns further right and wrap:
    pairs of views of one shape, of the image and of `partition`'s `[W/M, R, B, M*M, C]`, each pixel in one of them.

    `rows`: the pixel rows of a window that the image holds; all, unless it is a part of a single row of windows.
    """
    width = image.shape[2]
    tiles = in_image_order(windows, window)[:, :, rows]
    last = width + shift - window if shift else width  # where the window that wraps begins
    for columns, inside in (
        (slice(shift, last), tiles[:, :, :, : (last - shift) // window]),
        (slice(last, width), tiles[:, :, :, -1:, : window - shift]),
        (slice(0, shift), tiles[:, :, :, -1:, window - shift :]),
    ):
        if columns.start < columns.stop:
            part = image[:, :, columns]
            yield torch.unflatten(torch.unflatten(part, 2, inside.shape[3:5]), 1, inside.shape[1:3]), inside


def columns_at_once(windows: Tensor, chunk: int) -> int:
    """How many columns of windows `[W/M, R, B, M*M, C]` hold about `chunk` pixels."""
    return max(1, chunk // (windows[0].numel() // windows.shape[-1]))
