"""Attention inside windows for training on a CPU: the formula of `network.attention.attend` with its own backward.

PyTorch has a fused kernel for this only where the bias needs no gradient; with a learned bias it makes and keeps half a
dozen tensors the size of the logits. Here the probabilities are the only one, and every step works on so few windows at
a time that they stay in the cache.

Shape letters: N windows, h heads, Q queries and K keys of a window, d channels a head; those of `network.attention`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hatcli.network.attention import WindowProjection, overlapping_windows
from hatcli.network.blocks import OCAB
from hatcli.network.hat import HAT

CHUNK = 1 << 18  # logits in work at a time: 1 MB in float32


def use_in(model: HAT) -> None:
    """Let every attention of a network be computed here when gradients are wanted."""
    for module in model.modules():
        if isinstance(module, WindowProjection):
            module.attend = window_attention
        if isinstance(module, OCAB):
            module.overlapping = windows_that_overlap


def window_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, *, scale: float, chunk: int = CHUNK
) -> Tensor:
    """softmax(q k^T * scale + bias) v for windows `[..., tokens, h, d]`, bias `[h, Q, K]`; same layout out.

    Computed in at least float32 whatever goes in: with 12 channels a head, most of the work is one number at a time,
    which a CPU does three times as fast in float32 as in bfloat16; products gain no more than that loses.

    Gradients once, not twice: a second derivative raises RuntimeError.
    """
    lead, dtype = query.shape[:-3], torch.promote_types(query.dtype, torch.float32)
    parts = (part.flatten(0, -4).transpose(1, 2).to(dtype) for part in (query, key, value))  # [N, h, tokens, d]
    result: Tensor = _WindowAttention.apply(*parts, bias.to(dtype), scale, chunk)  # type: ignore[no-untyped-call]
    return torch.unflatten(result.transpose(1, 2).to(query.dtype), 0, lead)


class _WindowAttention(torch.autograd.Function):
    """S = q k^T * scale + bias, P = softmax(S), O = P v; from the gradient G of O those of q, k, v and bias.

    dv = P^T G;  dS = P * (G v^T - rowsum(G * O));  dq = dS k * scale;  dk = dS^T q * scale;  dbias = sum of dS over N.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scale: float, chunk: int) -> Tensor:
        query, key, value = (query * scale).contiguous(), key.contiguous(), value.contiguous()
        probabilities = query.new_empty(*query.shape[:3], key.shape[2])  # [N, h, Q, K]
        output = torch.empty_like(query)
        for part in _chunks(probabilities, chunk):
            logits = probabilities[part]
            torch.bmm(_flat(query[part]), _flat(key[part]).transpose(1, 2), out=_flat(logits))
            logits += bias
            torch.softmax(logits, -1, out=logits)
            torch.bmm(_flat(logits), _flat(value[part]), out=_flat(output[part]))
        ctx.save_for_backward(query, key, value, probabilities, output)
        ctx.scale, ctx.chunk = scale, chunk
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, probabilities, output = ctx.saved_tensors  # the query times scale already
        gradient = gradient.contiguous()
        d_query, d_key, d_value = (torch.empty_like(part) for part in (query, key, value))
        d_bias = query.new_zeros(probabilities.shape[1:])
        row_sums = (gradient * output).sum(-1, keepdim=True)  # [N, h, Q, 1]
        for part in _chunks(probabilities, ctx.chunk):
            p, g = _flat(probabilities[part]), _flat(gradient[part])
            torch.bmm(p.transpose(1, 2), g, out=_flat(d_value[part]))
            d_logits = torch.bmm(g, _flat(value[part]).transpose(1, 2))
            d_logits -= _flat(row_sums[part])
            d_logits *= p
            d_bias += d_logits.view_as(probabilities[part]).sum(0)
            torch.bmm(d_logits, _flat(key[part]), out=_flat(d_query[part]))
            torch.bmm(d_logits.transpose(1, 2), _flat(query[part]), out=_flat(d_key[part]))
        return d_query.mul_(ctx.scale), d_key, d_value, d_bias, None, None


def windows_that_overlap(padded: Tensor, window: int, overlap_window: int) -> Tensor:
    """`network.attention.overlapping_windows`, its gradients added up in blocks: ten times as fast as PyTorch's way.

    Gradients once, not twice: a second derivative raises RuntimeError.
    """
    result: Tensor = _OverlappingWindows.apply(padded, window, overlap_window)  # type: ignore[no-untyped-call]
    return result


class _OverlappingWindows(torch.autograd.Function):
    """A window of side O is at most O/M blocks of side M, rounded up, in each direction; the blocks do not overlap."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, window: int, overlap_window: int) -> Tensor:
        ctx.window, ctx.overlap_window, ctx.shape = window, overlap_window, padded.shape
        return overlapping_windows(padded, window, overlap_window)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        window, overlap_window = ctx.window, ctx.overlap_window
        batch, height, width, channels = ctx.shape
        columns, rows = gradient.shape[:2]
        more = -(-overlap_window // window) - 1  # blocks beyond the last window
        total = gradient.new_zeros(batch, rows + more, window, columns + more, window, channels)
        windows = gradient.permute(2, 1, 3, 0, 4, 5)  # [B, R, O, W/M, O, X]
        for top in range(0, overlap_window, window):
            for left in range(0, overlap_window, window):
                down, right = top // window, left // window
                block = windows[:, :, top : top + window, :, left : left + window]
                total[:, down : down + rows, : block.shape[2], right : right + columns, : block.shape[4]] += block
        whole = total.flatten(3, 4).flatten(1, 2)
        return whole[:, :height, :width], None, None


def _chunks(logits: Tensor, size: int) -> list[slice]:
    """The windows of `[N, h, Q, K]` in parts of about `size` values, at least one window each."""
    step = max(1, size // logits[0].numel())
    return [slice(first, first + step) for first in range(0, logits.shape[0], step)]


def _flat(windows: Tensor) -> Tensor:
    """`[N, h, a, b]` as `[N * h, a, b]`, a view."""
    return windows.view(-1, *windows.shape[2:])
