"""Working on an image a band of rows at a time: which rows, and 3 x 3 convolutions that know where the image ends."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hatcli.engine.winograd import Convolution


def bands(length: int, size: int) -> Iterator[tuple[int, int]]:
    """`length` rows in nearly equal bands of at most `size`."""
    count = math.ceil(length / size)
    for i in range(count):
        yield length * i // count, length * (i + 1) // count


def join(rows: list[Tensor]) -> Tensor:
    """Bands of `[B, rows, W, C]` one below the other; a single one is not copied."""
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)


def widen(span: tuple[int, int], height: int) -> tuple[int, int]:
    """The rows a 3 x 3 convolution reads to make the rows `span`, inside the image."""
    return max(span[0] - 1, 0), min(span[1] + 1, height)


def conv_span(conv: nn.Module, rows: Tensor, have: tuple[int, int], want: tuple[int, int], height: int) -> Tensor:
    """A 3 x 3 convolution of an image of `height` rows of which `rows` are `have`: its result's rows `want`.

    `[B, rows, W, C]` in and out. Beyond the image there are zeros; inside it the caller must have the neighbours.
    """
    assert isinstance(conv, nn.Conv2d)
    source = _padded(rows, have, want, height).permute(0, 3, 1, 2)
    return F.conv2d(source, conv.weight, conv.bias, padding=(0, 1)).permute(0, 2, 3, 1)


def conv_rows(conv: nn.Module, image: Tensor, top: int, bottom: int, *, norm: nn.LayerNorm | None = None) -> Tensor:
    """Rows `top` to `bottom` of a 3 x 3 convolution of `image` (of `norm(image)`), `[B, rows, W, C]`."""
    rows, have = _around(image, top, bottom, norm)
    return conv_span(conv, rows, have, (top, bottom), image.shape[1])


def conv_rows_into(
    result: Tensor,
    conv: Convolution,
    image: Tensor,
    top: int,
    bottom: int,
    *,
    norm: nn.LayerNorm | None = None,
) -> None:
    """The same, written to `result`, with fewer multiplications where that pays: for layers whose rounding what
    follows does not enlarge."""
    rows, have = _around(image, top, bottom, norm)
    conv.into(result, _padded(rows.to(conv.conv.weight.dtype), have, (top, bottom), image.shape[1]))


def _around(image: Tensor, top: int, bottom: int, norm: nn.LayerNorm | None) -> tuple[Tensor, tuple[int, int]]:
    """The rows that a 3 x 3 convolution reads to make `top` to `bottom`, through `norm`, and which they are."""
    first, end = widen((top, bottom), image.shape[1])
    rows = image[:, first:end]
    return norm(rows) if norm else rows, (first, end)


def _padded(rows: Tensor, have: tuple[int, int], want: tuple[int, int], height: int) -> Tensor:
    """The rows `want` and one on either side, zeros beyond the image."""
    first, end = widen(want, height)
    source = rows[:, first - have[0] : end - have[0]]
    above, below = first - (want[0] - 1), (want[1] + 1) - end
    return F.pad(source, (0, 0, 0, 0, above, below)) if above or below else source
