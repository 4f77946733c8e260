"""What makes one HAT differ from another; impossible values are refused here."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from hatcli.errors import WeightsError

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # DIV2K, R G B in 0..1
UPSCALES = (1, 2, 3, 4, 8)
MOST_BLOCKS = 512  # hybrid attention blocks; HAT-L has 72
MOST_LOGITS = 1 << 24  # of a window: queries times keys; windows of 16 have 2^17
MOST_BIASES = 1 << 26  # the same times heads
LONGEST_JSON = 1 << 16  # characters
IMPOSSIBLE = "no HAT has this configuration"
DAMAGED = "the weights are damaged or no HAT's; fetch or save them again"
SEQUENCES = ("depths", "num_heads", "rgb_mean")
BOUNDS: dict[str, tuple[int, int] | tuple[float, float]] = {  # what a field may be; whole numbers where the most is one
    "upscale": (1, 8),
    "embed_dim": (1, 4096),
    "depths": (1, MOST_BLOCKS),
    "num_heads": (1, 4096),
    "window_size": (2, 64),  # pixels a side; position indices grow with its fourth power
    "overlap_ratio": (0.0, 2.0),
    "compress_ratio": (1, 4096),
    "squeeze_factor": (1, 4096),
    "conv_scale": (-1e3, 1e3),
    "mlp_ratio": (0.0, 64.0),
    "num_feat": (1, 4096),
    "img_range": (1e-3, 1e6),
    "rgb_mean": (-1e3, 1e3),
    "drop_path_rate": (0.0, 0.99),
}


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
        self._check_bounds()
        overlap = int(self.overlap_ratio * self.window_size)
        logits = self.window_size**2 * max(self.overlap_window, self.window_size) ** 2
        problems = {
            f"upscale {self.upscale} is not one of {', '.join(map(str, UPSCALES))}": self.upscale not in UPSCALES,
            "there is no residual group": not self.depths,
            f"there are more than {MOST_BLOCKS} blocks": sum(self.depths) > MOST_BLOCKS,
            "depths and num_heads differ in length": len(self.depths) != len(self.num_heads),
            "embed_dim does not divide by the number of heads": any(self.embed_dim % heads for heads in self.num_heads),
            "overlap_ratio gives an odd overlap": overlap % 2 == 1,
            "its windows are too large": logits > MOST_LOGITS or logits * max(self.num_heads, default=1) > MOST_BIASES,
            "compress_ratio leaves no channel": self.compress_ratio > self.embed_dim,
            "squeeze_factor leaves no channel": self.squeeze_factor > self.embed_dim,
            "mlp_ratio leaves no channel": int(self.embed_dim * self.mlp_ratio) < 1,
        }
        for problem, found in problems.items():
            if found:
                raise WeightsError(f"{IMPOSSIBLE}: {problem}", hint=DAMAGED)

    def _check_bounds(self) -> None:
        """Every value is of its kind and within `BOUNDS`, before anything is computed from it."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in SEQUENCES:
                if type(value) is not tuple:
                    raise WeightsError(f"{IMPOSSIBLE}: {field.name} is {value!r:.60}, no list", hint=DAMAGED)
                for number in value:
                    _check_number(field.name, number)
            elif field.name in BOUNDS:
                _check_number(field.name, value)
            elif type(value) is not bool:
                raise WeightsError(f"{IMPOSSIBLE}: {field.name} is {value!r:.60}, not true or false", hint=DAMAGED)
        if len(self.rgb_mean) != 3:
            raise WeightsError(f"{IMPOSSIBLE}: rgb_mean is not three numbers", hint=DAMAGED)

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
        if len(text) > LONGEST_JSON:
            raise WeightsError(
                f"the checkpoint's configuration has {len(text)} characters", hint="it is damaged or hostile"
            )
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the checkpoint's configuration cannot be read: {error}", hint=DAMAGED) from None
        if not isinstance(values, dict):
            raise WeightsError("the checkpoint's configuration is no set of fields", hint=DAMAGED)
        if unknown := sorted(set(values) - {field.name for field in dataclasses.fields(cls)}):
            raise WeightsError(
                f"the checkpoint's configuration names unknown fields: {', '.join(unknown)[:200]}", hint=DAMAGED
            )
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**fields)

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


def _check_number(name: str, number: Any) -> None:
    least, most = BOUNDS[name]
    whole = isinstance(most, int)
    is_number = type(number) is int or (type(number) is float and not whole)
    if not is_number or not least <= number <= most:
        what = "a whole number" if whole else "a number"
        raise WeightsError(f"{IMPOSSIBLE}: {name} is {number!r:.60}, not {what} from {least} to {most}", hint=DAMAGED)


def preset(name: str, *, upscale: int) -> HATConfig:
    """A named shape: `hat-t` (this project's compact one), `hat-s`, `hat`, `hat-l`.

    Raises:
        WeightsError: there is no such shape.
    """
    shapes: dict[str, dict[str, Any]] = {
        "hat-t": {
            "embed_dim": 48,
            "depths": (3, 3),
            "num_heads": (4, 4),
            "window_size": 8,
            "squeeze_factor": 8,
            "conv_scale": 1.0,  # at 0.01 the channel attention blocks of a short training hardly learn
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
