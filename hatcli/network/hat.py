"""HAT, the Hybrid Attention Transformer (Chen et al., "Activating More Pixels in Image Super-Resolution Transformer",
CVPR 2023): one network for training and inference. Attribute names are the official checkpoints' keys.

Shape letters: B images, H and W rows and columns (multiples of the window side M inside the body), C channels, S scale.
Feature maps are `[B, H, W, C]`; a convolution sees the same memory as a channels-last `[B, C, H, W]`.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hatcli.network.attention import cross_attention_index, self_attention_index
from hatcli.network.bands import conv_rows, conv_span, wide_dtype, widen
from hatcli.network.blocks import RHAG
from hatcli.network.config import HATConfig
from hatcli.network.parallel import Crew

CPU_CHUNK_VALUES = 1 << 18  # what a core's caches hold, and enough that threads seldom meet
CUDA_CHUNK_PIXELS = 1 << 18  # enough to fill a card, few enough to bound temporaries
HEAD_PIXELS_PER_CHUNK_PIXEL = 4  # the reconstruction head's bands: fewer, larger
NARROW = (torch.bfloat16, torch.float16)
PRODUCTS = (".qkv", ".proj", ".fc1", ".fc2", ".cab.0", ".cab.2")  # modules that may work in a narrow type


class PatchEmbed(nn.Module):
    """The layer norm before the first group; patches are single pixels, so there is nothing else to embed."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)


