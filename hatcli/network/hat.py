"""HAT, the Hybrid Attention Transformer (Chen et al., "Activating More Pixels in Image Super-Resolution Transformer",
CVPR 2023), as a plain formula. Attribute names are the official checkpoints' keys.

Shape letters: B images, H and W rows and columns (multiples of the window side M inside the body), C channels, S scale.
Feature maps are `[B, H, W, C]`; a convolution sees the same memory as a channels-last `[B, C, H, W]`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hatcli.network.attention import cross_attention_index, self_attention_index
from hatcli.network.blocks import RHAG
from hatcli.network.config import HATConfig


class PatchEmbed(nn.Module):
    """The layer norm before the first group; patches are single pixels, so there is nothing else to embed."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)


class HAT(nn.Module):
    """The network: `[B, 3, H, W]` RGB in 0..1, any size from 1 x 1, to `[B, 3, S*H, S*W]`, not clamped.

    Sides that are not multiples of the window are mirrored at the bottom and right, and the result is cropped.
    `checkpointing` computes the activations of a group again in the backward pass instead of keeping them: less memory,
    a third more time, the same gradients. Whoever wants no gradients runs it by `hatcli.engine`.
    """

    def __init__(self, config: HATConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
        dim, feat = config.embed_dim, config.num_feat
        self.register_buffer("relative_position_index_SA", self_attention_index(config.window_size))
        self.register_buffer(
            "relative_position_index_OCA", cross_attention_index(config.window_size, config.overlap_window)
        )
        self.conv_first = nn.Conv2d(3, dim, 3, 1, 1)
        self.patch_embed = PatchEmbed(dim)
        rates = [config.drop_path_rate * i / max(sum(config.depths) - 1, 1) for i in range(sum(config.depths))]
        self.layers = nn.ModuleList(
            RHAG(config, depth=depth, num_heads=heads, drop_path=rates[sum(config.depths[:i]) :][:depth])
            for i, (depth, heads) in enumerate(zip(config.depths, config.num_heads, strict=True))
        )
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, 1, 1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(dim, feat, 3, 1, 1), nn.LeakyReLU(0.01))
        stages: list[nn.Module] = []
        for factor in config.upsample_factors:
            stages += [nn.Conv2d(feat, feat * factor**2, 3, 1, 1), nn.PixelShuffle(factor)]
        self.upsample = nn.Sequential(*stages)
        self.conv_last = nn.Conv2d(feat, 3, 3, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def indices(self) -> tuple[Tensor, Tensor]:
        """The position indices of self-attention and of overlapping cross-attention."""
        return self.get_buffer("relative_position_index_SA"), self.get_buffer("relative_position_index_OCA")

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 3, H, W]` in 0..1 to `[B, 3, S*H, S*W]`, float32 (float64 in float64), not clamped."""
        height, width = x.shape[-2:]
        first = self.conv_first(self.centred(pad_to_multiple(x, self.config.window_size)))
        maps = self.patch_embed.norm(first.permute(0, 2, 3, 1))
        for group in self.layers:
            if self.checkpointing:
                maps = checkpoint(group, maps, *self.indices, use_reentrant=False)
            else:
                maps = group(maps, *self.indices)
        body = self.conv_after_body(self.norm(maps).permute(0, 3, 1, 2)) + first
        result = self.uncentred(self.conv_last(self.upsample(self.conv_before_upsample(body))))
        scale = self.config.upscale
        return result[..., : height * scale, : width * scale]

    def _mean(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        return torch.tensor(self.config.rgb_mean, device=device, dtype=dtype).view(1, 3, 1, 1)

    def centred(self, x: Tensor) -> Tensor:
        """To the network's own range and precision; the subtraction is done in float32 or wider."""
        wide = x.to(wide_dtype(x.dtype))
        centred = (wide - self._mean(x.device, wide.dtype)) * self.config.img_range
        return centred.to(self.conv_first.weight.dtype, memory_format=torch.channels_last)

    def uncentred(self, x: Tensor) -> Tensor:
        wide = x.to(wide_dtype(x.dtype))
        return wide / self.config.img_range + self._mean(x.device, wide.dtype)


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums and pictures are held in: float64 stays float64, everything narrower is float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Mirror `[B, C, H, W]` at the bottom and right (edge not repeated) up to multiples; a side of 1 is repeated."""
    for dim in (-2, -1):
        length = x.shape[dim]
        target = -(-length // multiple) * multiple
        if target == length:
            continue
        period = max(2 * (length - 1), 1)
        position = torch.arange(target, device=x.device) % period
        x = x.index_select(dim, torch.where(position < length, position, period - position))
    return x
