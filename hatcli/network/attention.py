"""Attention inside windows: position indices, border masks, window partition, and the products themselves.

Shape letters: B images, H and W rows and columns, C channels, M window side, O overlapping window side, N windows,
h heads, d channels a head.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -100.0  # added to a logit between pixels that only the cyclic shift made neighbours
HEAD_MULTIPLE = 8  # fused kernels want the channels of a head in multiples of this


def self_attention_index(window: int) -> Tensor:
    """Rows of the bias table for every query and key of one window: int64 `[M*M, M*M]`, all >= 0."""
    y, x = _coordinates(window)
    span = 2 * window - 1
    return (y[:, None] - y[None, :] + window - 1) * span + (x[:, None] - x[None, :] + window - 1)


def cross_attention_index(window: int, overlap_window: int) -> Tensor:
    """Rows of the bias table for a query window and the larger window around it: int64 `[M*M, O*O]`.

    The signs are opposite to `self_attention_index` and many entries are negative; they wrap, as Python's indices do.
    Checkpoints store exactly these numbers.
    """
    query_y, query_x = _coordinates(window)
    key_y, key_x = _coordinates(overlap_window)
    origin = overlap_window - window - 1
    span = window + overlap_window - 1
    return (key_y[None, :] - query_y[:, None] - origin) * span + (key_x[None, :] - query_x[:, None] - origin)


def _coordinates(window: int) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel of a window, row by row.

    On the CPU whatever the default device: integer arithmetic on the meta device imports a compiler, for 1.5 seconds.
    """
    position = torch.arange(window * window, device="cpu")
    return position // window, position % window


def border_masks(window: int, shift: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What to add to the logits of a shifted window: `[4, M*M, M*M]` for interior, right, bottom and corner windows.

    After the cyclic shift only the last row and the last column of windows hold pixels from opposite borders, so four
    masks serve every image size.
    """
    y, x = _coordinates(window)
    wrapped_y, wrapped_x = (y >= window - shift).to(device), (x >= window - shift).to(device)
    differs_y = wrapped_y[:, None] != wrapped_y[None, :]
    differs_x = wrapped_x[:, None] != wrapped_x[None, :]
    masks = torch.stack([torch.zeros_like(differs_y), differs_x, differs_y, differs_x | differs_y])
    return masks.to(dtype) * MASKED


def partition(rows: Tensor, window: int) -> Tensor:
    """`[B, R*M, W, C]` to windows `[W/M, R, B, M*M, C]`: columns first, so that the last column is one slice."""
    batch, height, width, channels = rows.shape
    tiles = rows.reshape(batch, height // window, window, width // window, window, channels)
    return tiles.permute(3, 1, 0, 2, 4, 5).reshape(width // window, height // window, batch, window**2, channels)


def merge(windows: Tensor, window: int) -> Tensor:
    """The inverse of `partition`."""
    return _tiles(windows, window).flatten(3, 4).flatten(1, 2)


def _tiles(windows: Tensor, window: int) -> Tensor:
    """Windows in the order of an image's pixels, `[B, R, M, W/M, M, C]`: a view."""
    return torch.unflatten(windows, 3, (window, window)).permute(2, 1, 3, 0, 4, 5)


def matched(
    image: Tensor, windows: Tensor, window: int, shift: int, rows: slice = slice(None)
) -> Iterator[tuple[Tensor, Tensor]]:
    """Which pixels of `image` `[B, H, W, C]` are which of windows that begin `shift` columns further right and wrap:
    pairs of views of one shape, of the image and of `partition`'s `[W/M, R, B, M*M, C]`, each pixel in one of them.

    `rows`: the pixel rows of a window that the image holds; all, unless it is a part of a single row of windows.
    """
    width = image.shape[2]
    tiles = _tiles(windows, window)[:, :, rows]
    last = width + shift - window if shift else width  # where the window that wraps begins
    for source, place in (
        (slice(shift, last), tiles[:, :, :, : (last - shift) // window]),
        (slice(last, width), tiles[:, :, :, -1:, : window - shift]),
        (slice(0, shift), tiles[:, :, :, -1:, window - shift :]),
    ):
        if source.start < source.stop:
            part = image[:, :, source]
            yield torch.unflatten(torch.unflatten(part, 2, place.shape[3:5]), 1, place.shape[1:3]), place


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, scale: float) -> Tensor:
    """softmax(q k^T * scale + bias) v for windows `[..., tokens, h, d]`, bias `[h, queries, keys]`; same layout out."""
    lead = query.shape[:-3]
    query, key, value = (part.flatten(0, -4).transpose(1, 2) for part in (query, key, value))  # [N, h, tokens, d]
    result = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None], scale=scale)
    return torch.unflatten(result.transpose(1, 2), 0, lead)


class AttentionWeights:
    """One block's projections with the channels of a head padded by zeros, ready for the fused kernel.

    Zero channels change no product and no sum; made anew in every forward pass, which costs nothing beside it.
    """

    def __init__(self, module: WindowProjection, index: Tensor, *, pad: bool) -> None:
        heads, channels = module.num_heads, module.dim
        width = channels // heads
        padded = -(-width // HEAD_MULTIPLE) * HEAD_MULTIPLE if pad else width
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
        self.heads, self.width, self.scale = heads, padded, width**-0.5

    def qkv(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Projections `first` to `last` (exclusive) of query, key, value: `[..., C]` to `[..., last - first, h, d]`."""
        step = self.heads * self.width
        part = slice(first * step, last * step)
        bias = None if self.qkv_bias is None else self.qkv_bias[part]
        projected = F.linear(tokens, self.qkv_weight[part], bias)
        return torch.unflatten(projected, -1, (last - first, self.heads, self.width))

    def project(self, attended: Tensor) -> Tensor:
        """`[..., h, d]` back to `[..., C]`."""
        return F.linear(attended.flatten(-2), self.proj_weight, self.proj_bias)

    def project_into(self, result: Tensor, attended: Tensor) -> None:
        """The same, written to `result` `[..., C]`, whose memory is in one piece; without gradients."""
        tokens = attended.flatten(-2).flatten(0, -2)
        torch.addmm(self.proj_bias, tokens, self.proj_weight.t(), out=result.view(-1, result.shape[-1]))


class WindowProjection(nn.Module):
    """What self-attention and overlapping cross-attention share: projections and a table of position biases."""

    def __init__(self, dim: int, num_heads: int, table_rows: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.dim, self.num_heads = dim, num_heads
        self.attend = attend  # with gradients; training may put a faster form of the same formula here
        self.relative_position_bias_table = nn.Parameter(torch.zeros(table_rows, num_heads))
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def position_bias(self, index: Tensor) -> Tensor:
        """`[h, queries, keys]` from the table; negative indices wrap."""
        table = self.relative_position_bias_table
        rows = torch.remainder(index, table.shape[0]).flatten()
        return table.t()[:, rows].view(self.num_heads, *index.shape)


class WindowAttention(WindowProjection):
    """Self-attention inside windows of side M (W-MSA; shifted or not is the caller's concern)."""

    def __init__(self, dim: int, window_size: int, num_heads: int, *, qkv_bias: bool) -> None:
        super().__init__(dim, num_heads, (2 * window_size - 1) ** 2, qkv_bias=qkv_bias)
        self.window_size = window_size