class HAT(nn.Module):
    """The network: `[B, 3, H, W]` RGB in 0..1, any size from 1 x 1, to `[B, 3, S*H, S*W]`, not clamped.

    Sides that are not multiples of the window are mirrored at the bottom and right, and the result is cropped.
    `chunk_pixels` sets how many pixels one matrix product handles without gradients (None: by device); it bounds
    temporaries and changes results by rounding only. `checkpointing` computes the activations of a group again in the
    backward pass instead of keeping them: less memory, a third more time, the same gradients.
    """

    def __init__(self, config: HATConfig) -> None:
        super().__init__()
        self.config = config
        self.chunk_pixels: int | None = None
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

    def to(self, *args: Any, **kwargs: Any) -> HAT:
        """As of any module, but a narrow float type is taken up by the products inside the blocks alone.

        What they add to, the feature maps, and the norms, the channel attention, the convolutions around the blocks and
        the head stay in float32: rounding there would show in the picture.
        """
        device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
        narrow = dtype if dtype in NARROW else None
        layout = {} if memory_format is None else {"memory_format": memory_format}
        super().to(device=device, dtype=torch.float32 if narrow else dtype, non_blocking=non_blocking, **layout)
        if narrow is not None:
            for name, module in self.named_modules():
                if name.endswith(PRODUCTS):
                    module.to(narrow)
        return self

    @property
    def num_steps(self) -> int:
        """How many times `steps` yields."""
        return sum(depth + 1 for depth in self.config.depths) + 1

    @property
    def _indices(self) -> tuple[Tensor, Tensor]:
        return self.get_buffer("relative_position_index_SA"), self.get_buffer("relative_position_index_OCA")

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 3, H, W]` in 0..1 to `[B, 3, S*H, S*W]`, float32 (float64 in float64), not clamped."""
        if torch.is_grad_enabled():
            return self._with_gradients(x)
        steps = self.steps(x)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                result: Tensor = done.value
                return result

    def steps(self, x: Tensor) -> Generator[None, None, Tensor]:
        """The forward pass without gradients as a generator: yields `num_steps` times, equal shares of the work
        nearly, and returns the result."""
        crew = self.crew(x.device)
        return crew.alone(self._steps(x, crew))

    def crew(self, device: torch.device) -> Crew:
        """Who would work without gradients on this device."""
        on_cpu = device.type == "cpu"
        chunk = CPU_CHUNK_VALUES // self.config.embed_dim if on_cpu else CUDA_CHUNK_PIXELS
        return Crew(torch.get_num_threads() if on_cpu else 1, self.chunk_pixels or chunk)

    @torch.inference_mode()
    def _steps(self, x: Tensor, crew: Crew) -> Generator[None, None, Tensor]:
        height, width = x.shape[-2:]
        image = self._centred(pad_to_multiple(x, self.config.window_size))
        rows = image.permute(0, 2, 3, 1)
        band = crew.chunk // rows.shape[2]
        maps = rows.new_empty(*rows.shape[:3], self.config.embed_dim)

        def begin(top: int, bottom: int) -> None:
            maps[:, top:bottom] = self.patch_embed.norm(conv_rows(self.conv_first, rows, top, bottom))

        crew.each(partial(begin, *span) for span in crew.spans(maps.shape[1], band))
        for group in self.layers:
            assert isinstance(group, RHAG)
            yield from group.update_(maps, *self._indices, crew)
        scale = self.config.upscale
        result = x.new_empty(x.shape[0], 3, height * scale, width * scale, dtype=wide_dtype(x.dtype))

        def reconstruct(top: int, bottom: int) -> None:
            made = self._head_rows(maps, image, top, bottom)
            result[:, :, top * scale : bottom * scale] = made[..., : width * scale]

        spans = crew.spans(height, max(8, band * HEAD_PIXELS_PER_CHUNK_PIXEL))
        crew.each(partial(reconstruct, *span) for span in spans)
        yield
        return result

    def _with_gradients(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        first = self.conv_first(self._centred(pad_to_multiple(x, self.config.window_size)))
        maps = self.patch_embed.norm(first.permute(0, 2, 3, 1))
        for group in self.layers:
            again = self.checkpointing
            maps = (
                checkpoint(group, maps, *self._indices, use_reentrant=False) if again else group(maps, *self._indices)
            )
        body = self.conv_after_body(self.norm(maps).permute(0, 3, 1, 2)) + first
        result = self._uncentred(self.conv_last(self.upsample(self.conv_before_upsample(body))))
        scale = self.config.upscale
        return result[..., : height * scale, : width * scale]

    def _head_rows(self, maps: Tensor, image: Tensor, top: int, bottom: int) -> Tensor:
        """Output rows of the input rows `top` to `bottom`: `[B, 3, S*(bottom - top), S*W]`.

        Every layer runs on just the rows the next one needs, found backwards from the output.
        """
        height = maps.shape[1]
        convs = [self.upsample[i] for i in range(0, len(self.upsample), 2)]
        scale = self.config.upscale
        wanted = [(top * scale, bottom * scale)]  # rows of the output, then of what each convolution reads
        wanted.append(widen(wanted[-1], height * scale))
        for factor in reversed(self.config.upsample_factors):
            scale //= factor
            shuffled = (wanted[-1][0] // factor, -(-wanted[-1][1] // factor))
            wanted += [shuffled, widen(shuffled, height * scale)]
        first = widen(wanted[-1], height)
        body = conv_rows(self.conv_after_body, maps, *first, norm=self.norm)
        body = body + conv_rows(self.conv_first, image.permute(0, 2, 3, 1), *first)
        rows = conv_span(self.conv_before_upsample[0], body, first, wanted[-1], height)
        have, rows = wanted.pop(), F.leaky_relu(rows, 0.01)
        scale = 1
        for conv, factor in zip(convs, self.config.upsample_factors, strict=True):
            made = wanted.pop()
            rows = conv_span(conv, rows, have, made, height * scale)
            rows = F.pixel_shuffle(rows.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)
            scale *= factor
            have = (made[0] * factor, made[1] * factor)
            wanted.pop()
        rows = conv_span(self.conv_last, rows, have, (top * scale, bottom * scale), height * scale)
        return self._uncentred(rows.permute(0, 3, 1, 2))

    def _mean(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        return torch.tensor(self.config.rgb_mean, device=device, dtype=dtype).view(1, 3, 1, 1)

    def _centred(self, x: Tensor) -> Tensor:
        """To the network's own range and precision; the subtraction is done in float32 or wider."""
        wide = x.to(wide_dtype(x.dtype))
        centred = (wide - self._mean(x.device, wide.dtype)) * self.config.img_range
        return centred.to(self.conv_first.weight.dtype, memory_format=torch.channels_last)

    def _uncentred(self, x: Tensor) -> Tensor:
        wide = x.to(wide_dtype(x.dtype))
        return wide / self.config.img_range + self._mean(x.device, wide.dtype)


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
