"""Attention inside windows: position indices, border masks, window partition, and the products themselves.

Shape letters: B images, H and W rows and columns, C channels, M window side, O overlapping window side, N windows,
h heads, d channels a head.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MASKED = -100.0  # added to a logit between pixels that only the cyclic shift made neighbours


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


def border_biases(bias: Tensor, window: int, shift: int) -> Tensor:
    """A position bias `[h, M*M, M*M]` with the masks: `[4, h, M*M, M*M]` for interior, right, bottom and corner
    windows; `[1, ...]` without a shift."""
    if not shift:
        return bias[None]
    masks = border_masks(window, shift, device=bias.device, dtype=bias.dtype)
    return bias[None] + masks[:, None]


def partition(rows: Tensor, window: int) -> Tensor:
    """`[B, R*M, W, C]` to windows `[W/M, R, B, M*M, C]`: columns first, so that the last column is one slice."""
    batch, height, width, channels = rows.shape
    tiles = rows.reshape(batch, height // window, window, width // window, window, channels)
    return tiles.permute(3, 1, 0, 2, 4, 5).reshape(width // window, height // window, batch, window**2, channels)


def merge(windows: Tensor, window: int) -> Tensor:
    """The inverse of `partition`."""
    return in_image_order(windows, window).flatten(3, 4).flatten(1, 2)


def in_image_order(windows: Tensor, window: int) -> Tensor:
    """`partition`'s windows in the order of an image's pixels, `[B, R, M, W/M, M, C]`: a view."""
    return torch.unflatten(windows, 3, (window, window)).permute(2, 1, 3, 0, 4, 5)


def overlapping_windows(padded: Tensor, window: int, overlap_window: int) -> Tensor:
    """`[B, R*M + O - M, W + O - M, X]` to the windows of side O around those of side M, `[W/M, R, B, O, O, X]`: a
    view."""
    return padded.unfold(1, overlap_window, window).unfold(2, overlap_window, window).permute(2, 1, 0, 4, 5, 3)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, scale: float) -> Tensor:
    """softmax(q k^T * scale + bias) v for windows `[..., tokens, h, d]`, bias `[h, queries, keys]`; same layout out."""
    lead = query.shape[:-3]
    query, key, value = (part.flatten(0, -4).transpose(1, 2) for part in (query, key, value))  # [N, h, tokens, d]
    result = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None], scale=scale)
    return torch.unflatten(result.transpose(1, 2), 0, lead)


class Attend(Protocol):
    """How the products of attention are computed: as `attend` does, in whatever way."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, scale: float) -> Tensor:
        """softmax(q k^T * scale + bias) v."""


def attend_by_border(
    attend: Attend,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    biases: Tensor,
    *,
    scale: float,
    interior: tuple[int, int],
) -> Tensor:
    """Attention in windows `[columns, rows, B, M*M, h, d]`, of which the first `interior` columns and rows are inside
    the image and take `biases[0]`; those to the right, below and in the corner take the others, as `border_biases`
    orders them."""
    columns, rows = interior
    if interior == query.shape[:2]:
        return attend(query, key, value, biases[0], scale=scale)
    attended = torch.empty_like(query)
    for bias, region in zip(
        biases,
        (
            (slice(None, columns), slice(None, rows)),
            (slice(columns, None), slice(None, rows)),
            (slice(None, columns), slice(rows, None)),
            (slice(columns, None), slice(rows, None)),
        ),
        strict=True,
    ):
        if query[region].numel():
            attended[region] = attend(query[region], key[region], value[region], bias, scale=scale)
    return attended


class WindowProjection(nn.Module):
    """What self-attention and overlapping cross-attention share: projections and a table of position biases.

    `attend` computes the products; training may put a faster way with gradients in its place.
    """

    def __init__(self, dim: int, num_heads: int, table_rows: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.dim, self.num_heads = dim, num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.attend: Attend = attend
        self.relative_position_bias_table = nn.Parameter(torch.zeros(table_rows, num_heads))
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def position_bias(self, index: Tensor) -> Tensor:
        """`[h, queries, keys]` from the table; negative indices wrap."""
        table = self.relative_position_bias_table
        rows = torch.remainder(index, table.shape[0]).flatten()
        return table.t()[:, rows].view(self.num_heads, *index.shape)

    def by_heads(self, channels: Tensor) -> Tensor:
        """`[..., C]` to `[..., h, d]`."""
        return torch.unflatten(channels, -1, (self.num_heads, self.dim // self.num_heads))


class WindowAttention(WindowProjection):
    """Self-attention inside windows of side M (W-MSA), shifted (SW-MSA) or not; the roll itself is the caller's."""

    def __init__(self, dim: int, window_size: int, num_heads: int, *, shift: int, qkv_bias: bool) -> None:
        super().__init__(dim, num_heads, (2 * window_size - 1) ** 2, qkv_bias=qkv_bias)
        self.window_size, self.shift = window_size, shift

    def forward(self, windows: Tensor, index: Tensor) -> Tensor:
        """Windows of a whole image, `[W/M, H/M, B, M*M, C]`, to the same; `index` is `self_attention_index`."""
        query, key, value = (self.by_heads(part) for part in self.qkv(windows).chunk(3, dim=-1))
        biases = border_biases(self.position_bias(index), self.window_size, self.shift)
        columns, rows = windows.shape[:2]
        interior = (columns - 1, rows - 1) if self.shift else (columns, rows)
        attended = attend_by_border(self.attend, query, key, value, biases, scale=self.scale, interior=interior)
        result: Tensor = self.proj(attended.flatten(-2))
        return result
