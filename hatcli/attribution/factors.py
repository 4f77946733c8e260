"""At what factor several models are looked at, and in what precision: decided once, before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from hatcli.errors import UsageError
from hatcli.models.opening import Model
from hatcli.upscaling.device import DeviceChoice

DEFAULT_FACTOR = 4


def common_factor(models: Sequence[Model]) -> int:
    """The factor all of these have: 4 where they can, else the largest; 4 without any.

    Raises:
        UsageError: they have none in common.
    """
    if not models:
        return DEFAULT_FACTOR
    shared = set.intersection(*(set(model) for model in models))
    if not shared:
        said = ", ".join(f"{model.name} x{next(iter(model))}" for model in models)
        raise UsageError(f"the models have no factor in common: {said}", hint="attribute them one by one")
    return DEFAULT_FACTOR if DEFAULT_FACTOR in shared else max(shared)


def native(model: Model, factor: int) -> nn.Module:
    """The model's own network of this factor; UsageError if it has none."""
    if factor not in model:
        raise UsageError(f"{model.name} has no x{factor}", hint="give its own factor with --scale")
    return model[factor]


def in_precision(choice: DeviceChoice, precision: str) -> DeviceChoice:
    """The device with `fp32` or `fp64`, which is what attribution can be computed in.

    Raises:
        UsageError: it is another precision, or one this device does not compute.
    """
    dtypes = {"fp32": torch.float32, "fp64": torch.float64}
    if precision not in dtypes:
        raise UsageError(f"attribution in {precision} would be mostly rounding", hint="use fp32 or fp64")
    if precision == "fp64" and choice.device.type == "mps":
        raise UsageError("Apple's GPU does not compute fp64", hint="use --precision fp32, or --device cpu")
    return replace(choice, dtype=dtypes[precision])
