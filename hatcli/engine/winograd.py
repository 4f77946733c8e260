"""3 x 3 convolutions with half the multiplications: Winograd's F(4, 3) down the rows, a 1 x 3 convolution along them.

Four rows of the result come from six rows of the image. Six sums of those rows, each convolved along the row with its
own sum of the kernel's three rows, are added up to the four: 18 multiplications a column instead of 36 (Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016, in one dimension). Rounding grows about twofold, so
narrow floating-point types are not for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 4  # of the result that are made together
LEAST_CHANNELS = 60  # with fewer on either side the sums cost more than the multiplications they save
KERNEL_SUMS = (  # which sums of the kernel's three rows the six convolutions use
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


class Convolution:
    """A padded 3 x 3 convolution without gradients, the faster way where that is exact enough: wide floats, many
    channels, a CPU. What it needs of the kernel is made once, at construction; any number of threads may share it."""

    def __init__(self, conv: nn.Module) -> None:
        assert isinstance(conv, nn.Conv2d)
        weight = conv.weight
        wide = weight.dtype in (torch.float32, torch.float64)
        self.conv = conv
        self.pays = wide and weight.device.type == "cpu" and min(weight.shape[:2]) >= LEAST_CHANNELS
        self._kernels = kernels(conv) if self.pays else None

    def into(self, result: Tensor, source: Tensor) -> None:
        """`[B, R + 2, W, I]` to `result` `[B, R, W, O]`; columns beyond the image are zeros."""
        whole = 0
        if self._kernels is not None and (whole := result.shape[1] // ROWS * ROWS):
            convolve_into(result[:, :whole], source[:, : whole + 2], self._kernels, self.conv.bias)
        if whole < result.shape[1]:
            rest = source[:, whole:].permute(0, 3, 1, 2)
            made = F.conv2d(rest, self.conv.weight, self.conv.bias, padding=(0, 1))
            result[:, whole:] = made.permute(0, 2, 3, 1)


def kernels(conv: nn.Conv2d) -> Tensor:
    """The six sums of a kernel `[O, I, 3, 3]`'s rows: `[6, O, I, 1, 3]`."""
    weight = conv.weight.permute(2, 0, 3, 1)  # rows first; channels last, as convolutions want them
    sums = weight.new_tensor(KERNEL_SUMS) @ weight.reshape(3, -1)
    return sums.view(len(sums), 1, *weight.shape[1:]).permute(0, 2, 4, 1, 3)


def convolve_into(result: Tensor, source: Tensor, weights: Tensor, bias: Tensor | None) -> None:
    """`[B, 4n + 2, W, I]` to `result` `[B, 4n, W, O]`, by the six `weights` that `kernels` makes; columns beyond the
    image are zeros."""
    count = result.shape[1] // ROWS
    d0, d1, d2, d3, d4, d5 = (source[:, i : i + ROWS * (count - 1) + 1 : ROWS] for i in range(6))

    def along(rows: Tensor, part: int, added: Tensor | None = None) -> Tensor:
        return F.conv2d(rows.permute(0, 3, 1, 2), weights[part], added, padding=(0, 1)).permute(0, 2, 3, 1)

    even, odd = torch.sub(d4, d2, alpha=4), torch.sub(d3, d1, alpha=4)
    m1, m2 = along(even + odd, 1, bias), along(even.sub_(odd), 2)
    torch.sub(d4, d2, out=even)
    torch.sub(d3, d1, out=odd)
    m3, m4 = along(torch.add(even, odd, alpha=2), 3), along(torch.sub(even, odd, alpha=2), 4)
    m0 = along(torch.sub(d4, d2, alpha=5, out=even).add_(d0, alpha=4), 0)
    m5 = along(torch.sub(d5, d3, alpha=5, out=odd).add_(d1, alpha=4), 5)
    rows = torch.unflatten(result, 1, (count, ROWS))
    sum12, sum34 = m1 + m2, m3 + m4
    difference12, difference34 = m1.sub_(m2), m3.sub_(m4)
    torch.add(m0, sum12, out=rows[:, :, 0]).add_(sum34)
    torch.add(difference12, difference34, alpha=2, out=rows[:, :, 1])
    torch.add(sum12, sum34, alpha=4, out=rows[:, :, 2])
    torch.add(m5, difference12, out=rows[:, :, 3]).add_(difference34, alpha=8)
