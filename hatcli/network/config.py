"""What makes one HAT differ from another; impossible values are refused here."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from hatcli.errors import WeightsError

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # DIV2K, R G B in 0..1
LARGEST_WINDOW = 64  # pixels a side; position indices grow with its fourth power
UPSCALES = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class HATConfig:
    """The hyper-parameters of a HAT network, named as in the authors' code.

    Attributes:
        upscale: native factor.
        embed_dim: channels of the body (C).
        depths: hybrid attention blocks of each residual group.
        num_heads: attention heads of each residual group.
        window_size: side of a self-attention window in pixels (M).
        overlap_ratio: gamma; the keys of overlapping cross-attention come from windows of side M + int(gamma * M).
        compress_ratio: channel compression inside the channel attention block (the paper's beta).
        squeeze_factor: channel squeeze of the channel attention itself.
        conv_scale: alpha, the weight of the channel attention block. Not in any official checkpoint.
        mlp_ratio: hidden channels of an MLP over embed_dim.
        num_feat: channels of the reconstruction head.
        img_range: factor on the input after the mean is taken off.
        rgb_mean: what is taken off the input, R G B in 0..1.
        qkv_bias: whether the query, key and value projections have a bias.
        drop_path_rate: stochastic depth of the last block; only training reads it.
        cab: whether hybrid blocks have their channel attention block; False is an ablation.
        channel_attention: whether that block ends in channel attention or in its convolutions alone.
        ocab: whether groups close with an overlapping cross-attention block.

    Raises:
        WeightsError: a value with which the network cannot be built.
    """

    upscale: int = 4
    embed_dim: int = 180
    depths: tuple[int, ...] = (6,) * 6
    num_heads: tuple[int, ...] = (6,) * 6
    window_size: int = 16
    overlap_ratio: float = 0.5
    compress_ratio: int = 3
    squeeze_factor: int = 30
    conv_scale: float = 0.01
    mlp_ratio: float = 2.0
    num_feat: int = 64
    img_range: float = 1.0
    rgb_mean: tuple[float, float, float] = RGB_MEAN
    qkv_bias: bool = True
    drop_path_rate: float = 0.1
    cab: bool = True
    channel_attention: bool = True
    ocab: bool = True

    def __post_init__(self) -> None:
        overlap = int(self.overlap_ratio * self.window_size)
        problems = {
            f"upscale {self.upscale} is not one of {', '.join(map(str, UPSCALES))}": self.upscale not in UPSCALES,
            "there is no residual group": not self.depths,
            "a residual group has no block": any(depth < 1 for depth in self.depths),
            "depths and num_heads differ in length": len(self.depths) != len(self.num_heads),
            "embed_dim does not divide by the number of heads": any(
                heads < 1 or self.embed_dim % heads for heads in self.num_heads
            ),
            f"window_size is not 2 to {LARGEST_WINDOW}": not 2 <= self.window_size <= LARGEST_WINDOW,
            "overlapping windows are larger than three windows": overlap > 2 * self.window_size,
            "overlap_ratio gives an odd overlap": overlap % 2 == 1 or overlap < 0,
            "compress_ratio leaves no channel": not 1 <= self.compress_ratio <= self.embed_dim,
            "squeeze_factor leaves no channel": not 1 <= self.squeeze_factor <= self.embed_dim,
            "img_range is not above 0": not self.img_range > 0,
            "num_feat is below 1": self.num_feat < 1,
            "mlp_ratio leaves no channel": int(self.embed_dim * self.mlp_ratio) < 1,
        }
        for problem, found in problems.items():
            if found:
                raise WeightsError(f"no HAT has this configuration: {problem}")

    @property
    def overlap_window(self) -> int:
        """Side of the window keys and values come from in overlapping cross-attention."""
        return self.window_size + int(self.overlap_ratio * self.window_size)

    @property
    def upsample_factors(self) -> tuple[int, ...]:
        """The pixel shuffles of the reconstruction head, in order: (2, 2) at x4, (3,) at x3, none at x1."""
        return (3,) if self.upscale == 3 else (2,) * (self.upscale.bit_length() - 1)

    def to_json(self) -> str:
        """One line of JSON with every field, as it stands in a checkpoint's metadata."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HATConfig:
        """The inverse of `to_json`; unknown fields and wrong types are refused with WeightsError."""
        try:
            values: dict[str, Any] = dict(json.loads(text))
            known = {field.name for field in dataclasses.fields(cls)}
            if unknown := sorted(set(values) - known):
                raise WeightsError(f"the checkpoint's configuration names unknown fields: {', '.join(unknown)}")
            for name in ("depths", "num_heads"):
                if name in values:
                    values[name] = tuple(int(value) for value in values[name])
            if "rgb_mean" in values:
                red, green, blue = (float(value) for value in values["rgb_mean"])
                values["rgb_mean"] = (red, green, blue)
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise WeightsError(f"the checkpoint's configuration cannot be read: {error}") from None

    def multiply_adds(self) -> float:
        """Multiply-adds an input pixel (convolutions, linear layers and attention products), as counted in papers."""
        c, m, f = self.embed_dim, self.window_size, self.num_feat
        mlp = 2 * c * int(c * self.mlp_ratio)
        convolutions = 2 * 9 * c * (c // self.compress_ratio) if self.cab else 0
        block = 4 * c * c + mlp + convolutions + 2 * c * m * m
        overlap = 4 * c * c + mlp + 2 * c * self.overlap_window**2 if self.ocab else 0
        body = sum(depth * block + overlap + 9 * c * c for depth in self.depths)
        total = 27 * c + body + 9 * c * c + 9 * c * f
        scale = 1
        for factor in self.upsample_factors:
            total += scale**2 * 9 * f * f * factor**2
            scale *= factor
        return float(total + scale**2 * 27 * f)


def preset(name: str, *, upscale: int) -> HATConfig:
    """A named shape: `hat-t` (this project's compact one), `hat-s`, `hat`, `hat-l`.

    Raises:
        WeightsError: there is no such shape.
    """
    shapes: dict[str, dict[str, Any]] = {
        "hat-t": {
            "embed_dim": 48,
            "depths": (2, 2),
            "num_heads": (4, 4),
            "window_size": 8,
            "squeeze_factor": 8,
            "num_feat": 16,
            "drop_path_rate": 0.0,
        },
        "hat-s": {"embed_dim": 144, "compress_ratio": 24, "squeeze_factor": 24},
        "hat": {},
        "hat-l": {"depths": (6,) * 12, "num_heads": (6,) * 12},
    }
    if name not in shapes:
        raise WeightsError(f"there is no preset {name!r}", hint=f"presets: {', '.join(shapes)}")
    return HATConfig(upscale=upscale, **shapes[name])
