"""Resizing: antialiased bicubic exactly as MATLAB's imresize, and one antialiased reduction for final sizes.

The papers make every low-resolution test image with MATLAB's `imresize(image, 1/scale)`. Its kernel is Keys' cubic
(a = -0.5), widened by the factor when reducing; borders are mirrored; rows are resized before columns where both
factors are equal, and integer images are rounded after each of the two passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

KERNEL_SUPPORT = 4.0  # samples the cubic kernel spans when it is not widened


def cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5 (Keys, 1981)."""
    x = np.abs(distance)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1.0
    outer = -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    return np.where(x <= 1, inner, np.where(x <= 2, outer, 0.0))


def contributions(
    length: int, *, target: int, scale: float, antialias: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which input samples make each output sample, and with which weights.

    Args:
        length: input samples.
        target: output samples.
        scale: output samples an input sample; MATLAB takes the given factor, not `target / length`.
        antialias: widen the kernel by `1 / scale` when reducing.

    Returns:
        Indices `[target, taps]` into the input (mirrored at the borders) and weights `[target, taps]` that sum to 1.
    """
    stretch = scale if antialias and scale < 1 else 1.0
    width = KERNEL_SUPPORT / stretch
    centre = np.arange(1, target + 1, dtype=np.float64) / scale + 0.5 * (1 - 1 / scale)  # 1-based, as MATLAB counts
    left = np.floor(centre - width / 2)
    taps = int(np.ceil(width)) + 2
    position = left[:, None] + np.arange(taps, dtype=np.float64)[None, :]
    weights = stretch * cubic(stretch * (centre[:, None] - position))
    weights /= weights.sum(axis=1, keepdims=True)
    mirror = np.concatenate([np.arange(length), np.arange(length - 1, -1, -1)])
    indices = mirror[np.mod(position.astype(np.int64) - 1, 2 * length)]
    used = np.any(weights != 0, axis=0)
    return indices[:, used], weights[:, used]


def resize_axis(
    image: NDArray[Any], axis: int, *, target: int, scale: float, antialias: bool = True
) -> NDArray[np.float64]:
    """One pass along `axis` in float64, not rounded."""
    indices, weights = contributions(image.shape[axis], target=target, scale=scale, antialias=antialias)
    moved = np.moveaxis(image, axis, 0)
    result = np.zeros((target, *moved.shape[1:]), dtype=np.float64)
    for tap in range(indices.shape[1]):  # a handful of taps: far less memory than gathering [target, taps, ...]
        result += weights[:, tap].reshape(-1, *(1,) * (moved.ndim - 1)) * moved[indices[:, tap]]
    return np.moveaxis(result, 0, axis)


def imresize(image: NDArray[Any], scale: float, *, antialias: bool = True) -> NDArray[Any]:
    """MATLAB's `imresize(image, scale)` with its default bicubic kernel.

    Args:
        image: `[H, W]` or `[H, W, C]`, any real dtype. uint8 and uint16 are rounded and clamped after each pass, as
            MATLAB does; float arrays stay float64 and are not clamped.
        scale: output pixels an input pixel, above 0.

    Returns:
        `[ceil(scale * H), ceil(scale * W), ...]` in the input's dtype (float64 for floats).
    """
    result: NDArray[Any] = image
    for axis in (0, 1):
        target = int(np.ceil(round(image.shape[axis] * scale, 9)))
        passed = resize_axis(result, axis, target=target, scale=scale, antialias=antialias)
        result = round_to(passed, image.dtype) if np.issubdtype(image.dtype, np.integer) else passed
    return result


def round_to(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Half away from zero, clamped to the dtype's range, as MATLAB converts doubles to integers."""
    limits = np.iinfo(dtype)
    return np.clip(np.floor(values + 0.5), limits.min, limits.max).astype(dtype)


def modcrop(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """Cut rows at the bottom and columns at the right until both sides divide by `scale`."""
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


@dataclass(frozen=True)
class Taps:
    """Which samples of an axis make each sample of a resized one, with which weights: `[target, taps]` both."""

    indices: NDArray[np.int64]
    weights: NDArray[np.float64]


def taps(length: int, target: int) -> Taps:
    """Antialiased bicubic from `length` samples to exactly `target`."""
    return Taps(*contributions(length, target=target, scale=target / length))


def apply_taps(values: torch.Tensor, along: Taps, *, dim: int) -> torch.Tensor:
    """One axis of a float tensor resized."""
    import torch

    shape = [1] * values.ndim
    shape[dim] = len(along.indices)
    result: torch.Tensor | None = None
    for tap in range(along.indices.shape[1]):
        index = torch.from_numpy(np.ascontiguousarray(along.indices[:, tap]))
        weight = torch.from_numpy(along.weights[:, tap].astype(np.float32)).to(values.dtype).view(shape)
        part = values.index_select(dim, index)
        result = part.mul_(weight) if result is None else result.addcmul_(part, weight)
    assert result is not None
    return result


def resize_tensor(values: torch.Tensor, *, height: int, width: int) -> torch.Tensor:
    """Antialiased bicubic to an exact size: `[C, H, W]` float on the CPU to `[C, height, width]`, not clamped."""
    for dim, target in ((2, width), (1, height)):
        if values.shape[dim] != target:
            values = apply_taps(values, taps(values.shape[dim], target), dim=dim)
    return values
