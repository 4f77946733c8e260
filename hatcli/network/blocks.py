"""The blocks HAT is built of: channel attention, hybrid attention, overlapping cross-attention, and their group.

Shape letters: B images, H and W rows and columns (multiples of the window side M), C channels, h heads, d channels a
head. Feature maps are `[B, H, W, C]`; a convolution sees the same memory as a channels-last `[B, C, H, W]`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hatcli.network.attention import WindowAttention, WindowProjection, merge, overlapping_windows, partition
from hatcli.network.config import HATConfig


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
        return features * self.gate(features.mean(dim=(1, 2)))

    def gate(self, mean: Tensor) -> Tensor:
        """Channel means `[B, C]` to gates `[B, 1, 1, C]`; ones without channel attention."""
        if len(self.cab) == 3:
            return torch.ones_like(mean)[:, None, None]
        attention = self.cab[3]
        assert isinstance(attention, ChannelAttention)
        return attention.gate(mean)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class DropPath(nn.Module):
    """Stochastic depth: a whole branch of an image is dropped with probability `rate` while training.

    `generator` draws; None: PyTorch's own.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

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
        self.attn = WindowAttention(dim, config.window_size, num_heads, shift=shift, qkv_bias=config.qkv_bias)
        self.conv_block = CAB(config) if config.cab else None
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """`[B, H, W, C]` to the same; `index` is `self_attention_index`."""
        normed = self.norm1(x)
        shifted = torch.roll(normed, (-self.shift, -self.shift), dims=(1, 2)) if self.shift else normed
        attended = merge(self.attn(partition(shifted, self.window_size), index), self.window_size)
        if self.shift:
            attended = torch.roll(attended, (self.shift, self.shift), dims=(1, 2))
        x = x + self.drop_path(attended)
        if self.conv_block is not None:
            x = x + self.conv_scale * self.conv_block(normed)
        result: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return result


class OCAB(WindowProjection):
    """Overlapping cross-attention block: queries of a window see keys of a larger window around it, then an MLP.

    Keys beyond the image are zero vectors (without the projection's bias) and stay in the softmax.
    """

    def __init__(self, config: HATConfig, *, num_heads: int) -> None:
        dim, window, overlap = config.embed_dim, config.window_size, config.overlap_window
        super().__init__(dim, num_heads, (window + overlap - 1) ** 2, qkv_bias=config.qkv_bias)
        self.window_size, self.overlap_window = window, overlap
        self.overlapping = overlapping_windows  # training may put a way with faster gradients in its place
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    @property
    def halo(self) -> int:
        """Pixels the larger window reaches beyond the smaller one, on each side."""
        return (self.overlap_window - self.window_size) // 2

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """`[B, H, W, C]` to the same; `index` is `cross_attention_index`."""
        query, keys_values = torch.split(self.qkv(self.norm1(x)), [self.dim, 2 * self.dim], dim=-1)
        padded = F.pad(keys_values, (0, 0, *(self.halo,) * 4))
        larger = self.overlapping(padded, self.window_size, self.overlap_window).flatten(3, 4)
        key, value = (self.by_heads(part) for part in larger.chunk(2, dim=-1))
        query = self.by_heads(partition(query, self.window_size))
        attended = self.attend(query, key, value, self.position_bias(index), scale=self.scale)
        x = x + merge(self.proj(attended.flatten(-2)), self.window_size)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


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
        """`[B, H, W, C]` to the same."""
        y = x
        for block in self.residual_group.blocks:
            y = block(y, index_sa)
        if self.residual_group.overlap_attn is not None:
            y = self.residual_group.overlap_attn(y, index_oca)
        result: Tensor = x + self.conv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return result
