"""The banded form of `hatcli.network.blocks`: what a block computes there as a formula, a function does here in place.

An image is worked on in bands of window rows, so that temporaries stay in the cache and three feature maps of it are
alive at most. Shape letters: B images, H and W rows and columns (multiples of the window side M), C channels, h heads,
d channels a head. Feature maps are `[B, H, W, C]`; what is called a row of windows is M rows of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hatcli.engine import winograd
from hatcli.engine.attention import PaddedProjection, columns_at_once, pair_window_slices
from hatcli.engine.rows import bands, conv_rows_into, join
from hatcli.engine.workers import Workers
from hatcli.network.attention import attend, attend_by_border, border_biases, overlapping_windows, partition
from hatcli.network.blocks import CAB, HAB, OCAB, RHAG, Mlp
from hatcli.network.hat import wide_dtype


def update_group(group: RHAG, x: Tensor, index_sa: Tensor, index_oca: Tensor, workers: Workers) -> Iterator[None]:
    """`x = group(x)`; yields after every block."""
    y = torch.empty_like(x)
    band = workers.chunk // x.shape[2]

    def copy(top: int, bottom: int) -> None:
        y[:, top:bottom] = x[:, top:bottom]

    workers.each(partial(copy, *span) for span in workers.spans(x.shape[1], band))
    for block in group.residual_group.blocks:
        assert isinstance(block, HAB)
        update_hybrid(block, y, index_sa, workers)
        yield
    if group.residual_group.overlap_attn is not None:
        update_overlapping(group.residual_group.overlap_attn, y, index_oca, workers)

    conv = winograd.Convolution(group.conv)

    def add(top: int, bottom: int) -> None:
        rows = torch.empty_like(x[:, top:bottom])
        conv_rows_into(rows, conv, y, top, bottom)
        x[:, top:bottom] += rows

    workers.each(partial(add, *span) for span in workers.spans(x.shape[1], band, step=winograd.ROWS))
    yield


def update_hybrid(block: HAB, x: Tensor, index: Tensor, workers: Workers) -> None:
    """`x = block(x)`, bands of window rows side by side."""
    height, width = x.shape[1:3]
    size, shift = block.window_size, block.shift
    convolved: tuple[Tensor, Tensor] | None = None
    if block.conv_block is not None:
        band = max(4 * winograd.ROWS, workers.chunk // width)
        convolved = convolve(block.conv_block, x, block.norm1, workers, band)
    projection = PaddedProjection(block.attn, index)
    biases = border_biases(projection.bias, size, shift)
    last = height // size - (1 if shift else 0)  # the last row of shifted windows wraps: a band of its own
    spans = workers.spans(last, workers.chunk // (width * size)) if last else []
    if shift:
        spans.append((last, last + 1))

    def update(first_row: int, end_row: int) -> None:
        band = WindowBand(x, first_row, end_row, size, shift)
        windows = band.windows(block.norm1, projection.dtype)
        attend_in(windows, projection, biases, is_last_row=last == first_row, chunk=workers.chunk)
        for (top, bottom), held in band.segments:
            rows = x[:, top:bottom]
            for pixels, added in pair_window_slices(rows, windows, size, shift, held):
                pixels += added
            if convolved is not None:
                features, gate = convolved
                rows.addcmul_(features[:, top:bottom], gate, value=block.conv_scale)
            add_mlp(block.mlp, rows, block.norm2, workers.chunk)

    workers.each(partial(update, *span) for span in spans)


@dataclass(frozen=True)
class WindowBand:
    """Window rows `first` to `end` of an image `[B, H, W, C]` in windows shifted down and right by `shift`.

    The last row of shifted windows holds the image's last pixel rows and its first.
    """

    x: Tensor
    first: int
    end: int
    window: int
    shift: int

    @property
    def segments(self) -> list[tuple[tuple[int, int], slice]]:
        """The pixel rows it consists of, and which rows of its windows they are."""
        height = self.x.shape[1]
        top, bottom = self.first * self.window + self.shift, self.end * self.window + self.shift
        if bottom <= height:
            return [((top, bottom), slice(None))]
        return [((top, height), slice(height - top)), ((0, bottom - height), slice(height - top, None))]

    def windows(self, norm: nn.LayerNorm, dtype: torch.dtype) -> Tensor:
        """Its windows, normalised: `[W/M, R, B, M*M, C]`."""
        batch, _, width, channels = self.x.shape
        rows = norm(join([self.x[:, top:bottom] for (top, bottom), _ in self.segments]))
        shape = (width // self.window, self.end - self.first, batch, self.window**2, channels)
        windows: Tensor = rows.new_empty(shape, dtype=dtype)
        for pixels, inside in pair_window_slices(rows, windows, self.window, self.shift):
            inside.copy_(pixels)
        return windows


def attend_in(windows: Tensor, projection: PaddedProjection, biases: Tensor, *, is_last_row: bool, chunk: int) -> None:
    """`windows = WindowAttention(windows)` for some rows of an image's windows, `[W/M, R, B, M*M, C]`, a few columns at
    a time; shifted ones take masks in their last column and, where these are the last row, in all of them."""
    columns, rows = windows.shape[:2]
    step = columns_at_once(windows, chunk)
    is_shifted = len(biases) > 1
    for start in range(0, columns, step):
        part = windows[start : start + step]
        inner_columns = len(part) - (1 if is_shifted and start + step >= columns else 0)
        inner_rows = 0 if is_shifted and is_last_row else rows
        query, key, value = projection.qkv(part, 0, 3).unbind(-3)
        interior = (inner_columns, inner_rows)
        attended = attend_by_border(attend, query, key, value, biases, scale=projection.scale, interior=interior)
        projection.project_into(part, attended)


def convolve(block: CAB, x: Tensor, norm: nn.LayerNorm, workers: Workers, band: int) -> tuple[Tensor, Tensor]:
    """The features of `block(norm(x))` before they are gated, `[B, H, W, C]`, and their gates `[B, 1, 1, C]`, `band`
    rows at a time."""
    squeeze, expand = winograd.Convolution(block.cab[0]), winograd.Convolution(block.cab[2])
    batch, height, width, _ = x.shape
    narrow = squeeze.conv.weight.dtype
    middle = x.new_empty(batch, height, width, squeeze.conv.out_channels, dtype=narrow)
    features = torch.empty_like(x, dtype=narrow)
    wide = wide_dtype(x.dtype)

    def squeezed(top: int, bottom: int) -> None:
        rows = middle[:, top:bottom]
        conv_rows_into(rows, squeeze, x, top, bottom, norm=norm)
        rows.copy_(F.gelu(rows))

    def expanded(top: int, bottom: int) -> Tensor:
        rows = features[:, top:bottom]
        conv_rows_into(rows, expand, middle, top, bottom)
        return rows.sum(dim=(1, 2), dtype=wide)

    spans = workers.spans(height, band, step=winograd.ROWS)
    workers.each(partial(squeezed, *span) for span in spans)
    sums = workers.each(partial(expanded, *span) for span in spans)
    total = torch.stack(sums).sum(dim=0)
    return features, block.gate((total / (height * width)).to(x.dtype))


def add_mlp(mlp: Mlp, x: Tensor, norm: nn.LayerNorm, chunk: int) -> None:
    """`x += mlp(norm(x))` for `[B, rows, W, C]`, `chunk` pixels at a time."""
    for image in x:
        for pixels in image.view(-1, x.shape[-1]).split(chunk):
            pixels += mlp(norm(pixels).to(mlp.fc1.weight.dtype))


def update_overlapping(block: OCAB, x: Tensor, index: Tensor, workers: Workers) -> None:
    """`x = block(x)`, stretches of window rows side by side, each given the rows around it as they were."""
    size, halo = block.window_size, block.halo
    projection = PaddedProjection(block, index)
    count = x.shape[1] // size
    tasks = []
    for first_row, end_row in workers.spans(count, count):
        top, bottom = first_row * size, end_row * size
        above, below = x[:, max(top - halo, 0) : top].clone(), x[:, bottom : bottom + halo].clone()
        stretch = Stretch(block, projection, x[:, top:bottom], above, below, workers.chunk)
        tasks.append(stretch.update)
    workers.each(tasks)


class Stretch:
    """Window rows `x` of an image on their way through an OCAB, band after band, from the top to the bottom.

    Keys and values roll along: each row is projected once, before its pixels change. `kept` holds those of one band
    and of `halo` rows and columns around it, zeros beyond the image; `above` and `below` are the rows there.
    """

    def __init__(
        self, block: OCAB, projection: PaddedProjection, x: Tensor, above: Tensor, below: Tensor, chunk: int
    ) -> None:
        self.block, self.projection, self.x, self.below, self.chunk = block, projection, x, below, chunk
        batch, height, width, _ = x.shape
        size, halo = block.window_size, block.halo
        self.rows_a_band = max(1, chunk // (width * size))
        rows = min(self.rows_a_band * size, height) + 2 * halo
        channels = 2 * projection.heads * projection.width
        self.kept = x.new_zeros((batch, rows, width + 2 * halo, channels), dtype=projection.dtype)
        self.projected = 0  # rows of x whose keys and values have been made
        self._keep(above, halo - above.shape[1])

    def update(self) -> None:
        """`x = block(x)`."""
        size, halo = self.block.window_size, self.block.halo
        height, before = self.x.shape[1], 0
        for first_row, end_row in bands(height // size, self.rows_a_band):
            top, bottom = first_row * size, end_row * size
            if before:
                self.kept[:, : 2 * halo] = self.kept[:, before : before + 2 * halo].clone()
            before = bottom - top
            self._keep_up_to(top, bottom)
            rows = self.x[:, top:bottom]
            windows = partition(self.block.norm1(rows).to(self.projection.dtype), size).contiguous()
            self._attend_in(windows)
            for pixels, added in pair_window_slices(rows, windows, size, 0):
                pixels += added
            add_mlp(self.block.mlp, rows, self.block.norm2, self.chunk)

    def _keep_up_to(self, top: int, bottom: int) -> None:
        """Keys and values of the rows `top` to `bottom` and below, as far as their windows reach."""
        halo, height = self.block.halo, self.x.shape[1]
        reach = min(bottom + halo, height)
        start = self.projected - (top - halo)
        self._keep(self.x[:, self.projected : reach], start)
        end = start + reach - self.projected
        self.kept[:, end:] = 0
        if bottom == height:
            self._keep(self.below, end)
        self.projected = reach

    def _keep(self, rows: Tensor, start: int) -> None:
        fresh = self.projection.qkv(self.block.norm1(rows).to(self.projection.dtype), 1, 3).flatten(3)
        halo = self.block.halo
        self.kept[:, start : start + rows.shape[1], halo : self.x.shape[2] + halo] = fresh

    def _attend_in(self, windows: Tensor) -> None:
        """The windows of one band, `[W/M, R, B, M*M, C]`, attended and projected in place, a few columns at a time."""
        size, projection = self.block.window_size, self.projection
        rows = windows.shape[1] * size + 2 * self.block.halo
        larger = overlapping_windows(self.kept[:, :rows], size, self.block.overlap_window)
        step = columns_at_once(windows, self.chunk)
        for column in range(0, windows.shape[0], step):
            part = slice(column, column + step)
            query = projection.qkv(windows[part], 0, 1).squeeze(-3)
            key, value = torch.unflatten(larger[part], -1, (2, projection.heads, projection.width)).unbind(-3)
            key, value = key.flatten(3, 4), value.flatten(3, 4)
            attended = attend(query, key, value, projection.bias, scale=projection.scale)
            projection.project_into(windows[part], attended)
