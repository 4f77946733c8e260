"""The blocks HAT is built of: channel attention, hybrid attention, overlapping cross-attention, and their group.

Shape letters: B images, H and W rows and columns (multiples of the window side M), C channels, h heads, d channels a
head. Feature maps are `[B, H, W, C]`; a convolution sees the same memory as a channels-last `[B, C, H, W]`.

Gradients wanted: `forward` is the plain formula. No gradients: `update_` is the same formula in bands of window rows,
changing its feature map in place, so that temporaries stay in the cache and three maps of the image are alive at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hatcli.network import winograd
from hatcli.network.attention import (
    AttentionWeights,
    WindowAttention,
    WindowProjection,
    attend,
    border_masks,
    matched,
    merge,
    partition,
)
from hatcli.network.bands import bands, conv_rows_into, join, wide_dtype
from hatcli.network.config import HATConfig
from hatcli.network.parallel import Crew


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: a gate a channel from the mean over the whole image."""

    def __init__(self, num_feat: int, squeeze_factor: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(num_feat, num_feat // squeeze_factor, 1),
            nn.ReLU(),
            nn.Conv2d(num_feat // squeeze_factor, num_feat, 1),
            nn.Sigmoid(),
        )

    def gate(self, mean: Tensor) -> Tensor:
        """Channel means `[B, C]` to gates `[B, 1, 1, C]` in 0..1."""
        gates: Tensor = self.attention[1:](mean[:, :, None, None])
        return gates.permute(0, 2, 3, 1)


class CAB(nn.Module):
    """Channel attention block: two convolutions around a bottleneck, then channel attention."""

    def __init__(self, config: HATConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        middle = dim // config.compress_ratio
        self.cab = nn.Sequential(nn.Conv2d(dim, middle, 3, 1, 1), nn.GELU(), nn.Conv2d(middle, dim, 3, 1, 1))
        if config.channel_attention:
            self.cab.append(ChannelAttention(dim, config.squeeze_factor))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.cab[:3](x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return features * self._gate(features.mean(dim=(1, 2)))

    def _gate(self, mean: Tensor) -> Tensor:
        """Channel means `[B, C]` to gates `[B, 1, 1, C]`; ones without channel attention."""
        if len(self.cab) == 3:
            return torch.ones_like(mean)[:, None, None]
        attention = self.cab[3]
        assert isinstance(attention, ChannelAttention)
        return attention.gate(mean)

    def in_bands(self, x: Tensor, norm: nn.LayerNorm, crew: Crew, band: int) -> tuple[Tensor, Tensor]:
        """The ungated features of `norm(x)`, `[B, H, W, C]`, and their gates `[B, 1, 1, C]`, `band` rows at a time."""
        squeeze, expand = winograd.Convolution(self.cab[0]), winograd.Convolution(self.cab[2])
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

        spans = crew.spans(height, band, step=winograd.ROWS)
        crew.each(partial(squeezed, *span) for span in spans)
        sums = crew.each(partial(expanded, *span) for span in spans)
        total = torch.stack(sums).sum(dim=0)
        return features, self._gate((total / (height * width)).to(x.dtype))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result

    def add_(self, x: Tensor, norm: nn.LayerNorm, chunk: int) -> None:
        """`x += mlp(norm(x))` in place for `[B, rows, W, C]`, `chunk` pixels at a time."""
        for image in x:
            for pixels in image.view(-1, x.shape[-1]).split(chunk):
                pixels += self(norm(pixels).to(self.fc1.weight.dtype))


class DropPath(nn.Module):
    """Stochastic depth: a whole branch of an image is dropped with probability `rate` while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None  # of the random numbers; None: PyTorch's own

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty(x.shape[0], *(1,) * (x.ndim - 1)).bernoulli_(1 - self.rate, generator=self.generator)
        return x * keep / (1 - self.rate)


class HAB(nn.Module):
    """Hybrid attention block: (shifted) window attention beside a channel attention block, then an MLP."""

    def __init__(self, config: HATConfig, *, num_heads: int, shift: int, drop_path: float) -> None:
        super().__init__()
        dim = config.embed_dim
        self.window_size, self.shift, self.conv_scale = config.window_size, shift, config.conv_scale
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, config.window_size, num_heads, qkv_bias=config.qkv_bias)
        self.conv_block = CAB(config) if config.cab else None
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """`[B, H, W, C]` to the same; `index` is `self_attention_index`. With gradients."""
        normed = self.norm1(x)
        weights = AttentionWeights(self.attn, index, pad=False)
        shifted = torch.roll(normed, (-self.shift, -self.shift), dims=(1, 2)) if self.shift else normed
        attended = self._attend(partition(shifted, self.window_size), weights, self._biases(weights), last_row=None)
        attended = merge(weights.project(attended), self.window_size)
        if self.shift:
            attended = torch.roll(attended, (self.shift, self.shift), dims=(1, 2))
        x = x + self.drop_path(attended)
        if self.conv_block is not None:
            x = x + self.conv_scale * self.conv_block(normed)
        result: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return result

    def update_(self, x: Tensor, index: Tensor, crew: Crew) -> None:
        """The same in place, without gradients: window rows one band after the other."""
        height, width = x.shape[1:3]
        size, chunk = self.window_size, crew.chunk
        convolved: tuple[Tensor, Tensor] | None = None
        if self.conv_block is not None:
            convolved = self.conv_block.in_bands(x, self.norm1, crew, max(4 * winograd.ROWS, chunk // width))
        weights = AttentionWeights(self.attn, index, pad=True)
        biases = self._biases(weights)
        last = height // size - (1 if self.shift else 0)  # the last row of shifted windows wraps: a band of its own
        places = crew.spans(last, chunk // (width * size)) if last else []
        if self.shift:
            places.append((last, last + 1))

        def update_band(first_row: int, end_row: int) -> None:
            top, bottom = first_row * size + self.shift, end_row * size + self.shift
            segments = [(top, min(bottom, height)), *([(0, bottom - height)] if bottom > height else [])]
            rows = self.norm1(join([x[:, a:b] for a, b in segments]))
            shape = (width // size, end_row - first_row, x.shape[0], size**2, x.shape[-1])
            windows = rows.new_empty(shape, dtype=weights.dtype)
            for pixels, place in matched(rows, windows, size, self.shift):
                place.copy_(pixels)
            step = max(1, chunk // (windows[0].numel() // windows.shape[-1]))
            for start in range(0, windows.shape[0], step):
                part = windows[start : start + step]
                ends = start + step >= windows.shape[0]
                attended = self._attend(part, weights, biases, last_row=last == first_row, last_column=ends)
                weights.project_into(part, attended)
            for (a, b), held in zip(segments, (slice(height - top), slice(height - top, None)), strict=False):
                target = x[:, a:b]
                for pixels, update in matched(target, windows, size, self.shift, held):
                    pixels += update
                if convolved is not None:
                    features, gate = convolved
                    target.addcmul_(features[:, a:b], gate, value=self.conv_scale)
                self.mlp.add_(target, self.norm2, chunk)

        crew.each(partial(update_band, *span) for span in places)

    def _biases(self, weights: AttentionWeights) -> Tensor:
        """`[4, h, M*M, M*M]` for interior, right, bottom and corner windows; `[1, ...]` without a shift."""
        if not self.shift:
            return weights.bias[None]
        masks = border_masks(self.window_size, self.shift, device=weights.bias.device, dtype=weights.bias.dtype)
        return weights.bias[None] + masks[:, None]

    def _attend(
        self,
        windows: Tensor,
        weights: AttentionWeights,
        biases: Tensor,
        *,
        last_row: bool | None,
        last_column: bool = True,
    ) -> Tensor:
        """Attention in windows `[columns, rows, B, M*M, C]`, whose last column (if so said) and last row are borders:
        `[columns, rows, B, M*M, h, d]`, not yet projected.

        `last_row` None: the rows are all of the image; True: they are its last; False: its last is not among them.
        """
        query, key, value = weights.qkv(windows, 0, 3).unbind(-3)
        columns, rows = windows.shape[:2]
        inner_columns = columns - 1 if last_column else columns
        inner_rows = rows - 1 if last_row is None else 0 if last_row else rows
        if not self.shift or (inner_columns, inner_rows) == (columns, rows):
            return self.attn.attend(query, key, value, biases[0], scale=weights.scale)
        attended = torch.empty_like(query)
        for bias, column_span, row_span in (
            (biases[0], slice(None, inner_columns), slice(None, inner_rows)),
            (biases[1], slice(inner_columns, None), slice(None, inner_rows)),
            (biases[2], slice(None, inner_columns), slice(inner_rows, None)),
            (biases[3], slice(inner_columns, None), slice(inner_rows, None)),
        ):
            place = (column_span, row_span)
            if query[place].numel():
                attended[place] = self.attn.attend(query[place], key[place], value[place], bias, scale=weights.scale)
        return attended


class OCAB(WindowProjection):
    """Overlapping cross-attention block: queries of a window see keys of a larger window around it, then an MLP.

    Keys beyond the image are zero vectors (without the projection's bias) and stay in the softmax.
    """

    def __init__(self, config: HATConfig, *, num_heads: int) -> None:
        dim, window, overlap = config.embed_dim, config.window_size, config.overlap_window
        super().__init__(dim, num_heads, (window + overlap - 1) ** 2, qkv_bias=config.qkv_bias)
        self.window_size, self.overlap_window = window, overlap
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    @property
    def halo(self) -> int:
        """Pixels the larger window reaches beyond the smaller one, on each side."""
        return (self.overlap_window - self.window_size) // 2

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """`[B, H, W, C]` to the same; `index` is `cross_attention_index`. With gradients."""
        weights = AttentionWeights(self, index, pad=False)
        qkv = weights.qkv(self.norm1(x), 0, 3)
        query, keys_values = qkv[..., 0, :, :], qkv[..., 1:, :, :].flatten(3)
        halo = self.halo
        keys_values = F.pad(keys_values, (0, 0, halo, halo, halo, halo))
        windows = torch.unflatten(partition(query.flatten(3), self.window_size), -1, (weights.heads, weights.width))
        larger = self._larger_windows(keys_values).flatten(3, 4)
        key, value = torch.unflatten(larger, -1, (2, weights.heads, weights.width)).unbind(-3)
        attended = weights.project(self.attend(windows, key, value, weights.bias, scale=weights.scale))
        x = x + merge(attended, self.window_size)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result

    def update_(self, x: Tensor, index: Tensor, crew: Crew) -> None:
        """The same in place, without gradients, in stretches of window rows side by side."""
        height = x.shape[1]
        size, halo = self.window_size, self.halo
        weights = AttentionWeights(self, index, pad=True)
        rows = height // size
        tasks = []
        for first_row, end_row in crew.spans(rows, rows):
            top, bottom = first_row * size, end_row * size
            above, below = x[:, max(top - halo, 0) : top].clone(), x[:, bottom : bottom + halo].clone()
            tasks.append(partial(self._update_stretch, x[:, top:bottom], above, below, weights, crew.chunk))
        crew.each(tasks)

    def _update_stretch(self, x: Tensor, above: Tensor, below: Tensor, weights: AttentionWeights, chunk: int) -> None:
        """Window rows `x` in place, given the (up to `halo`) rows around them as they were.

        Keys and values roll along: each row is projected once, before its pixels change.
        """
        batch, height, width, _ = x.shape
        size, halo = self.window_size, self.halo
        rows_a_band = max(1, chunk // (width * size))
        shape = (batch, min(rows_a_band * size, height) + 2 * halo, width + 2 * halo, 2 * weights.heads * weights.width)
        kept = x.new_zeros(shape, dtype=weights.dtype)

        def project(rows: Tensor, start: int) -> None:
            fresh = weights.qkv(self.norm1(rows).to(weights.dtype), 1, 3).flatten(3)
            kept[:, start : start + rows.shape[1], halo : width + halo] = fresh

        project(above, halo - above.shape[1])
        projected = 0  # rows of x whose keys and values have been made
        before = 0  # rows of the band before this one
        for first_row, end_row in bands(height // size, rows_a_band):
            top, bottom = first_row * size, end_row * size
            reach = min(bottom + halo, height)
            if before:
                kept[:, : 2 * halo] = kept[:, before : before + 2 * halo].clone()
            before = bottom - top
            start = projected - (top - halo)
            project(x[:, projected:reach], start)
            kept[:, start + reach - projected :] = 0
            if bottom == height:
                project(below, start + reach - projected)
            projected = reach
            windows = partition(
                self.norm1(x[:, top:bottom]).to(weights.dtype), size
            ).contiguous()  # one column may be a view
            larger = self._larger_windows(kept[:, : bottom - top + 2 * halo])
            step = max(1, chunk // (windows[0].numel() // windows.shape[-1]))
            for column in range(0, windows.shape[0], step):
                part = slice(column, column + step)
                query = weights.qkv(windows[part], 0, 1).squeeze(-3)
                key, value = torch.unflatten(larger[part], -1, (2, weights.heads, weights.width)).unbind(-3)
                attended = attend(query, key.flatten(3, 4), value.flatten(3, 4), weights.bias, scale=weights.scale)
                weights.project_into(windows[part], attended)
            target = x[:, top:bottom]
            for pixels, update in matched(target, windows, size, 0):
                pixels += update
            self.mlp.add_(target, self.norm2, chunk)

    def _larger_windows(self, keys_values: Tensor) -> Tensor:
        """`[B, R*M + 2*halo, W + 2*halo, X]` to overlapping windows `[W/M, R, B, O, O, X]`, a view."""
        size, step = self.overlap_window, self.window_size
        return keys_values.unfold(1, size, step).unfold(2, size, step).permute(2, 1, 0, 4, 5, 3)


class ResidualGroup(nn.Module):
    """The attention blocks of one group: HABs, alternately shifted, then one OCAB."""

    def __init__(self, config: HATConfig, *, depth: int, num_heads: int, drop_path: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            HAB(config, num_heads=num_heads, shift=config.window_size // 2 if i % 2 else 0, drop_path=drop_path[i])
            for i in range(depth)
        )
        self.overlap_attn = OCAB(config, num_heads=num_heads) if config.ocab else None


class RHAG(nn.Module):
    """Residual hybrid attention group: attention blocks, a convolution, and a shortcut around them."""

    def __init__(self, config: HATConfig, *, depth: int, num_heads: int, drop_path: list[float]) -> None:
        super().__init__()
        self.residual_group = ResidualGroup(config, depth=depth, num_heads=num_heads, drop_path=drop_path)
        self.conv = nn.Conv2d(config.embed_dim, config.embed_dim, 3, 1, 1)

    def forward(self, x: Tensor, index_sa: Tensor, index_oca: Tensor) -> Tensor:
        """`[B, H, W, C]` to the same, with gradients."""
        y = x
        for block in self.residual_group.blocks:
            y = block(y, index_sa)
        if self.residual_group.overlap_attn is not None:
            y = self.residual_group.overlap_attn(y, index_oca)
        result: Tensor = x + self.conv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return result

    def update_(self, x: Tensor, index_sa: Tensor, index_oca: Tensor, crew: Crew) -> Iterator[None]:
        """The same in place, without gradients; yields after every block."""
        y = torch.empty_like(x)
        band = crew.chunk // x.shape[2]

        def copy(top: int, bottom: int) -> None:
            y[:, top:bottom] = x[:, top:bottom]

        crew.each(partial(copy, *span) for span in crew.spans(x.shape[1], band))
        for block in self.residual_group.blocks:
            assert isinstance(block, HAB)
            block.update_(y, index_sa, crew)
            yield
        if self.residual_group.overlap_attn is not None:
            self.residual_group.overlap_attn.update_(y, index_oca, crew)

        conv = winograd.Convolution(self.conv)

        def add(top: int, bottom: int) -> None:
            rows = torch.empty_like(x[:, top:bottom])
            conv_rows_into(rows, conv, y, top, bottom)
            x[:, top:bottom] += rows

        crew.each(partial(add, *span) for span in crew.spans(x.shape[1], band, step=winograd.ROWS))
        yield
